"""Out-of-fold heads against scikit-learn's, fold by fold."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from modal_pretrain.reweighting.logistic import coordinates, fit_head
from modal_pretrain.reweighting.out_of_fold import folds, out_of_fold_logits, own_proba


def out_of_fold_proba(X, y, **params):
    return own_proba(out_of_fold_logits(X, y, **params), y)


def data(n=60, d=7, k=3, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % k
    X = rng.standard_normal((n, d)) + y[:, None] * np.arange(d) * 0.2
    return X, y, rng.uniform(0.2, 3, n)


@pytest.mark.parametrize("d", [7, 200])
@pytest.mark.parametrize("k", [2, 3])
def test_as_scikit_learn(d, k):
    X, y, weight = data(d=d, k=k)
    C = 0.1
    got = out_of_fold_proba(X, y, C=C, weight=weight)
    fold = folds(X, y, 5)
    for number in range(5):
        out = fold == number
        # Two columns of weights share what one column bears there.
        head = LogisticRegression(C=C if k > 2 else 2 * C, tol=1e-8, max_iter=9999)
        head.fit(X[~out], y[~out], sample_weight=weight[~out])
        expected = head.predict_proba(X[out])[np.arange(out.sum()), y[out]]
        np.testing.assert_allclose(got[out], expected, atol=1e-3)


def test_coordinates_keep_inner_products():
    X, _, _ = data(n=20, d=100)
    Z = coordinates(np.concatenate([X, X[:5]]))
    assert Z.shape == (25, 20)
    np.testing.assert_allclose(Z[:20] @ Z[:20].T, X @ X.T, atol=1e-9)
    assert coordinates(X[:, :3]) is not None and coordinates(X[:, :3]).shape == (20, 3)


def test_folds_share_each_class_evenly_whatever_the_order():
    X, y, _ = data(n=61)
    fold = folds(X, y, 5)
    assert np.ptp(np.bincount(fold)) <= 1
    for label in range(3):
        assert np.ptp(np.bincount(fold[y == label], minlength=5)) <= 1
    order = np.random.default_rng(1).permutation(61)
    np.testing.assert_array_equal(folds(X[order], y[order], 5), fold[order])


def test_folds_do_not_hang_on_rounding():
    """The same pictures in other batches: a new deal would move models by 0.01."""
    X, y, _ = data(n=300)
    rng = np.random.default_rng(0)
    near = X * (1 + 1e-7 * rng.normal(size=X.shape))
    moved = np.mean(folds(near, y, 5) != folds(X, y, 5))
    assert moved <= 0.02
    other = folds(X + 0.1 * rng.normal(size=X.shape), y, 5)
    assert np.mean(other != folds(X, y, 5)) > 0.6


def test_rows_that_are_alike_are_dealt_at_random():
    line = np.arange(1000.0)[:, None]
    fold = folds(line, np.zeros(1000, dtype=int), 5)
    assert 0.1 < np.mean(fold[1:] == fold[:-1]) < 0.3


def test_copies_are_in_one_fold_and_count_as_weight():
    X, y, _ = data(n=30)
    times = np.arange(30) % 3 + 1
    fold = folds(X.repeat(times, axis=0), y.repeat(times), 5)
    np.testing.assert_array_equal(fold, folds(X, y, 5).repeat(times))
    copied = out_of_fold_proba(X.repeat(times, axis=0), y.repeat(times), C=0.1)
    weighed = out_of_fold_proba(X, y, C=0.1, weight=times.astype(float))
    np.testing.assert_allclose(copied, weighed.repeat(times), atol=1e-3)


def test_an_offset_is_where_the_head_starts():
    X, y, weight = data()
    first = fit_head(X, y, 3, C=0.1, weight=weight)
    offset = first.logits(X)
    # It has learnt what there is to learn: the penalty keeps it where it is.
    tight = out_of_fold_proba(X, y, C=1e-9, offset=offset)
    expected = np.exp(offset) / np.exp(offset).sum(axis=1, keepdims=True)
    # Biases alone are free.
    np.testing.assert_allclose(tight, expected[np.arange(60), y], atol=0.08)
    free = out_of_fold_proba(X, y, C=1e-9)
    np.testing.assert_allclose(free, 1 / 3, atol=0.02)


@pytest.mark.parametrize("n", [1, 2, 3, 6])
@pytest.mark.parametrize("labels", ["one", "two"])
def test_very_few_rows(n, labels):
    X = np.random.default_rng(0).standard_normal((n, 4))
    y = np.arange(n) % (1 if labels == "one" else 2)
    p = out_of_fold_proba(X, y, C=0.1)
    assert p.shape == (n,) and (p >= 0).all() and (p <= 1).all()
    if len(set(y.tolist())) == 1:
        assert (p == 1).all()


def test_copies_of_one_row_with_two_labels():
    p = out_of_fold_proba(np.ones((4, 3)), np.array([0, 1, 0, 1]), C=0.1)
    assert np.isfinite(p).all()
