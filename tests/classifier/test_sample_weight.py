"""Weights of rows, as scikit-learn has them."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import cross_validate
from skorch.dataset import ValidSplit
from torch import nn

from tests.classifier.cases import KINDS, TRAINED

REPEATS = np.arange(24) * 7 % 4


def heads(classifier):
    head = classifier.module_.head
    return torch.cat([head.weight, head.bias[:, None]], dim=1).detach().numpy()


@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 3.0}])
def test_a_weight_is_so_many_copies(make, pictures, labels, class_weight):
    order = np.random.default_rng(0).permutation(24)
    weighted = make(class_weight=class_weight)
    weighted.fit(pictures[order], labels[order], sample_weight=REPEATS[order])
    repeated = make(class_weight=class_weight)
    repeated.fit(pictures.repeat(REPEATS, axis=0), labels.repeat(REPEATS))
    np.testing.assert_array_equal(heads(weighted), heads(repeated))
    plain = make(class_weight=class_weight).fit(pictures, labels)
    assert np.abs(heads(plain) - heads(weighted)).max() > 1e-3


def test_partial_fit_too(make, pictures, labels):
    start = pictures[:4], labels[:4]
    weighted = make().fit(*start)
    weighted.partial_fit(pictures, labels, sample_weight=REPEATS)
    repeated = make().fit(*start)
    repeated.partial_fit(pictures.repeat(REPEATS, axis=0), labels.repeat(REPEATS))
    np.testing.assert_array_equal(heads(weighted), heads(repeated))


def test_scaling_all_weights_is_scaling_c(make, pictures, labels):
    one = make(C=0.005).fit(pictures, labels, sample_weight=np.full(24, 10.0))
    other = make(C=0.05).fit(pictures, labels)
    # The scale of the features knows how many rows there are, so not exactly.
    assert np.corrcoef(heads(one).ravel(), heads(other).ravel())[0, 1] > 0.99


@pytest.mark.parametrize("kind", ["all", "last"])
def test_backbones_that_train(make, pictures, labels, kind):
    """One batch: the loss is the weighted mean, so weight 0 leaves a row out."""
    params = {**KINDS[kind], "batch_size": -1, "iterator_train__shuffle": False}
    weight = (np.arange(24) < 12) * 2.5
    weighted = make(**params).fit(pictures, labels, sample_weight=weight)
    half = make(**params).fit(pictures[:12], labels[:12])
    np.testing.assert_allclose(heads(weighted), heads(half), rtol=1e-3, atol=1e-6)


def test_batches_with_light_rows_count_less(make, pictures, labels):
    weight = np.r_[np.full(12, 1.5), np.full(12, 0.5)]
    params = {**TRAINED, "tune": "all", "max_epochs": 1, "batch_size": 12, "lr": 1e-9}
    params["iterator_train__shuffle"] = False
    classifier = make(**params).fit(pictures, labels, sample_weight=weight)
    losses = classifier.history[-1, "batches", :, "train_loss"]
    # The head starts at zero: each row's loss is log 2.
    assert losses == pytest.approx([1.5 * np.log(2), 0.5 * np.log(2)], rel=1e-4)


@pytest.mark.parametrize("loader", ["own", "torch"])
def test_loaders(make, pictures, labels, loader):
    params = {"optimizer": torch.optim.LBFGS, "batch_size": 24, "max_epochs": 5}
    params |= {"optimizer__line_search_fn": "strong_wolfe", "lr": 1.0}
    if loader == "torch":
        params["iterator_train"] = torch.utils.data.DataLoader
    weighted = make(**params).fit(pictures, labels, sample_weight=REPEATS)
    plain = make(**params).fit(pictures, labels)
    exact = make().fit(pictures, labels, sample_weight=REPEATS)
    distance = [np.abs(heads(one) - heads(exact)).max() for one in (weighted, plain)]
    assert distance[0] < 0.2 * distance[1]


def test_validation_split(make, pictures, labels):
    params = {"train_split": ValidSplit(((np.arange(12), np.arange(12, 24)),))}
    weight = (np.arange(24) % 3).astype(float)
    split = make(**params).fit(pictures, labels, sample_weight=weight)
    part = make().fit(pictures[:12], labels[:12], sample_weight=weight[:12])
    both = make().fit(pictures, labels, sample_weight=weight)
    assert split.history[-1, "valid_loss"] > 0
    near, far = (np.abs(heads(split) - heads(one)).max() for one in (part, both))
    assert near < far
    with pytest.raises(ValueError, match=r"train_split leaves .* sample_weight 0"):
        make(**params).fit(pictures, labels, sample_weight=np.arange(24) >= 12)


@pytest.mark.parametrize("heavier", [0.1, 1, 10])
def test_validation_loss_is_a_mean(make, pictures, labels, heavier):
    rows = np.arange(12, 24)
    split = ValidSplit(((np.arange(12), rows),))
    weight = 1.0 + np.arange(24) % 3
    weight[rows] *= heavier
    fitted = make(train_split=split).fit(pictures, labels, sample_weight=weight)
    columns = np.searchsorted(fitted.classes_, labels)[rows]
    losses = -np.log(fitted.predict_proba(pictures[rows])[np.arange(12), columns])
    expected = np.average(losses, weights=weight[rows])
    assert fitted.history[-1, "valid_loss"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("wrap", [list, tuple, pd.Series, torch.tensor, np.float32])
def test_containers(make, pictures, labels, wrap):
    weight = REPEATS.astype(float)
    before = weight.copy()
    one = make().fit(pictures, labels, sample_weight=wrap(weight))
    np.testing.assert_array_equal(weight, before)
    other = make().fit(pictures, labels, sample_weight=REPEATS)
    np.testing.assert_array_equal(heads(one), heads(other))


@pytest.mark.parametrize("weight", [None, 1.0, np.ones(24), np.ones(24, dtype=bool)])
def test_one_for_all_changes_nothing(make, pictures, labels, weight):
    one = make().fit(pictures, labels, sample_weight=weight)
    np.testing.assert_array_equal(heads(one), heads(make().fit(pictures, labels)))


BAD = {
    "too short": (np.ones(23), r"must have shape \(24,\).*got \(23,\)"),
    "two columns": (np.ones((24, 2)), r"must have shape \(24,\)"),
    "negative": (np.r_[1, -2.0, np.ones(22)], r"sample_weight\[1\] is negative \(-2"),
    "nan": (np.r_[np.ones(23), np.nan], r"sample_weight\[23\] is NaN"),
    "inf": (np.r_[np.inf, np.ones(23)], r"sample_weight\[0\] is inf, which"),
    "zero": (np.zeros(24), "sample_weight is zero, or below 1e-9, for all"),
    "words": (["a"] * 24, "must be an array of numbers"),
    "one word": ("balanced", "must be an array of numbers"),
    "object": (object(), "must be an array of numbers"),
    "none among them": ([None] * 24, r"sample_weight\[0\] is NaN"),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("kind", ["head", "all"])
def test_bad_weights(make, pictures, labels, what, kind):
    weight, message = BAD[what]
    for method in ("fit", "partial_fit"):
        with pytest.raises(ValueError, match=message):
            getattr(make(**KINDS[kind]), method)(pictures, labels, sample_weight=weight)


def test_a_criterion_without_a_loss_for_each_row(make, pictures, labels):
    class Plain(nn.Module):
        def forward(self, logits, y):
            return nn.functional.cross_entropy(logits, y)

    classifier = make(criterion=Plain)
    with pytest.raises(ValueError, match="sample_weight needs a criterion with"):
        classifier.fit(pictures, labels, sample_weight=REPEATS)
    classifier.fit(pictures, labels)


def test_cross_validation_slices_them(make, pictures, labels):
    weight = REPEATS.astype(float)
    done = cross_validate(
        make(), pictures, labels, cv=2, params={"sample_weight": weight}
    )
    assert len(done["test_score"]) == 2


@pytest.mark.parametrize("params", [{"C": 1e-20}, {"C": 1.0, "weight": 1e-9}])
def test_rows_that_weigh_next_to_nothing_leave_a_head_of_zeros(
    make, pictures, labels, params
):
    weight = params.pop("weight", None)
    tags = np.where(np.arange(24) % 6 < 1, 1 - labels, labels)
    classifier = make(error_weighting=100.0, **params)
    classifier.fit(pictures, labels, sample_weight=weight, ignore=tags)
    assert classifier.weighting_ == "tags and errors"
    np.testing.assert_allclose(classifier.predict_proba(pictures), 0.5, atol=1e-5)


class OwnMean(nn.CrossEntropyLoss):
    """A loss as many write it: with its mean, whatever `reduction` says."""

    def forward(self, logits, targets):
        losses = nn.functional.cross_entropy(logits, targets, reduction="none")
        return ((1 - (-losses).exp()) * losses).mean()


@pytest.mark.parametrize("kind", ["head", "all", "last"])
@pytest.mark.parametrize("given", ["rows", "classes"])
def test_a_criterion_in_which_weights_would_cancel_out(
    make, pictures, labels, kind, given
):
    rows = {"sample_weight": REPEATS} if given == "rows" else {}
    params = {**KINDS[kind], "criterion": OwnMean}
    classifier = make(class_weight=None if rows else {0: 3.0}, **params)
    with pytest.raises(ValueError, match="OwnMean with reduction='none' gave one of"):
        classifier.fit(pictures, labels, **rows)
    make(**params).fit(pictures, labels)  # without weights it will do
