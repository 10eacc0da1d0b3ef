"""What labels are worth in random ones, where it is known."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from modal_pretrain.stopping import random_share, worth_of_labels


def test_every_kth_label_is_random():
    for every in (2, 3, 5, 7):
        for size in (1, 2, 10):
            asked = np.arange(0, 210, size)
            drawn = [random_share(size, every, asked=int(a)) for a in asked]
            assert sum(drawn) == (asked[-1] + size) // every
            assert max(drawn) <= size
    assert random_share(np.int8(100), np.int8(5), asked=np.int8(100)) == 20


def task(n, seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 12))
    return X, (X @ np.linspace(2, 0.2, 12) + rng.normal(size=n) * 0.5 > 0).astype(int)


def test_labels_that_are_all_random_are_worth_themselves():
    held = []
    for seed in range(8):
        X, y = task(100, seed)
        rows = np.arange(100) % 4 == 0
        found = worth_of_labels(LogisticRegression(), X, y, rows, random_state=seed)
        held.append(found.low <= 100 <= found.high)
        assert found.n_labels == 100 and found.n_random == 25
    assert np.mean(held) >= 0.75


@pytest.mark.parametrize("noise", [0.2, 1.0])
@pytest.mark.parametrize(("n", "m"), [(200, 40), (120, 60)])
def test_random_labels_are_not_told_to_be_worth_less_where_the_curve_is_flat(
    noise, n, m
):
    # Of noisy labels a part is wrong however many there are.
    told = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(n, 4))
        y = (X[:, 0] + noise * rng.normal(size=n) > 0).astype(int)
        found = worth_of_labels(LogisticRegression(), X, y, np.arange(m))
        told += found.tells and not found.low <= n <= found.high
    assert told <= 1


def test_labels_of_which_all_are_random_are_worth_themselves():
    X, y = task(60, 0)
    found = worth_of_labels(LogisticRegression(), X, y, np.arange(60))
    assert found[:3] == (60, 60, 60) and found.tells


def test_labels_that_repeat_are_worth_less_than_they_are():
    # 160 labels, of which 40 are random and the rest are the same row again.
    X, y = task(40, 0)
    X, y = (
        np.vstack([X, np.repeat(X[:1], 120, axis=0)]),
        np.r_[y, np.repeat(y[:1], 120)],
    )
    found = worth_of_labels(LogisticRegression(), X, y, np.arange(40))
    assert found.value < 100


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
