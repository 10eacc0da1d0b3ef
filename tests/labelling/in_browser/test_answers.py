"""The page in a real browser: answers by keys and clicks, killed, resumed."""

import time

import joblib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from modal_pretrain import PretrainedClassifier
from modal_pretrain.datasets import make_shapes
from tests.labelling.browser import Person
from tests.labelling.conftest import interrupt, label, until_address
from tests.labelling.in_browser.conftest import KEYS

pytestmark = pytest.mark.slow


def test_keyboard_only(folder, start, serve, person, truth):
    session = start(folder, tags=["red", "blue"])
    page = person.open(serve(session, title="shapes").address).page
    assert page.title().startswith("shapes")
    person.label(3)
    wrong = person.row()
    person.press("2" if truth(wrong) == "circle" else "1")
    person.press("u")
    assert person.row() == wrong  # back, to be answered again
    page.keyboard.press("Shift+Digit2")
    assert page.locator("#tags button[aria-pressed=true]").text_content()[:4] == "blue"
    person.label(1)
    assert page.locator("#tags button[aria-pressed=true]").count() == 0
    skipped = person.row()
    person.press("s")
    untold = person.row()
    person.press("c")
    person.settled()
    labels = session.labels().set_index("row")
    assert labels.loc[wrong, "label"] == truth(wrong)
    assert labels["tag"].tolist() == ["", "", "", "blue"]
    progress = session.progress()
    assert (progress.skipped, progress.cannot_tell) == (1, 1)
    # Looking ahead and back answers nothing.
    first = person.row()
    person.press("ArrowRight")
    person.press("ArrowLeft")
    assert person.row() == first
    page.reload()
    person.row()
    person.label(8)
    person.settled()
    session.wait(60)
    page.keyboard.press("w")
    page.locator("#near figure").first.wait_for()
    assert page.locator("#why").text_content()
    page.keyboard.press("g")
    page.locator("#guess").wait_for()
    rows = set(session.labels()["row"])
    assert len(rows) == 12 and rows.isdisjoint({skipped, untold})
    assert session.labels().apply(lambda r: r.label == truth(r.row), axis=1).all()


def test_a_key_that_is_held_answers_once(folder, start, serve, person):
    session = start(folder, classes=["10", "2"])
    page = person.open(serve(session).address).page
    page.keyboard.down("1")
    for _ in range(5):
        page.keyboard.down("1")  # as a keyboard repeats it
    page.keyboard.up("1")
    person.settled()
    assert session.progress().by_class == {"10": 1, "2": 0}
    bars = page.locator("#by-class li span:first-child")
    assert bars.all_text_contents() == ["10", "2"]  # in the order of the keys


def test_export_and_new_words(folder, start, serve, person, tmp_path):
    session = start(folder)
    page = person.open(serve(session, out=tmp_path / "out").address).page
    person.label(12)
    page.locator("#new-class input").fill("star")
    page.locator("#new-class input").press("Enter")
    page.get_by_role("button", name="star").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    page.keyboard.type("red 1")  # digits in a field answer nothing
    page.keyboard.press("Enter")
    page.locator("#tags button[aria-pressed=true]").wait_for()
    page.get_by_role("button", name="Write labels").click()
    page.locator("#exported pre").wait_for(timeout=60_000)
    assert session.classes[-1] == "star" and session.tags == ["red 1"]
    assert len(pd.read_csv(tmp_path / "out" / "labels.csv")) == 12
    assert joblib.load(tmp_path / "out" / "model.joblib")


def test_names_are_not_html(folder, start, serve, person):
    name = '<img src=x onerror="document.title=1">.png'
    (folder / "000.png").rename(folder / name)
    session = start(folder, classes=["<b>circle</b>", "square"])
    (number,) = [row for row, found in enumerate(session.pool.names) if found == name]
    session.ask(rows=[number])
    session.answer(number, "<b>circle</b>")
    page = person.open(serve(session, title="<i>t</i>").address).page
    page.keyboard.press("u")
    page.wait_for_function(
        "() => document.querySelector('#name').textContent[0] === '<'"
    )
    assert page.locator("#name").text_content() == name
    assert page.locator("#title").text_content() == "<i>t</i>"
    assert page.locator("#classes b, #title i, #name img").count() == 0
    assert page.title().startswith("<i>t</i>")


def test_two_tabs(folder, start, serve, browser, truth):
    session = start(folder)
    address = serve(session).address
    tabs = [
        Person(browser.new_context().new_page(), truth, KEYS).open(address)
        for _ in range(2)
    ]
    assert tabs[0].row() == tabs[1].row()
    tabs[0].label(1)
    tabs[0].settled()
    tabs[1].press("2")
    notice = tabs[1].page.locator("#notice")
    notice.wait_for()
    assert "answered meanwhile" in notice.text_content()
    assert session.progress().labelled == 1
    tabs[1].label(2)  # it goes on with others
    tabs[1].settled()
    assert session.progress().labelled == 3


def test_killed_and_resumed(folder, person, truth, command):
    """60 labels by keyboard; after 25 the program is killed, and started again."""
    arguments = (folder, "--classes", "circle", "square", "--image-size", 32)
    process = command(*arguments)
    person.open(until_address(process)[1]).label(25)
    person.settled()
    process.kill()
    process.communicate()
    process = command(*arguments)
    person.open(until_address(process)[1])
    person.page.wait_for_function(
        "() => document.querySelector('#total').textContent.startsWith('25')"
    )
    person.label(35)
    person.settled()
    person.page.goto("about:blank")
    assert "60 labels in" in interrupt(process)
    person.errors.clear()  # the first page noticed the end of its program
    table = pd.read_csv(folder.with_name("pictures-labelled") / "labels.csv")
    rows = table["item"].str[:3].astype(int)
    assert len(set(rows)) == 60
    assert table["label"].tolist() == [truth(row) for row in rows]


def test_the_page_is_as_good_as_the_loop(tmp_path, start, serve, browser):
    """40 labels of somebody who knows, through the page and in Python."""
    data = make_shapes(n_train=300, n_test=200, random_state=1)
    pool, test = data.subset("train"), data.subset("test")
    folder = tmp_path / "shapes"
    folder.mkdir()
    for number, picture in enumerate(pool.X):
        Image.fromarray(picture).save(folder / f"{number:03}.png")

    def truth(row):
        return str(pool.y[row])

    def session(name):
        estimator = PretrainedClassifier(image_size=48, device="cpu")
        return start(folder, labels=tmp_path / name, estimator=estimator)

    def score(labelled):
        known = labelled.labels()
        model = PretrainedClassifier(image_size=48, device="cpu")
        rows = known["row"].to_numpy()
        model.fit(pool.X[rows], known["label"].to_numpy(str))
        return np.mean(model.predict(test.X) == test.y)

    by_hand = label(session("loop.csv"), truth, 40)
    on_page = session("page.csv")
    context = browser.new_context()
    someone = Person(context.new_page(), truth, KEYS).open(serve(on_page).address)
    for _ in range(40):
        on_page.wait(60)
        someone.label(1)
        someone.settled()
    assert on_page.progress().labelled == 40 == by_hand.progress().labelled
    assert score(on_page) >= score(by_hand) - 0.04
    assert score(on_page) > 0.7


def test_a_button_that_was_clicked_takes_no_keys(folder, start, serve, person):
    session = start(folder)
    page = person.open(serve(session).address).page
    before = person.row()
    page.get_by_role("button", name="circle").click()
    person.settled()
    assert person.row() != before
    page.keyboard.press("Space")  # the model's guess, and not "circle" again
    person.settled()
    assert session.progress().labelled == 1
    assert page.locator("#peek").get_attribute("aria-pressed") == "true"
    page.locator("#many").click()
    page.locator(".tile").nth(23).wait_for()
    page.keyboard.press("Space")
    assert page.locator(".tile[aria-selected=true]").count() == 1
    page.keyboard.press("Escape")
    page.locator("#skip").focus()
    page.keyboard.press("Space")  # by keys alone it is pressed as everywhere
    assert "Choose some first" in page.locator("#notice").text_content()


def test_arrows_of_a_keypad_answer_nothing(folder, start, serve, person):
    session = start(folder, classes=[str(k) for k in range(20, 30)])
    page = person.open(serve(session).address).page
    first = person.row()
    person.press("Numpad6")  # Playwright's is one without NumLock
    assert person.row() != first
    person.press("Numpad4")
    assert person.row() == first
    page.keyboard.press("Numpad1")  # End, also that of Windows with Shift
    person.settled()
    assert session.progress().labelled == 0
    person.press("6")
    person.settled()
    assert session.labels()["label"].tolist() == ["25"]


def test_classes_are_typed_one_after_the_other(folder, start, serve, person):
    session = start(folder, classes=None)
    page = person.open(serve(session).address).page
    page.route("**/api/class", lambda route: (time.sleep(0.1), route.continue_()))
    field = page.locator("#new-class input")
    field.click()
    page.keyboard.type("dog\ncat\nsun\n", delay=70)  # c, s and u are keys of the page
    page.locator("#classes button").nth(2).wait_for()
    assert session.classes == ["dog", "cat", "sun"]
    page.keyboard.type("cat\n")  # refused, and left to be corrected
    page.wait_for_function("() => document.querySelector('#new-class input').value")
    assert field.input_value() == "cat"
    person.errors.clear()
    field.fill("")
    page.keyboard.press("Enter")  # leaves the field
    person.label(1)
    person.settled()
    progress = session.progress()
    assert (progress.labelled, progress.skipped, progress.cannot_tell) == (1, 0, 0)
