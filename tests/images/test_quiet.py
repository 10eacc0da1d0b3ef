"""Warnings and settings of Pillow, which decoding leaves alone."""

import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image, ImageFile

from modal_pretrain.images.accept import as_images
from modal_pretrain.images.decode import (
    ImageLoadError,
)
from modal_pretrain.images.quiet import quiet_pillow
from tests.images.decode_cases import huge_png, load, photo, with_exif


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
    huge_png(tmp_path / "a.png", 50_000)
    with pytest.raises(ImageLoadError):
        load(tmp_path / "a.png")
    after = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    assert after == before
