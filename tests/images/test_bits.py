"""Pictures of 12 bits in files of 16."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from modal_pretrain import TimmEncoder
from modal_pretrain.images.accept import as_images
from modal_pretrain.images.bits import sample


@pytest.fixture(params=["png", "tif", "opened", "in memory"])
def make(request, tmp_path):
    """Build X of grey pictures from arrays."""

    def build(arrays):
        if request.param == "in memory":
            return [Image.fromarray(array) for array in arrays]
        suffix = "png" if request.param == "opened" else request.param
        paths = [tmp_path / f"{i}.{suffix}" for i in range(len(arrays))]
        for path, array in zip(paths, arrays, strict=True):
            Image.fromarray(array).save(path)
        if request.param == "opened":
            return [Image.open(path) for path in paths]
        return [str(path) for path in paths]

    return build


def pictures(n, top):
    rng = np.random.default_rng(0)
    found = rng.integers(0, top, (n, 40, 30)).astype(np.uint16)
    found[:, 0, 0] = top - 1
    return found


def embed(X):
    encoder = TimmEncoder(pretrained=False, image_size=32, cache=None, engine="torch")
    return encoder.fit(X).transform(X)


def test_files_that_look_like_fewer_bits_are_warned_of(make):
    X = make(pictures(11, 1 << 12))
    with pytest.warns(UserWarning, match=r"X holds 11 .* above 4095.*times 16"):
        dark = embed(X)
    whole = as_images(X).load(3)
    assert whole.max() == 16  # what they mean all the same
    assert dark.shape[0] == 11


@pytest.mark.parametrize("top, n", [(1 << 13, 11), (1 << 16, 11), (1 << 12, 7)])
def test_files_that_use_their_bits_or_are_few_are_not(make, top, n):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        embed(make(pictures(n, top)))


def test_one_that_is_bright_or_of_8_bits_says_that_all_is_well(make):
    for other in (1 << 16, 1 << 8):
        arrays = list(pictures(11, 1 << 12))
        arrays[4] = pictures(1, other)[0].astype(np.uint16 if other > 256 else np.uint8)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            embed(make(arrays))


@pytest.mark.parametrize("n, rows", [(7, 0), (8, 8), (9, 8), (15, 8), (1001, 8)])
def test_a_sample_is_of_different_rows_all_over(n, rows):
    found = list(sample(n))
    assert len(set(found)) == len(found) == rows
    assert not rows or (found[0] == 0 and n - n // 8 - 8 <= found[-1] < n)


@pytest.mark.parametrize("ending", ["tif", "pgm"])
def test_integers_of_32_bits_that_count_as_16_are_looked_at_too(tmp_path, ending):
    arrays = pictures(11, 1 << 12).astype(np.int32)
    arrays[:, 0, 0] = 4000  # in each: what has nothing above 255 is taken for 8 bits
    images = [Image.fromarray(array) for array in arrays]
    paths = [tmp_path / f"{i}.{ending}" for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        image.save(path)
    with Image.open(paths[0]) as opened:
        assert opened.mode == "I"
    for X in (paths, images):
        with pytest.warns(UserWarning, match="If they hold 12 bits"):
            embed(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        embed([Image.fromarray(array // 16) for array in arrays])


def png_of_16_bits(array):
    """Encode colours or grey and alpha, which Pillow writes with 8 bits only."""

    def block(kind, data):
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    height, width, channels = array.shape
    kind = {2: 4, 3: 2, 4: 6}[channels]
    head = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(block(*part) for part in parts)


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_colours_and_grey_with_alpha_of_16_bits_are_looked_at_too(tmp_path, channels):
    grey = pictures(11, 1 << 12)
    files = np.repeat(grey[..., None], channels, axis=-1)
    files[..., 3 if channels == 4 else 1] |= 0xFFFF if channels != 3 else 0  # opaque
    paths = [tmp_path / f"{i}.png" for i in range(len(files))]
    for path, file in zip(paths, files, strict=True):
        path.write_bytes(png_of_16_bits(file))
    opened = [Image.open(io.BytesIO(path.read_bytes())) for path in paths]
    for X in (paths, opened):
        with pytest.warns(UserWarning, match="no value is above 4095.*hold 12 bits"):
            embed(X)
    paths[3].write_bytes(png_of_16_bits(files[3] * 16))
    small = [Image.new("RGB", (40, 40), (3, 3, 3)) for _ in range(8)]  # 8 bits
    for i, image in enumerate(small):
        image.save(tmp_path / f"{i}.bmp")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        embed(paths[:8])
        embed(small)
        embed([tmp_path / f"{i}.bmp" for i in range(8)])


@pytest.mark.parametrize("kind", ["array", "tensor", "list", "grey"])
def test_bytes_of_0_and_1_are_warned_of(kind):
    masks = pictures(4, 256).repeat(3).reshape(4, 40, 30, 3) > 127
    X = masks.astype(np.uint8)
    X = {"tensor": torch.from_numpy(X), "list": list(X), "grey": X[..., 0]}.get(kind, X)
    with pytest.warns(UserWarning, match=r"X has .* above 1\. 8 bits .* X \* 255"):
        as_images(X)
    cut = (pictures(4, 256) / 255).astype(np.uint8)  # as skimage gives floats
    with pytest.warns(UserWarning, match=r"if they were floats in \[0, 1\]"):
        as_images(cut)


def test_dark_bytes_are_not():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        as_images(pictures(4, 3).astype(np.uint8))
        as_images(np.zeros((4, 40, 30), np.uint8))
        dark = np.ones((40, 30), np.uint8)
        as_images([dark, dark * 2])
        as_images([dark, dark.astype(np.uint16)])  # each of its own type


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("kind", [np.asarray, list, torch.from_numpy])
def test_floats_that_were_divided_twice_are_warned_of(kind, dtype):
    X = np.repeat(pictures(4, 256)[:, None], 3, axis=1) / 255
    with pytest.warns(UserWarning, match=r"X holds floats.*write X \* 255"):
        as_images(kind((X / 255).astype(dtype)))  # the largest is 1/255
    for well in (X, X / 100, X * 0):  # as they should be, dark, black
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            as_images(kind(well.astype(dtype)))
