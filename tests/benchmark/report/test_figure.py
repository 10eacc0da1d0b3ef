"""One drawing, as SVG and as a picture."""

import json

import numpy as np
import pytest
from PIL import Image

from modal_pretrain.benchmark.report.figure import draw, figure
from modal_pretrain.benchmark.report.raster import to_image
from modal_pretrain.benchmark.report.shapes import (
    Band,
    Drawing,
    Line,
    Picture,
    Text,
    placed,
)
from modal_pretrain.benchmark.report.style import colours
from modal_pretrain.benchmark.report.summary import summary
from modal_pretrain.benchmark.report.svg import to_svg


def rgb(name):
    value = colours()[name]
    return tuple(int(value[i : i + 2], 16) for i in (1, 3, 5))


def test_every_tone_has_a_colour_in_both_themes():
    assert {f"s-{i}" for i in range(6)} <= colours().keys()
    assert {"s-random", "s-full", "s-pool", "s-group-balanced"} <= colours().keys()
    assert rgb("s-0") == (0, 0x72, 0xB2)  # the light theme's
    assert colours()["s-full"] == colours()["ink"]


def test_shapes_are_painted_where_they_are():
    picture = Image.new("RGB", (4, 4), (9, 200, 9))
    shapes = [
        Line([(5, 10), (95, 10)], "line", "s-0"),
        Band([(5, 20), (95, 20), (95, 40), (5, 40)], "s-1"),
        Picture(10, 50, 20, 20, picture),
        Line([(50, 45), (50, 95)], "line", "s-full"),
    ]
    image = to_image(Drawing(100, 100, "t", shapes))
    assert image.size == (200, 200)
    pixels = np.asarray(image).astype(int)
    assert tuple(pixels[20, 100]) == rgb("s-0")
    assert tuple(pixels[28, 100]) == rgb("paper")
    # A band lets the paper through.
    mixed = np.array(rgb("paper")) * 0.84 + np.array(rgb("s-1")) * 0.16
    np.testing.assert_allclose(pixels[60, 20], mixed, atol=2)
    assert tuple(pixels[120, 40]) == (9, 200, 9)
    # 1.5 drawn, 3.5 not, of a line of 50: ten dashes.
    dark = pixels[90:190, 100].sum(axis=1) < 300
    assert (np.diff(dark.astype(int)) == -1).sum() == 10
    moved = to_image(Drawing(100, 100, "t", placed(shapes, 3, 4)))
    same = np.asarray(moved)[8:, 6:] == np.asarray(image)[:-8, :-6]
    assert same.mean() > 0.99


def test_text_is_painted_at_its_anchor():
    def columns(anchor):
        text = Text(50, 20, "wide", "title", anchor=anchor)
        pixels = np.asarray(to_image(Drawing(100, 30, "t", [text])).convert("L"))
        return np.flatnonzero((pixels < 128).any(axis=0)) / 2

    assert columns("start").min() >= 50
    assert columns("end").max() <= 50
    assert abs(columns("middle").mean() - 50) < 3


def test_svg_escapes_what_it_is_told():
    shapes = [
        Text(1, 2, "<script>&", "name", 's-0" onload="x'),
        Line([(0, 0), (1, 1)], "line", "s-0", "</title><b>"),
    ]
    text = to_svg(Drawing(10, 10, 'a "title"', shapes))
    assert "<script" not in text
    assert "<b>" not in text
    assert 'onload="' not in text
    assert "a &#34;title&#34;" in text


@pytest.fixture
def pictures(store):
    folder = store.folder / "examples"
    folder.mkdir()
    index = {}
    for row, group in ((0, "0/0"), (1, "1/1"), (2, "0/0"), (3, "foreign")):
        Image.new("RGB", (96, 96), (50 * row, 0, 0)).save(folder / f"{row}.jpg")
        index[str(row)] = {"group": group, "atypical": False}
    (folder / "index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("modality", "title"),
    [("text", "Pretrained all-MiniLM-L6-v2"), ("sound", "Pretrained")],
)
def test_figure_names_the_default_network_of_what_was_run(store, modality, title):
    found = summary(store)
    drawing = figure(found._replace(data={**found.data, "modality": modality}))
    texts = [shape.text for shape in drawing.shapes if isinstance(shape, Text)]
    assert title in texts
    assert not any("EfficientNet" in text for text in texts)


def test_figure(store, pictures, tmp_path):
    drawing = figure(summary(store))
    texts = [shape.text for shape in drawing.shapes if isinstance(shape, Text)]
    assert "Pretrained EfficientNet-Lite0" in texts
    assert "uncertainty: 50% of its questions atypical, 2.0x label efficiency" in texts
    assert "random: 0% of its questions atypical" in texts
    # One picture of each group of the pool that was kept.
    assert sum(isinstance(shape, Picture) for shape in drawing.shapes) == 2
    for shape in drawing.shapes:
        points = (
            shape.points if isinstance(shape, Line | Band) else [(shape.x, shape.y)]
        )
        for x, y in points:
            assert 0 <= x <= drawing.width and 0 <= y <= drawing.height
    path = draw(summary(store), tmp_path / "figure.png")
    with Image.open(path) as image:
        assert image.size == (round(drawing.width * 2), round(drawing.height * 2))
        assert rgb("s-0") in {pixel for _, pixel in image.getcolors(1 << 20)}
    svg = draw(summary(store), tmp_path / "figure.svg").read_text()
    assert svg.startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    assert svg.count("<image ") == 2


def test_without_pictures_only_the_charts(store):
    drawing = figure(summary(store))
    assert not any(isinstance(shape, Picture) for shape in drawing.shapes)
    assert drawing.width < 500


def test_long_names_of_groups_are_cut_and_not_dropped(store, pictures):
    s = summary(store)
    groups = s.data["splits"]["train"]["groups"]
    groups["not_blond/female_person"] = groups.pop("0/0")
    for entry in s.examples.values():
        entry["group"] = entry["group"].replace("0/0", "not_blond/female_person")
    texts = [shape.text for shape in figure(s).shapes if isinstance(shape, Text)]
    assert "not_blond/femal..." in texts


def test_without_atypical_examples_there_is_nothing_to_draw(store, tmp_path):
    s = summary(store)
    s.data["splits"]["test"]["atypical"] = 0
    with pytest.raises(ValueError, match="the test split of 'data set' has none"):
        draw(s, tmp_path / "figure.png")


@pytest.mark.parametrize("name", ["figure.pdf", "figure", "figure.png.txt"])
def test_other_kinds_of_files(store, tmp_path, name):
    with pytest.raises(ValueError, match=r"\(\.png\) or a drawing \(\.svg\), got"):
        draw(summary(store), tmp_path / name)
    assert not (tmp_path / name).exists()


def test_a_figure_that_cannot_be_written(store, tmp_path):
    with pytest.raises(ValueError, match=r"cannot be written to .*No such file"):
        draw(summary(store), tmp_path / "nowhere" / "figure.png")
