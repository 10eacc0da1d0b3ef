"""The page in a real browser: replies that are late, and files that change."""

import pandas as pd
import pytest
from PIL import Image

from tests.labelling.browser import Person
from tests.labelling.conftest import label
from tests.labelling.in_browser.conftest import KEYS

pytestmark = pytest.mark.slow


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


def replace(picture, path):
    """Put a picture in a file's place; the page never sees half of it."""
    picture.save(path.with_suffix(".new"), format="PNG")
    path.with_suffix(".new").replace(path)


def test_a_picture_that_changes_is_shown_as_it_is(folder, start, serve, person):
    session = start(folder)
    page = person.open(serve(session).address).page
    row = person.row()
    replace(Image.new("RGB", (33, 20), "red"), session.pool.show(row))
    page.wait_for_function(
        "() => document.querySelector('#shown img')?.naturalWidth === 33"
    )
    assert person.row() == row
    page.keyboard.press("m")
    tile = page.locator(f"#grid img[src*='/{row}?']")
    tile.wait_for()
    replace(Image.new("RGB", (34, 20), "red"), session.pool.show(row))
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
    replace(Image.new("RGB", (33, 20), "red"), session.pool.show(row))
    place = "#grid img" if key else "#shown img"
    page.wait_for_function(
        "place => [...document.querySelectorAll(place)]"
        ".some((image) => image.naturalWidth === 33)",
        arg=place,
        timeout=10_000,
    )


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
    person.pauses()
    button.wait_for(state="detached", timeout=25000)
    for _ in range(33):
        session.undo()
    person.pauses()
    page.locator("#advice").wait_for(state="hidden", timeout=25000)


@pytest.mark.parametrize("first", ["", "m"])
def test_an_answer_to_look_at_again_comes_into_sight(
    folder, start, serve, person, truth, first
):
    """On a phone the doubts are far below, where nothing seemed to happen."""
    session = label(start(folder, audit_share=0), truth, 30)
    row = int(session.labels()["row"][3])
    session.ask(rows=[row])
    session.answer(row, "square" if truth(row) == "circle" else "circle")
    session.wait(60)
    person.page.set_viewport_size({"width": 360, "height": 640})
    page = person.open(serve(session).address).page
    button = page.locator(f"#suspicious button[title^='{session.pool.names[row]}']")
    button.wait_for(timeout=20000)
    if first:
        page.keyboard.press(first)
        page.locator(".tile").nth(23).wait_for()
    button.click()
    page.wait_for_function(
        """row => {
          const image = document.querySelector('#shown img');
          const shown = document.querySelector('#shown').getBoundingClientRect();
          const answers = document.querySelector('#answers').getBoundingClientRect();
          const inSight = shown.top >= 0 && shown.bottom <= answers.top;
          return image?.src.includes(`/${row}?`) && inSight;
        }""",
        arg=row,
        timeout=5000,
    )


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


def test_what_changed_while_the_page_was_hidden_is_seen_at_once(
    folder, start, serve, person
):
    session = start(folder)
    page = person.open(serve(session).address).page
    hide = "value => Object.defineProperty(document, 'hidden', {value, writable: true})"
    page.evaluate(hide, True)
    replace(Image.new("RGB", (33, 20), "red"), session.pool.show(person.row()))
    page.wait_for_timeout(2500)
    with page.expect_request("**/api/state*", timeout=500):
        page.evaluate(
            f"() => {{ ({hide})(false);"
            " document.dispatchEvent(new Event('visibilitychange')); }"
        )
    page.wait_for_function(
        "() => document.querySelector('#shown img')?.naturalWidth === 33"
    )


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


def test_a_double_click_is_one_answer(folder, start, serve, person):
    session = start(folder)
    page = person.open(serve(session).address).page
    session.wait(60)
    shown = []
    for button in ("#classes button", "#skip", "#cannot"):
        shown.append(person.row())
        page.locator(button).first.dblclick(delay=20)
        assert "one answer" in page.locator("#notice").text_content()
        person.settled()
        assert person.row() not in shown
    done = session.progress()
    assert (done.labelled, done.skipped, done.cannot_tell) == (1, 1, 1)
    # Two clicks of somebody who looks between them are two answers.
    button = page.locator("#classes button").first
    button.click()
    page.wait_for_timeout(500)
    button.click(click_count=1)
    person.settled()
    assert session.progress().labelled == 3


def test_letters_of_a_layout_without_latin_ones_are_keys_by_their_place(
    folder, start, serve, person
):
    session = start(folder)
    page = person.open(serve(session).address).page
    session.wait(60)
    others = ("ж", "Semicolon"), ("ö", "KeyU")  # none of the page's
    for key, code in (("ы", "KeyS"), ("ψ", "KeyC"), ("é", "Digit2"), *others):
        said = f"new KeyboardEvent('keydown', {{key: '{key}', code: '{code}', "
        said += "bubbles: true})"
        page.evaluate(f"document.body.dispatchEvent({said})")
        person.settled()
    done = session.progress()
    assert (done.skipped, done.cannot_tell, done.labelled) == (1, 1, 1)
