"""The page in a real browser: many at a time."""

import pytest
from PIL import Image

from tests.labelling.browser import row_of

pytestmark = pytest.mark.slow


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
