"""Pillow images that nobody has read stay so, and count as if they were."""

import io
import sys

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from modal_pretrain.images.accept import as_images

FORMATS = ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP")


def written(file_format, **kwargs):
    """The bytes of a picture, lying on its side."""
    pixels = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    exif = Image.Exif()
    if file_format in ("PNG", "JPEG", "TIFF", "WEBP"):
        exif[0x0112] = 6
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, file_format, exif=exif, **kwargs)
    return file.getvalue()


def is_read(image):
    return vars(image).get("_im", vars(image).get("im")) is not None


@pytest.mark.parametrize("file_format", FORMATS)
def test_images_over_bytes_stay_unread(file_format):
    data = written(file_format)
    unread, read = (Image.open(io.BytesIO(data)) for _ in range(2))
    read.load()
    source = as_images([unread, read])
    for _ in range(2):
        assert len(set(source.row_keys())) == 1
        np.testing.assert_array_equal(source.load(0), source.load(1))
    assert not is_read(unread)
    expected = np.array(ImageOps.exif_transpose(read).convert("RGB"))
    np.testing.assert_array_equal(source.load(0), expected)


def test_images_of_files_are_read_so_that_files_close(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(written("PNG"))
    with Image.open(path) as image:
        source = as_images([image])
        keys = source.row_keys()
    assert source.row_keys() == keys and is_read(image)


def test_what_was_done_to_an_unread_image_counts():
    data = written("JPEG")
    plain, drafted, turned = (Image.open(io.BytesIO(data)) for _ in range(3))
    drafted.draft("L", (3, 4))
    turned.getexif()[0x0112] = 1
    frames = [Image.new("L", (4, 4), grey) for grey in (0, 255)]
    file = io.BytesIO()
    frames[0].save(file, "TIFF", save_all=True, append_images=frames[1:])
    second = Image.open(file)
    second.seek(1)
    source = as_images([plain, drafted, turned, second])
    assert len(set(source.row_keys())) == 4
    assert source.load(0).shape == (9, 6, 3)
    assert (source.load(1) == source.load(1)[..., :1]).all()
    assert source.load(2).shape == (6, 9, 3)
    assert (source.load(3) == 255).all()


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
def test_an_orientation_that_was_taken_off_an_unread_image_is_not_applied(file_format):
    # With a resolution, Pillow does not look for one in the JPEG's EXIF block.
    data = written(file_format, dpi=(72, 72))
    plain, dropped = (Image.open(io.BytesIO(data)) for _ in range(2))
    del dropped.getexif()[0x0112]
    source = as_images([plain, dropped])
    assert len(set(source.row_keys())) == 2
    assert source.load(0).shape == (9, 6, 3) and source.load(1).shape == (6, 9, 3)


def test_a_stripped_exif_block_turns_no_unread_image():
    data = written("JPEG", dpi=(72, 72))
    plain, stripped = (Image.open(io.BytesIO(data)) for _ in range(2))
    del stripped.info["exif"]
    source = as_images([plain, stripped])
    assert len(set(source.row_keys())) == 2
    assert source.load(0).shape == (9, 6, 3) and source.load(1).shape == (6, 9, 3)


def test_an_image_in_many_rows_is_turned_in_each(tmp_path):
    path = tmp_path / "picture.jpg"
    path.write_bytes(written("JPEG", dpi=(72, 72)))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads meet where they seldom do
    try:
        for _ in range(100):
            with Image.open(path) as image:
                assert len(set(as_images([image] * 8).row_keys())) == 1
    finally:
        sys.setswitchinterval(interval)


def test_the_first_damaged_image_is_named():
    good, cut = written("PNG"), written("PNG")[:-40]
    images = [Image.open(io.BytesIO(data)) for data in (good, cut, cut)]
    with pytest.raises(ValueError, match=r"X\[1\].*can't be read"):
        as_images(images).row_keys()


@pytest.mark.skipif(sys.platform != "linux", reason="workers are not forked")
def test_workers_of_a_data_loader_read_files_that_are_open(tmp_path):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (4, 90, 90, 3), np.uint8)  # more than a buffer
    images = []
    for i, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / f"{i}.png")
        images.append(Image.open(tmp_path / f"{i}.png"))
    source = as_images(images)

    class Rows(torch.utils.data.Dataset):
        def __len__(self):
            return len(source)

        def __getitem__(self, i):
            return source.load(i)

    loader = torch.utils.data.DataLoader(
        Rows(), num_workers=1, multiprocessing_context="fork"
    )
    for _ in range(2):  # the second time, the first workers have read on
        found = torch.cat(list(loader))
        np.testing.assert_array_equal(found.numpy(), pictures)
    for i, picture in enumerate(pictures):  # which closes the files
        np.testing.assert_array_equal(source.load(i), picture)
