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

_SIZES = (0.35, 0.6, 1.0)  # of the random rows, for their learning curve
_FOLDS = 5
_LEAST = 15  # random rows
_LEAST_WRONG = 5  # of them, by the models that learnt from random rows alone
_DRAWS = 1000
# How steep error falls with labels: beyond these no curve of a classifier goes.
_STEEP = (0.1, 1.0)
_PRIOR_STEEP, _PRIOR_WEIGHT = 0.4, 4.0
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

    Copies of the classifier learn from all labels, from the random ones, and from parts
    of these; all are judged by random rows that they have not seen, the same for all.
    The error of random labels is taken to fall like a power of their number.

    Parameters
    ----------
    classifier : modAL learner, Pipeline or estimator
        It is cloned. Some twenty copies are fitted.
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
    rng = as_generator(random_state)
    sizes, wrong_random, wrong_all = _judge(classifier, X, labels, drawn, rng)
    if wrong_random[-1].sum() < _LEAST_WRONG:
        return Worth(np.nan, 0.0, np.inf, n, m, tells=False)
    # Resampling the random rows moves both errors together: they are paired.
    draws = rng.integers(m, size=(_DRAWS, m))
    worth = _worth(sizes, wrong_random[:, draws].mean(axis=2), wrong_all[draws], m)
    value = _worth(sizes, wrong_random.mean(axis=1)[:, None], wrong_all[None], m)[0]
    tail = (1 - confidence) / 2
    low, high = np.quantile(worth, [tail, 1 - tail], method="inverted_cdf")
    # More labels than there are rows to compare with: it is an extrapolation.
    tells = bool(high <= _TELLING * low or low > n or high < n)
    return Worth(float(value), float(low), float(high), n, m, tells)


def _judge(
    classifier: Any,
    X: Any,
    y: NDArray[Any],
    drawn: NDArray[np.intp],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Find each random row's error by models that have not seen it.

    Returns
    -------
    sizes : numpy.ndarray of shape (sizes,)
        Random labels that the models learnt from.
    wrong_random : numpy.ndarray of shape (sizes, m)
        By models that learnt from so many random labels.
    wrong_all : numpy.ndarray of shape (m,)
        By models that learnt from all labels.
    """
    classes, codes = np.unique(y, return_inverse=True)
    fold = balanced_folds(codes[drawn], _FOLDS, rng)
    wrong_random = np.zeros((len(_SIZES), len(drawn)))
    wrong_all = np.zeros(len(drawn))
    sizes = np.array([round(s * len(drawn) * (1 - 1 / _FOLDS)) for s in _SIZES])

    def wrong(taught: NDArray[np.intp], rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        proba = predict_with(classifier, X, y, taught, rows, classes)
        return proba.argmax(axis=1) != codes[rows]

    for k in range(_FOLDS):
        out = np.flatnonzero(fold == k)
        kept = rng.permutation(drawn[fold != k])
        wrong_all[out] = wrong(np.setdiff1d(np.arange(len(y)), drawn[out]), drawn[out])
        for i, size in enumerate(sizes):
            wrong_random[i, out] = wrong(kept[:size], drawn[out])
    return sizes.astype(np.float64), wrong_random, wrong_all


def _worth(
    sizes: NDArray[np.float64],
    error_random: NDArray[np.float64],
    wrong_all: NDArray[np.float64],
    m: int,
) -> NDArray[np.float64]:
    """Random labels for the error of all labels: on a power law, in logarithms."""
    add = 0.5 / m  # no logarithm of zero
    logs = np.log(error_random + add)
    error_all = np.log(wrong_all.mean(axis=-1) + add)
    x = np.log(sizes)[:, None]
    around = x - x.mean()
    # The slope is drawn towards a usual one: three noisy points say little.
    moved = (around * (logs - logs.mean(axis=0))).sum(axis=0)
    steep = (_PRIOR_WEIGHT * _PRIOR_STEEP - moved) / (_PRIOR_WEIGHT + (around**2).sum())
    steep = np.clip(steep, *_STEEP)
    ahead = (logs.mean(axis=0) - error_all) / steep
    return np.exp(np.clip(x.mean() + ahead, 0, np.log(100 * m)))
