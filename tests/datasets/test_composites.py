"""Composites of things and places."""

import numpy as np
import pytest
from PIL import Image

from modal_pretrain.datasets import make_composites


def thing(colour, shape=(10, 20), margin=3):
    """A block of one colour in the middle of something transparent."""
    array = np.zeros((shape[0] + 2 * margin, shape[1] + 2 * margin, 4), np.uint8)
    array[margin:-margin, margin:-margin] = (*colour, 255)
    return array


RED, BLUE = (255, 0, 0), (0, 0, 255)


def scenes(grey, n=6):
    """Places that differ by a little."""
    return [np.full((40, 50, 3), grey + i, np.uint8) for i in range(n)]


def composites(**kwargs):
    defaults = {
        "foregrounds": {"red": [thing(RED)] * 6, "blue": [thing(BLUE)] * 6},
        "backgrounds": {"dark": scenes(40), "light": scenes(200)},
        "n_train": 100,
        "n_test": 40,
        "image_size": 32,
    }
    return make_composites(**{**defaults, **kwargs})


def made(mask):
    """Cut blue out by a mask of 16 x 16."""
    blue = np.full((16, 16, 3), BLUE, np.uint8)
    kinds = {"red": [thing(RED)] * 2, "blue": [(blue, mask)] * 2}
    return composites(foregrounds=kinds, n_train=8, n_test=4).X


def test_composites_take_masks_with_a_palette_as_they_look(tmp_path):
    mask = np.zeros((16, 16), np.uint8)
    mask[4:12, 4:12] = 255
    expected = made(mask)
    turned_round = Image.fromarray((mask == 0).astype(np.uint8))
    turned_round.putpalette([255, 255, 255, 0, 0, 0])  # 0 is white
    turned_round.save(tmp_path / "mask.png")
    for some in (turned_round, tmp_path / "mask.png"):
        np.testing.assert_array_equal(made(some), expected)
    number = Image.fromarray((mask > 0).astype(np.uint8))
    number.putpalette([0, 0, 0, 128, 0, 0])  # as DAVIS has it
    np.testing.assert_array_equal(made(number), expected)
    things = np.where(mask > 0, np.uint8(15), np.uint8(0))
    things[3, 4:12] = 255  # the border of a thing, as Pascal VOC has it
    numbered = Image.fromarray(things)
    numbered.putpalette([0, 0, 0, *range(1, 6), *range(90, 250), *range(200)])
    with pytest.raises(ValueError, match="whose numbers stand for several things"):
        made(numbered)
    np.testing.assert_array_equal(made(np.asarray(numbered) == 15), expected)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_composites_take_grey_masks_that_are_saved_in_colours(mode, tmp_path):
    mask = np.zeros((16, 16), np.uint8)
    mask[4:12, 4:12] = 255
    saved = Image.fromarray(mask).convert(mode)
    saved.save(tmp_path / "mask.png")
    for some in (saved, tmp_path / "mask.png"):
        np.testing.assert_array_equal(made(some), made(mask))
    red = Image.merge("RGB", [saved.convert("L"), *[Image.new("L", (16, 16))] * 2])
    with pytest.raises(ValueError, match="has colours; give one that is grey"):
        made(red)
    if "A" in mode:
        saved.putpixel((0, 0), (0,) * len(mode))
        with pytest.raises(ValueError, match="is transparent in places"):
            made(saved)


def test_composites_are_cropped_to_what_can_be_seen():
    # JPEG, and networks that cut things out, leave a haze around them.
    rng = np.random.default_rng(0)
    clean = np.zeros((16, 16), np.uint8)
    clean[4:12, 4:12] = 255
    haze = np.maximum(clean, rng.integers(0, 4, clean.shape, np.uint8))
    np.testing.assert_array_equal(made(haze), made(clean))


def test_composites_are_what_their_labels_say():
    data = composites()
    assert data.X.shape == (140, 32, 32, 3)
    assert data.X.dtype == np.uint8
    train = data.subset("train")
    assert np.bincount(train.groups).tolist() == [48, 2, 3, 47] or (
        np.bincount(train.groups).sum() == 100 and train.disambiguating.sum() == 5
    )
    assert np.bincount(data.subset("test").groups).tolist() == [10] * 4
    for picture, label, place in zip(data.X, data.y, data.attribute, strict=True):
        # Something pure is in it, and the most frequent grey is the place.
        pure = (picture == (RED if label == "red" else BLUE)).all(axis=2)
        assert pure.any()
        greys = picture[(picture == picture[..., :1]).all(axis=2)][:, 0]
        assert (np.bincount(greys).argmax() < 100) == (place == "dark")
    odd = (data.y == "red") != (data.attribute == "dark")
    np.testing.assert_array_equal(data.disambiguating, odd)


def test_composites_hold_pictures_out():
    data = composites(held_out=0.3)
    seen = [
        set(np.unique(part.X[..., 1][part.X[..., 1] > 0]).tolist())
        for part in (data.subset("train"), data.subset("test"))
    ]
    greys = {*range(40, 46), *range(200, 206)}
    assert len(seen[0] & greys) == 8
    assert len(seen[1] & greys) == 4
    assert not seen[0] & seen[1] & greys
    shared = composites(held_out=0)
    test = shared.subset("test").X[..., 1]
    assert len(set(np.unique(test).tolist()) & greys) > 8


def test_composites_sizes_and_proportions():
    data = composites(size=(0.5, 0.5), flip=False)
    for picture, label in zip(data.X, data.y, strict=True):
        channel = 0 if label == "red" else 2
        mask = picture[..., channel].astype(int) - picture[..., 1] > 100
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert (len(rows), len(columns)) == (8, 16)
        assert mask.sum() == 8 * 16
    left = [int(np.flatnonzero((p[..., 0] != p[..., 2]).any(0))[0]) for p in data.X]
    assert min(left) == 0
    assert max(left) == 16


def test_composites_are_seeded():
    first = composites(random_state=1)
    np.testing.assert_array_equal(first.X, composites(random_state=1).X)
    assert (first.X != composites(random_state=2).X).any()


def test_composites_of_files_and_masks(tmp_path):
    Image.fromarray(thing(RED)).save(tmp_path / "red.png")
    mask = np.zeros((16, 16), bool)
    mask[4:12, 4:12] = True
    blue = np.full((16, 16, 3), BLUE, np.uint8)
    Image.fromarray(scenes(200, 1)[0]).save(tmp_path / "light.jpg")
    data = composites(
        foregrounds={
            "red": [tmp_path / "red.png", Image.open(tmp_path / "red.png")],
            "blue": [
                (blue, mask),
                (Image.fromarray(blue), mask.astype(np.uint8) * 255),
            ],
        },
        backgrounds={
            "dark": np.full((3, 32, 32, 3), 40, np.uint8),
            "light": [str(tmp_path / "light.jpg")] * 2,
        },
    )
    for picture, label in zip(data.X, data.y, strict=True):
        assert (picture == (RED if label == "red" else BLUE)).all(axis=2).any()
    # With a mask only what it shows: no frame of blue around the place.
    assert all((p[..., 2] == 255).mean() < 0.6 for p in data.X[data.y == "blue"])


# What turns an upright picture to how a camera stores it.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("number", STORED)
@pytest.mark.parametrize("opened", [False, True])
def test_composites_of_photographs_are_upright(tmp_path, number, opened):
    def photograph(array, name):
        image, turn = Image.fromarray(array), STORED[number]
        exif = Image.Exif()
        exif[0x0112] = number
        image = image if turn is None else image.transpose(turn)
        image.save(tmp_path / name, exif=exif)
        return Image.open(tmp_path / name) if opened else tmp_path / name

    picture = np.repeat(np.arange(40 * 30, dtype=np.uint16).reshape(40, 30, 1), 3, 2)
    picture = (picture // 5).astype(np.uint8)
    mask = np.zeros((40, 30), np.uint8)
    mask[2:20, 3:9] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    cut = np.dstack([picture, mask])

    def made(red, dark):
        return composites(
            foregrounds={"red": [red] * 2, "blue": [cut] * 2},
            backgrounds={"dark": [dark] * 2, "light": scenes(200)},
            size=(0.7, 0.7),
            n_train=8,
            n_test=4,
        ).X

    upright = made(cut, picture)
    whole, stored = photograph(picture, "a.png"), photograph(cut, "cut.png")
    np.testing.assert_array_equal(made(stored, whole), upright)
    for some in (mask, tmp_path / "mask.png", photograph(mask, "turned.png")):
        np.testing.assert_array_equal(made((whole, some), whole), upright)
    camera = made(stored, photograph(picture, "a.jpg")).astype(int)
    assert np.abs(camera - upright).max() < 30  # of a gradient from 0 to 239


def test_composites_leave_the_pictures_as_they_are():
    picture, deep = Image.fromarray(scenes(200, 1)[0]), np.full((40, 50), 40 * 257)
    mask = np.ones((40, 50))
    data = composites(
        foregrounds={"red": [(picture, mask)] * 2, "blue": [[picture, mask]] * 2},
        backgrounds={
            "dark": [Image.fromarray(deep.astype(np.uint16))] * 2,
            "light": scenes(200),
        },
    )
    assert picture.mode == "RGB"
    # 16 bits are scaled, as everywhere, and not cut off.
    dark = data.X[data.attribute == "dark"]
    assert (dark == 40).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int64, np.float32])
def test_composites_take_masks_of_zeros_and_ones(kind):
    mask = np.zeros((16, 16), kind)
    mask[4:12, 4:12] = 1
    blue = np.full((16, 16, 3), BLUE, np.uint8)
    data = composites(foregrounds={"red": [thing(RED)] * 2, "blue": [(blue, mask)] * 2})
    for picture in data.X[data.y == "blue"]:
        assert (picture == BLUE).all(axis=2).any()


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"backgrounds": {"dark": scenes(40)}}, "same number of kinds.*got 2 and 1"),
        ({"match_rate": 1.5}, "match_rate"),
        ({"held_out": 1.0}, "held_out"),
        ({"size": (0.7, 0.4)}, "size must be two numbers"),
        ({"n_test": 3}, "n_test must be a whole number, at least 4"),
        (
            {"backgrounds": {"a": scenes(1, 1), "b": scenes(9)}},
            "'a' has 1 pictures; wit",
        ),
        (
            {"foregrounds": {"a": scenes(1), "b": [thing(RED)] * 2}},
            r"picture \d of 'a' has no transparency; give RGBA, or pairs",
        ),
        (
            {"foregrounds": {"a": [thing(RED) * 0] * 2, "b": [thing(RED)] * 2}},
            "is wholly transparent",
        ),
        (
            {
                "foregrounds": {
                    "a": [np.minimum(thing(RED), 1)] * 2,
                    "b": [thing(RED)] * 2,
                }
            },
            "is wholly transparent; where the thing is, alpha is up to 255",
        ),
        (
            {
                "foregrounds": {
                    "a": [(scenes(1)[0], np.full((40, 50), 256))] * 2,
                    "b": [thing(RED)] * 2,
                }
            },
            r"mask of picture \d of 'a' must be true, 1 or up to 255 .*got int64 from",
        ),
        (
            {
                "foregrounds": {
                    "a": [(scenes(1)[0], np.ones((3, 3)))] * 2,
                    "b": [thing(RED)] * 2,
                }
            },
            r"mask of picture \d of 'a' has shape \(3, 3\), the picture.* \(40, 50\)",
        ),
        (
            {
                "foregrounds": {
                    "a": [(scenes(1)[0], np.full((40, 50), 15))] * 2,
                    "b": [thing(RED)] * 2,
                }
            },
            r"mask of picture \d of 'a' goes up to 15 of 255, .* give mask == number",
        ),
        (
            {"backgrounds": {"a": ["none.png"] * 2, "b": scenes(1)}},
            r"picture \d of 'a' \('none.png'\): no such file",
        ),
        (
            {"backgrounds": {"a": "places", "b": scenes(1)}},
            "'a' must be a list of pictures, got 'places' of type str",
        ),
        (
            {"backgrounds": {"a": iter(scenes(1)), "b": scenes(1)}},
            "'a' must be a list of pictures, got <list_iterator",
        ),
        ({"size": 0.5}, r"size must be two numbers in \(0, 1\], rising, got 0.5"),
        (
            {"backgrounds": {"a": np.zeros((4, 9, 9, 3)), "b": scenes(1)}},
            r"must be a path, a Pillow image or a uint8 array .*got float64 of shape",
        ),
    ],
)
def test_composites_refuse(kwargs, match):
    with pytest.raises(ValueError, match=match):
        composites(**kwargs)
