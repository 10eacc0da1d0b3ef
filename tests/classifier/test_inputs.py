"""Kinds of X, and their embeddings."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from torch import nn

from tests.classifier.cases import (
    KINDS,
    pixels_of,
)


@pytest.mark.parametrize("kind", ["head", "all"])
def test_every_kind_of_x_gives_the_same_classifier(make, pictures, labels, paths, kind):
    pil = [Image.fromarray(picture) for picture in pictures]
    params = {**KINDS[kind], "cache": None}
    expected = make(**params).fit(pictures, labels).predict_proba(pictures)
    for X in (
        paths,
        paths.tolist(),
        list(map(Path, paths)),
        pil,
        pixels_of(pictures),
        torch.tensor(pictures),
        pd.Series(paths),
    ):
        classifier = make(**params).fit(X, labels)
        np.testing.assert_array_equal(classifier.predict_proba(X), expected)


@pytest.mark.parametrize("kind", ["head", "all"])
@pytest.mark.parametrize("batch_size", [1, 5, 23, 24, -1])
def test_batch_sizes_with_a_last_batch_of_one(make, pictures, labels, kind, batch_size):
    params = {**KINDS[kind], "batch_size": batch_size}
    classifier = make(**params).fit(pictures, labels)
    proba = classifier.predict_proba(pictures)
    assert proba.shape == (24, 2)
    for k in (1, 11, 23):
        np.testing.assert_allclose(
            classifier.predict_proba(pictures[:k]), proba[:k], atol=1e-4
        )


def test_rows_do_not_influence_each_other(make, pictures, labels):
    classifier = make(**KINDS["all"]).fit(pictures, labels)
    order = np.random.default_rng(0).permutation(24)
    np.testing.assert_allclose(
        classifier.predict_proba(pictures[order]),
        classifier.predict_proba(pictures)[order],
        atol=1e-6,
    )


def test_tables(make):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    y = (X[:, 0] > 0).astype(int)
    classifier = make(backbone=nn.Identity, pretrained=False, C=1.0).fit(X, y)
    assert classifier.score(X, y) > 0.9
    assert classifier.n_features_in_ == 3
    with pytest.raises(ValueError, match="X has 2 features, but PretrainedClassifier"):
        classifier.predict(X[:, :2])
    frame = pd.DataFrame(X, columns=list("abc"))
    assert (classifier.fit(frame, y).predict(frame) == classifier.predict(frame)).all()


def test_vision_transformer_at_another_size(make, pictures, labels):
    for tune in ("head", 1):
        classifier = make(
            backbone="vit_tiny_patch16_224", pretrained=False, tune=tune, max_steps=2
        ).fit(pictures, labels)
        assert classifier.predict_proba(pictures).shape == (24, 2)


def test_refit_looks_embeddings_up(make, pictures, labels, cache):
    classifier = make(cache=cache).fit(pictures[:10], labels[:10])
    assert cache.info()["misses"] == 10
    classifier.predict_proba(pictures)
    assert cache.info()["misses"] == 24
    for n in (12, 20):
        classifier.fit(pictures[:n], labels[:n]).predict_proba(pictures[n:])
    clone(classifier).fit(pictures, labels)
    assert cache.info()["misses"] == 24
    no_cache = make(cache=None).fit(pictures[:10], labels[:10])
    np.testing.assert_allclose(  # rows were embedded in other batches
        no_cache.predict_proba(pictures),
        classifier.fit(pictures[:10], labels[:10]).predict_proba(pictures),
        atol=1e-4,
    )


def test_training_backbone_does_not_use_the_cache(make, pictures, labels, cache):
    classifier = make(**KINDS["all"], cache=cache).fit(pictures, labels)
    classifier.predict_proba(pictures)
    assert cache.info()["rows"] == 0
    embedding = classifier.embed(pictures)
    classifier.partial_fit(pictures, labels)
    assert (classifier.embed(pictures) != embedding).any()


def test_embedding_is_the_backbones(make, pictures, labels):
    classifier = make(cache=None)
    before = classifier.embed(pictures)
    assert before.dtype == np.float32
    classifier.fit(pictures, labels)
    np.testing.assert_array_equal(classifier.embed(pictures), before)
    logits = classifier.infer(pictures).detach()
    with torch.no_grad():
        expected = classifier.module_(embedding=torch.from_numpy(before))
    assert torch.equal(logits, expected)


@pytest.mark.parametrize("tune", ["head", "all"])
def test_reduced_precision_is_close(make, pictures, labels, tune):
    params = {"tune": tune, "max_steps": 2, "C": 0.05}
    exact = make(**params).fit(pictures, labels).predict_proba(pictures)
    reduced = make(**params, precision="bfloat16").fit(pictures, labels)
    proba = reduced.predict_proba(pictures)
    assert (proba != exact).any()
    assert np.abs(proba - exact).max() < 0.05


def table_factory():
    return nn.Linear(3, 4)


class OtherFrame:
    """A data frame of another package than pandas."""

    def __init__(self, values):
        self.values, self.shape = values, values.shape
        self.columns, self.dtypes = ["a", "b", "c"], ["Float64"] * 3

    def __array__(self, dtype=None, copy=None):
        return self.values

    def __len__(self):
        return len(self.values)


@pytest.mark.parametrize(
    "form",
    [
        lambda table: torch.tensor(table, requires_grad=True),
        lambda table: torch.tensor(table, dtype=torch.float64),
        OtherFrame,
    ],
)
def test_tables_of_other_kinds(make, form):
    table = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    params = {"backbone": table_factory, "pretrained": False, "image_size": None}
    expected = make(**params).fit(table, [0, 1] * 4).predict_proba(table)
    classifier = make(**params).fit(form(table), [0, 1] * 4)
    np.testing.assert_array_equal(classifier.predict_proba(form(table)), expected)


def test_what_is_no_table(make):
    classifier = make(backbone=table_factory, pretrained=False, image_size=None)
    with pytest.raises(TypeError, match=r"X is a tensor of torch\.float32"):
        classifier.fit(torch.eye(3).to_sparse(), [0, 1, 0])
    with pytest.raises(TypeError, match="X is of type generator"):
        classifier.fit((row for row in np.eye(3)), [0, 1, 0])
