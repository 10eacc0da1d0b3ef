"""Kinds of X that are pictures."""

import pickle
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from modal_pretrain.images.accept import ImageSource, as_images
from tests.images.cases import (
    KINDS,
    H,
    N,
    W,
    as_float,
    as_memmap,
    as_paths,
    objects,
)


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


def test_a_tensor_that_may_be_one_picture_is_warned_of():
    grey = torch.zeros((3, 8, 9), dtype=torch.uint8) + 7
    with pytest.warns(UserWarning, match=r"X of shape \(3, 8, 9\) is taken for 3 grey"):
        assert len(as_images(grey)) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(as_images(grey[..., None])) == 3
        assert len(as_images(grey.permute(1, 2, 0)[None])) == 1
        assert len(as_images(grey[:2])) == 2
