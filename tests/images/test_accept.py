"""Kinds of X: what is accepted, refused, hashed; and what modAL does to X."""

import pickle
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from PIL import Image
from sklearn.utils import check_X_y

from modal_pretrain.images.accept import ImageLoadError, ImageSource, as_images

H, W, N = 7, 9, 5


@pytest.fixture
def X():
    return np.random.default_rng(0).integers(0, 256, (N, H, W, 3), dtype=np.uint8)


def objects(items):
    """Object array that NumPy does not try to look into."""
    array = np.empty(len(items), dtype=object)
    for k, item in enumerate(items):
        array[k] = item
    return array


def first_channels(X):
    return np.ascontiguousarray(X.transpose(0, 3, 1, 2))


def as_float(X, dtype=np.float32):
    return first_channels(X).astype(dtype) / dtype(255)


def as_paths(X, folder):
    paths = []
    for k, picture in enumerate(X):
        paths.append(folder / f"{k}.png")
        Image.fromarray(picture).save(paths[-1])
    return paths


def as_memmap(X, folder):
    path = folder / "X.npy"
    np.save(path, X)
    return np.load(path, mmap_mode="r")


KINDS = {
    "uint8": lambda X, _: X,
    "uint8 with alpha": lambda X, _: np.insert(X, 3, 255, axis=-1),
    "uint8 Fortran order": lambda X, _: np.asfortranarray(X),
    "uint16": lambda X, _: X.astype(np.uint16) * 257,
    "uint16 big endian": lambda X, _: (X.astype(np.uint16) * 257).astype(">u2"),
    "float16": lambda X, _: as_float(X).astype(np.float16),
    "float32": lambda X, _: as_float(X),
    "float64": lambda X, _: as_float(X, np.float64),
    "float32 big endian": lambda X, _: as_float(X).astype(">f4"),
    "memory-mapped": as_memmap,
    "float memory-mapped": lambda X, folder: as_memmap(as_float(X), folder),
    "tensor": lambda X, _: torch.from_numpy(X),
    "float tensor": lambda X, _: torch.from_numpy(as_float(X)),
    "float tensor with gradient": lambda X, _: torch.from_numpy(
        as_float(X)
    ).requires_grad_(),
    "float tensor channels last": lambda X, _: torch.from_numpy(as_float(X)).to(
        memory_format=torch.channels_last
    ),
    "list of arrays": lambda X, _: list(X),
    "tuple of arrays": lambda X, _: tuple(X),
    "list of float arrays": lambda X, _: list(as_float(X)),
    "list of tensors": lambda X, _: list(torch.from_numpy(X)),
    "list of float tensors": lambda X, _: list(torch.from_numpy(as_float(X))),
    "object array of arrays": lambda X, _: objects(list(X)),
    "object array, n-dimensional": lambda X, _: X.astype(object),
    "nested lists": lambda X, _: X.tolist(),
    "nested lists of floats": lambda X, _: as_float(X).tolist(),
    "list of PIL": lambda X, _: [Image.fromarray(x) for x in X],
    "object array of PIL": lambda X, _: objects([Image.fromarray(x) for x in X]),
    "list of Path": as_paths,
    "list of str": lambda X, folder: [str(p) for p in as_paths(X, folder)],
    "array of str": lambda X, folder: np.array([str(p) for p in as_paths(X, folder)]),
    "object array of str": lambda X, folder: objects(
        [str(p) for p in as_paths(X, folder)]
    ),
    "object array of Path": lambda X, folder: objects(as_paths(X, folder)),
    "column of str": lambda X, folder: np.array(
        [[str(p)] for p in as_paths(X, folder)]
    ),
    "Series of Path": lambda X, folder: pd.Series(
        as_paths(X, folder), index=range(3, 8)
    ),
    "Series of str": lambda X, folder: pd.Series([str(p) for p in as_paths(X, folder)]),
    "Series of category": lambda X, folder: pd.Series(
        [str(p) for p in as_paths(X, folder)], dtype="category"
    ),
    "Index": lambda X, folder: pd.Index([str(p) for p in as_paths(X, folder)]),
    "DataFrame": lambda X, folder: pd.DataFrame({"path": as_paths(X, folder)}),
}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


# Accepted ---------------------------------------------------------------------------


def test_same_pictures_from_every_kind(X, kind, tmp_path):
    source = as_images(KINDS[kind](X, tmp_path))
    assert isinstance(source, ImageSource) and len(source) == N
    for k in range(N):
        got = source.load(k)
        assert got.dtype == np.uint8
        np.testing.assert_array_equal(got, X[k])
        pil = source.load_pil(k)
        assert pil.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(pil), X[k])
    np.testing.assert_array_equal(np.stack(list(source)), X)


def test_block_and_uniform_size_agree(X, kind, tmp_path):
    source = as_images(KINDS[kind](X, tmp_path))
    block = source.block(1, 4)
    if source.uniform_size is None:
        assert block is None
    else:
        assert source.uniform_size == (H, W)
        assert block.dtype == np.uint8
        np.testing.assert_array_equal(block, X[1:4])
        np.testing.assert_array_equal(source.block(4, 99), X[4:])
        assert source.block(2, 2).shape == (0, H, W, 3)


@pytest.mark.parametrize(
    "indices",
    [
        [3, 0, 3],
        np.array([-1, 1], dtype=np.int8),
        np.array([4, 2], dtype=np.uint64),
        slice(1, 4),
        slice(None, None, 2),
        slice(None, None, -1),
        slice(4, 1, -2),
        [],
        slice(3, 3),
    ],
)
def test_take_twice(X, kind, tmp_path, indices):
    source = as_images(KINDS[kind](X, tmp_path))
    keys = source.row_keys()
    rows = np.arange(N)[
        indices if isinstance(indices, slice) else np.array(indices, int)
    ]
    taken = source.take(indices)
    assert len(taken) == len(rows) and len(source) == N
    assert taken.row_keys() == [keys[row] for row in rows]
    for k, row in enumerate(rows):
        np.testing.assert_array_equal(taken.load(k), X[row])
        assert taken.describe(k) == source.describe(row)
    again = taken.take(slice(None, None, -1))
    assert again.row_keys() == taken.row_keys()[::-1]
    assert len(again) == len(rows)
    block = again.block(0, len(rows))
    if block is not None:
        np.testing.assert_array_equal(block, X[rows[::-1]])


def test_uniform_uint8_blocks_are_views(X, tmp_path):
    for array in (X, as_memmap(X, tmp_path), torch.from_numpy(X).numpy()):
        source = as_images(array)
        assert np.shares_memory(source.block(1, 3), array)
        assert np.shares_memory(source.take(slice(1, 5, 2)).block(0, 2), array)
        assert np.shares_memory(source.load(2), array)


def test_sizes_may_differ_in_lists():
    arrays = [np.full((h, 4, 3), h, np.uint8) for h in (2, 3, 5)]
    for X in (arrays, objects(arrays), [Image.fromarray(a) for a in arrays]):
        source = as_images(X)
        assert source.uniform_size is None and source.block(0, 2) is None
        assert [source.load(k).shape[0] for k in range(3)] == [2, 3, 5]


def test_types_may_differ_in_lists_of_arrays(X):
    items = [X[0], as_float(X)[1], X[2].astype(np.uint16) * 257, X[3][..., 0]]
    source = as_images(items)
    assert source.uniform_size is None
    for k in range(3):
        np.testing.assert_array_equal(source.load(k), X[k])
    np.testing.assert_array_equal(source.load(3), np.repeat(X[3][..., :1], 3, axis=-1))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_grey(X, dtype, tmp_path):
    grey = X[..., 0]
    expected = np.repeat(grey[..., None], 3, axis=-1)
    if dtype is np.float32:
        variants = [as_float(grey[..., None])]
    else:
        array = grey.astype(dtype) * (257 if dtype is np.uint16 else 1)
        variants = [array, array[..., None], list(array)]
        paths = []
        for k, item in enumerate(array):
            paths.append(tmp_path / f"{k}.png")
            Image.fromarray(item).save(paths[-1])
        variants += [paths, [Image.fromarray(item) for item in array]]
    for variant in variants:
        source = as_images(variant)
        np.testing.assert_array_equal([source.load(k) for k in range(N)], expected)


def test_alpha_in_arrays_files_and_images_agrees(tmp_path):
    rgba = np.random.default_rng(1).integers(0, 256, (2, 30, 30, 4), dtype=np.uint8)
    images = [Image.fromarray(item) for item in rgba]
    expected = as_images(rgba).block(0, 2)
    exact = rgba[..., :3] * (rgba[..., 3:] / 255) + 255 - rgba[..., 3:]
    np.testing.assert_array_equal(expected, np.rint(exact))
    for variant in (images, as_paths(rgba, tmp_path), list(rgba)):
        source = as_images(variant)
        np.testing.assert_array_equal([source.load(0), source.load(1)], expected)


def test_floats_are_rounded_to_the_nearest():
    values = np.array([0, 0.4, 0.6, 1.4, 127.4, 127.6, 254.6, 255]) / 255
    row = values.reshape(1, 1, 1, 8)
    for dtype in (np.float32, np.float64):
        got = as_images(row.astype(dtype)).load(0)[0, :, 0]
        assert got.tolist() == [0, 0, 1, 1, 127, 128, 255, 255]


def test_rounding_noise_around_the_range_is_accepted():
    noisy = np.array([-1e-6, 1 + 1e-6], np.float32).reshape(1, 1, 1, 2)
    assert as_images(noisy).load(0)[0, :, 0].tolist() == [0, 255]


def test_bfloat16_tensor(X):
    tensor = torch.from_numpy(as_float(X)).bfloat16()
    source = as_images(tensor)
    expected = np.rint(tensor.float().numpy() * 255).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(source.block(0, N), expected)
    np.testing.assert_array_equal(source.load(2), expected[2])
    taken = source.take([3, 1])
    np.testing.assert_array_equal(taken.block(0, 2), expected[[3, 1]])
    backwards = source.take(slice(None, None, -1))
    np.testing.assert_array_equal(backwards.block(0, N), expected[::-1])
    assert source.uniform_size == (H, W)
    assert taken.row_keys() == as_images(tensor.float().numpy()[[3, 1]]).row_keys()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_tensors_on_a_device(X):
    for array in (X, as_float(X)):
        source = as_images(torch.from_numpy(array).cuda())
        np.testing.assert_array_equal(source.block(0, N), X)
        np.testing.assert_array_equal(source.take([3, 1]).block(0, 2), X[[3, 1]])
        assert source.row_keys() == as_images(array).row_keys()


def test_a_source_is_returned_as_it_is(X):
    source = as_images(X)
    assert as_images(source) is source


def test_indexing(X):
    source = as_images(X)
    np.testing.assert_array_equal(source[2], X[2])
    np.testing.assert_array_equal(source[np.int64(-1)], X[-1])
    assert len(source[1:3]) == 2 and len(source[[0, 1, 2]]) == 3
    with pytest.raises(IndexError):
        source.load(N)
    with pytest.raises(IndexError):
        source.take([N])


@pytest.mark.parametrize("indices", [3, [0.5], np.ones(N, bool), [[1]], "a", None])
def test_take_wants_integers(X, indices):
    with pytest.raises(TypeError, match=r"integers.*flatnonzero"):
        as_images(X).take(indices)


def test_paths_are_not_touched():
    source = as_images(["does/not/exist.jpg"] * 3)
    assert len(source.take([0, 1])) == 2
    assert source.uniform_size is None


def test_lists_are_copied(X):
    items = list(X)
    source = as_images(items)
    items[0] = None
    np.testing.assert_array_equal(source.load(0), X[0])


def test_memory_maps_are_not_loaded(tmp_path):
    path = tmp_path / "big.dat"
    shape = (1_000_000, 64, 64, 3)  # 12 GB, sparse on the disk
    array = np.memmap(path, np.uint8, "w+", shape=shape)
    start = time.perf_counter()
    source = as_images(array).take(np.arange(0, 1_000_000, 1000))
    assert source.load(5).shape == (64, 64, 3)
    assert source.block(3, 5).shape == (2, 64, 64, 3)
    assert len(source.take([1, 2]).row_keys()) == 2
    assert time.perf_counter() - start < 5  # reading 12 GB takes longer


def test_sources_pickle(X, kind, tmp_path):
    source = as_images(KINDS[kind](X, tmp_path)).take([2, 0])
    copy = pickle.loads(pickle.dumps(source))
    assert copy.row_keys() == source.row_keys()
    np.testing.assert_array_equal(copy.load(0), X[2])


def test_lazily_opened_images_shared_by_threads(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    for _ in range(5):
        with Image.open(tmp_path / "a.png") as image:
            source = as_images([image] * 16)
            with ThreadPoolExecutor(8) as pool:
                pictures = list(pool.map(source.load, range(16)))
        assert all((picture == noise).all() for picture in pictures)


def test_describe(X):
    assert as_images(["cats/1.jpg"] * 4).describe(3) == "X[3] ('cats/1.jpg')"
    assert as_images(np.array(["cats/1.jpg"])).describe(0) == "X[0] ('cats/1.jpg')"
    assert (
        as_images([Path("a") / "b.png"]).describe(0)
        == f"X[0] ({str(Path('a/b.png'))!r})"
    )
    assert as_images(X, name="X_pool").describe(1) == "X_pool[1]"
    assert as_images(X).take([4, 2]).describe(1) == "X[2]"
    image = Image.new("P", (30, 20))
    assert as_images([image]).describe(0) == "X[0] (PIL image of mode P, 30 x 20)"
    assert "uint8 array of shape (7, 9, 3)" in as_images(list(X)).describe(0)


# Keys -------------------------------------------------------------------------------


def test_keys_are_16_bytes_and_differ(X, kind, tmp_path):
    keys = as_images(KINDS[kind](X, tmp_path)).row_keys()
    assert len(keys) == N == len(set(keys))
    assert {len(key) for key in keys} == {16}


def test_keys_do_not_depend_on_the_container(X, tmp_path):
    expected = as_images(X).row_keys()
    for kind in (
        "uint8 Fortran order", "memory-mapped", "tensor", "list of arrays",
        "list of tensors", "object array of arrays", "nested lists",
        "object array, n-dimensional",
    ):  # fmt: skip
        assert as_images(KINDS[kind](X, tmp_path)).row_keys() == expected, kind
    paths = as_paths(X, tmp_path)
    expected = as_images(paths).row_keys()
    assert as_images(np.array([str(p) for p in paths])).row_keys() == expected


def test_keys_of_strided_views(X):
    keys = as_images(X).row_keys()
    assert as_images(X[::2]).row_keys() == keys[::2]
    assert as_images(X[::-1]).row_keys() == keys[::-1]
    flipped = X[:, :, ::-1]
    assert as_images(flipped).row_keys() == as_images(flipped.copy()).row_keys()
    assert not set(as_images(flipped).row_keys()) & set(keys)


def test_shape_and_type_are_part_of_the_key():
    zeros = np.zeros((1, 12, 12, 3), np.uint8)
    variants = [
        zeros,
        zeros.reshape(1, 6, 24, 3),
        zeros.reshape(1, 9, 12, 4),
        zeros.reshape(1, 36, 12, 1),
        zeros.reshape(1, 36, 12),
        np.zeros((1, 18, 12, 1), np.uint16),
        np.zeros((1, 3, 6, 6), np.float32),
        np.zeros((1, 3, 6, 6), np.float64),
        [Image.new("RGB", (12, 12))],
        [Image.new("L", (12, 36))],
    ]
    assert len({as_images(variant).row_keys()[0] for variant in variants}) == 10


def test_everything_that_shows_is_part_of_a_pillow_key():
    palette = Image.new("P", (4, 4))
    palette.putpalette([1, 2, 3])
    other = palette.copy()
    other.putpalette([1, 2, 4])
    clear = palette.copy()
    clear.info["transparency"] = 0
    turned = Image.new("RGB", (4, 4))
    turned.getexif()[0x0112] = 6
    images = [palette, other, clear, Image.new("RGB", (4, 4)), turned]
    images += [Image.new("RGB", (2, 8)), Image.new("L", (4, 4)), Image.new("1", (4, 4))]
    keys = as_images(images).row_keys()
    assert len(set(keys)) == len(images)
    assert as_images([image.copy() for image in images[:4]]).row_keys() == keys[:4]


def test_path_keys_follow_the_file(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 4)).save(path)
    (tmp_path / "b.png").write_bytes(path.read_bytes())
    source = as_images([str(path)])
    key = source.row_keys()
    assert source.row_keys() == key
    monkeypatch.chdir(tmp_path)
    assert as_images(["a.png"]).row_keys() == key
    assert as_images(["./a.png"]).row_keys() == key
    assert as_images(["b.png"]).row_keys() != key
    Image.new("RGB", (4, 4), "red").save(path)
    assert source.row_keys() != key


def test_key_of_a_missing_file(tmp_path):
    with pytest.raises(ImageLoadError, match=r"X\[1\] \('.*no\.png'\): no such file"):
        as_images([tmp_path, tmp_path / "no.png"][1:] * 2).take([1]).row_keys()


def test_keys_are_the_same_in_another_process():
    code = (
        "import numpy as np; from PIL import Image\n"
        "from modal_pretrain.images.accept import as_images\n"
        "X = np.arange(96, dtype=np.uint8).reshape(2, 4, 4, 3)\n"
        "pil = [Image.fromarray(x) for x in X]\n"
        "print([k.hex() for k in as_images(X).row_keys() + as_images(pil).row_keys()])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    X = np.arange(96, dtype=np.uint8).reshape(2, 4, 4, 3)
    keys = (
        as_images(X).row_keys() + as_images([Image.fromarray(x) for x in X]).row_keys()
    )
    assert done.stdout.strip() == str([key.hex() for key in keys])


def test_hashing_is_fast():
    X = np.zeros((3000, 96, 96, 3), np.uint8)
    source = as_images(X)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        source.row_keys()
        seconds.append(time.perf_counter() - start)
    # 6 ms on a quiet machine; the margin is for busy ones.
    assert min(seconds) < 0.1


# Refused ----------------------------------------------------------------------------

U8 = np.zeros((4, 8, 9, 3), np.uint8)
F32 = np.zeros((4, 3, 8, 9), np.float32)


def spoilt(value):
    X = F32.copy()
    X[2, 1, 3, 3] = value
    return X


REFUSED = {
    "0-255 floats": (F32 + 200, ValueError, r"X\[0\] .* 200 to 200.*Divide by 255"),
    "above 255": (spoilt(999), ValueError, r"X\[2\] .* 0 to 999.*by the largest"),
    "normalised": (spoilt(-2), ValueError, r"X\[2\] .*from -2.*normalised already"),
    "slightly out": (spoilt(1.01), ValueError, r"X\[2\] .* 1\.01"),
    "NaN": (spoilt(np.nan), ValueError, r"X\[2\] contains NaN or infinity.*nan_to_num"),
    "inf": (spoilt(np.inf), ValueError, r"X\[2\] contains NaN or infinity"),
    "-inf": (spoilt(-np.inf), ValueError, r"X\[2\] contains NaN or infinity"),
    "float channels last": (
        U8 / 255, ValueError, r"channels last.*X\.transpose\(0, 3, 1, 2\)",
    ),
    "float RGBA channels last": (
        np.zeros((2, 8, 9, 4)), ValueError, r"transpose\(0, 3, 1, 2\) after dropping",
    ),
    "uint8 channels first": (
        U8.transpose(0, 3, 1, 2), ValueError, r"first.*X\.transpose\(0, 2, 3, 1\)",
    ),
    "int64": (U8.astype(np.int64), TypeError, r"int64.*X\.astype\(numpy\.uint8\)"),
    "int8": (U8.astype(np.int8), TypeError, "int8"),
    "uint32": (U8.astype(np.uint32), TypeError, "uint32"),
    "bool": (U8.astype(bool), TypeError, r"bool.*\* 255"),
    "complex": (F32.astype(complex), ValueError, "Complex data not supported"),
    "datetime": (U8.astype("M8[s]"), TypeError, "datetime64"),
    "no batch axis": (U8[0], ValueError, r"one picture.*X\[None\]"),
    "no batch axis, RGBA": (
        np.zeros((8, 9, 4), np.uint8), ValueError, r"X\[None\]",
    ),
    "no batch axis, float": (F32[0], ValueError, r"one picture.*X\[None\]"),
    "no batch axis, float last": (U8[0] / 255, ValueError, r"one picture.*X\[None\]"),
    "grey floats": (np.zeros((5, 8, 9)), ValueError, r"X\[:, None\]"),
    "tabular": (np.zeros((150, 4)), ValueError, r"\(150, 4\).*tabular.*are expected"),
    "tabular uint8": (np.zeros((150, 4), np.uint8), ValueError, r"tabular.*X\[None\]"),
    "tabular int64": (np.zeros((150, 4), int), ValueError, "tabular"),
    "tabular lists": ([[0.5, 1.0], [2.0, 3.0]], ValueError, "tabular"),
    "1-D": (np.zeros(7), ValueError, "tabular"),
    "5-D": (np.zeros((1, 2, 3, 8, 8), np.float32), ValueError, r"\(n, 3, h, w\)"),
    "5-D uint8": (np.zeros((1, 2, 8, 8, 3), np.uint8), ValueError, r"\(n, h, w, 3\)"),
    "2 channels": (np.zeros((2, 8, 9, 2), np.uint8), ValueError, r"\(n, h, w, 3\)"),
    "2 channels, float": (np.zeros((2, 2, 8, 9)), ValueError, r"\(n, 3, h, w\)"),
    "0-D": (np.array(3.0), TypeError, "single value"),
    "empty": (U8[:0], ValueError, r"Found array with 0 sample\(s\) .* minimum of 1 is"),
    "empty list": ([], ValueError, r"Found array with 0 sample\(s\)"),
    "empty paths": (np.array([], "<U5"), ValueError, r"Found array with 0 sample\(s\)"),
    "empty Series": (pd.Series([], dtype=str), ValueError, "Found array with 0 sample"),
    "empty tensor": (torch.zeros(0, 3, 4, 4), ValueError, "Found array with 0 sample"),
    "sparse": (scipy.sparse.eye(5), TypeError, "sparse"),
    "sparse array": (scipy.sparse.coo_array((5, 5)), TypeError, "sparse"),
    "sparse tensor": (torch.zeros(2, 3, 4, 4).to_sparse(), TypeError, "sparse"),
    "no pixels": (np.zeros((2, 0, 9, 3), np.uint8), ValueError, "no pixels"),
    "no pixels, float": (np.zeros((2, 3, 8, 0)), ValueError, "no pixels"),
    "no pixels, PIL": ([Image.new("RGB", (0, 3))], ValueError, r"X\[0\].*without pix"),
    "no pixels, list": ([np.zeros((0, 9, 3), np.uint8)], ValueError, "no pixels"),
    "single path": ("cat.jpg", TypeError, r"single path.*\[X\]"),
    "single Path": (Path("cats"), TypeError, r"single path.*\[X\]"),
    "single image": (Image.new("RGB", (3, 3)), TypeError, r"single PIL image.*\[X\]"),
    "path and image": (
        ["a.jpg", Image.new("RGB", (3, 3))],
        TypeError,
        r"mixes kinds: X\[0\] is a path, X\[1\] a PIL image",
    ),
    "image and array": (
        [Image.new("RGB", (3, 3))] * 2 + [U8[0]], TypeError, r"X\[2\] an array",
    ),
    "bytes": (b"cat.jpg", TypeError, "bytes"),
    "list of bytes": ([b"cat.jpg"], TypeError, r"X\[0\] is bytes.*fsdecode"),
    "array of bytes": (np.array([b"cat.jpg"]), TypeError, r"X\[0\] is bytes"),
    "None": (["a.jpg", None], ValueError, r"X\[1\] is missing"),
    "only None": (None, TypeError, "NoneType"),
    "NaN in a Series": (pd.Series(["a.jpg", np.nan]), ValueError, r"X\[1\] is missing"),
    "NA in a Series": (
        pd.Series(["a.jpg", pd.NA], dtype="string"), ValueError, r"X\[1\] is missing",
    ),
    "NaN in objects": (objects(["a.jpg", np.nan]), ValueError, r"X\[1\] is missing"),
    "empty path": (["a.jpg", ""], ValueError, r"X\[1\] is an empty path"),
    "DataFrame": (pd.DataFrame({"a": ["x"], "b": ["y"]}), TypeError, r"2 columns.*X\["),
    "numeric DataFrame": (pd.DataFrame({"a": [1.5]}), TypeError, r"X\[0\] is of type"),
    "numeric Series": (pd.Series([1, 2]), TypeError, r"X\[0\] is of type int"),
    "list of numbers": ([1, 2, 3], TypeError, r"X\[0\] is of type int"),
    "generator": ((p for p in ["a.jpg"]), TypeError, "generator"),
    "set": ({"a.jpg"}, TypeError, "set"),
    "dict": ({"x": U8}, TypeError, "dict"),
    "list of dicts": ([{}], TypeError, r"X\[0\] is of type dict"),
    "channels first in a list": (
        [U8[0].transpose(2, 0, 1)], ValueError, r"X\[0\]\.transpose\(1, 2, 0\)",
    ),
    "float channels last in a list": (
        [F32[0], U8[0] / 255], ValueError, r"X\[1\]\.transpose\(2, 0, 1\)",
    ),
    "floats out of range in a list": (
        [F32[0], F32[0] + 9], ValueError, r"^X\[1\] has values from 9 to 9",
    ),
    "batches in a list": ([U8], ValueError, r"X\[0\].*\(h, w, 3\) is expected"),
    "int64 in a list": ([U8[0].astype(int)], TypeError, r"X\[0\] has dtype int64"),
    "ragged nested lists": (
        [U8[0].tolist(), U8[0, :5].tolist()], ValueError, "sizes.*uint8 arrays",
    ),
    "nested lists out of range": (
        (U8 + 0x100 * np.uint16(1)).tolist(), ValueError, "from 0 to 256",
    ),
    "nested lists of paths": ([["a", "b"], ["c", "d"]], TypeError, "not of numbers"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    X, error, match = REFUSED[case]
    with pytest.raises(error, match=match):
        as_images(X)


@pytest.mark.parametrize(
    ("tensor", "error", "match"),
    [
        (torch.zeros(2, 8, 9, 3), ValueError, r"X\.permute\(0, 3, 1, 2\)"),
        (
            torch.zeros(2, 3, 8, 9, dtype=torch.uint8),
            ValueError,
            r"X\.permute\(0, 2, 3,",
        ),
        (
            torch.zeros(2, 8, 9, 3, dtype=torch.int64),
            TypeError,
            r"X\.to\(torch\.uint8\)",
        ),
        (torch.full((2, 3, 8, 9), 200.0), ValueError, "Divide by 255"),
        (torch.full((2, 3, 8, 9), torch.nan), ValueError, "NaN.*torch.nan_to_num"),
        (torch.zeros(2, 8, 9, 3).bfloat16(), ValueError, r"X\.permute\(0, 3, 1, 2\)"),
        (torch.full((2, 3, 8, 9), 200.0).bfloat16(), ValueError, "Divide by 255"),
        (torch.full((2, 3, 8, 9), torch.nan).bfloat16(), ValueError, "NaN"),
        (torch.zeros(3, 8, 9).bfloat16(), ValueError, r"X\[None\]"),
        (torch.tensor(1.0), TypeError, "single value"),
        (torch.tensor(1.0).bfloat16(), ValueError, "pictures are expected"),
    ],
)
def test_refused_tensors(tensor, error, match):
    with pytest.raises(error, match=match):
        as_images(tensor)


def test_errors_use_the_name_given():
    with pytest.raises(ValueError, match=r"X_pool\[2\] contains NaN"):
        as_images(spoilt(np.nan), name="X_pool")
    with pytest.raises(TypeError, match=r"X_pool mixes kinds"):
        as_images(["a", Image.new("L", (2, 2))], name="X_pool")


def test_the_bad_row_is_found_beyond_the_first_chunk():
    X = np.zeros((200, 3, 96, 96), np.float32)
    X[173, 0, 0, 0] = 2
    with pytest.raises(ValueError, match=r"X\[173\] has values from 0 to 2"):
        as_images(X)


def test_float_range_check_is_chunked(tmp_path):
    import tracemalloc

    X = np.memmap(tmp_path / "X", np.float32, "w+", shape=(2000, 3, 64, 64))  # 98 MB
    tracemalloc.start()
    as_images(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


# modAL ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    ["uint8", "array of str", "object array of str", "object array of PIL",
     "object array of Path"],
)  # fmt: skip
def test_after_what_modal_does_to_arrays(X, kind, tmp_path):
    pool = KINDS[kind](X, tmp_path)
    keys = as_images(pool).row_keys()
    check_X_y(pool, np.arange(N), ensure_2d=False, allow_nd=True, dtype=None)
    stacked = np.concatenate([pool[:2], pool[[4, 3]]])
    assert as_images(stacked).row_keys() == [keys[k] for k in (0, 1, 4, 3)]
    np.testing.assert_array_equal(as_images(stacked).load(2), X[4])
    smaller = np.delete(pool, [0, 2], axis=0)
    assert as_images(smaller).row_keys() == [keys[k] for k in (1, 3, 4)]
    check_X_y(stacked, np.arange(4), ensure_2d=False, allow_nd=True, dtype=None)


def test_object_arrays_of_arrays_of_different_sizes():
    # scikit-learn's check_X_y, which modAL calls, refuses these; slicing works.
    pool = objects([np.full((h, 4, 3), h, np.uint8) for h in (2, 3, 5)])
    source = as_images(np.concatenate([pool[:1], np.delete(pool, [0, 1])]))
    assert [source.load(k).shape[0] for k in range(2)] == [2, 5]


def test_strings_of_different_lengths_after_concatenation(X, tmp_path):
    paths = as_paths(X, tmp_path)
    long = tmp_path / ("x" * 50 + ".png")
    long.write_bytes(paths[0].read_bytes())
    joined = np.concatenate([np.array([str(paths[1])]), np.array([str(long)])])
    np.testing.assert_array_equal(as_images(joined).load(1), X[0])


@pytest.mark.parametrize("kind", ["list of arrays", "list of str", "nested lists"])
def test_after_what_modal_does_to_lists(X, kind, tmp_path):
    pool = KINDS[kind](X, tmp_path)
    keys = as_images(pool).row_keys()
    stacked = np.concatenate([pool[:2], pool[3:]]).tolist()
    assert as_images(stacked).row_keys() == [keys[k] for k in (0, 1, 3, 4)]
    smaller = np.delete(pool, [0, 2], axis=0).tolist()
    assert as_images(smaller).row_keys() == [keys[k] for k in (1, 3, 4)]
    rows = np.array(pool)[[3, 1]].tolist()
    assert as_images(rows).row_keys() == [keys[k] for k in (3, 1)]


@pytest.mark.skipif(
    np.__version__.startswith("1."), reason="NumPy 1 cannot stack lists of pictures"
)
def test_same_size_pil_lists_survive_concatenation(X):
    pool = [Image.fromarray(x) for x in X]
    stacked = np.concatenate([pool[:2], pool[3:]]).tolist()
    np.testing.assert_array_equal(as_images(stacked).block(0, 4), X[[0, 1, 3, 4]])
