"""Somebody at the page."""

import pytest

from tests.labelling.browser import Person, chromium

KEYS = {"circle": "1", "square": "2"}


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture
def person(browser, truth):
    context = browser.new_context(viewport={"width": 1100, "height": 800})
    found = Person(context.new_page(), truth, KEYS)
    yield found
    context.close()
    assert found.errors == []
