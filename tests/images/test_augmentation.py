"""Random crops and flips, and functions of the user's, by a seed for each picture."""

import numpy as np
import pytest
import torch
from PIL import Image

from modal_pretrain.images.augmentation import CropFlip, EachPicture, with_margin
from modal_pretrain.images.preprocessing import Preprocessing

CONFIG = {
    "input_size": (3, 224, 224),
    "interpolation": "bicubic",
    "mean": (0.5,) * 3,
    "std": (0.5,) * 3,
    "crop_pct": 0.875,
    "crop_mode": "center",
}
SEEDS = torch.randint(2**62, (200,), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def numbered():
    """Pictures (200, 7, 9, 3) that tell picture, row, column and channel apart."""
    shape = 200, 7, 9, 3
    values = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return torch.from_numpy(values)


def places(picture, crop):
    """Where in a picture a crop is, and whether it is flipped."""
    height, width = crop.shape[:2]
    return [
        (top, left, flipped)
        for top in range(picture.shape[0] - height + 1)
        for left in range(picture.shape[1] - width + 1)
        for flipped, seen in ((False, crop), (True, crop.flip(1)))
        if torch.equal(picture[top : top + height, left : left + width], seen)
    ]


def test_crops_are_parts_of_the_pictures_from_everywhere(numbered):
    crops = CropFlip((5, 6))(numbered, SEEDS)
    assert crops.shape == (200, 5, 6, 3)
    assert crops.dtype is torch.uint8
    found = [places(*pair) for pair in zip(numbered, crops, strict=True)]
    assert {len(each) for each in found} == {1}
    tops, lefts, flips = zip(*(each[0] for each in found), strict=True)
    for values, n in ((tops, 3), (lefts, 4), (flips, 2)):
        counts = np.unique(values, return_counts=True)[1]
        assert len(counts) == n
        assert counts.min() > 200 / n / 2


def test_without_a_margin_there_are_flips_alone(numbered):
    crops = CropFlip((7, 9))(numbered, SEEDS)
    for picture, crop in zip(numbered, crops, strict=True):
        assert torch.equal(crop, picture) or torch.equal(crop, picture.flip(1))


def jitter(picture):
    return (picture.float() * (0.5 + torch.rand(()) / 2)).to(torch.uint8)


@pytest.mark.parametrize(
    "change", [CropFlip((5, 6)), EachPicture(jitter)], ids=["crop-flip", "function"]
)
def test_a_picture_is_changed_by_its_seed_alone(numbered, change):
    whole = change(numbered, SEEDS)
    chosen = torch.tensor([150, 3, 77])
    assert torch.equal(change(numbered[chosen], SEEDS[chosen]), whole[chosen])
    assert not torch.equal(change(numbered, SEEDS.flip(0)), whole)


def test_the_picture_of_a_function_is_its_own(numbered):
    before, state = numbered.clone(), torch.random.get_rng_state()
    seen = []

    def spoil(picture):
        seen.append((picture.dtype, picture.shape, picture.is_contiguous()))
        torch.rand(3)
        return picture.zero_()

    assert not EachPicture(spoil)(numbered[:4], SEEDS[:4]).any()
    assert set(seen) == {(torch.uint8, (3, 7, 9), True)}
    assert torch.equal(numbered, before)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    "returned, error, match",
    [
        (lambda x: None, TypeError, "returned NoneType"),
        (lambda x: x.numpy(), TypeError, r"shape \(3, 7, 9\), as it got.* ndarray"),
        (lambda x: x / 255, TypeError, "returned torch.float32. Mean and standard"),
        (lambda x: x[:, 1:], ValueError, r"returned shape \(3, 6, 9\)"),
    ],
)
def test_what_a_function_returns_is_checked(numbered, returned, error, match):
    with pytest.raises(error, match=match):
        EachPicture(returned)(numbered[:1], SEEDS[:1])


def test_torchvision_transforms_are_such_functions(numbered):
    v2 = pytest.importorskip("torchvision.transforms.v2")
    change = EachPicture(v2.RandomHorizontalFlip(0.5))
    changed = change(numbered, SEEDS)
    flipped = sum(
        torch.equal(one, other.flip(1))
        for one, other in zip(changed, numbered, strict=True)
    )
    assert 70 < flipped < 130


@pytest.mark.parametrize(
    "config, image_size, expected",
    [
        ({}, 480, (512, 512)),  # the paper's
        ({}, (64, 30), (69, 32)),
        ({}, None, (256, 256)),  # scoring crops so much away
        ({"crop_pct": 1.0}, None, (239, 239)),
        ({"crop_pct": 1.0, "crop_mode": "squash"}, None, (239, 239)),
    ],
    ids=str,
)
def test_margin(config, image_size, expected):
    scoring = Preprocessing.from_data_config({**CONFIG, **config}, image_size)
    training = with_margin(scoring)
    picture = Image.fromarray(np.zeros((300, 400, 3), np.uint8))
    assert training.apply_uint8(picture).shape == (*expected, 3)
    assert training.mean == scoring.mean
    assert training.resize_mode == scoring.resize_mode
