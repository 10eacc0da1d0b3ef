"""A real browser: the system's Chromium, driven by Playwright."""

import shutil
from contextlib import contextmanager

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


@contextmanager
def chromium():
    """Start one; the test is skipped, with the reason, where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is missing")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no browser here: none of {', '.join(NAMES)}")
    with api.sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=path, args=["--no-sandbox"]
            )
        except api.Error as error:
            pytest.skip(f"{path} does not start: {error}")
        yield browser
        browser.close()


class Person:
    """Somebody at the page, who knows the truth and complains about errors.

    Parameters
    ----------
    page : playwright.sync_api.Page
    truth : callable
        Label of a row.
    keys : dict of str to str
        The key of each label.
    """

    def __init__(self, page, truth, keys):
        self.page, self.truth, self.keys = page, truth, keys
        self.errors = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on(
            "console",
            lambda m: self.errors.append(m.text) if m.type == "error" else None,
        )

    def open(self, address):
        self.page.goto(address)
        self.row()
        return self

    def row(self):
        """The row that is shown, once its picture is there."""
        image = self.page.locator("#shown img")
        image.wait_for()
        self.page.wait_for_function(
            "() => document.querySelector('#shown img')?.naturalWidth > 0"
        )
        return row_of(image)

    def press(self, key):
        """Press a key and wait until another picture is there."""
        before = self.row()
        self.page.keyboard.press(key)
        self.page.wait_for_function(
            "row => !document.querySelector('#shown img')?.src.includes(`/${row}?`)",
            arg=before,
        )

    def label(self, n):
        """Answer n questions, one by one."""
        for _ in range(n):
            self.press(self.keys[self.truth(self.row())])

    def settled(self):
        """Wait until all answers have reached the server."""
        self.page.wait_for_function("() => document.body.ariaBusy !== 'true'")

    def pauses(self):
        """Let 20 seconds pass at once, after which the page asks for advice."""
        self.page.evaluate(
            "() => { const now = Date.now; Date.now = () => now() + 20000 }"
        )


def row_of(image):
    """The row that a picture of the page shows."""
    return int(image.get_attribute("src").split("/")[-1].split("?")[0])
