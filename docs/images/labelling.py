"""Draw labelling.png: the page after some 45 answers about generated shapes.

    python docs/images/labelling.py

Needs the extra ``label``, Playwright, and Chromium or Chrome.
"""

import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from modal_pretrain import PretrainedClassifier
from modal_pretrain.datasets import make_shapes
from modal_pretrain.labelling import LabelSession
from modal_pretrain.labelling.page.serve import PageServer

HERE = Path(__file__).parent


def main():
    data = make_shapes(n_train=400, n_test=4, image_size=160, random_state=0)
    data = data.subset("train")
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        folder = Path(place, "shapes")
        folder.mkdir()
        for number, picture in enumerate(data.X):
            Image.fromarray(picture).save(folder / f"{number:03}.png")
        estimator = PretrainedClassifier(image_size=64, random_state=0)
        classes = ["circle", "square"]
        with LabelSession(
            folder, classes, estimator=estimator, tags=["red", "blue"], audit_share=0.25
        ) as session:
            for _ in range(44):
                session.wait()
                row = session.ask()[0].row
                session.answer(row, str(data.y[row]))
            session.wait()
            row = int(session.labels()["row"][30])  # one slip, for it to find
            session.ask(rows=[row])
            session.answer(row, "circle" if data.y[row] == "square" else "square")
            session.wait()
            while session.ask()[0].reason == "audit":  # its why says little
                row = session.ask()[0].row
                session.answer(row, str(data.y[row]))
                session.wait()
            session.advice()
            server = PageServer(session, title="shapes")
            server.start()
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium") or shutil.which("chrome"),
                args=["--no-sandbox"],
            )
            page = browser.new_page(viewport={"width": 1180, "height": 760})
            page.goto(server.address)
            page.locator("#shown img").wait_for()
            page.keyboard.press("w")
            page.locator("#near img").nth(1).wait_for()
            page.locator("#figures dd").first.wait_for()
            page.wait_for_timeout(1000)
            page.screenshot(path="raw.png")
            browser.close()
            server.stop()
    raw = Path("raw.png")
    picture = Image.open(raw).convert("RGB").quantize(192, dither=Image.Dither.NONE)
    picture.save(HERE / "labelling.png", optimize=True)
    raw.unlink()


if __name__ == "__main__":
    main()
