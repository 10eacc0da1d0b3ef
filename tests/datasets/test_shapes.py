import hashlib

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from modal_pretrain.datasets import make_shapes
from modal_pretrain.datasets.shapes import COLOURS, SHAPES, _outline


def digest(data):
    return hashlib.sha256(data.X.tobytes()).hexdigest()[:16]


def cells(data):
    k = len(data.classes)
    return np.bincount(data.groups, minlength=k * k).reshape(k, k)


def test_same_seed_same_bytes():
    first = make_shapes(40, 8, random_state=3)
    again = make_shapes(40, 8, random_state=3)
    assert digest(first) == digest(again)
    np.testing.assert_array_equal(first.y, again.y)
    np.testing.assert_array_equal(first.attribute, again.attribute)
    assert digest(make_shapes(40, 8, random_state=4)) != digest(first)


def test_pictures_do_not_change_from_release_to_release():
    # Published numbers belong to these bytes: a new value here needs a line in the
    # changes and new numbers in docs/shapes.md.
    data = make_shapes(90, 10)
    assert digest(data) == "fddb274e85e6f7f5"
    assert data.y[:4].tolist() == ["square", "square", "circle", "square"]


def test_global_generator_is_left_alone():
    before = np.random.get_state()  # noqa: NPY002
    make_shapes(4, 4)
    after = np.random.get_state()  # noqa: NPY002
    np.testing.assert_array_equal(after[1], before[1])
    assert after[2] == before[2]


def test_shapes_types_and_splits():
    data = make_shapes(30, 8, image_size=32)
    assert data.X.shape == (38, 32, 32, 3)
    assert data.X.dtype == np.uint8
    assert data.split.tolist() == ["train"] * 30 + ["test"] * 8
    assert set(data.y) == {"square", "circle"}
    assert set(data.attribute) == {"red", "blue"}
    assert data.group_names == (
        "square/red",
        "square/blue",
        "circle/red",
        "circle/blue",
    )
    matches = (
        data.group_names.index("square/red"),
        data.group_names.index("circle/blue"),
    )
    np.testing.assert_array_equal(data.disambiguating, ~np.isin(data.groups, matches))


@pytest.mark.parametrize("n_classes", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("match_rate", [0.0, 0.3, 0.95, 1.0])
@pytest.mark.parametrize("n_train", [7, 100, 101])
def test_counts_are_exact(n_classes, match_rate, n_train):
    data = make_shapes(
        n_train,
        n_classes**2 + 1,
        n_classes=n_classes,
        match_rate=match_rate,
        image_size=16,
        clutter=0,
    )
    train, test = cells(data.subset("train")), cells(data.subset("test"))
    assert train.sum() - np.trace(train) == round((1 - match_rate) * n_train)
    assert np.ptp(train.sum(axis=1)) <= 1 + (match_rate == 0)
    other = train[~np.eye(n_classes, dtype=bool)]
    assert np.ptp(other) <= 1 + (match_rate == 0)
    assert test.sum() == n_classes**2 + 1
    assert np.ptp(test) == 1


def test_default_counts():
    data = make_shapes(image_size=16, clutter=0)
    assert cells(data.subset("train")).tolist() == [[712, 38], [37, 713]]
    assert cells(data.subset("test")).tolist() == [[150, 150], [150, 150]]


def test_difficulty_brings_the_shapes_together():
    # Same places and angles throughout; at difficulty 1 a square is a circle.
    round_ones = make_shapes(40, 4, difficulty=1.0, noise=0).X.astype(float)
    distances = [
        np.abs(make_shapes(40, 4, difficulty=d, noise=0).X - round_ones).mean()
        for d in (0.0, 0.25, 0.5, 0.75)
    ]
    assert all(np.diff(distances) < 0)
    assert distances[-1] > 0


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("difficulty", [0.0, 0.4, 1.0])
def test_area_does_not_tell_the_shape(name, difficulty):
    radius, cosine = _outline(name, difficulty)
    assert np.mean(radius**2) == pytest.approx(1)
    assert (cosine > 0.2).all()
    assert (cosine <= 1).all()
    if difficulty == 1:
        np.testing.assert_allclose(radius, 1)


def test_area_in_pixels_does_not_tell_the_shape():
    data = make_shapes(200, 4, difficulty=0.0, noise=0, clutter=0, match_rate=0.5)
    coloured = np.ptp(data.X.astype(int), axis=3) > 60
    area = coloured.mean(axis=(1, 2))
    square, circle = area[data.y == "square"].mean(), area[data.y == "circle"].mean()
    assert square == pytest.approx(circle, rel=0.08)
    assert area.mean() == pytest.approx(np.pi / 4 * 0.5**2, rel=0.1)


def test_strength_is_the_distance_of_the_colours():
    # The same 40 places in two pictures each: one of match rate 1, one of match rate 0.
    def distance(strength):
        pictures = [
            make_shapes(40, 4, match_rate=rate, attribute_strength=strength)
            for rate in (1.0, 0.0)
        ]
        one, other = (p.X[p.split == "train"].astype(int) for p in pictures)
        return np.abs(one - other).mean()

    distances = [distance(s) for s in (0.0, 0.5, 1.0)]
    assert all(np.diff(distances) > 1)


def test_noise_is_contrast():
    deviation = [
        make_shapes(20, 4, noise=noise, clutter=0, size=0.1).X.std(axis=(1, 2)).mean()
        for noise in (0.0, 0.5, 1.0)
    ]
    assert all(np.diff(deviation) > 3)


def test_size_and_clutter():
    def covered(**kwargs):
        return (make_shapes(20, 4, noise=0, **kwargs).X.std(axis=3) > 10).mean()

    assert covered(size=0.2) < covered(size=0.4) < covered(size=0.65)
    plain = make_shapes(20, 4, noise=0, clutter=0, attribute_strength=0).X
    tones = [len(np.unique(x)) for x in plain]
    busy = make_shapes(20, 4, noise=0, clutter=6, attribute_strength=0).X
    assert np.mean([len(np.unique(x)) for x in busy]) > np.mean(tones)


def test_shapes_stay_inside():
    # With the widest class the border stays grey, so that no outline is cut off.
    X = make_shapes(60, 4, size=0.65, noise=0, clutter=0, difficulty=0.0).X
    border = np.concatenate([X[:, 0], X[:, -1], X[:, :, 0], X[:, :, -1]], axis=1)
    assert (np.ptp(border.astype(int), axis=2) > 60).mean() < 0.02


def test_colour_is_easier_than_shape_for_a_linear_model():
    data = make_shapes(300, 100, image_size=16, match_rate=0.5, random_state=1)
    train, test = (data.subset(s) for s in ("train", "test"))
    scores = {}
    for key in ("y", "attribute"):
        model = LogisticRegression(C=1e-3, max_iter=2000)
        model.fit(train.X.reshape(300, -1) / 64, getattr(train, key))
        scores[key] = model.score(test.X.reshape(100, -1) / 64, getattr(test, key))
    assert scores["attribute"] > 0.85
    assert scores["y"] < 0.7


def test_seed_set_is_red_squares_and_blue_circles():
    data = make_shapes(100, 4)
    seeds = data.seed_set(10, random_state=0)
    pairs = set(zip(data.y[seeds], data.attribute[seeds], strict=True))
    assert pairs == {("square", "red"), ("circle", "blue")}


def test_more_classes_have_names():
    data = make_shapes(12, 36, n_classes=6)
    assert tuple(data.classes) == SHAPES
    assert tuple(data.attributes) == tuple(COLOURS)
    assert data.subset("test").disambiguating.mean() == pytest.approx(5 / 6)


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"n_train": 1}, "n_train must be a whole number, at least 2, got 1"),
        ({"n_train": 10.0}, "n_train must be a whole number"),
        ({"n_test": 3}, "n_test must be a whole number, at least 4"),
        ({"n_test": 8, "n_classes": 3}, "at least 9"),
        ({"n_classes": 7}, "from 2 to 6, got 7"),
        ({"n_classes": True}, "n_classes"),
        ({"image_size": 8}, "at least 16"),
        ({"clutter": -1}, "clutter"),
        ({"match_rate": 95}, r"match_rate must be in \[0, 1\], got 95"),
        ({"attribute_strength": -0.1}, "attribute_strength"),
        ({"difficulty": 1.5}, "difficulty"),
        ({"noise": float("nan")}, "noise"),
        ({"size": 0}, "size must be in"),
        ({"size": 0.7}, "size must be in"),
    ],
)
def test_bad_parameters(kwargs, match):
    with pytest.raises(ValueError, match=match):
        make_shapes(**kwargs)
