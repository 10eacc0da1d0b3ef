"""Batches decoded a little ahead, by threads that end with them."""

import threading
import time

import numpy as np
import pytest
import torch
from PIL import Image

from modal_pretrain.images.accept import ImageLoadError, as_images
from modal_pretrain.images.batches import load_batches
from modal_pretrain.images.preprocessing import Preprocessing
from tests.images.cases import CONFIG, TO_8, as_paths, photo

X = np.random.default_rng(0).integers(0, 256, (10, 8, 8, 3), dtype=np.uint8)
BIG = [photo(20 + k, 30 - k, seed=k) for k in range(10)]
RESIZED = np.stack([TO_8.apply_uint8(picture) for picture in BIG])


def threads():
    return {t for t in threading.enumerate() if t.name.startswith("modal_pretrain")}


def floats(array):
    return array.transpose(0, 3, 1, 2).astype(np.float32) / 255


SOURCES = {
    "array": (lambda _: X, X),
    "float array": (lambda _: floats(X), X),
    "bfloat16 tensor": (lambda _: torch.ones(10, 3, 8, 8).bfloat16(), X * 0 + 255),
    "alpha": (lambda _: np.insert(X, 3, 255, axis=-1), X),
    "BGR view": (lambda _: X[..., ::-1], X[..., ::-1]),
    "list of arrays": (lambda _: list(X), X),
    "paths": (lambda folder: as_paths(X, folder), X),
    "PIL": (lambda _: [Image.fromarray(x) for x in X], X),
    "other size": (lambda _: np.stack([BIG[0]] * 10), np.stack([RESIZED[0]] * 10)),
    "other size, float": (
        lambda _: floats(np.stack([BIG[3]] * 10)), np.stack([RESIZED[3]] * 10),
    ),
    "other sizes": (lambda _: BIG, RESIZED),
    "paths, other sizes": (lambda folder: as_paths(BIG, folder), RESIZED),
}  # fmt: skip


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("batch_size", [1, 3, 5, 10, 99])
def test_batches_in_order(kind, batch_size, tmp_path):
    make, expected = SOURCES[kind]
    batches = list(load_batches(as_images(make(tmp_path)), TO_8, batch_size))
    lengths = [batch_size] * (10 // batch_size)
    if 10 % batch_size:
        lengths.append(10 % batch_size)
    assert [len(batch) for batch in batches] == lengths
    for batch in batches:
        assert batch.dtype is torch.uint8 and batch.shape[1:] == (8, 8, 3)
        assert batch.device.type == "cpu"
    np.testing.assert_array_equal(torch.cat(batches).numpy(), expected)
    assert not threads()


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("indices", [[7, 0, 7, 3], slice(None, None, -3), [9], []])
def test_batches_of_chosen_rows(kind, indices, tmp_path):
    make, expected = SOURCES[kind]
    batches = load_batches(as_images(make(tmp_path)).take(indices), TO_8, 3)
    got = [picture for batch in batches for picture in batch.numpy()]
    rows = indices if isinstance(indices, slice) else np.array(indices, int)
    assert len(got) == len(expected[rows])
    for picture, wanted in zip(got, expected[rows], strict=True):
        np.testing.assert_array_equal(picture, wanted)


@pytest.mark.parametrize("n_threads", [1, 2, 8, None])
def test_number_of_threads_does_not_matter(n_threads, tmp_path):
    source = as_images(as_paths(BIG, tmp_path))
    batches = list(load_batches(source, TO_8, 4, n_threads=n_threads))
    np.testing.assert_array_equal(torch.cat(batches).numpy(), RESIZED)


def test_one_picture(tmp_path):
    for kind in SOURCES:
        make, expected = SOURCES[kind]
        (batch,) = load_batches(as_images(make(tmp_path)[:1]), TO_8, 64)
        np.testing.assert_array_equal(batch.numpy(), expected[:1])


def test_arrays_of_the_right_size_are_not_copied():
    for batch in load_batches(as_images(X), TO_8, 4):
        assert np.shares_memory(batch.numpy(), X)


def test_a_last_batch_of_one_row_of_a_reversed_array():
    batches = list(load_batches(as_images(X[::-1]), TO_8, len(X) - 1))
    np.testing.assert_array_equal(torch.cat(batches).numpy(), X[::-1])


def test_read_only_arrays_are_copied_quietly(tmp_path):
    np.save(tmp_path / "X.npy", X)
    frozen = X.copy()
    frozen.flags.writeable = False
    for array in (np.load(tmp_path / "X.npy", mmap_mode="r"), frozen):
        batches = list(load_batches(as_images(array), TO_8, 4))
        np.testing.assert_array_equal(torch.cat(batches).numpy(), X)


class CountingSource:
    """Stands in for paths: counts what was decoded, from which threads."""

    uniform_size = None

    def __init__(self, n, seconds=0):
        self.n, self.seconds, self.loaded, self.threads = n, seconds, [], set()

    def __len__(self):
        return self.n

    def load_for(self, i, preprocessing):
        time.sleep(self.seconds)
        self.loaded.append(i)
        self.threads.add(threading.get_ident())
        return Image.fromarray(X[i % 10])


def test_decoding_runs_ahead_but_only_a_little():
    source = CountingSource(1000)
    batches = load_batches(source, TO_8, 10, n_threads=2)
    for k in range(1, 6):
        next(batches)
        # This batch and two more are decoded while the consumer does something else.
        expected = list(range(10 * (k + 2)))
        deadline = time.monotonic() + 10
        while len(source.loaded) < len(expected) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.02)  # would there be more?
        assert sorted(source.loaded) == expected
    assert threading.get_ident() not in source.threads
    assert len(source.threads) <= 2
    batches.close()
    assert not threads()


def test_nothing_is_decoded_before_the_first_batch_is_asked_for():
    source = CountingSource(10)
    batches = load_batches(source, TO_8, 5)
    time.sleep(0.05)
    assert not source.loaded and not threads()
    batches.close()


def test_stopping_early_ends_the_threads():
    source = CountingSource(1000)
    for _ in load_batches(source, TO_8, 10, n_threads=3):
        assert threads()
        break
    # The loop's generator is closed as soon as nothing refers to it.
    assert not threads()
    assert len(source.loaded) <= 40


def test_stopping_early_drops_what_waits():
    source = CountingSource(1000, seconds=0.005)
    batches = load_batches(source, TO_8, 10, n_threads=1)
    next(batches)
    batches.close()  # two batches wait; at most the piece at work is finished
    assert len(source.loaded) < 30


def test_an_error_in_the_consumer_ends_the_threads():
    source = CountingSource(1000)
    with pytest.raises(RuntimeError, match="mine"):
        for _ in load_batches(source, TO_8, 10, n_threads=3):
            raise RuntimeError("mine")
    assert not threads()


def test_a_bad_file_is_named_when_its_batch_comes(tmp_path):
    paths = as_paths(BIG, tmp_path)
    paths[5].write_bytes(b"broken")
    paths[7].unlink()
    batches = load_batches(as_images(paths), TO_8, 2, n_threads=2)
    np.testing.assert_array_equal(next(batches).numpy(), RESIZED[:2])
    np.testing.assert_array_equal(next(batches).numpy(), RESIZED[2:4])
    with pytest.raises(ImageLoadError, match=r"X\[5\] \('.*5\.png'\) is not a picture"):
        next(batches)
    assert not threads()
    with pytest.raises(FileNotFoundError, match=r"X\[7\] \('.*7\.png'\): no such file"):
        list(load_batches(as_images(paths).take([0, 7, 5]), TO_8, 2))


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"batch_size": -1}, "batch_size"),
        ({"batch_size": 4, "n_threads": 0}, "n_threads must be at least 1, got 0"),
    ],
)
def test_arguments_are_checked_at_once(arguments, match):
    with pytest.raises(ValueError, match=match):
        load_batches(as_images(X), TO_8, **arguments)


def test_overhead_on_arrays_is_small():
    pool = np.zeros((3000, 96, 96, 3), np.uint8)
    preprocessing = Preprocessing.from_data_config(CONFIG, 96)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in load_batches(as_images(pool), preprocessing, 64):
            pass
        seconds.append(time.perf_counter() - start)
    # A fast backbone takes 1 ms a picture on a CPU; this must be far below. Measured:
    # 0.1 microseconds a picture.
    assert min(seconds) / 3000 < 50e-6
