"""Guesses of tags: taken where the probe tells unseen rows apart in every class."""

import numpy as np
import pytest

from modal_pretrain.reweighting import tag_weights
from modal_pretrain.reweighting.guess import with_guesses


def made(n=300, seed=0, plain=True):
    """A class, an attribute that goes along with it, and columns for both."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    a = np.where(rng.random(n) < 0.1, 1 - y, y)
    X = np.stack([2.0 * y - 1, 3 * (2.0 * a - 1) * plain], axis=1)
    return X + rng.normal(0, 0.4, (n, 2)), y, a


def few(a, y, n_each=3):
    """Tags of a few rows of each cell of class x attribute."""
    codes = np.full(len(a), -1)
    for cell in np.unique(2 * y + a):
        rows = np.flatnonzero(2 * y + a == cell)[:n_each]
        codes[rows] = a[rows]
    return codes


def test_few_tags_say_them_all():
    X, y, a = made()
    filled = with_guesses(X, few(a, y), y, C=0.05)
    assert (filled == a).mean() > 0.97
    # The same number of each cell: of themselves they show no association.
    weight, choice = tag_weights(X, y, np.where(few(a, y) < 0, None, few(a, y)), C=0.05)
    assert choice != "nothing"
    assert weight[a != y].mean() > 3 * weight[a == y].mean()


@pytest.mark.parametrize("what", ["not there", "nobody", "all", "class", "constant"])
def test_nothing_is_guessed(what):
    X, y, a = made(plain=what != "not there")
    codes = few(a, y)
    if what == "nobody":
        codes[:] = -1
    elif what == "all":
        codes = a
    elif what == "class":
        codes[codes >= 0] = y[codes >= 0]
    elif what == "constant":
        codes[codes >= 0] = 0
    assert with_guesses(X, codes, y, C=0.05) is codes


def test_a_probe_that_reads_the_class_is_not_trusted():
    X, y, a = made(plain=False)
    codes = np.where(np.arange(300) < 100, a, -1)
    # Right for nine of ten rows, but for none of the cells that matter.
    assert with_guesses(X, codes, y, C=0.05) is codes
