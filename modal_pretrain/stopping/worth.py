"""How many random labels the questions so far have been worth."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modal_pretrain._checks import Number, Whole
from modal_pretrain.query._engine.arguments import (
    RandomState,
    as_generator,
    check_groups,
    n_rows,
)
from modal_pretrain.stopping._inputs import check_rows
from modal_pretrain.stopping.suspicious import balanced_folds, predict_with

_FOLDS = 5
_LEAST = 15  # random rows
_LEAST_WRONG = 5  # of them, by the models that learnt from random rows alone
_DRAWS = 1000
# Error falls like n ** -steep. A few dozen labels do not show how steep: from next to
# flat, where the rest are coin tosses, to steeper than most curves.
_USUAL, _STEEP = 0.4, (0.05, 1.2)
_MOST = 100  # times the random labels: no count beyond
_TELLING = 3.0  # high over low: more is no answer


class Worth(NamedTuple):
    """What the labels so far are worth, counted in random ones.

    Parameters
    ----------
    value, low, high : float
        Random labels that give the same accuracy, and the interval.
    n_labels, n_random : int
        Labels there are, and how many of them were drawn at random.
    tells : bool
        Whether the interval is narrow enough to be an answer, or on one side of
        `n_labels`.
    """

    value: float
    low: float
    high: float
    n_labels: int
    n_random: int
    tells: bool

    def __str__(self) -> str:
        if not self.tells:
            return (
                f"cannot tell yet what your {self.n_labels} labels were worth, with "
                f"{self.n_random} random ones to compare"
            )
        return (
            f"so far your {self.n_labels} labels were worth about {self.value:.0f} "
            f"random ones ({self.low:.0f} to {self.high:.0f})"
        )


def random_share(n_instances: int, every: int = 5, *, asked: int = 0) -> int:
    """Say how many rows of the next batch to draw at random: every k-th label.

    Parameters
    ----------
    n_instances : int
        Size of the batch.
    every : int, default=5
        One label in so many is random.
    asked : int, default=0
        Labels asked for so far, so that small batches have their share in turn.

    Returns
    -------
    int

    Examples
    --------
    >>> [random_share(2, every=5, asked=asked) for asked in (0, 2, 4, 6, 8)]
    [0, 0, 1, 0, 1]
    """
    Whole().check("n_instances", n_instances)
    Whole().check("every", every)
    Whole(least=0).check("asked", asked)
    n_instances, every, asked = int(n_instances), int(every), int(asked)
    return (asked + n_instances) // every - asked // every


def worth_of_labels(
    classifier: Any,
    X: Any,
    y: Any,
    random_rows: Any,
    *,
    confidence: float = 0.95,
    random_state: RandomState = 0,
) -> Worth:
    """Compare the labels so far with random ones, by the random ones among them.

    Copies of the classifier learn from all labels and from the random ones; all are
    judged by random rows that they have not seen, the same for all. The error of random
    labels is taken to fall like a power of their number. Which power is not known: the
    interval allows for any from 0.05 to 1.2.

    Parameters
    ----------
    classifier : modAL learner or committee, Pipeline or estimator
        It is cloned. Ten copies are fitted.
    X : array-like or list, m rows
        All labelled rows.
    y : array-like of shape (m,)
    random_rows : array-like of int or mask
        Which of them were drawn at random from the pool (a random seed set included).
    confidence : float, default=0.95
    random_state : None, int, SeedSequence, Generator or RandomState, default=0

    Returns
    -------
    Worth
        "Cannot tell yet" with fewer than 15 random rows, one class among them or fewer
        than five that random labels get wrong, or where the interval says nothing.

    Raises
    ------
    ValueError
        If lengths differ, or `random_rows` are no rows of X.
    """
    Number(above=0, below=1).check("confidence", confidence)
    labels, n = check_groups(y, "y", noun="label"), n_rows(X, "X")
    if labels.shape != (n,):
        raise ValueError(
            f"y must hold one label for each of the {n} rows of X, got shape "
            f"{labels.shape}."
        )
    drawn = check_rows("random_rows", random_rows, n)
    m = len(drawn)
    if m < _LEAST or len(np.unique(labels[drawn])) < 2:
        return Worth(np.nan, 0.0, np.inf, n, m, tells=False)
    if m == n:
        return Worth(n, n, n, n, m, tells=True)
    rng = as_generator(random_state)
    wrong_random, wrong_all = _judge(classifier, X, labels, drawn, rng)
    if wrong_random.sum() < _LEAST_WRONG:
        return Worth(np.nan, 0.0, np.inf, n, m, tells=False)
    # Resampling the random rows moves both errors together: they are paired.
    draws = rng.integers(m, size=(_DRAWS, m))
    ratios = _ratio(wrong_random[draws], wrong_all[draws])
    tail = (1 - confidence) / 2
    worse, better = np.quantile(ratios, [tail, 1 - tail], method="inverted_cdf")
    low = min(_worth(worse, steep, n, m) for steep in _STEEP)
    high = max(_worth(better, steep, n, m) for steep in _STEEP)
    value = _worth(_ratio(wrong_random, wrong_all), _USUAL, n, m)
    # More labels than there are rows to compare with: it is an extrapolation.
    tells = bool(high <= _TELLING * low or low > n or high < n)
    return Worth(float(np.clip(value, low, high)), low, high, n, m, tells)


def _judge(
    classifier: Any,
    X: Any,
    y: NDArray[Any],
    drawn: NDArray[np.intp],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find each random row's error by models that have not seen it.

    Returns
    -------
    wrong_random, wrong_all : numpy.ndarray of shape (m,)
        By models that learnt from the random labels, and from all labels.
    """
    classes, codes = np.unique(y, return_inverse=True)
    fold = balanced_folds(codes[drawn], _FOLDS, rng)
    wrong_random, wrong_all = np.zeros(len(drawn)), np.zeros(len(drawn))

    def wrong(taught: NDArray[np.intp], rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        proba = predict_with(classifier, X, y, taught, rows, classes)
        return proba.argmax(axis=1) != codes[rows]

    for k in range(_FOLDS):
        out = np.flatnonzero(fold == k)
        wrong_all[out] = wrong(np.setdiff1d(np.arange(len(y)), drawn[out]), drawn[out])
        wrong_random[out] = wrong(drawn[fold != k], drawn[out])
    return wrong_random, wrong_all


def _ratio(
    wrong_random: NDArray[np.float64], wrong_all: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Logarithm of the error of random labels over that of all labels."""
    add = 0.5 / wrong_all.shape[-1]  # no logarithm of zero
    return np.log(wrong_random.mean(axis=-1) + add) - np.log(
        wrong_all.mean(axis=-1) + add
    )


def _worth(ratio: Any, steep: float, n: int, m: int) -> float:
    """Random labels for the error of n labels, m of them random."""
    held_out = m / _FOLDS  # which neither kind of copy has learnt from
    same = np.log(m - held_out) + ratio / steep
    return float(np.exp(np.clip(same, 0, np.log(_MOST * m))) * n / (n - held_out))
