"""Embeddings: the same for every kind of X, batch size and thread; TimmEncoder."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import PIL
import pytest
import timm
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from torch import nn

from modal_pretrain import EmbeddingCache, ImageLoadError, TimmEncoder, memory_cache
from modal_pretrain.backbones.fingerprint import fingerprint
from modal_pretrain.cache.resolve import resolve_cache
from tests.embedding.cases import large, objects

ROADWATER = Path(__file__).parents[3] / "shared" / "data" / "roadwater"


def kinds(pictures, paths):
    floats = pictures.transpose(0, 3, 1, 2) / np.float32(255)
    pil = [Image.fromarray(picture) for picture in pictures]
    return {
        "list of arrays": list(pictures),
        "float32": floats,
        "float64": floats.astype(np.float64),
        "uint8 tensor": torch.tensor(pictures),
        "float tensor": torch.tensor(floats),
        "paths": paths,
        "list of str": paths.tolist(),
        "list of Path": list(map(Path, paths)),
        "object array of str": paths.astype(object),
        "Series": pd.Series(paths),
        "list of PIL": pil,
        "object array of PIL": objects(pil),
    }


@pytest.mark.parametrize("size", [32, 24, (40, 32), None])
def test_every_kind_of_x_gives_the_same_embedding(make_encoder, pictures, paths, size):
    few, files = pictures[:5], paths[:5]
    encoder = make_encoder("test_efficientnet", pretrained=False, random_state=0)
    encoder.set_params(image_size=size, cache=None)
    expected = encoder.fit_transform(few)
    assert expected.shape == (5, encoder.n_features_out_)
    assert expected.dtype == np.float32
    assert len(np.unique(expected, axis=0)) == 5
    for kind, X in kinds(few, files).items():
        np.testing.assert_array_equal(encoder.transform(X), expected, err_msg=kind)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 23, 24, 1000])
@pytest.mark.parametrize("stored", [64, 32])  # sliced, or resized by threads
def test_batch_size_does_not_matter(make_encoder, pictures, batch_size, stored):
    X = pictures.repeat(stored // 32, axis=1).repeat(stored // 32, axis=2)
    params = {"cache": None, "image_size": 64}
    expected = make_encoder(**params).fit_transform(X)
    got = make_encoder(**params, batch_size=batch_size).fit_transform(X)
    error = np.linalg.norm(got - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert error.max() < 1e-5


@pytest.mark.parametrize("n_threads", [1, 3])
def test_threads_do_not_matter(make_encoder, paths, n_threads):
    expected = make_encoder(cache=None, batch_size=5).fit_transform(paths)
    encoder = make_encoder(cache=None, batch_size=5, n_threads=n_threads)
    np.testing.assert_array_equal(encoder.fit_transform(paths), expected)


class Broken(nn.Module):
    """Returns something that is no embedding."""

    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, x):
        return self.output(x)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(make_encoder, pictures, value, precision):
    def damaged():
        module = large()
        nn.init.constant_(module[2].bias, value)
        return module

    encoder = make_encoder(damaged, pretrained=False, precision=precision)
    with pytest.raises(ValueError, match=r"embeddings that are NaN or infinite"):
        encoder.fit(pictures)


@pytest.mark.parametrize(
    "output, came",
    [
        (lambda x: x, r"shape \(1, 3, 32, 32\)"),
        (lambda x: x.mean((1, 2, 3)), r"shape \(1,\)"),
        (lambda x: (x.mean((2, 3)),), "type tuple"),
        (lambda x: None, "type NoneType"),
    ],
)
def test_output_that_is_no_embedding(make_encoder, pictures, output, came):
    encoder = make_encoder(lambda: Broken(output), pretrained=False)
    with pytest.raises(ValueError, match=rf"of shape \(n, d\), got {came}"):
        encoder.fit(pictures)


class _Shuffling(nn.Module):
    """Meanwhile another thread shuffles the pool, say."""

    changes = ()

    def forward(self, x):
        for change in self.changes:
            change()
        return x.mean((2, 3))


@pytest.mark.parametrize("kind", ["array", "list", "tensor", "memmap"])
def test_array_changed_while_it_is_embedded(kind, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    before = rng.integers(0, 256, (6, 8, 8, 3)).astype(np.uint8)
    X = held = before.copy()
    if kind == "memmap":
        np.save(tmp_path / "x.npy", before)
        held = np.load(tmp_path / "x.npy", mmap_mode="r+")
        X = np.load(tmp_path / "x.npy", mmap_mode="r")
    elif kind == "list":
        X = list(held)
    elif kind == "tensor":
        held = np.ascontiguousarray(before.transpose(0, 3, 1, 2) / np.float32(255))
        X = torch.from_numpy(held)

    def change():
        held[:] = held[::-1].copy()

    cache = EmbeddingCache()
    encoder = TimmEncoder(
        _Shuffling, pretrained=False, image_size=8, batch_size=2, cache=cache
    ).fit(before)
    monkeypatch.setattr(_Shuffling, "changes", [change])
    with pytest.raises(RuntimeError, match=r"changed in place .*\(6 of 6 rows\)"):
        encoder.transform(X)
    assert cache.info()["rows"] == 0


def test_damaged_file_is_named(make_encoder, paths):
    Path(paths[3]).write_bytes(b"no picture")
    with pytest.raises(ImageLoadError, match=r"X\[3\].*03\.png"):
        make_encoder().fit(paths).transform(paths)


def test_missing_file_is_named(make_encoder, paths):
    Path(paths[3]).unlink()
    with pytest.raises(ImageLoadError, match=r"X\[3\].*03\.png"):
        make_encoder().fit(paths).transform(paths)


@pytest.mark.parametrize("value", ["disk", True, 3, {}])
def test_bad_cache(make_encoder, pictures, value):
    with pytest.raises(ValueError, match="cache must be 'memory', None or "):
        make_encoder(cache=value).fit(pictures)


def test_caches():
    cache = EmbeddingCache()
    assert resolve_cache(cache) is cache
    assert resolve_cache(None) is None
    assert resolve_cache("memory") is memory_cache()


@pytest.mark.parametrize(
    "name, value", [("batch_size", 0), ("n_threads", 0), ("image_size", 0)]
)
def test_bad_numbers(make_encoder, pictures, name, value):
    with pytest.raises(ValueError, match=f"{name} must be "):
        make_encoder(**{name: value}).fit(pictures)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="needs a compiler")
@pytest.mark.filterwarnings("ignore")
def test_compiled_backbone(make_encoder, pictures, cache):
    def one_layer():  # a real network takes a minute to compile
        network = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        network.num_features = 8
        return network

    plain = make_encoder(one_layer, pretrained=False, random_state=0)
    expected = plain.fit_transform(pictures)
    compiled = clone(plain).set_params(compile=True)
    np.testing.assert_allclose(compiled.fit_transform(pictures), expected, atol=1e-4)
    assert cache.info()["encoders"] == 2  # they may differ in the last bit


# As a scikit-learn transformer --------------------------------------------------------


def test_golden_embedding():
    # The whole way from 8-bit pictures; recorded with Pillow 12 and torch 2.13.
    rows, columns = np.mgrid[:48, :64]
    one = [5 * rows, 4 * columns, rows + columns]
    two = [rows * columns % 256, 255 - 4 * columns, 128 + rows]
    X = np.stack([one, two]).transpose(0, 2, 3, 1).astype(np.uint8)
    encoder = TimmEncoder(image_size=64, precision="float32", device="cpu")
    got = encoder.fit_transform(X)
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), [49.732, 62.725], rtol=1e-3)
    golden = [0.92057, 2.22205, 4.52255, 1.77511]
    np.testing.assert_allclose(got[0, [9, 360, 642, 956]], golden, atol=5e-3)


def test_defaults_need_no_argument_and_no_network(pictures):
    encoder = TimmEncoder()
    assert encoder.transform(pictures[:2]).shape == (2, 1280)
    assert encoder.fit(pictures[:2]).n_features_out_ == 1280


def test_clone_params_repr_and_pickle(make_encoder, pictures, cache):
    encoder = make_encoder(pretrained=False, random_state=3).fit(pictures)
    expected = encoder.transform(pictures)
    copy = clone(encoder)
    assert copy.get_params() == encoder.get_params()
    assert not hasattr(copy, "seed_")
    assert copy.cache is cache
    np.testing.assert_array_equal(copy.fit_transform(pictures), expected)
    restored = pickle.loads(pickle.dumps(encoder))
    np.testing.assert_array_equal(restored.transform(pictures), expected)
    assert "pretrained=False" in repr(encoder)
    assert len(pickle.dumps(encoder)) < 10_000  # weights are not in it
    with pytest.raises(ValueError, match="Invalid parameter 'size'"):
        encoder.set_params(size=3)


def test_random_weights_follow_random_state(make_encoder, pictures):
    def embed(random_state):
        encoder = make_encoder(
            "test_efficientnet", pretrained=False, random_state=random_state
        )
        return encoder.fit_transform(pictures)

    np.testing.assert_array_equal(embed(0), embed(0))
    assert (embed(0) != embed(1)).any()
    np.testing.assert_array_equal(
        embed(np.random.RandomState(0)), embed(np.random.RandomState(0))
    )


def test_before_fit(make_encoder, pictures):
    assert make_encoder().transform(pictures).shape == (24, 1280)
    with pytest.raises(NotFittedError):
        make_encoder(pretrained=False).transform(pictures)


def test_nothing_is_learnt(make_encoder, pictures):
    one = make_encoder().fit(pictures[:3]).transform(pictures)
    two = make_encoder().fit(pictures[5:], np.zeros(19)).transform(pictures)
    np.testing.assert_array_equal(one, two)


def test_vision_transformer_at_another_size(make_encoder, pictures):
    encoder = make_encoder("vit_tiny_patch16_224", pretrained=False, random_state=0)
    assert encoder.fit_transform(pictures).shape == (24, 192)
    # Each size has its own rows.
    other = clone(encoder).set_params(image_size=48).fit(pictures)
    assert (other.transform(pictures) != encoder.transform(pictures)).any()


def test_pipeline(make_encoder, pictures, paths, labels):
    pipeline = make_pipeline(make_encoder(), LogisticRegression(C=0.01))
    assert pipeline.fit(pictures, labels).score(pictures, labels) > 0.9
    np.testing.assert_array_equal(pipeline.predict(paths), pipeline.predict(pictures))
    assert clone(pipeline).fit(paths, labels).score(pictures, labels) > 0.9


def test_grid_search_embeds_once_for_each_size(make_encoder, paths, labels, cache):
    pipeline = make_pipeline(make_encoder(), LogisticRegression())
    grid = {
        "timmencoder__image_size": [16, 32],
        "logisticregression__C": [0.001, 0.01, 0.1],
    }
    search = GridSearchCV(pipeline, grid, cv=3).fit(paths, labels)
    assert search.best_score_ > 0.8
    assert cache.info()["misses"] == 2 * len(paths)
    assert cross_val_score(search.best_estimator_, paths, labels, cv=3).mean() > 0.8
    assert cache.info()["misses"] == 2 * len(paths)


@pytest.mark.parametrize("pretrained", [True, False])
def test_global_generators_are_left_alone(make_encoder, pictures, pretrained):
    def states():
        return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()  # noqa: NPY002

    before = states()
    make_encoder(pretrained=pretrained, random_state=0).fit_transform(pictures)
    assert states() == before


def test_fingerprint_of_pictures_is_what_files_on_disk_have(make_encoder, pictures):
    encoder = make_encoder(image_size=32).fit(pictures)._encoder()
    expected = (
        f"{type(encoder.backbone).__name__} {fingerprint(encoder.backbone)} "
        "size=(32, 32);interpolation='bicubic';resize_to=(32, 32);resize_mode='cover';"
        "mean=(0.5, 0.5, 0.5);std=(0.5, 0.5, 0.5) torch.float32 cpu "
        f"3 timm {timm.__version__} torch {torch.__version__} {PIL.__version__}"
    )
    assert encoder.fingerprint() == expected


class OtherRows(nn.Module):
    """Returns as many rows as `rows` says."""

    def __init__(self, rows):
        super().__init__()
        self.rows = rows

    def forward(self, batch):
        return self.rows(batch.mean((2, 3)))


@pytest.mark.parametrize(
    ("rows", "counts"),
    [
        (lambda e: e[:-1] if len(e) > 1 else e, "3 embeddings for 4 rows"),
        (lambda e: torch.cat([e, e]) if len(e) > 1 else e, "8 embeddings for 4 rows"),
        (lambda e: e.mean(0, keepdim=True), "1 embeddings for 4 rows"),
        (lambda e: e[:0], "0 embeddings for 1 rows"),  # what fit tries
    ],
)
def test_backbone_that_returns_another_number_of_rows(pictures, rows, counts):
    for cache in (None, EmbeddingCache()):
        encoder = TimmEncoder(
            lambda: OtherRows(rows), pretrained=False, image_size=32, cache=cache
        )
        with pytest.raises(ValueError, match=f"backbone OtherRows returned {counts}"):
            encoder.fit(pictures).transform(pictures[:4])


class Tutorial(nn.Module):
    """As in PyTorch's first tutorials."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(4))

    def forward(self, batch):
        return self.layers(batch).view(-1, 6 * 7 * 7)


def test_a_network_that_flattens_by_view_is_told_what_to_write():
    rows = np.zeros((3, 32, 32, 3), np.uint8)
    for precision in ("float32", "bfloat16"):
        encoder = TimmEncoder(
            Tutorial,
            pretrained=False,
            image_size=32,
            precision=precision,
            device="cpu",
            cache=None,
        )
        with pytest.raises(ValueError, match=r"channels last.*Write x\.reshape"):
            encoder.fit(rows)
