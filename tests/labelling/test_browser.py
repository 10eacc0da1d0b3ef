"""The page in a real browser: by keyboard, many at once, reloaded, killed, resumed."""

import time

import joblib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from modal_pretrain import PretrainedClassifier
from modal_pretrain.datasets import make_shapes
from tests.labelling.browser import Person, chromium, row_of
from tests.labelling.conftest import interrupt, label, until_address

pytestmark = pytest.mark.slow
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


def test_many_at_once(folder, start, serve, person, truth):
    session = start(folder)
    page = person.open(serve(session).address).page
    page.keyboard.press("m")
    tiles = page.locator(".tile")
    tiles.nth(23).wait_for()
    chosen = page.locator(".tile[aria-selected=true]")

    def rows():
        return [row_of(image) for image in chosen.locator("img").all()]

    # By keys.
    for _ in range(3):
        page.keyboard.press("Space")
        page.keyboard.press("ArrowRight")
    assert chosen.count() == 3
    page.keyboard.press("Escape")
    assert chosen.count() == 0
    # By click and shift-click.
    tiles.nth(1).click()
    tiles.nth(4).click(modifiers=["Shift"])
    first = rows()
    assert len(first) == 4
    page.keyboard.press("1")
    person.settled()
    assert sorted(session.labels()["row"]) == sorted(first)
    assert tiles.count() == 24 and chosen.count() == 0
    # By drag.
    places = [tiles.nth(k).bounding_box() for k in (0, 2)]
    page.mouse.move(places[0]["x"] + 20, places[0]["y"] + 20)
    page.mouse.down()
    page.mouse.move(places[1]["x"] + 20, places[1]["y"] + 20, steps=8)
    page.mouse.up()
    second = rows()
    assert len(second) == 3
    page.get_by_role("button", name="square").click()
    person.settled()
    assert session.progress().by_class == {"circle": 4, "square": 3}
    page.keyboard.press("u")  # one answer, however many rows
    person.settled()
    assert session.progress().by_class == {"circle": 4, "square": 0}
    page.keyboard.press("2")
    assert "Choose some first" in page.locator("#notice").text_content()


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


def test_what_is_looked_at_again_has_its_tag(folder, start, serve, person, truth):
    session = start(folder, tags=["red", "blue"])
    row = session.ask()[0].row
    session.answer(row, truth(row), "blue")
    session.ask(rows=[row])
    session.answer(row, truth(row), "red")
    page = person.open(serve(session).address).page
    person.press("u")
    assert person.row() == row
    chosen = page.locator("#tags button[aria-pressed=true]")
    assert chosen.text_content()[:4] == "blue"
    person.press("ArrowRight")
    assert person.row() != row and chosen.count() == 0
    person.press("ArrowLeft")
    person.label(1)
    assert chosen.count() == 0
    person.label(1)
    person.settled()
    assert session.labels()["tag"].tolist() == ["blue", ""]


def test_what_is_taken_back_twice_has_the_tag_of_neither(
    folder, start, serve, person, truth
):
    session = start(folder, tags=["red", "blue"])
    row = session.ask()[0].row
    for tag in ("blue", "red"):
        session.ask(rows=[row])
        session.answer(row, truth(row), tag)
    page = person.open(serve(session).address).page
    chosen = page.locator("#tags button[aria-pressed=true]")
    person.press("u")
    assert chosen.text_content()[:4] == "blue"
    with page.expect_response("**/undo"):
        page.keyboard.press("u")
    person.settled()
    assert person.row() == row and chosen.count() == 0


def test_the_tag_of_one_does_not_go_to_many(folder, start, serve, person, truth):
    session = start(folder, tags=["red", "blue"])
    row = session.ask()[0].row
    for tag in ("blue", "red"):
        session.ask(rows=[row])
        session.answer(row, truth(row), tag)
    page = person.open(serve(session).address).page
    page.keyboard.press("m")
    page.locator(".tile").nth(23).wait_for()
    page.keyboard.press("u")
    assert person.row() == row  # one at a time, where its tag is seen
    chosen = page.locator("#tags button[aria-pressed=true]")
    assert chosen.text_content()[:4] == "blue"
    page.keyboard.press("m")
    page.locator(".tile").nth(23).wait_for()
    assert chosen.count() == 0
    page.locator(f"#grid .tile:not(:has(img[src*='/{row}?']))").first.click()
    page.keyboard.press("1")
    person.settled()
    assert session.labels()["tag"].tolist() == ["blue", ""]


def test_tags_that_a_session_starts_with_are_in_sight(folder, start, serve, person):
    session = start(folder, tags=["red", "blue"])
    page = person.open(serve(session).address).page
    page.get_by_role("button", name="blue").click(timeout=5000)
    assert page.locator("#tags button[aria-pressed=true]").count() == 1
    page.locator("#tagging summary").click()
    person.label(1)
    person.settled()
    assert page.locator("#tagging").get_attribute("open") is None  # as it was left
    assert session.labels()["tag"].tolist() == ["blue"]


def test_without_tags_their_place_is_small(folder, start, serve, person):
    page = person.open(serve(start(folder)).address).page
    assert page.locator("#tagging").get_attribute("open") is None
    page.keyboard.press("t")
    page.locator("#new-tag input").fill("red")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="red").wait_for()


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


def test_what_the_server_said_before_a_label_asks_nothing_twice(
    folder, start, serve, person
):
    session = start(folder)
    page = person.open(serve(session).address).page
    session.wait(60)
    held = []

    def hold(route):
        held.append((route, route.fetch()))

    page.route("**/api/state*", hold, times=1)  # the page asks every two seconds
    while not held:
        page.wait_for_timeout(50)
    first = person.row()
    person.label(1)
    person.settled()
    route, response = held[0]
    assert first in [question["row"] for question in response.json()["questions"]]
    with page.expect_response("**/api/state*"):
        route.fulfill(response=response)
    page.wait_for_timeout(100)
    person.label(1)
    assert person.row() != first
    person.settled()
    assert session.progress().labelled == 2


def test_a_picture_that_cannot_be_read(folder, start, serve, browser, truth):
    session = start(folder)
    bad = session.ask()[0].row
    (folder / f"{bad:03}.png").write_bytes(b"no picture")
    someone = Person(browser.new_context().new_page(), truth, KEYS)
    someone.page.goto(serve(session).address)
    assert someone.row() != bad
    # Whoever comes to it first: the page, which says so, or the thread that embeds.
    said = someone.page.locator("#notice").text_content()
    assert said == "" or "can't be read" in said
    assert session.wait(60)
    assert bad in session.unreadable()


def test_a_picture_that_changes_is_shown_as_it_is(folder, start, serve, person):
    session = start(folder)
    page = person.open(serve(session).address).page
    row = person.row()
    Image.new("RGB", (33, 20), "red").save(session.pool.show(row))
    page.wait_for_function(
        "() => document.querySelector('#shown img')?.naturalWidth === 33"
    )
    assert person.row() == row
    page.keyboard.press("m")
    tile = page.locator(f"#grid img[src*='/{row}?']")
    tile.wait_for()
    Image.new("RGB", (34, 20), "red").save(session.pool.show(row))
    page.wait_for_function(
        "() => [...document.querySelectorAll('#grid img')]"
        ".some((image) => image.naturalWidth === 34)"
    )


@pytest.mark.parametrize("key", ["", "m"])
def test_a_picture_that_changes_when_others_are_asked(
    folder, start, serve, person, monkeypatch, key
):
    session = start(folder)
    page = person.open(serve(session).address).page
    row, ask = person.row(), session.ask
    if key:
        page.keyboard.press(key)
        page.locator(f"#grid img[src*='/{row}?']").wait_for()

    def others(n=1, rows=None):  # as where the model has learnt what is better asked
        found = ask(n + 1, rows)
        return [question for question in found if question.row != row][:n]

    monkeypatch.setattr(session, "ask", others)
    Image.new("RGB", (33, 20), "red").save(session.pool.show(row))
    place = "#grid img" if key else "#shown img"
    page.wait_for_function(
        "place => [...document.querySelectorAll(place)]"
        ".some((image) => image.naturalWidth === 33)",
        arg=place,
        timeout=10_000,
    )


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
    """60 labels of somebody who knows, through the page and in Python."""
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

    by_hand = label(session("loop.csv"), truth, 60)
    on_page = session("page.csv")
    context = browser.new_context()
    someone = Person(context.new_page(), truth, KEYS).open(serve(on_page).address)
    for _ in range(60):
        on_page.wait(60)
        someone.label(1)
        someone.settled()
    assert on_page.progress().labelled == 60 == by_hand.progress().labelled
    assert score(on_page) >= score(by_hand) - 0.04
    assert score(on_page) > 0.7


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits(folder, start, serve, browser, width, scheme):
    """Nothing sticks out, the classes are in sight, and words can be read."""
    session = start(folder)
    context = browser.new_context(
        viewport={"width": width, "height": 780}, color_scheme=scheme
    )
    page = context.new_page()
    page.goto(serve(session).address)
    page.locator("#shown img").wait_for()
    for many in (False, True):
        if many:
            page.locator("#many").click()
            page.locator(".tile").nth(23).wait_for()
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width
        for button in page.locator("#classes button").all():
            box = button.bounding_box()
            assert box["y"] + box["height"] <= 780 and box["height"] >= 44
    for name in ("#title", "#why", "#classes button", "aside h2", "#status"):
        ratio = page.evaluate(CONTRAST, name)
        assert ratio >= 4.5, (name, ratio)
    # Every control has a name that a screen reader can say.
    unnamed = page.evaluate(
        "[...document.querySelectorAll('button, input')].filter(e => !("
        "e.textContent.trim() || e.getAttribute('aria-label'))).length"
    )
    assert unnamed == 0


CONTRAST = """name => {
  const light = (text) => {
    const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map((v) => {
      v /= 255;
      return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  let element = document.querySelector(name);
  const ink = light(getComputedStyle(element).color);
  while (/rgba?\\(0, 0, 0, 0\\)/.test(getComputedStyle(element).backgroundColor)) {
    element = element.parentElement;
  }
  const paper = light(getComputedStyle(element).backgroundColor);
  const [a, b] = [ink, paper].sort((x, y) => y - x);
  return (a + 0.05) / (b + 0.05);
}"""


@pytest.mark.parametrize("size", [(1366, 650), (1200, 800), (360, 640), (800, 400)])
@pytest.mark.parametrize("n_classes", [2, 26])
def test_answers_never_cover_the_picture(folder, start, serve, person, size, n_classes):
    """With many classes, and tags, the bar of answers scrolls instead."""
    names = [f"class {number}" for number in range(n_classes)]
    session = start(folder, names, tags=["grass", "sofa"])
    person.page.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
    page = person.open(serve(session, title="a folder with a long name").address).page
    page.locator("#tags button").first.wait_for()
    page.locator("#new-tag button").scroll_into_view_if_needed()
    picture, answers, skip = (
        page.locator(found).bounding_box() for found in ("#shown", "#answers", "#skip")
    )
    assert picture["y"] + picture["height"] <= answers["y"]
    assert skip["y"] + skip["height"] <= size[1]
    for found in (page.locator("#classes button").last, page.locator("#new-tag input")):
        found.scroll_into_view_if_needed()
        found.click(timeout=5000)


def test_advice_follows_answers_from_which_the_model_does_not_learn(
    folder, start, serve, person, truth
):
    session = label(start(folder, audit_share=0.7), truth, 10)
    page = person.open(serve(session).address).page
    page.locator("#advice").wait_for(timeout=20000)
    assert "Too early" in page.locator("#stop").text_content()
    label(session, truth, 5)
    assert (session.labels()["asked"] == "audit").sum() == 5
    page.locator("#figures", has_text="Accuracy").wait_for(timeout=25000)


def test_an_answer_that_was_corrected_is_no_doubt_any_more(
    folder, start, serve, person, truth
):
    session = label(start(folder, audit_share=0), truth, 40)
    other = {"circle": "square", "square": "circle"}
    labels = session.labels()
    row = int(labels["row"][3])
    session.ask(rows=[row])
    session.answer(row, other[truth(row)])
    session.wait(60)
    assert row in [doubt.row for doubt in session.advice().doubts]
    page = person.open(serve(session).address).page
    button = page.locator(f"#suspicious button[title^='{session.pool.names[row]}']")
    button.click(timeout=20000)
    page.wait_for_function(
        "row => document.querySelector('#shown img').src.includes(`/${row}?`)", arg=row
    )
    person.label(1)
    person.settled()
    session.wait(60)
    assert row not in [doubt.row for doubt in session.advice().doubts]
    button.wait_for(state="detached", timeout=25000)
    for _ in range(33):
        session.undo()
    page.locator("#advice").wait_for(state="hidden", timeout=25000)


def test_guesses_of_tiles_are_those_of_the_present_model(
    folder, start, serve, person, truth
):
    session = start(folder, audit_share=0)
    page = person.open(serve(session).address).page
    page.keyboard.press("m")
    page.keyboard.press("g")
    page.locator(".tile .guess").nth(23).wait_for(state="attached")
    shown = page.locator(".tile")

    def answer(label_of, n):
        """In another tab, about rows that are not among the tiles."""
        tiles = {row_of(image) for image in shown.locator("img").all()}
        others = [row for row in range(80) if row not in tiles]
        for row in [row for row in others if row not in set(session.labels()["row"])][
            :n
        ]:
            session.ask(rows=[row])
            session.answer(row, label_of(row))
        session.wait(60)

    def agree():
        page.wait_for_function(
            "() => [...document.querySelectorAll('.tile .guess')]"
            ".every((box) => box.textContent)",
            timeout=10_000,
        )
        page.wait_for_timeout(3000)
        for tile in shown.all():
            label, share = session.guess(row_of(tile.locator("img")))
            words = f"{label}, {int(100 * round(share, 3) + 0.5)} %"
            assert tile.locator(".guess").text_content() == words

    answer(truth, 12)
    agree()
    answer(truth, 20)
    agree()


@pytest.mark.parametrize("then", ["", "m"])
def test_all_that_is_taken_back_comes_again(folder, start, serve, person, truth, then):
    session = label(start(folder), truth, 12)
    rows = [question.row for question in session.ask(60)][10::5]
    session.answer(rows, [truth(row) for row in rows])
    session.wait(60)
    page = person.open(serve(session).address).page
    if then:  # taken back in the grid, and looked at one by one
        page.keyboard.press("m")
        page.locator(".tile").nth(23).wait_for()
    with page.expect_response("**/undo"):
        page.keyboard.press("u")
    if then:
        page.locator(f"#grid img[src*='/{rows[-1]}?']").wait_for()
        page.keyboard.press("m")
    page.wait_for_timeout(3000)  # the page has asked again meanwhile
    came = []
    for _ in rows:
        came.append(person.row())
        person.label(1)
        person.settled()
    assert sorted(came) == sorted(rows)


@pytest.mark.parametrize("late", [False, True])
def test_an_answer_is_about_what_is_shown_while_the_server_is_asked(
    folder, start, serve, browser, truth, late
):
    session = start(folder)
    first, second = (question.row for question in session.ask(2))
    page = browser.new_context().new_page()
    someone = Person(page, truth, KEYS)
    session.wait(60)
    held = []
    page.route(f"**/picture/1280/{first}?*", lambda route: held.append(route))
    page.goto(serve(session).address)
    page.locator("#shown img").wait_for()
    if late:  # the person has gone on to the next one
        page.keyboard.press("ArrowRight")
        assert someone.row() == second
    page.route("**/api/state*", lambda route: held.append(route))
    for route in held:
        route.fulfill(status=422, body="{}")
    page.locator("#notice").wait_for()
    shown = someone.row()
    assert shown == second
    page.keyboard.press("1")
    someone.settled()
    assert session.labels()["row"].tolist() == [shown]


def test_a_new_tag_is_chosen_as_it_is_kept(folder, start, serve, person):
    session = start(folder)
    page = person.open(serve(session).address).page
    page.keyboard.press("t")
    page.keyboard.type("cafe\u0301  1")
    page.keyboard.press("Enter")
    chosen = page.locator("#tags button[aria-pressed=true]")
    chosen.wait_for(timeout=5000)
    assert chosen.text_content().startswith("caf\u00e9 1")
    person.label(1)
    person.settled()
    assert session.labels()["tag"].tolist() == ["caf\u00e9 1"]


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


def test_tiles_that_come_again_are_not_chosen(tmp_path, shapes, start, serve, person):
    folder = tmp_path / "few"
    folder.mkdir()
    for number in range(4):
        Image.fromarray(shapes.X[number]).save(folder / f"{number}.png")
    session = start(folder)
    page = person.open(serve(session).address).page
    page.keyboard.press("m")
    page.locator(".tile").nth(3).wait_for()
    page.keyboard.press("a")
    page.keyboard.press("s")
    person.settled()
    page.locator(".tile").nth(3).wait_for()
    assert page.locator(".tile[aria-selected=true]").count() == 0
    page.keyboard.press("a")
    page.keyboard.press("1")
    person.settled()
    page.keyboard.press("2")  # nothing is shown, so nothing is answered
    person.settled()
    assert page.locator("#notice").is_hidden()
    assert session.progress().by_class == {"circle": 4, "square": 0}


def test_what_changed_while_the_page_was_hidden_is_seen_at_once(
    folder, start, serve, person
):
    session = start(folder)
    page = person.open(serve(session).address).page
    hide = "value => Object.defineProperty(document, 'hidden', {value, writable: true})"
    page.evaluate(hide, True)
    Image.new("RGB", (33, 20), "red").save(session.pool.show(person.row()))
    page.wait_for_timeout(2500)
    with page.expect_request("**/api/state*", timeout=500):
        page.evaluate(
            f"() => {{ ({hide})(false);"
            " document.dispatchEvent(new Event('visibilitychange')); }"
        )
    page.wait_for_function(
        "() => document.querySelector('#shown img')?.naturalWidth === 33"
    )


def test_tiles_stay_where_they_were_scrolled_to(folder, start, serve, person):
    session = start(folder)
    person.page.set_viewport_size({"width": 700, "height": 500})
    page = person.open(serve(session).address).page
    session.wait(60)
    page.keyboard.press("m")
    page.locator(".tile").nth(23).wait_for()
    page.locator(".tile").first.click()
    page.locator(".tile").last.scroll_into_view_if_needed()
    place = "() => document.querySelector('.tile').getBoundingClientRect().top"
    before = page.evaluate(place)
    assert before < 0
    for _ in range(2):
        with page.expect_response("**/api/state*"):
            pass
    page.wait_for_timeout(200)
    assert page.evaluate(place) == before
    focused = "() => document.activeElement === document.querySelector('.tile')"
    assert page.evaluate(focused)


def test_a_slow_click_on_a_tag_counts(folder, start, serve, person):
    session = start(folder, tags=["red", "blue"])
    page = person.open(serve(session).address).page
    box = page.locator("#tags button").last.bounding_box()
    page.mouse.move(box["x"] + 8, box["y"] + 8)
    page.mouse.down()
    with page.expect_response("**/api/state*"):  # the page asks meanwhile
        pass
    page.wait_for_timeout(200)
    page.mouse.up()
    chosen = page.locator("#tags button[aria-pressed=true]")
    assert chosen.text_content()[:4] == "blue"
    chosen.focus()  # by Tab
    page.keyboard.press("Enter")
    assert chosen.count() == 0
    page.keyboard.press("Enter")  # it has the focus still
    assert chosen.count() == 1
    person.label(1)
    person.settled()
    assert session.labels()["tag"].tolist() == ["blue"]


def test_what_is_exported_has_all_that_was_answered_before(
    folder, start, serve, person, tmp_path
):
    session = start(folder)
    page = person.open(serve(session, out=tmp_path / "out").address).page
    held = []
    page.route("**/api/answer", lambda route: held.append(route), times=1)
    person.label(2)
    page.get_by_role("button", name="Write labels").click()
    page.wait_for_timeout(1000)
    held[0].continue_()
    page.locator("#exported div").first.wait_for(timeout=30_000)
    assert len(pd.read_csv(tmp_path / "out" / "labels.csv")) == 2


def test_a_finger_that_scrolls_chooses_nothing(folder, start, serve, browser):
    session = start(folder)
    context = browser.new_context(
        viewport={"width": 390, "height": 760}, has_touch=True, is_mobile=True
    )
    page = context.new_page()
    page.goto(serve(session).address)
    page.locator("#many").tap()
    page.locator(".tile").nth(23).wait_for()
    box = page.locator(".tile").nth(7).bounding_box()
    finger = {"x": box["x"] + 40, "y": box["y"] + 40}
    touch = context.new_cdp_session(page)

    def send(kind, *points):
        said = {"type": f"touch{kind}", "touchPoints": points}
        touch.send("Input.dispatchTouchEvent", said)

    chosen = page.locator(".tile[aria-selected=true]")
    for step in (20, -20):  # the first can't scroll: the page is at its top
        send("Start", finger)
        for k in range(1, 11):
            send("Move", {**finger, "y": finger["y"] + step * k})
        send("End")
        assert chosen.count() == 0
    page.wait_for_function("() => scrollY > 100")
    assert chosen.count() == 0
    page.locator(".tile").nth(10).tap()
    assert chosen.count() == 1
    page.locator(".tile").nth(10).tap()
    assert chosen.count() == 0
    context.close()


def test_an_answer_waits_for_what_is_taken_back(folder, start, serve, person, truth):
    session = start(folder)
    page = person.open(serve(session).address).page
    wrong = person.row()
    person.press("1")
    person.settled()
    held = []
    page.route("**/api/undo", lambda route: held.append(route), times=1)  # far away
    shown = person.row()
    page.keyboard.press("u")
    page.keyboard.press("2")  # about what is taken back, and that is not shown yet
    page.wait_for_timeout(300)
    assert person.row() == shown
    assert "on its way" in page.locator("#notice").text_content()
    held[0].continue_()
    page.locator(f"#shown img[src*='/{wrong}?']").wait_for()
    person.press("2")
    person.settled()
    assert session.labels()[["row", "label"]].to_numpy().tolist() == [[wrong, "square"]]
    with page.expect_response("**/undo"):
        page.keyboard.press("u")
    page.keyboard.press("u")  # nothing is left to take back
    person.settled()
    person.press("1")
    person.settled()
    assert session.progress().labelled == 1


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


def test_a_new_tag_goes_with_the_answer_it_was_typed_for(folder, start, serve, person):
    session = start(folder)
    page = person.open(serve(session).address).page
    held = []
    page.route("**/api/tag", lambda route: held.append(route), times=1)
    shown = person.row()
    page.keyboard.press("t")
    page.keyboard.type("red")
    page.keyboard.press("Enter")
    page.locator("#classes button").first.click()
    page.wait_for_timeout(300)
    assert person.row() == shown
    assert "on its way" in page.locator("#notice").text_content()
    held[0].continue_()
    page.locator("#tags button[aria-pressed=true]").wait_for()
    page.locator("#classes button").first.click()
    person.settled()
    labels = session.labels()
    assert labels[["row", "tag"]].to_numpy().tolist() == [[shown, "red"]]


def test_what_was_answered_alone_is_not_chosen_among_many(folder, start, serve, person):
    session = start(folder)
    page = person.open(serve(session).address).page
    page.keyboard.press("m")
    page.locator(".tile").nth(23).wait_for()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    chosen = page.locator(".tile[aria-selected=true]")
    first, second = (row_of(image) for image in chosen.locator("img").all())
    page.keyboard.press("m")  # to see it large
    assert person.row() == first
    person.press("1")
    person.press("u")
    page.keyboard.press("m")
    page.locator(".tile").nth(23).wait_for()
    assert [row_of(image) for image in chosen.locator("img").all()] == [second]


def test_a_drag_ends_also_where_nobody_says_so(folder, start, serve, person):
    session = start(folder)
    page = person.open(serve(session).address).page
    page.keyboard.press("m")
    page.locator(".tile").nth(23).wait_for()
    mouse = page.context.new_cdp_session(page)
    places = [page.locator(".tile").nth(k).bounding_box() for k in (0, 3)]
    for kind, place, buttons in (("Pressed", places[0], 1), ("Moved", places[1], 0)):
        said = {"type": f"mouse{kind}", "x": place["x"] + 20, "y": place["y"] + 20}
        button = "left" if buttons else "none"
        said |= {"button": button, "buttons": buttons, "clickCount": buttons}
        mouse.send("Input.dispatchMouseEvent", said)
    page.wait_for_timeout(200)
    assert page.locator(".tile[aria-selected=true]").count() == 1


@pytest.mark.parametrize("size", [(568, 232), (366, 266)])
def test_a_picture_is_seen_in_a_low_window(folder, start, serve, person, size):
    session = start(folder)
    person.page.set_viewport_size({"width": size[0], "height": size[1]})
    page = person.open(serve(session).address).page
    picture = page.locator("#shown").bounding_box()
    assert picture["height"] >= 120
    answers = page.locator("#answers").bounding_box()
    assert answers["y"] >= picture["y"] + picture["height"]
    page.get_by_role("button", name="circle").click()
    person.settled()
    assert session.progress().labelled == 1
