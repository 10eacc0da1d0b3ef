"""Files and Pillow images that cannot be decoded are named, and why."""

import os
import pickle
import socket
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from modal_pretrain.images.accept import as_images
from modal_pretrain.images.decode import (
    ImageFileNotFoundError,
    ImageLoadError,
)
from tests.images.decode_cases import huge_png, load, photo


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


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:4d", "git lfs pull"),
        ("", r"empty \(0 bytes\)"),
        ("<!DOCTYPE html><html>log in</html>", "a web page"),
        ("\r\n\n  <HTML><body>log in", "a web page"),
        ("/annex/objects/SHA256E-s100--4d.jpg\n", "git annex get"),
        ("\ufeff\n\n<html>not found</html>", "a web page"),
        ("<svg></svg>", "not a picture that Pillow can read"),
    ],
)
def test_a_file_whose_content_has_not_come(tmp_path, content, words):
    (tmp_path / "a.jpg").write_text(content)
    with pytest.raises(ImageLoadError, match=rf"a\.jpg'\) is .*{words}.*drop the row"):
        load(tmp_path / "a.jpg")


@pytest.mark.parametrize("side", [11_000, 50_000])  # Pillow warns; Pillow raises
def test_decompression_bomb(tmp_path, side):
    path = tmp_path / "bomb.png"
    huge_png(path, side)
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


def test_a_path_with_its_quotation_marks():
    """As "Copy as path" of Windows gives it."""
    with pytest.raises(ImageFileNotFoundError, match="Remove the quotation marks"):
        load('"no such picture.png"')
