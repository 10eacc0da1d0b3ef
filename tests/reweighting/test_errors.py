"""Weights of what a head gets wrong."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn

from modal_pretrain import PretrainedClassifier
from modal_pretrain.reweighting import error_weights
from modal_pretrain.reweighting.out_of_fold import out_of_fold_logits, own_proba
from tests.classifier.cases import KINDS, TRAINED


def spurious(n=200, seed=0, share=0.1):
    """Labels, a strong column that misleads for a share of rows, and a weak one."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    exception = rng.random(n) < share
    strong = 2.0 * np.where(exception, -1, 1) * (2 * y - 1)
    X = np.stack([strong, 1.0 * (2 * y - 1)], axis=1) + rng.normal(0, 0.6, (n, 2))
    return X.astype(np.float32), y, exception


def table(**params):
    return PretrainedClassifier(
        nn.Identity, pretrained=False, device="cpu", random_state=0, C=0.05, **params
    )


def test_the_formula():
    X, y, _ = spurious()
    y = np.where(np.arange(200) < 30, y, 0)  # classes of unequal size
    given = np.random.default_rng(0).uniform(0.1, 2, 200)
    p = own_proba(out_of_fold_logits(X, y, C=0.01, weight=given), y)
    expected = given * np.exp(-3 * p)
    for label in (0, 1):
        expected[y == label] *= given.sum() / 2 / expected[y == label].sum()
    got = error_weights(X, y, strength=3, C=0.01, sample_weight=given)
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_exceptions_weigh_more_and_strength_0_balances():
    X, y, exception = spurious()
    weight = error_weights(X, y, C=0.05)
    assert weight[exception].mean() > 3 * weight[~exception].mean()
    flat = error_weights(X, y, strength=0)
    for label in (0, 1):
        assert np.ptp(flat[y == label]) < 1e-12
    assert flat.sum() == pytest.approx(200)
    names = error_weights(X, np.array(["a", "b"])[y], C=0.05)
    np.testing.assert_array_equal(names, weight)


def test_rows_of_weight_0_and_of_next_to_none():
    X, y, _ = spurious()
    times = np.arange(200) % 3
    weight = error_weights(X, y, C=0.05, sample_weight=times)
    kept = times > 0
    some = error_weights(X[kept], y[kept], C=0.05, sample_weight=times[kept])
    np.testing.assert_array_equal(weight[kept], some)
    assert not weight[~kept].any()
    light = np.where(y == 0, 1e-320, 1.0)
    weight = error_weights(X, y, sample_weight=light)
    assert weight[y == 0].sum() == pytest.approx(light.sum() / 2)


@pytest.mark.parametrize(
    "params, message",
    [
        ({"strength": -1}, "strength must be a finite number of at least 0"),
        ({"strength": "4"}, "Write 4 without quotes"),
        ({"n_folds": 1}, "n_folds must be a whole number of at least 2"),
        ({"sample_weight": np.ones(3)}, r"sample_weight must have shape \(200,\)"),
    ],
    ids=str,
)
def test_bad_arguments(params, message):
    X, y, _ = spurious()
    with pytest.raises(ValueError, match=message):
        error_weights(X, y, **params)
    with pytest.raises(ValueError, match=r"X must have shape \(n, d\)"):
        error_weights(X, y[:3])


def test_the_classifier_learns_from_the_exceptions():
    X, y, _ = spurious()
    test = spurious(2000, seed=1, share=0.5)
    plain, driven = (table(error_weighting=w).fit(X, y) for w in (0.0, 4.0))

    def worst(classifier):
        right = classifier.predict(test[0]) == test[1]
        return right[test[2]].mean()

    assert worst(driven) > worst(plain) + 0.1
    np.testing.assert_array_equal(
        plain.predict_proba(X), table().fit(X, y).predict_proba(X)
    )


def test_a_weight_is_so_many_copies_here_too():
    X, y, _ = spurious(60)
    times = np.arange(60) % 3
    one = table(error_weighting=4.0).fit(X, y, sample_weight=times)
    other = table(error_weighting=4.0).fit(X.repeat(times, axis=0), y.repeat(times))
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_classes_have_equal_mass_once(class_weight):
    X, y, _ = spurious(60)
    y[10:] = 0
    one = table(error_weighting=4.0).fit(X, y)
    other = table(error_weighting=4.0, class_weight=class_weight).fit(X, y)
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(X), rtol=1e-4)


def test_partial_fit_judges_by_what_it_knows():
    X, y, exception = spurious()
    first = table(error_weighting=4.0).fit(X, y)
    known = first.predict_proba(X)
    # Rows of no news move it less than rows it is wrong about.
    moved = []
    for rows in (~exception, exception):
        one = pickle.loads(pickle.dumps(first)).partial_fit(X[rows][:9], y[rows][:9])
        moved.append(np.abs(one.predict_proba(X) - known).mean())
    assert moved[1] > 1.4 * moved[0]


@pytest.mark.parametrize("kind", ["all", "last", "dropout"])
def test_other_ways_to_train(make, pictures, labels, kind):
    params = {**KINDS[kind], "error_weighting": 4.0}
    one = make(**params).fit(pictures, labels)
    np.testing.assert_array_equal(
        one.predict_proba(pictures),
        clone(one).fit(pictures, labels).predict_proba(pictures),
    )
    plain = make(**KINDS[kind]).fit(pictures, labels)
    assert (plain.predict_proba(pictures) != one.predict_proba(pictures)).any()
    assert np.isfinite(one.partial_fit(pictures, labels).predict_proba(pictures)).all()


def test_weights_of_a_backbone_that_trains_are_the_frozen_ones(make, pictures, labels):
    seen = []

    class Watch(nn.CrossEntropyLoss):
        def forward(self, logits, targets):
            if self.reduction == "none":
                seen.append(targets)
            return super().forward(logits, targets)

    params = {**TRAINED, "tune": "all", "max_epochs": 1, "batch_size": -1}
    one = make(**params, error_weighting=4.0, criterion=Watch).fit(pictures, labels)
    assert len(seen) == 1 and one.trained_weight_ == pytest.approx(24)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("kind", ["head", "all"])
def test_few_labels(make, pictures, labels, kind, n):
    params = {**KINDS[kind], "classes": [0, 1, 2], "error_weighting": 4.0}
    one = make(**params).fit(pictures[:n], labels[:n])
    assert np.isfinite(one.predict_proba(pictures)).all()
    one.fit(pictures[:4], np.zeros(4, dtype=int))


def test_without_a_strength_tags_mean_two():
    X, y, exception = spurious(share=0.05)
    tags = np.where(exception, 1 - y, y)
    none, two, three = (
        table(error_weighting=strength).fit(X, y, ignore=tags)
        for strength in (0.0, 2.0, 3.0)
    )
    assert none.weighting_ == two.weighting_ == "tags and errors"
    np.testing.assert_array_equal(none.predict_proba(X), two.predict_proba(X))
    assert (none.predict_proba(X) != three.predict_proba(X)).any()


@pytest.mark.parametrize("kind, is_same", [("all", True), ("head", False)])
def test_the_sum_of_weights_counts_for_frozen_backbones_only(
    make, pictures, labels, kind, is_same
):
    params = KINDS.get(kind, {})
    one, other = (
        make(**params).fit(pictures, labels, sample_weight=np.full(len(labels), weight))
        for weight in (1.0, 0.25)
    )
    proba, again = (each.predict_proba(pictures) for each in (one, other))
    assert np.allclose(proba, again, atol=1e-5) == is_same


def test_clone_pickle_and_grid_search():
    X, y, _ = spurious(100)
    one = table(error_weighting=2.5).fit(X, y)
    assert clone(one).error_weighting == 2.5
    copy = pickle.loads(pickle.dumps(one))
    np.testing.assert_array_equal(copy.predict_proba(X), one.predict_proba(X))
    search = GridSearchCV(table(), {"error_weighting": [0.0, 4.0]}, cv=2).fit(X, y)
    assert search.best_params_["error_weighting"] in (0.0, 4.0)


@pytest.mark.parametrize("value", [-1, "4", None, float("nan"), True, 101])
def test_bad_parameter(value):
    X, y, _ = spurious(20)
    with pytest.raises(ValueError, match="error_weighting must be a finite number"):
        table(error_weighting=value).fit(X, y)


@pytest.mark.parametrize("offset", [None, np.zeros((20, 2))])
def test_a_single_row_that_weighs_has_no_other_head(offset):
    """As with the row alone: a row of weight 0 is none."""
    X, y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2
    weight = np.zeros(20)
    weight[3] = 2
    found = error_weights(X, y, sample_weight=weight, offset=offset)
    np.testing.assert_array_equal(found, weight)
