"""The page in a real browser: tags."""

import pytest

pytestmark = pytest.mark.slow


def tagged_twice(session, truth):
    """Answer one row with a tag, and again with another; return it."""
    row = session.ask()[0].row
    for tag in ("blue", "red"):
        session.ask(rows=[row])
        session.answer(row, truth(row), tag)
    return row


def test_what_is_looked_at_again_has_its_tag(folder, start, serve, person, truth):
    session = start(folder, tags=["red", "blue"])
    row = tagged_twice(session, truth)
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
    row = tagged_twice(session, truth)
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
    row = tagged_twice(session, truth)
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


def test_what_is_looked_at_again_keeps_its_tag_among_many(
    folder, start, serve, person, truth
):
    """Tiles show no tags: an answer for many at once dropped one that nobody saw."""
    session = start(folder, tags=["red", "blue"])
    row = tagged_twice(session, truth)
    page = person.open(serve(session).address).page
    person.press("u")
    assert person.row() == row
    page.keyboard.press("m")
    page.locator(".tile").nth(23).wait_for()
    page.keyboard.press("a")
    page.keyboard.press("2")
    person.settled()
    found = session.labels().set_index("row")
    assert found["tag"][row] == "blue" and found["label"][row] == truth(row)
    assert len(found) == 25


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


def test_a_new_tag_that_was_chosen_before_its_reply_stays_so(
    folder, start, serve, person
):
    """What the page asks every two seconds may bring it first."""
    session = start(folder)
    page = person.open(serve(session).address).page
    held = []
    page.route("**/api/tag", lambda route: held.append((route, route.fetch())), times=1)
    page.keyboard.press("t")
    page.keyboard.type("red")
    page.keyboard.press("Enter")
    page.locator("#tags button").click()
    route, response = held[0]
    with page.expect_response("**/api/tag"):
        route.fulfill(response=response)
    page.wait_for_timeout(200)
    assert page.locator("#tags button[aria-pressed=true]").count() == 1
