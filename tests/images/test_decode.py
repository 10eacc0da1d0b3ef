"""Decoding one file or one Pillow image."""

import io
import os
import pickle
import socket
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, ImageFile, ImageOps

from modal_pretrain.images.accept import as_images
from modal_pretrain.images.decode import (
    ImageFileNotFoundError,
    ImageLoadError,
    decode_file,
)
from modal_pretrain.images.quiet import quiet_pillow


def photo(height=40, width=60, seed=0):
    """Smooth random picture: JPEG and resizing treat noise badly."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), 3))


def load(path):
    return as_images([path]).load(0)


def with_exif(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


# Pixels -----------------------------------------------------------------------------


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


def png(path, width, bits, colour, clear, row):
    def chunk(kind, data):
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, bits, colour, 0, 0, 0))
        + chunk(b"tRNS", clear)
        + chunk(b"IDAT", zlib.compress(b"\0" + row))
        + chunk(b"IEND", b"")
    )


def test_16_bit_colours_with_a_transparent_one(tmp_path):
    row = struct.pack(">9H", *[0x12C8] * 3, *[0xC800] * 3, *[0x34FF] * 3)
    png(tmp_path / "a.png", 3, 16, 2, struct.pack(">3H", *[0x12C8] * 3), row)
    assert load(tmp_path / "a.png")[0, :, 0].tolist() == [255, 0xC8, 0x34]
    # A dark one, which could be one of 8 bits.
    row = struct.pack(">9H", *[0x00C8] * 3, *[0xC800] * 3, *[0x34FF] * 3)
    png(tmp_path / "a.png", 3, 16, 2, struct.pack(">3H", *[0x00C8] * 3), row)
    assert load(tmp_path / "a.png")[0, :, 0].tolist() == [255, 0xC8, 0x34]


@pytest.mark.parametrize("bits, row", [(2, b"\x1b"), (4, b"\x01\x2f")])
@pytest.mark.parametrize("clear", [0, 1, 2])
def test_few_bits_of_grey_with_a_transparent_value(tmp_path, bits, row, clear):
    top = 2**bits - 1
    png(tmp_path / "a.png", 4, bits, 0, struct.pack(">H", clear), row)
    expected = [n * 255 // top if n != clear else 255 for n in (0, 1, 2, top)]
    assert load(tmp_path / "a.png")[0, :, 0].tolist() == expected


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


# Errors -----------------------------------------------------------------------------


def write_jpeg(path):
    Image.fromarray(photo(200, 200)).save(path, quality=95)
    return path.read_bytes()


def test_missing_file(tmp_path):
    path = str(tmp_path / "no" / "cat.jpg")
    with pytest.raises(
        FileNotFoundError, match=r"X\[1\] \('.*cat\.jpg'\): no such"
    ) as e:
        as_images(["other.jpg", path]).load(1)
    assert isinstance(e.value, ImageFileNotFoundError)
    assert isinstance(e.value, ImageLoadError) and isinstance(e.value, ValueError)
    assert os.getcwd() in str(e.value)


def test_url():
    with pytest.raises(ImageLoadError, match="is a URL; download"):
        load("https://example.org/cat.jpg")


def test_directory(tmp_path):
    with pytest.raises(ImageLoadError, match="is a directory"):
        load(tmp_path)
    with pytest.raises(ImageLoadError, match="is a directory"):
        as_images([tmp_path]).row_keys()


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"\xff\xd8"])
def test_not_a_picture(tmp_path, content):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageLoadError, match=r"X\[0\] \('.*a\.jpg'\)"):
        load(path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "tiff", "webp", "bmp"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_truncated_file(tmp_path, suffix, share):
    path = tmp_path / f"a.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ImageLoadError, match=rf"X\[0\] \('.*a\.{suffix}'\)"):
        load(path)


def test_corrupt_png(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(photo()).save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ImageLoadError, match=r"can't be decoded.*replace it"):
        load(path)


def test_unreadable_file(monkeypatch, tmp_path):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    write_jpeg(tmp_path / "a.jpg")
    monkeypatch.setattr(Image, "open", refuse)  # root may read every real file
    with pytest.raises(ImageLoadError, match=r"X\[0\] \('.*a\.jpg'\).*permission"):
        load(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("path", "match"),
    [
        ("a\0b.jpg", r"X\[0\] .*the path holds a NUL"),
        ("x" * 5000, "can't be opened: File name too long. Correct the path"),
        (f"{__file__}/a.jpg", "can't be opened: Not a directory. Correct the path"),
        ("\ud800.jpg", "the path holds half a character"),
    ],
)
def test_impossible_path(path, match):
    with pytest.raises(ImageLoadError, match=match):
        load(path)
    with pytest.raises(ImageLoadError, match=match):
        as_images([path]).row_keys()


def fifo(path):
    os.mkfifo(path)
    return path


def a_socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))  # its name may be 100 bytes long
    return path


def link_to_a_fifo(path):
    path.symlink_to(fifo(path.with_name("other.png")))
    return path


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (fifo, "FIFO"),
        (link_to_a_fifo, "FIFO"),
        (a_socket, "socket"),
        (lambda path: Path("/dev/zero"), "device"),
    ],
)
def test_what_would_wait_for_ever_is_refused_at_once(tmp_path, make, kind, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = make(tmp_path / "a.png")
    match = rf"X\[0\] \('.*'\) is a {kind}.*, not a regular file\. Drop the row"
    raised = []

    def look():
        with pytest.raises(ImageLoadError, match=match) as caught:
            load(path)
        raised.append(caught)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(30)
    assert raised
    with pytest.raises(ImageLoadError, match=match):
        as_images([path]).row_keys()


def test_formats_registered_meanwhile_by_another_thread(tmp_path, monkeypatch):
    Image.fromarray(photo()).save(tmp_path / "a.png")
    really_open, calls = Image.open, []

    def open_once_in_vain(path):
        calls.append(path)
        if len(calls) == 1:
            raise Image.UnidentifiedImageError
        return really_open(path)

    monkeypatch.setattr(Image, "open", open_once_in_vain)
    np.testing.assert_array_equal(load(tmp_path / "a.png"), photo())


def png_header(width, height):
    def chunk(kind, data):
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"")


@pytest.mark.parametrize("side", [11_000, 50_000])  # Pillow warns; Pillow raises
def test_decompression_bomb(tmp_path, side):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(side, side))
    with pytest.raises(ImageLoadError, match=r"bomb\.png'\) is suspiciously large"):
        load(path)


def test_lazy_pillow_image_of_a_damaged_file(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(write_jpeg(path)[:3000])
    with Image.open(path) as image:
        source = as_images([image])
        with pytest.raises(
            ImageLoadError, match=r"X\[0\] \(PIL image of mode RGB, 200"
        ):
            source.load(0)
        with pytest.raises(ImageLoadError, match="can't be read"):
            source.row_keys()


def test_closed_pillow_image(tmp_path):
    write_jpeg(tmp_path / "a.jpg")
    image = Image.open(tmp_path / "a.jpg")
    image.close()
    with pytest.raises(ImageLoadError, match="closed"):
        as_images([image]).load(0)


def test_errors_survive_pickling(tmp_path):
    for path in (tmp_path, tmp_path / "missing.png"):
        with pytest.raises(ImageLoadError) as caught:
            load(path)
        copy = pickle.loads(pickle.dumps(caught.value))
        assert type(copy) is type(caught.value) and str(copy) == str(caught.value)


def test_errors_survive_a_cluster(tmp_path):
    pickling = pytest.importorskip("tblib.pickling_support")  # dask's way
    for path in (tmp_path, tmp_path / "missing.png"):
        with pytest.raises(ImageLoadError) as caught:
            load(path)
        make, args = pickling.pickle_exception(caught.value)[:2]
        copy = make(*args)
        assert type(copy) is type(caught.value) and str(copy) == str(caught.value)


# Warnings and global state ----------------------------------------------------------


def noisy_jpeg(path):
    """Write a JPEG whose EXIF block makes Pillow warn."""
    exif = with_exif(6)
    exif[0x010E] = "a description that will be cut off " * 10
    Image.fromarray(photo()).save(path, exif=exif.tobytes()[:-200])


def orientation_is_read(path):
    """Whether this Pillow keeps the tags before the damage (12.0 and older do not)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path) as image:
            return 0x0112 in image.getexif()


def test_pillow_really_warns(tmp_path):
    noisy_jpeg(tmp_path / "a.jpg")
    with (
        pytest.warns(UserWarning, match="EXIF|Tag data|Truncated"),
        Image.open(tmp_path / "a.jpg") as image,
    ):
        image.getexif()


def test_pillow_warnings_do_not_leak(tmp_path):
    noisy_jpeg(tmp_path / "a.jpg")
    source = as_images([tmp_path / "a.jpg"] * 64)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with ThreadPoolExecutor(4) as pool:
            pictures = list(pool.map(source.load, range(64)))
    assert not caught
    turned = orientation_is_read(tmp_path / "a.jpg")
    shape = (60, 40, 3) if turned else (40, 60, 3)
    assert {picture.shape for picture in pictures} == {shape}


def test_quiet_in_one_thread_only():
    def warn():
        # As if raised inside Pillow.
        warnings.warn_explicit("x", UserWarning, "f.py", 1, module="PIL.Image")

    with quiet_pillow():
        warn()
        with ThreadPoolExecutor(1) as pool, pytest.raises(UserWarning):
            pool.submit(warn).result()
        with pytest.raises(UserWarning):
            warnings.warn("not from Pillow", UserWarning, stacklevel=1)
    with pytest.raises(UserWarning):
        warn()


def test_filter_is_not_piled_up(tmp_path):
    Image.fromarray(photo()).save(tmp_path / "a.png")
    load(tmp_path / "a.png")
    before = len(warnings.filters)
    for _ in range(5):
        warnings.filterwarnings("ignore", message="some text")
        load(tmp_path / "a.png")
    assert len(warnings.filters) <= before + 1


def test_importing_changes_no_settings():
    code = (
        "import warnings, PIL.Image, PIL.ImageFile\n"
        "def state():\n"
        "    return PIL.Image.MAX_IMAGE_PIXELS, PIL.ImageFile.LOAD_TRUNCATED_IMAGES\n"
        "before = state()\n"
        "from modal_pretrain.images import decode, quiet\n"
        "assert state() == before\n"
        "assert quiet._FILTER not in warnings.filters\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_decoding_changes_no_pillow_settings(tmp_path):
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    (tmp_path / "a.png").write_bytes(png_header(50_000, 50_000))
    with pytest.raises(ImageLoadError):
        load(tmp_path / "a.png")
    after = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    assert after == before


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


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs links")
def test_links_in_a_circle(tmp_path):
    os.symlink("a.jpg", tmp_path / "a.jpg")
    with pytest.raises(ImageLoadError, match="can't be opened: Too many levels"):
        load(tmp_path / "a.jpg")


def test_eps(tmp_path, monkeypatch):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.eps")
    monkeypatch.setattr(EpsImagePlugin, "has_ghostscript", lambda: False)
    with pytest.raises(ImageLoadError, match=r"is an EPS file.*Convert it to PNG"):
        load(tmp_path / "a.eps")


def test_a_path_from_home():
    with pytest.raises(ImageFileNotFoundError, match=r"os\.path\.expanduser"):
        load("~/no such picture.png")


@pytest.mark.skipif(sys.platform == "win32", reason="a folder in use stays there")
def test_a_working_directory_that_is_gone(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for path in ("picture.png", str(tmp_path / "picture.png")):
        with pytest.raises(ImageFileNotFoundError, match="has been deleted"):
            load(path)
    with pytest.raises(ImageFileNotFoundError, match="has been deleted"):
        as_images(["picture.png"]).row_keys()
