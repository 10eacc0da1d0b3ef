"""The page in a real browser: sizes, colours and what is in sight."""

import pytest

pytestmark = pytest.mark.slow

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


@pytest.mark.parametrize("width", [360, 1000])
def test_long_names_stay_in_their_buttons(folder, start, serve, person, width):
    """They ran over those below, which a tap on them answered with."""
    names = [
        "Tomato___Tomato_Yellow_Leaf_Curl_Virus",
        "Corn_(maize)___Cercospora_leaf_spot Gray_leaf_spot",
        *(f"Cherry_(including_sour)___Powdery_mildew_{n}" for n in range(8)),
    ]
    session = start(folder, names)
    person.page.set_viewport_size({"width": width, "height": 740})
    page = person.open(serve(session).address).page
    for button in page.locator("#classes button").all():
        box, words = (
            found.bounding_box() for found in (button, button.locator("span"))
        )
        assert box["y"] <= words["y"]
        assert words["y"] + words["height"] <= box["y"] + box["height"]
        assert words["width"] <= box["width"]


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
