"""What labels are worth in random ones, where it is known."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from modal_pretrain.stopping import Worth, random_share, worth_of_labels


def test_every_kth_label_is_random():
    for every in (2, 3, 5, 7):
        for size in (1, 2, 10):
            asked = np.arange(0, 210, size)
            drawn = [random_share(size, every, asked=int(a)) for a in asked]
            assert sum(drawn) == (asked[-1] + size) // every
            assert max(drawn) <= size
    assert random_share(np.int8(100), np.int8(5), asked=np.int8(100)) == 20


def task(n, seed, noise=0.0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 12))
    y = (X @ np.linspace(2, 0.2, 12) + rng.normal(size=n) * 0.5 > 0).astype(int)
    return X, np.where(rng.random(n) < noise, rng.integers(2, size=n), y)


@pytest.mark.parametrize("noise", [0, 0.4, 0.8])
def test_labels_that_are_all_random_are_worth_themselves(noise):
    # With noise error falls towards a floor: a plain power law said 20 to 40 % of the
    # truth there, and was sure of it.
    held = []
    for seed in range(6):
        X, y = task(200, seed, noise)
        rows = np.arange(200) % 4 == 0
        found = worth_of_labels(LogisticRegression(), X, y, rows, random_state=seed)
        held.append(found.low <= 200 <= found.high)
        assert found.n_labels == 200 and found.n_random == 50
    assert np.mean(held) >= 0.8


def test_labels_of_which_all_are_random_are_worth_themselves():
    X, y = task(60, 0)
    found = worth_of_labels(LogisticRegression(), X, y, np.arange(60))
    assert found[:3] == (60, 60, 60) and found.tells


def test_the_order_of_the_random_rows_does_not_matter():
    X, y = task(90, seed=0, noise=0.4)
    rows = np.random.default_rng(0).permutation(40)
    by_mask = worth_of_labels(LogisticRegression(), X, y, np.arange(90) < 40)
    assert by_mask.value > 0
    assert worth_of_labels(LogisticRegression(), X, y, rows) == by_mask


def test_labels_that_repeat_are_worth_less_than_they_are():
    # 160 labels, of which 40 are random and the rest are the same row again.
    X, y = task(40, 0)
    X, y = (
        np.vstack([X, np.repeat(X[:1], 120, axis=0)]),
        np.r_[y, np.repeat(y[:1], 120)],
    )
    found = worth_of_labels(LogisticRegression(), X, y, np.arange(40))
    assert found.low < 45


class Learns(ClassifierMixin, BaseEstimator):
    """A model whose error is known: X holds the label and a number from 0 to 1."""

    def __init__(self, worth=1.0):
        self.worth = worth  # of each label beyond 200

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.error_ = (min(len(X), 200) + self.worth * max(len(X) - 200, 0)) ** -0.5
        return self

    def predict_proba(self, X):
        wrong = X[:, 1] < self.error_
        return np.eye(2)[np.where(wrong, 1 - X[:, 0], X[:, 0]).astype(int)]


def test_labels_that_are_better_than_random_ones_are_worth_more():
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=400)
    X = np.c_[y, rng.permutation(400) / 400]
    better = worth_of_labels(Learns(worth=20.0), X, y, np.arange(200))
    assert better.low > 400 and better.tells and "at least" in str(better)
    same = worth_of_labels(Learns(), X, y, np.arange(200))
    assert same.low <= 400 <= same.high
    useless = worth_of_labels(Learns(worth=0.0), X, y, np.arange(200))
    assert useless.value < 400 and useless.low < 250


def test_what_is_said_of_an_interval_without_end():
    open_ended = Worth(900.0, 450.0, np.inf, 200, 50, tells=True)
    assert str(open_ended) == (
        "so far your 200 labels were worth at least 450 random ones"
    )
    closed = Worth(300.0, 210.0, 450.0, 200, 50, tells=True)
    assert str(closed) == (
        "so far your 200 labels were worth about 300 random ones (210 to 450)"
    )


def test_cannot_tell_yet():
    X, y = task(40, 0)
    few = worth_of_labels(LogisticRegression(), X, y, np.arange(10))
    assert not few.tells and str(few) == (
        "cannot tell yet what your 40 labels were worth, with 10 random ones to compare"
    )
    # Nothing is wrong, so nothing can be compared.
    X, y = np.repeat([[0.0], [9.0]], 30, axis=0), np.repeat([0, 1], 30)
    easy = worth_of_labels(LogisticRegression(), X, y, np.arange(10, 50))
    assert not easy.tells
    X, y = task(40, 0)
    one = worth_of_labels(LogisticRegression(), X, np.zeros(40, int), np.arange(20))
    assert not one.tells


def test_bad_input():
    X, y = task(40, 0)
    with pytest.raises(
        ValueError, match="random_rows must be row numbers from 0 to 39"
    ):
        worth_of_labels(LogisticRegression(), X, y, [50])
    with pytest.raises(ValueError, match="one label for each of the 40 rows"):
        worth_of_labels(LogisticRegression(), X, y[1:], [5])
    with pytest.raises(ValueError, match="every must be"):
        random_share(10, 0)


def test_a_classifier_that_random_labels_are_too_few_for_tells_nothing():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 120)
    X = rng.normal(size=(120, 5)) + 3 * y[:, None]
    boosting = HistGradientBoostingClassifier(max_iter=5)  # constant below 40 rows
    assert not worth_of_labels(boosting, X, y, np.arange(40)).tells
    # All labels are random, and it begins to learn between the halves and all of them:
    # the end of that fall was taken for labels worth "at least 983 random ones".
    rng = np.random.default_rng(7)
    y = rng.integers(0, 2, 240)
    X = rng.normal(size=(240, 5)) + 1.5 * y[:, None]
    assert not worth_of_labels(boosting, X, y, np.arange(80)).tells
    found = worth_of_labels(boosting, X, y, np.arange(160))  # thirds of 42 learn
    assert 0 < found.low <= 240
