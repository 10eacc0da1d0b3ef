"""Large JPEG files decoded at a reduced scale: how small, how near, under which key."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.datasets import load_sample_images

from modal_pretrain import ImageLoadError, TimmEncoder
from modal_pretrain.images import decode, files
from modal_pretrain.images.accept import as_images
from modal_pretrain.images.preprocessing import Preprocessing

ROADWATER = Path(__file__).parents[3] / "shared" / "data" / "roadwater"

# Length of an embedding's difference by its length, default backbone, float32. On
# photographs of 3 megapixels made of 192 of roadwater's: 0.018 on average at 96 px and
# 0.016 at 224 px, where bfloat16's own error is 0.033 and 0.030; on noise up to 0.058,
# and bfloat16's 0.082.
MEAN_ERROR, LARGEST_ERROR = 0.05, 0.08


@pytest.fixture
def any_size(monkeypatch):
    """Files of all sizes count as large."""
    monkeypatch.setattr(files, "_LARGE_FILE", 0)


@pytest.fixture
def photo():
    """A photograph of 424 x 640 pixels, all multiples of 8."""
    return load_sample_images().images[0][:424]


def preprocessing(size=32):
    square, grey = (size, size), (0.5, 0.5, 0.5)
    return Preprocessing(square, "bicubic", square, "cover", grey, grey)


def save(picture, path, **params):
    Image.fromarray(picture).save(path, quality=92, **params)
    return str(path)


def loaded(path, size=32, scaled=True):
    return as_images([path]).scaled(scaled).load_for(0, preprocessing(size))


def like_a_photograph(seed, height=2000, width=3000):
    """Noise that is alike at all scales, as photographs are."""
    rng = np.random.default_rng(seed)
    picture = np.full((height, width, 3), 128, np.float32)
    for side in (4, 16, 64, 256, 1024):
        for channel in range(3):
            coarse = rng.normal(0, 40 / side**0.5, (side, side)).astype(np.float32)
            image = Image.fromarray(coarse).resize((width, height), Image.BICUBIC)
            picture[..., channel] += np.asarray(image)
    return np.clip(picture, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "size, expected",
    [(150, (640, 424)), (71, (640, 424)), (70, (320, 212)), (35, (160, 106))],
)
def test_as_small_as_suffices(photo, tmp_path, any_size, size, expected):
    path = save(photo, tmp_path / "a.jpg")
    assert loaded(path, size).size == expected
    assert loaded(path, size, scaled=False).size == (640, 424)
    assert as_images([path]).load_pil(0).size == (640, 424)


@pytest.mark.parametrize("turn", range(1, 9))
def test_orientation(photo, tmp_path, any_size, turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    path = save(photo[:, :200], tmp_path / "a.jpg", exif=exif)
    small, whole = loaded(path, 20), loaded(path, 20, scaled=False)
    assert small.width < 0.6 * whole.width
    assert (small.width > small.height) == (whole.width > whole.height)
    found, expected = (preprocessing(20).apply_uint8(x) for x in (small, whole))
    assert np.abs(found.astype(float) - expected).mean() < 6


@pytest.mark.parametrize("turn", [1, 3, 5, 6, 8])
@pytest.mark.parametrize("rows, columns", [(421, 633), (333, 600), (423, 637)])
def test_sides_that_are_no_multiples(tmp_path, any_size, turn, rows, columns):
    exif = Image.Exif()
    exif[0x0112] = turn
    blocks = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    picture = np.kron(blocks, np.ones((8, 8, 1), np.uint8))[:rows, :columns]
    path = save(picture, tmp_path / "a.jpg", exif=exif)
    small, whole = loaded(path), loaded(path, scaled=False)
    found, expected = (preprocessing().apply_uint8(x) for x in (small, whole))
    assert np.abs(found.astype(float) - expected).mean() < 2


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGB"])
@pytest.mark.parametrize("progressive", [False, True])
def test_modes(photo, tmp_path, any_size, mode, progressive):
    path = tmp_path / "a.jpeg"
    Image.fromarray(photo).convert(mode).save(path, progressive=progressive)
    small, whole = loaded(str(path)), loaded(str(path), scaled=False)
    assert small.size == (160, 106) and small.mode == "RGB"
    found, expected = (preprocessing().apply_uint8(x) for x in (small, whole))
    assert np.abs(found.astype(float) - expected).mean() < 4


def test_several_pictures_in_one_file(photo, tmp_path, any_size):
    path = tmp_path / "a.jpg"
    first, second = Image.fromarray(photo), Image.fromarray(255 - photo)
    first.save(path, format="MPO", save_all=True, append_images=[second])
    small, whole = loaded(str(path)), loaded(str(path), scaled=False)
    assert small.size == (160, 106)
    found, expected = (np.asarray(x.resize((40, 27))) for x in (small, whole))
    assert np.abs(found.astype(float) - expected).mean() < 4


def test_other_files_are_decoded_as_ever(photo, tmp_path, any_size):
    for name in ("a.png", "a.webp", "a.jpg.png"):
        path = save(photo, tmp_path / name)
        assert loaded(path).size == (640, 424)
        assert as_images([path]).scaled(True).row_keys() == as_images([path]).row_keys()
    # What is called a JPEG and is none is decoded whole.
    Image.fromarray(photo).save(tmp_path / "b.jpg", format="PNG")
    assert loaded(str(tmp_path / "b.jpg")).size == (640, 424)


def test_keys_change_only_where_bytes_may(photo, tmp_path, monkeypatch):
    path = save(photo, tmp_path / "a.jpg")
    source = as_images([path])
    plain = source.row_keys()
    assert source.scaled(True).row_keys() == plain  # a small file
    monkeypatch.setattr(files, "_LARGE_FILE", 1000)
    assert source.scaled(True).row_keys() != plain
    assert source.scaled(True).scaled(False).row_keys() == plain == source.row_keys()
    assert as_images([path.replace(".jpg", ".JPG")]).scaled(True)._scaled


def test_large_files_are_those_of_256_kib():
    source = as_images(["a.jpg"]).scaled(True)
    assert source._is_scaled("a.jpg", 256 * 1024)
    assert not source._is_scaled("a.jpg", 256 * 1024 - 1)
    assert not source.scaled(False)._is_scaled("a.jpg", 256 * 1024)


def test_parts_and_pickles_stay_scaled(photo, tmp_path, any_size):
    paths = [save(photo, tmp_path / f"{k}.jpg") for k in range(3)]
    source = as_images(paths).scaled(True)
    for part in (source.take([2, 0]), pickle.loads(pickle.dumps(source))):
        assert part.load_for(0, preprocessing()).size == (160, 106)


def test_errors_are_those_of_whole_files(photo, tmp_path, any_size, monkeypatch):
    path = save(photo, tmp_path / "a.jpg")
    Path(path).write_bytes(Path(path).read_bytes()[:5000])
    with pytest.raises(ImageLoadError, match="can't be decoded"):
        loaded(path)
    with pytest.raises(ImageLoadError, match="no such file"):
        loaded(str(tmp_path / "b.jpg"))
    path = save(photo, tmp_path / "c.jpg")
    monkeypatch.setattr(decode.Image, "MAX_IMAGE_PIXELS", 200 * 1000)
    with pytest.raises(ImageLoadError, match="suspiciously large"):
        loaded(path)


def test_the_parameter(photo, tmp_path, any_size, cache):
    path = save(photo, tmp_path / "a.jpg")
    params = {"image_size": 32, "precision": "float32", "device": "cpu"}
    encoder = TimmEncoder(cache=cache, **params).fit([path])
    small = encoder.transform([path])
    whole = clone(encoder).set_params(scaled_decoding=False).fit_transform([path])
    assert np.abs(small - whole).max() > 0
    assert cache.info()["rows"] == 2
    np.testing.assert_array_equal(whole, encoder.transform([Image.open(path)]))
    with pytest.raises(ValueError, match="scaled_decoding must be True or False"):
        encoder.set_params(scaled_decoding="no").fit([path])


# How near -----------------------------------------------------------------------------


def errors(paths, size):
    params = {"image_size": size, "precision": "float32", "device": "cpu"}
    encoder = TimmEncoder(cache=None, engine="torch", **params).fit(paths[:1])
    small = encoder.transform(paths)
    whole = encoder.set_params(scaled_decoding=False).fit_transform(paths)
    assert np.abs(small - whole).max() > 0
    return np.linalg.norm(small - whole, axis=1) / np.linalg.norm(whole, axis=1)


@pytest.mark.parametrize("size", [96, 224])
def test_embeddings_of_what_is_like_a_photograph(tmp_path, size):
    paths = [save(like_a_photograph(k), tmp_path / f"{k}.jpg") for k in range(2)]
    assert all(Path(path).stat().st_size >= 256 * 1024 for path in paths)
    found = errors(paths, size)
    assert found.mean() <= MEAN_ERROR and found.max() <= LARGEST_ERROR


@pytest.mark.skipif(not ROADWATER.exists(), reason="roadwater is not here")
@pytest.mark.parametrize("size", [96, 224])
def test_embeddings_of_photographs(tmp_path, size):
    known = sorted(ROADWATER.rglob("*.jpg"))
    paths = []
    for k in range(4):
        chosen = np.random.default_rng(k).choice(len(known), 192, replace=False)
        large = Image.new("RGB", (2048, 1536))
        for i, row in enumerate(chosen):
            with Image.open(known[row]) as small:
                large.paste(small.resize((128, 128)), (i % 16 * 128, i // 16 * 128))
        paths.append(save(np.asarray(large), tmp_path / f"{k}.jpg"))
    found = errors(paths, size)
    assert found.mean() <= MEAN_ERROR and found.max() <= LARGEST_ERROR
