"""Resizing as timm does it, and normalising."""

import dataclasses
import time
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config

from modal_pretrain.images.accept import as_images
from modal_pretrain.images.batches import load_batches
from modal_pretrain.images.preprocessing import Preprocessing
from tests.images.cases import CONFIG, TO_8, photo

SHARED = Path(__file__).parents[3] / "shared" / "data"
# Against timm -----------------------------------------------------------------------


@pytest.mark.parametrize("crop_mode", ["center", "squash", "border", None])
@pytest.mark.parametrize("crop_pct", [0.875, 0.9, 1.0, None])
@pytest.mark.parametrize("size", [(64, 64), (48, 80)])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_equal_to_timm(crop_mode, crop_pct, size, interpolation):
    config = {
        **CONFIG,
        "input_size": (3, *size),
        "crop_mode": crop_mode,
        "crop_pct": crop_pct,
        "interpolation": interpolation,
    }
    preprocessing = Preprocessing.from_data_config(config)
    pixels = create_transform(**config, normalize=False)
    transform = create_transform(**config)
    if interpolation not in str(transform.transforms[0]):
        pytest.skip("this timm forgets the interpolation of oblong pictures")
    rng = np.random.default_rng(0)
    sizes = [tuple(rng.integers(16, 300, 2)) for _ in range(8)]
    for height, width in [*sizes, size, (64, 64), (73, 73), (200, 3), (3, 200)]:
        image = Image.fromarray(photo(height, width))
        got = preprocessing.apply_uint8(image)
        # The pixels are the same to the bit ...
        expected = pixels(image).permute(1, 2, 0).numpy()
        np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(preprocessing.apply_uint8(np.array(image)), got)
        # ... and normalised values up to float32 rounding, see `normalise`.
        batch = preprocessing.normalise(torch.from_numpy(got)[None])
        torch.testing.assert_close(batch[0], transform(image), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "name",
    [
        "tf_efficientnet_lite0",
        "resnet18",
        "mobilenetv3_small_050",
        "vit_tiny_patch16_224",
    ],
)
def test_equal_to_timm_for_real_models(name):
    config = resolve_model_data_config(timm.create_model(name))
    preprocessing = Preprocessing.from_data_config(config)
    image = Image.fromarray(photo(311, 260))
    batch = torch.from_numpy(preprocessing.apply_uint8(image))[None]
    expected = create_transform(**config)(image)
    torch.testing.assert_close(
        preprocessing.normalise(batch)[0], expected, rtol=0, atol=1e-6
    )


@pytest.mark.skipif(not (SHARED / "roadwater").exists(), reason="no shared data")
@pytest.mark.parametrize("image_size", [None, 96])
def test_equal_to_timm_on_photographs(image_size):
    paths = sorted((SHARED / "roadwater" / "test").glob("*.jpg"))[:20]
    config = CONFIG if image_size is None else {**CONFIG, "input_size": (3, 96, 96)}
    crop = {} if image_size is None else {"crop_pct": 1.0}
    preprocessing = Preprocessing.from_data_config(CONFIG, image_size)
    transform = create_transform(**{**config, **crop})
    (batch,) = load_batches(as_images(paths), preprocessing, 32)
    expected = torch.stack([transform(Image.open(p).convert("RGB")) for p in paths])
    torch.testing.assert_close(
        preprocessing.normalise(batch), expected, rtol=0, atol=1e-6
    )


# image_size -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image_size", "expected"),
    [(96, (96, 96)), ((48, 96), (48, 96)), ([48, 96], (48, 96)), (np.int64(8), (8, 8))],
)
def test_image_size(image_size, expected):
    preprocessing = Preprocessing.from_data_config(CONFIG, image_size)
    assert preprocessing.size == expected
    assert preprocessing.apply_uint8(photo(120, 75)).shape == (*expected, 3)
    assert preprocessing.keeps(*expected)


def test_a_picture_of_the_right_size_is_untouched():
    picture = photo(8, 8)
    assert TO_8.apply_uint8(picture) is picture
    np.testing.assert_array_equal(TO_8.apply_uint8(Image.fromarray(picture)), picture)


def test_image_size_replaces_crop_mode_and_margin():
    for crop_mode in ("center", "squash", "border"):
        config = {**CONFIG, "crop_mode": crop_mode}
        assert Preprocessing.from_data_config(config, 8) == TO_8


def test_shorter_side_is_resized_and_the_centre_cut_out():
    picture = np.zeros((16, 32, 3), np.uint8)
    picture[:, 8:24] = 200
    to_8 = dataclasses.replace(TO_8, interpolation="box")  # does not overshoot
    assert (to_8.apply_uint8(picture) == 200).all()
    assert (to_8.apply_uint8(picture.transpose(1, 0, 2)) == 200).all()
    picture[:, :12] = 0
    assert to_8.apply_uint8(picture)[0, :, 0].tolist() == [0] * 2 + [200] * 6


def test_margin_means_no_picture_is_kept():
    preprocessing = Preprocessing.from_data_config(CONFIG)
    assert preprocessing.resize_to == (73, 73)
    assert not preprocessing.keeps(64, 64) and not preprocessing.keeps(73, 73)
    assert Preprocessing.from_data_config({**CONFIG, "crop_pct": 1.0}).keeps(64, 64)


@pytest.mark.parametrize("shape", [(1, 100_000), (100_000, 1)])
def test_extremely_long_pictures_take_little_memory(shape):
    preprocessing = Preprocessing.from_data_config(CONFIG, 224)
    picture = np.full((*shape, 3), 7, np.uint8)
    start = time.perf_counter()
    got = preprocessing.apply_uint8(picture)
    assert got.shape == (224, 224, 3) and (got == 7).all()
    assert time.perf_counter() - start < 10  # resized whole: 5 billion pixels


def test_extremely_long_pictures_can_be_fitted():
    config = {**CONFIG, "crop_mode": "border"}
    got = Preprocessing.from_data_config(config).apply_uint8(photo(1, 3000))
    assert got.shape == (64, 64, 3)


@pytest.mark.parametrize("size", [0, -3, "64", True, (8,), (8, 8, 8), (0, 8), 2.5])
def test_bad_image_size(size):
    with pytest.raises(ValueError, match="image_size must be a positive whole"):
        Preprocessing.from_data_config(CONFIG, size)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"input_size": (1, 64, 64), "mean": (0.5,), "std": (0.5,)}, "only RGB"),
        ({"input_size": (4, 64, 64)}, "only RGB"),
        ({"mean": (0.5,)}, "only RGB"),
        ({"interpolation": "random"}, "'random', but one of"),
        ({"crop_mode": "middle"}, "'middle', but 'center'"),
        ({"crop_border_pixels": 4}, "crop_border_pixels"),
    ],
)
def test_bad_config(change, match):
    with pytest.raises(ValueError, match=match):
        Preprocessing.from_data_config({**CONFIG, **change})


# Fingerprint ------------------------------------------------------------------------


def test_fingerprint_holds_every_field():
    base = Preprocessing.from_data_config(CONFIG)
    changes = {
        "size": (65, 64),
        "interpolation": "bilinear",
        "resize_to": (74, 73),
        "resize_mode": "squash",
        "mean": (0.485, 0.456, 0.407),
        "std": (0.229, 0.224, 0.226),
    }
    assert set(changes) == {field.name for field in dataclasses.fields(base)}
    texts = {base.fingerprint()}
    for name, value in changes.items():
        texts.add(dataclasses.replace(base, **{name: value}).fingerprint())
    assert len(texts) == 1 + len(changes)


def test_fingerprint_is_stable():
    # A golden value: changing it throws away every stored embedding.
    assert Preprocessing.from_data_config(CONFIG).fingerprint() == (
        "size=(64, 64);interpolation='bicubic';resize_to=(73, 73);resize_mode='cover';"
        "mean=(0.485, 0.456, 0.406);std=(0.229, 0.224, 0.225)"
    )
    as_lists = {k: list(v) if isinstance(v, tuple) else v for k, v in CONFIG.items()}
    again = Preprocessing.from_data_config(as_lists)
    assert again == Preprocessing.from_data_config(CONFIG)
    assert again.fingerprint() == Preprocessing.from_data_config(CONFIG).fingerprint()
    with pytest.raises(dataclasses.FrozenInstanceError):
        again.size = (1, 1)


# Normalising ------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(5, 8, 8, 3), (1, 4, 6, 3), (2, 1, 1, 3)])
def test_normalise(dtype, shape):
    batch = torch.randint(0, 256, shape, dtype=torch.uint8)
    before = batch.clone()
    got = TO_8.normalise(batch, dtype)
    mean, std = (torch.tensor(v, dtype=torch.float64) for v in (TO_8.mean, TO_8.std))
    expected = ((batch / 255.0 - mean) / std).permute(0, 3, 1, 2)
    assert got.dtype is dtype
    assert got.is_contiguous(memory_format=torch.channels_last)
    tolerance = {torch.float32: 1e-6, torch.float16: 2e-3, torch.bfloat16: 1e-2}[dtype]
    torch.testing.assert_close(got.double(), expected, rtol=0, atol=tolerance)
    assert torch.equal(batch, before)


def test_normalise_accepts_strided_batches():
    batch = torch.randint(0, 256, (6, 8, 8, 3), dtype=torch.uint8)
    expected = TO_8.normalise(batch)
    assert torch.equal(TO_8.normalise(batch[::2]), expected[::2])
    flipped = TO_8.normalise(batch.flip(3).flip(3)[:, :, 1:])
    assert torch.equal(flipped, expected[..., 1:])


def test_normalised_values_can_be_trained_on():
    with torch.inference_mode():  # the constants are made here first
        TO_8.normalise(torch.zeros(1, 8, 17, 3, dtype=torch.uint8))
    conv = torch.nn.Conv2d(3, 1, 1)
    conv(TO_8.normalise(torch.zeros(1, 8, 17, 3, dtype=torch.uint8))).sum().backward()
    assert conv.weight.grad is not None


@pytest.mark.parametrize(
    "batch",
    [
        torch.zeros(2, 8, 8, 3),
        torch.zeros(2, 3, 8, 8, dtype=torch.uint8),
        torch.zeros(8, 8, 3, dtype=torch.uint8),
    ],
)
def test_normalise_wants_uint8_channels_last(batch):
    with pytest.raises(ValueError, match=r"must be uint8 of shape \(b, H, W, 3\), got"):
        TO_8.normalise(batch)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_normalise_on_a_device():
    batch = torch.randint(0, 256, (5, 8, 8, 3), dtype=torch.uint8)
    got = TO_8.normalise(batch.cuda())
    assert got.is_cuda and got.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(got.cpu(), TO_8.normalise(batch), rtol=0, atol=1e-6)
