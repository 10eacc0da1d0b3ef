"""Decoding one file or one Pillow image."""

import io
import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from modal_pretrain.images.accept import as_images
from modal_pretrain.images.decode import (
    ImageLoadError,
    decode_file,
)
from tests.images.decode_cases import load, photo, png, with_exif


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "ppm", "gif"])
def test_lossless_formats_give_the_pixels(tmp_path, suffix):
    picture = photo()
    if suffix == "gif":  # at most 256 colours
        picture = np.repeat(picture[..., :1], 3, axis=-1)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(picture).save(path)
    np.testing.assert_array_equal(load(path), picture)


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_lossy_formats_come_close(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(photo()).save(path, quality=95)
    got = load(path)
    assert got.dtype == np.uint8 and got.shape == (40, 60, 3)
    assert np.abs(got.astype(int) - photo()).mean() < 4


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGB", "YCbCr", "HSV"])
def test_opaque_modes_agree_with_pillow(mode):
    image = Image.fromarray(photo()).convert(mode)
    expected = np.array(image.convert("RGB"))
    np.testing.assert_array_equal(as_images([image]).load(0), expected)


def test_cmyk_jpeg(tmp_path):
    Image.fromarray(photo()).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.mode == "CMYK"
    assert np.abs(load(tmp_path / "a.jpg").astype(int) - photo()).mean() < 4


@pytest.mark.parametrize("mode", ["RGBA", "LA", "RGBa", "La", "PA"])
@pytest.mark.parametrize(("alpha", "expected"), [(0, 255), (255, 100), (51, 224)])
def test_alpha_is_composited_over_white(mode, alpha, expected):
    image = Image.new("LA", (3, 2), (100, alpha))
    if mode in ("RGBA", "RGBa"):
        image = image.convert("RGBA")
    if mode == "PA":  # old versions of Pillow lose the alpha when they convert to it
        image = Image.new("PA", (3, 2), (1, alpha))
        image.putpalette([0, 0, 0, 100, 100, 100])
    image = image.convert(mode)
    got = as_images([image]).load(0)
    assert got.shape == (2, 3, 3)
    # Premultiplied modes round twice.
    assert np.abs(got.astype(int) - expected).max() <= (mode in ("RGBa", "La"))


def test_alpha_agrees_with_pillow_compositing():
    rgba = np.random.default_rng(0).integers(0, 256, (50, 50, 4), dtype=np.uint8)
    image = Image.fromarray(rgba)
    white = Image.new("RGBA", image.size, "white")
    expected = np.array(Image.alpha_composite(white, image).convert("RGB"))
    got = as_images([image]).load(0)
    assert np.abs(got.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_palette_with_transparency(tmp_path, suffix):
    image = Image.new("P", (4, 2), 1)
    image.putpalette([0, 0, 0, 200, 30, 10])
    image.putpixel((0, 0), 0)
    image.save(tmp_path / f"a.{suffix}", transparency=0)
    got = load(tmp_path / f"a.{suffix}")
    assert got[0, 0].tolist() == [255, 255, 255]
    assert got[1, 1].tolist() == [200, 30, 10]


def test_palette_with_transparency_per_entry(tmp_path):
    image = Image.new("P", (4, 2), 1)
    image.putpalette([0, 0, 0, 100, 100, 100])
    image.save(tmp_path / "a.png", transparency=bytes([0, 51]))
    assert load(tmp_path / "a.png")[1, 1].tolist() == [224, 224, 224]


def test_palette_of_colours_with_alpha():
    image = Image.new("P", (4, 2), 1)
    image.putpalette([0, 0, 0, 0, 100, 100, 100, 51], "RGBA")
    image.putpixel((0, 0), 0)
    got = as_images([image]).load(0)
    assert got[0, 0].tolist() == [255, 255, 255]
    assert got[1, 1].tolist() == [224, 224, 224]


@pytest.mark.parametrize("mode", ["L", "RGB", "1"])
def test_transparent_colour(tmp_path, mode):
    image = Image.new("RGB", (4, 2), "white").convert(mode)
    black = (0, 0, 0) if mode == "RGB" else 0
    image.putpixel((0, 0), black)
    image.save(tmp_path / "a.png", transparency=black)
    assert load(tmp_path / "a.png")[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_16_bit_grey_is_scaled_not_clipped(tmp_path, suffix):
    values = np.array([[0, 257, 128 * 257, 65535, 129, 128]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / f"a.{suffix}")
    got = load(tmp_path / f"a.{suffix}")[0]
    assert got[:, 0].tolist() == [0, 1, 128, 255, 1, 0]
    assert (got == got[:, :1]).all()


def clear_png(path, width, bits, colour, clear, row):
    """Write a PNG of one row with a transparent colour."""
    data = zlib.compress(b"\0" + row)
    header = (width, 1, bits, colour)
    png(path, header, (b"tRNS", clear), (b"IDAT", data), (b"IEND", b""))


def test_16_bit_colours_with_a_transparent_one(tmp_path):
    row = struct.pack(">9H", *[0x12C8] * 3, *[0xC800] * 3, *[0x34FF] * 3)
    clear_png(tmp_path / "a.png", 3, 16, 2, struct.pack(">3H", *[0x12C8] * 3), row)
    assert load(tmp_path / "a.png")[0, :, 0].tolist() == [255, 0xC8, 0x34]
    # A dark one, which could be one of 8 bits.
    row = struct.pack(">9H", *[0x00C8] * 3, *[0xC800] * 3, *[0x34FF] * 3)
    clear_png(tmp_path / "a.png", 3, 16, 2, struct.pack(">3H", *[0x00C8] * 3), row)
    assert load(tmp_path / "a.png")[0, :, 0].tolist() == [255, 0xC8, 0x34]


@pytest.mark.parametrize("bits, row", [(2, b"\x1b"), (4, b"\x01\x2f")])
@pytest.mark.parametrize("clear", [0, 1, 2])
def test_few_bits_of_grey_with_a_transparent_value(tmp_path, bits, row, clear):
    top = 2**bits - 1
    clear_png(tmp_path / "a.png", 4, bits, 0, struct.pack(">H", clear), row)
    expected = [n * 255 // top if n != clear else 255 for n in (0, 1, 2, top)]
    assert load(tmp_path / "a.png")[0, :, 0].tolist() == expected
    with Image.open(tmp_path / "a.png") as image:
        assert as_images([image]).load(0)[0, :, 0].tolist() == expected
        assert as_images([image]).load(0)[0, :, 0].tolist() == expected


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "I;16", "RGB"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_tiff_that_is_not_packed_and_turned(tmp_path, mode, turn):
    grey = photo()[..., 0]
    image = Image.fromarray(grey.astype(np.uint16) * 257 if mode == "I;16" else grey)
    image = image if mode == "I;16" else image.convert(mode)
    exif = Image.Exif()
    exif[0x0112] = turn
    image.save(tmp_path / "a.tif", exif=exif)
    Image.fromarray(grey).save(tmp_path / "a.png", exif=exif)
    expected = load(tmp_path / "a.png")
    np.testing.assert_array_equal(load(tmp_path / "a.tif"), expected)
    with Image.open(tmp_path / "a.tif") as image:
        np.testing.assert_array_equal(as_images([image]).load(0), expected)


@pytest.mark.parametrize("end", "<>")
@pytest.mark.parametrize("bands", [3, 4])
def test_16_bit_colours_in_planes(tmp_path, end, bands):
    values = np.arange(bands * 20, dtype=np.uint16).reshape(bands, 4, 5) * 800
    values[3:] = 65535
    at = 300 + 40 * np.arange(bands)
    long = {256: [5], 257: [4], 273: at, 278: [4], 279: [40] * bands}
    short = {258: [16] * bands, 259: [1], 262: [2], 277: [bands], 284: [2]}
    short |= {338: [2]} if bands == 4 else {}
    content = bytearray(300)
    struct.pack_into(f"{end}2sHI", content, 0, b"II" if end == "<" else b"MM", 42, 8)
    struct.pack_into(f"{end}H", content, 8, len(long | short))
    free = 200  # for what is too long to stand in its place
    for i, tag in enumerate(sorted(long | short)):
        code, kind = ("I", 4) if tag in long else ("H", 3)
        row = (long | short)[tag]
        data = struct.pack(f"{end}{len(row)}{code}", *row)
        struct.pack_into(f"{end}HHI", content, 10 + 12 * i, tag, kind, len(row))
        place = 18 + 12 * i
        if len(data) > 4:
            struct.pack_into(f"{end}I", content, place, free)
            place, free = free, free + len(data)
        content[place : place + len(data)] = data
    path = tmp_path / "a.tif"
    path.write_bytes(content + values.astype(f"{end}u2").tobytes())
    expected = (values[:3] >> 8).transpose(1, 2, 0)
    np.testing.assert_allclose(load(path).astype(int), expected, atol=1)
    with Image.open(path) as image:
        np.testing.assert_array_equal(as_images([image]).load(0), load(path))


def test_16_bit_grey_with_a_transparent_value(tmp_path):
    values = np.array([[0, 257, 128 * 257, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    chunk = b"tRNS" + struct.pack(">H", 257)
    chunk = struct.pack(">I", 2) + chunk + struct.pack(">I", zlib.crc32(chunk))
    at = content.index(b"IDAT") - 4
    (tmp_path / "a.png").write_bytes(content[:at] + chunk + content[at:])
    assert load(tmp_path / "a.png")[0, :, 0].tolist() == [0, 255, 128, 255]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 7, 255]], np.int32), [0, 7, 255]),
        (np.array([[0, 257, 65535]], np.int32), [0, 1, 255]),
        (np.array([[0, 0.5, 1]], np.float32), [0, 128, 255]),
        (np.array([[0, 0.5, 254.6]], np.float32), [0, 0, 255]),
        # As resizing in float32 leaves it.
        (np.array([[0, 0.5, 1.0000001]], np.float32), [0, 128, 255]),
    ],
)
def test_32_bit_values_in_a_known_range(tmp_path, values, expected):
    Image.fromarray(values).save(tmp_path / "a.tiff")
    assert load(tmp_path / "a.tiff")[0, :, 0].tolist() == expected


@pytest.mark.parametrize(
    "values",
    [
        np.array([[0, 65536]], np.int32),
        np.array([[-1, 5]], np.int32),
        np.array([[0, 300]], np.float32),
        np.array([[0, np.nan]], np.float32),
        np.array([[0, np.inf]], np.float32),
        np.array([[-0.5, 1]], np.float32),
    ],
)
def test_32_bit_values_out_of_range_are_an_error(tmp_path, values):
    Image.fromarray(values).save(tmp_path / "a.tiff")
    with pytest.raises(ImageLoadError, match=r"X\[0\] \('.*a\.tiff'\) can't be conv"):
        load(tmp_path / "a.tiff")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("as_file", [True, False])
def test_exif_orientation(tmp_path, orientation, as_file):
    path = tmp_path / "a.png"
    Image.fromarray(photo()).save(path, exif=with_exif(orientation))
    with Image.open(path) as image:
        expected = np.array(ImageOps.exif_transpose(image))
        got = load(path) if as_file else as_images([image]).load(0)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_meaningless_orientation_is_upright(tmp_path, orientation):
    path = tmp_path / "a.png"
    Image.fromarray(photo()).save(path, exif=with_exif(orientation))
    np.testing.assert_array_equal(load(path), photo())


@pytest.mark.parametrize("suffix", ["gif", "tiff", "png", "webp"])
def test_first_frame_of_several(tmp_path, suffix):
    first, second = (Image.new("L", (6, 4), value) for value in (10, 200))
    options = {"lossless": True} if suffix == "webp" else {}
    path = tmp_path / f"a.{suffix}"
    first.save(path, save_all=True, append_images=[second], **options)
    with Image.open(path) as image:
        assert image.n_frames == 2
    assert load(path).max() == 10


def test_pillow_image_is_not_changed():
    image = Image.fromarray(photo()).convert("P")
    before = image.tobytes(), image.mode, image.size, dict(image.info)
    as_images([image]).load(0)
    assert (image.tobytes(), image.mode, image.size, dict(image.info)) == before


def test_no_file_stays_open(tmp_path):
    Image.fromarray(photo()).save(tmp_path / "a.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        image = decode_file(tmp_path / "a.png", "X[0]")
    os.rename(tmp_path / "a.png", tmp_path / "b.png")
    assert image.getpixel((0, 0)) == tuple(photo()[0, 0])


def test_in_memory_file():
    buffer = io.BytesIO()
    Image.fromarray(photo()).save(buffer, "PNG")
    np.testing.assert_array_equal(as_images([Image.open(buffer)]).load(0), photo())


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_tiff_whose_zeros_are_white(tmp_path, kind, compression):
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    stored = {
        "uint8": grey,
        "uint16": grey.astype(np.uint16) * 257,
        "float32": (grey / 255).astype(np.float32),
    }[kind]
    images = []
    for photometric, expected in ((1, grey), (0, 255 - grey)):
        # Pillow inverts 8 bits, and only those, as it writes them, too.
        written = 255 - stored if kind == "uint8" and photometric == 0 else stored
        path = tmp_path / f"{photometric}.tiff"
        Image.fromarray(written).save(
            path, compression=compression, tiffinfo={262: photometric}
        )
        with Image.open(path) as image:
            assert image.tag_v2[262] == photometric
            image.load()
        images.append(image)
        for X in ([path], [image], [Image.open(path)]):
            np.testing.assert_array_equal(as_images(X).load(0)[..., 0], expected)
    one, other = as_images(images).row_keys()
    assert one != other
