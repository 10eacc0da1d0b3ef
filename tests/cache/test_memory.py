"""The embedding cache: against a plain dict, and never a stale row."""

import copy
import os
import pickle
import threading
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from modal_pretrain import EmbeddingCache, TimmEncoder, memory_cache
from modal_pretrain.backbones.create import create_backbone
from modal_pretrain.backbones.shared import own, shared_backbone
from modal_pretrain.cache import memory
from modal_pretrain.embedding.encoder import Encoder
from modal_pretrain.images.modality import PICTURES
from modal_pretrain.images.preprocessing import Preprocessing

# Against a plain dict -----------------------------------------------------------------


def key(number):
    return number.to_bytes(16, "little")


def row(encoder, number, n_features):
    """What `encoder` makes of a row: different for each pair."""
    return np.arange(n_features, dtype=np.float32) + 1000 * number + 7 * len(encoder)


def test_ctrl_c_while_rows_are_stored_leaves_a_whole_cache(monkeypatch):
    cache = EmbeddingCache(max_bytes=4 * 12)

    def ask(*numbers):
        compute = Compute("e", numbers)
        found = cache.get("e", [key(n) for n in numbers], compute)
        assert np.array_equal(found, [row("e", n, 3) for n in numbers])

    class Interrupted(memory._Slab):
        def __setattr__(self, name, value):
            if name == "stamps" and len(value) == 3:
                raise KeyboardInterrupt
            super().__setattr__(name, value)

    ask(0)
    with monkeypatch.context() as patched:
        patched.setattr(cache._slabs["e"], "__class__", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            ask(1, 2)
    for numbers in ([1, 2], [3, 4], [5, 6, 7], [1, 5]):
        ask(*numbers)


class Compute:
    """Embeds and remembers what it was asked for."""

    def __init__(self, encoder, numbers, n_features=3):
        self.encoder, self.numbers, self.n_features = encoder, numbers, n_features
        self.asked = []

    def __call__(self, positions):
        assert positions.dtype == np.int64
        assert (np.diff(positions) > 0).all()
        self.asked += [self.numbers[i] for i in positions]
        rows = [row(self.encoder, self.numbers[i], self.n_features) for i in positions]
        return np.array(rows, dtype=np.float32).reshape(len(rows), self.n_features)


requests = st.lists(
    st.tuples(
        st.sampled_from(["a", "bb", "ccc"]),
        st.lists(st.integers(0, 12), min_size=1, max_size=10),
    ),
    max_size=20,
)


@given(requests)
def test_without_a_limit_it_is_a_dict(requests):
    cache, model = EmbeddingCache(), {}
    hits = misses = 0
    for encoder, numbers in requests:
        compute = Compute(encoder, numbers)
        got = cache.get(encoder, [key(n) for n in numbers], compute)
        known = [(encoder, n) in model for n in numbers]
        hits, misses = hits + sum(known), misses + len(known) - sum(known)
        # Each unknown row once, in the order of its first appearance.
        new = dict.fromkeys(n for n, k in zip(numbers, known, strict=True) if not k)
        assert compute.asked == list(new)
        model.update({(encoder, n): row(encoder, n, 3) for n in numbers})
        np.testing.assert_array_equal(got, [model[encoder, n] for n in numbers])
        assert got.dtype == np.float32
        info = cache.info()
        assert (info["hits"], info["misses"]) == (hits, misses)
        assert info["rows"] == len(model)
        assert info["encoders"] == len({encoder for encoder, _ in model})


@given(requests, st.integers(0, 200))
def test_within_a_limit_rows_are_right_and_few(requests, max_bytes):
    cache = EmbeddingCache(max_bytes=max_bytes)
    for encoder, numbers in requests:
        got = cache.get(encoder, [key(n) for n in numbers], Compute(encoder, numbers))
        np.testing.assert_array_equal(got, [row(encoder, n, 3) for n in numbers])
        info = cache.info()
        assert info["bytes"] <= max_bytes
        assert info["rows"] * 12 <= info["bytes"]
        # What was asked for last is there, as far as it fits.
        distinct = list(dict.fromkeys(numbers))
        again = Compute(encoder, distinct)
        cache.get(encoder, [key(n) for n in distinct], again)
        assert len(again.asked) == max(0, len(distinct) - max_bytes // 12)


def test_eviction_keeps_what_was_used_last():
    cache = EmbeddingCache(max_bytes=12 * 4)

    def ask(*numbers):
        compute = Compute("a", numbers)
        cache.get("a", [key(n) for n in numbers], compute)
        return compute.asked

    assert ask(0, 1, 2, 3) == [0, 1, 2, 3]
    assert ask(0, 2) == []
    assert ask(4, 5) == [4, 5]  # in the place of 1 and 3
    assert ask(0, 2, 4, 5) == []
    assert ask(1) == [1]
    assert cache.info()["rows"] == 4


def test_least_recently_used_encoder_goes_first():
    cache = EmbeddingCache(max_bytes=12 * 6)

    def ask(encoder, *numbers):
        compute = Compute(encoder, numbers)
        cache.get(encoder, [key(n) for n in numbers], compute)
        return compute.asked

    ask("a", 0, 1)
    ask("bb", 0, 1)
    ask("a", 0)
    ask("ccc", 0, 1, 2)
    assert ask("a", 0, 1) == []
    assert ask("bb", 0, 1) == [0, 1]


def test_more_rows_than_fit():
    cache = EmbeddingCache(max_bytes=12 * 2 + 5)
    numbers = list(range(9))
    got = cache.get("a", [key(n) for n in numbers], Compute("a", numbers))
    np.testing.assert_array_equal(got, [row("a", n, 3) for n in numbers])
    assert cache.info()["rows"] == 2


def test_answer_is_a_copy():
    cache = EmbeddingCache()
    for _ in range(3):
        got = cache.get("a", [key(1), key(1)], Compute("a", [1, 1]))
        np.testing.assert_array_equal(got, [row("a", 1, 3)] * 2)
        got[:] = -1


def test_failed_computation_leaves_no_trace():
    cache = EmbeddingCache()

    def fail(positions):
        raise RuntimeError("no")

    cache.get("a", [key(0)], Compute("a", [0]))
    for encoder in ("a", "bb"):
        with pytest.raises(RuntimeError, match="no"):
            cache.get(encoder, [key(0), key(1)], fail)
        compute = Compute(encoder, [1])
        cache.get(encoder, [key(1)], compute)
        assert compute.asked == [1]


def test_clear():
    cache = EmbeddingCache()
    cache.get("a", [key(0)], Compute("a", [0]))
    cache.clear()
    empty = EmbeddingCache().info()
    assert cache.info() == empty
    assert empty["rows"] == empty["hits"] == empty["misses"] == empty["bytes"] == 0


@pytest.mark.parametrize("max_bytes", [10**6, 12 * 5])
def test_threads(max_bytes):
    cache, errors = EmbeddingCache(max_bytes), []
    calls, length = 200, 4

    def work(seed):
        rng = np.random.default_rng(seed)
        try:
            for _ in range(calls):
                encoder = ("a", "bb")[rng.integers(2)]
                numbers = rng.integers(0, 20, length).tolist()
                got = cache.get(
                    encoder, [key(n) for n in numbers], Compute(encoder, numbers)
                )
                expected = [row(encoder, n, 3) for n in numbers]
                np.testing.assert_array_equal(got, expected)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    info = cache.info()
    assert info["hits"] + info["misses"] == 4 * calls * length
    assert info["bytes"] <= max_bytes
    assert info["rows"] <= 40


def test_another_thread_stores_the_same_rows_meanwhile():
    cache = EmbeddingCache()

    def compute(positions):
        cache.get("a", [key(0), key(2)], Compute("a", [0, 2]))
        return Compute("a", [0, 1])(positions)

    got = cache.get("a", [key(0), key(1)], compute)
    np.testing.assert_array_equal(got, [row("a", n, 3) for n in (0, 1)])
    assert cache.info()["rows"] == 3


# Copies -------------------------------------------------------------------------------


def test_copies_are_the_cache_itself():
    cache = EmbeddingCache()
    assert copy.copy(cache) is cache
    assert copy.deepcopy({"cache": cache})["cache"] is cache


def test_pickle_carries_the_limit_and_no_rows():
    cache = EmbeddingCache(max_bytes=12_345)
    cache.get("a", [key(0)], Compute("a", [0]))
    restored = pickle.loads(pickle.dumps(cache))
    assert restored.info() == EmbeddingCache(12_345).info()
    restored.get("a", [key(0)], Compute("a", [0]))


def test_memory_cache_is_one():
    assert memory_cache() is memory_cache()
    assert isinstance(memory_cache(), EmbeddingCache)


# Never a stale row --------------------------------------------------------------------


def mean_colour():
    """A backbone whose embedding shows what it was given: the mean of each channel."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4))


CONFIG = {
    "input_size": (3, 32, 32),
    "mean": (0.5, 0.5, 0.5),
    "std": (0.5, 0.5, 0.5),
    "interpolation": "bicubic",
}


def encoder(backbone, cache, dtype=torch.float32, size=32, **config):
    preprocessing = Preprocessing.from_data_config({**CONFIG, **config}, size)
    return Encoder(
        backbone,
        preprocessing,
        device=torch.device("cpu"),
        dtype=dtype,
        cache=cache,
    )


class Anything:
    """Stands for an estimator where only its backbone is asked for."""

    backbone = "tf_efficientnet_lite0"
    scaled_decoding = True


def encode(encoder, X):
    return encoder.encode(PICTURES.read(X, Anything()))


@pytest.fixture
def backbone():
    return create_backbone(mean_colour, pretrained=False, random_state=0)


def check_fresh(cache, backbone, X, misses, **params):
    """Cached embeddings are those computed without a cache, with that many misses."""
    before = cache.info()["misses"]
    cached = encode(encoder(backbone, cache, **params), X)
    fresh = encode(encoder(backbone, None, **params), X)
    # Some processors round a batch of one otherwise than a batch of many. One bit of
    # one pixel moves an embedding ten times as far.
    np.testing.assert_allclose(cached, fresh, rtol=3e-7, atol=1e-7)
    assert cache.info()["misses"] - before == misses
    return cached


@pytest.mark.parametrize("kind", ["uint8", "float", "pil", "path", "tensor"])
def test_second_look_costs_nothing(kind, cache, backbone, pictures, paths):
    X = {
        "uint8": pictures,
        "float": pictures.transpose(0, 3, 1, 2) / np.float32(255),
        "pil": [Image.fromarray(p) for p in pictures],
        "path": paths,
        "tensor": torch.tensor(pictures),
    }[kind]
    one = check_fresh(cache, backbone, X, len(pictures))
    two = check_fresh(cache, backbone, X, 0)
    np.testing.assert_array_equal(one, two)
    some = X[3:9] if kind != "pil" else list(X[3:9])
    np.testing.assert_array_equal(check_fresh(cache, backbone, some, 0), one[3:9])


@pytest.mark.parametrize("bit", [1, 128])
def test_changed_pixel(cache, backbone, pictures, bit):
    X = pictures.copy()
    one = check_fresh(cache, backbone, X, len(X))
    X[5, 31, 31, 2] ^= bit
    two = check_fresh(cache, backbone, X, 1)
    assert (one != two).any(axis=1).nonzero()[0].tolist() == [5]


def test_every_pixel_counts(cache, backbone):
    X = np.zeros((3 * 16, 4, 4, 3), dtype=np.uint8)
    X.reshape(48, 48)[np.arange(48), np.arange(48)] = 200
    check_fresh(cache, backbone, X, 48, size=4)


@pytest.mark.parametrize("way", ["data", "load_state_dict", "optimizer", "no_grad"])
def test_changed_weights(cache, backbone, pictures, way):
    one = check_fresh(cache, backbone, pictures, len(pictures))
    layer = backbone[2]
    if way == "data":
        layer.weight.data.add_(1e-3)
    elif way == "load_state_dict":
        other = create_backbone(mean_colour, pretrained=False, random_state=1)
        backbone.load_state_dict(other.state_dict())
    elif way == "optimizer":
        optimizer = torch.optim.SGD(backbone.parameters(), lr=0.1)
        backbone(torch.ones(1, 3, 4, 4)).sum().backward()
        optimizer.step()
    else:
        with torch.no_grad():
            layer.bias[0] = 9
    two = check_fresh(cache, backbone, pictures, len(pictures))
    assert (one != two).any(axis=1).all()


def test_changed_back(cache, backbone, pictures):
    one = check_fresh(cache, backbone, pictures, len(pictures))
    state = {key: value.clone() for key, value in backbone.state_dict().items()}
    backbone[2].weight.data.add_(1)
    check_fresh(cache, backbone, pictures, len(pictures))
    backbone.load_state_dict(state)
    np.testing.assert_array_equal(check_fresh(cache, backbone, pictures, 0), one)


@pytest.mark.parametrize(
    "change",
    [
        {"mean": (0.5, 0.5, 0.4)},
        {"std": (0.5, 0.5, 0.4)},
        {"size": 16},
        {"size": (32, 16)},
        {"size": 16, "interpolation": "bilinear"},
        {"size": None, "crop_pct": 0.5},
        {"size": None, "crop_pct": 0.5, "crop_mode": "squash"},
    ],
    ids=str,
)
def test_changed_preprocessing(cache, backbone, pictures, change):
    check_fresh(cache, backbone, pictures, len(pictures))
    check_fresh(cache, backbone, pictures, len(pictures), **change)
    check_fresh(cache, backbone, pictures, 0, **change)
    check_fresh(cache, backbone, pictures, 0)


def test_changed_precision(cache, backbone, pictures):
    one = check_fresh(cache, backbone, pictures, len(pictures))
    two = check_fresh(cache, backbone, pictures, len(pictures), dtype=torch.bfloat16)
    assert (one != two).any()
    np.testing.assert_array_equal(check_fresh(cache, backbone, pictures, 0), one)


def test_renamed_touched_and_overwritten_files(cache, backbone, paths, pictures):
    n = len(paths)
    check_fresh(cache, backbone, paths, n)
    check_fresh(cache, backbone, paths[::-1], 0)
    # Two files swap names: size and time of change move along with the content.
    os.rename(paths[0], paths[0] + ".tmp")
    os.rename(paths[1], paths[0])
    os.rename(paths[0] + ".tmp", paths[1])
    check_fresh(cache, backbone, paths, 2)
    os.utime(paths[2], ns=(1, 10**18))
    check_fresh(cache, backbone, paths, 1)
    Image.fromarray(255 - pictures[3]).save(paths[3])
    check_fresh(cache, backbone, paths, 1)
    check_fresh(cache, backbone, paths, 0)


@pytest.mark.parametrize("way", ["rewritten", "moved over", "link"])
def test_files_of_equal_size_and_time(cache, backbone, tmp_path, way):
    def save(name, colour):
        path = tmp_path / name
        Image.new("RGB", (8, 8), colour).save(path, "BMP")
        os.utime(path, ns=(1, 10**18))
        return path

    path = save("a.bmp", "red")
    check_fresh(cache, backbone, [path], 1)
    if way == "rewritten":
        time.sleep(0.05)  # more than a tick of the file system's clock
        save("a.bmp", "blue")
    elif way == "moved over":
        os.replace(save("b.bmp", "blue"), path)
    else:
        path.unlink()
        path.symlink_to(save("b.bmp", "blue"))
    check_fresh(cache, backbone, [path], 1)
    check_fresh(cache, backbone, [path], 0)


def test_relative_paths_follow_the_working_directory(
    cache, backbone, tmp_path, monkeypatch, pictures
):
    for k in range(2):
        folder = tmp_path / str(k)
        folder.mkdir()
        Image.fromarray(pictures[k]).save(folder / "same.png")
        os.utime(folder / "same.png", ns=(1, 1))
        monkeypatch.chdir(folder)
        check_fresh(cache, backbone, ["same.png"], 1)


def test_two_backbones_with_equal_weights(cache, pictures):
    class Doubled(nn.Sequential):
        def forward(self, x):
            return 2 * super().forward(x)

    one = create_backbone(mean_colour, pretrained=False, random_state=0)
    two = Doubled(*one)
    first = check_fresh(cache, one, pictures, len(pictures))
    np.testing.assert_array_equal(
        check_fresh(cache, two, pictures, len(pictures)), 2 * first
    )


def test_trained_copy_of_a_shared_backbone(cache, pictures):
    mine = own(shared_backbone("test_efficientnet", False, 0)).eval()
    one = check_fresh(cache, mine, pictures, len(pictures))
    mine.conv_stem.weight.data.mul_(1.5)
    assert (check_fresh(cache, mine, pictures, len(pictures)) != one).any()


def test_estimators_share_rows(cache, pictures):
    params = {"image_size": 32, "device": "cpu", "precision": "float32"}
    one = TimmEncoder(cache=cache, **params).fit(pictures)
    one.transform(pictures)
    assert cache.info()["misses"] == len(pictures)
    TimmEncoder(cache=cache, **params).fit(pictures).transform(pictures[::2])
    assert cache.info()["misses"] == len(pictures)
