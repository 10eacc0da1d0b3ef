"""How many random labels the questions so far have been worth."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modal_pretrain._checks import CONFIDENCE, Whole
from modal_pretrain._inputs.frames import check_order
from modal_pretrain.query._engine.arguments import (
    RandomState,
    as_generator,
    check_groups,
    n_rows,
)
from modal_pretrain.stopping._inputs import check_rows
from modal_pretrain.stopping.suspicious import balanced_folds, predict_with

_PARTS = (3, 2)  # thirds and halves of the random rows, for their learning curve
_SPLITS = 2  # into as many parts, all of which teach a copy
_FOLDS = 5
_LEAST = 15  # random rows
_LEAST_WRONG = 5  # of them, by the models that learnt from random rows alone
_DRAWS = 20_000
# How steep error falls with labels: beyond these no curve of a classifier goes.
_STEEP = (0.1, 1.0)
_LATE = 0.3  # of the curves change their steepness beyond the random labels
_FAR = 20  # times the random labels: no curve is followed further
_TELLING = 3.0  # high over low: more is no answer


class Worth(NamedTuple):
    """What the labels so far are worth, counted in random ones.

    Parameters
    ----------
    value, low, high : float
        Random labels that give the same accuracy, and the interval; `high` is infinite
        where random labels may never do so.
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
        if self.high == np.inf:
            worth = f"at least {self.low:.0f} random ones"
        else:
            worth = (
                f"about {self.value:.0f} random ones "
                f"({self.low:.0f} to {self.high:.0f})"
            )
        return f"so far your {self.n_labels} labels were worth {worth}"


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
    The error of random labels is taken to fall like a power of their number, towards
    an error that no number of labels takes away (labels that contradict each other,
    classes that look alike). Neither is known: the interval has all that agree with
    the parts.

    Parameters
    ----------
    classifier : modAL learner or committee, Pipeline or estimator
        It is cloned. Some sixty copies are fitted.
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
        than five that random labels get wrong, where copies that learnt from a third of
        the random rows, a half or all give one class whatever the row, as gradient
        boosting does below 40 rows, or where the interval says nothing.

    Raises
    ------
    ValueError
        If lengths differ, `random_rows` are no rows of X, or the classifier can't learn
        from so few rows as a copy gets: a third of four fifths of the random ones.
    """
    CONFIDENCE.check("confidence", confidence)
    check_order(X=X, y=y, random_rows=random_rows)
    labels, n = check_groups(y, "y", noun="label"), n_rows(X, "X")
    if labels.shape != (n,):
        raise ValueError(
            f"y must hold one label for each of the {n} rows of X, got shape "
            f"{labels.shape}."
        )
    drawn = np.sort(check_rows("random_rows", random_rows, n))
    m = len(drawn)
    if m < _LEAST or len(np.unique(labels[drawn])) < 2:
        return Worth(np.nan, 0.0, np.inf, n, m, tells=False)
    if m == n:  # there are no others
        return Worth(n, n, n, n, m, tells=True)
    rng = as_generator(random_state)
    sizes, wrong, luck, learnt = _judge(classifier, X, labels, drawn, rng)
    # Who has learnt nothing from a part begins later: no power of the number of labels.
    if wrong[-2].sum() < _LEAST_WRONG or not learnt:
        return Worth(np.nan, 0.0, np.inf, n, m, tells=False)
    times, weights = _times(sizes, wrong, luck, rng)
    out = m / _FOLDS  # rows that no copy has learnt from when they judge it
    each = (m - out) / (n - out)
    worth = n * each * times
    order = np.argsort(worth)
    below = np.cumsum(weights[order])
    tail = (1 - confidence) / 2
    at = np.searchsorted(below, np.array([tail, 0.5, 1 - tail]) * below[-1])
    low, value, high = worth[order][at]
    low, value = np.minimum((low, value), n * each * _FAR)
    # More labels than there are rows to compare with: it is an extrapolation.
    tells = bool(high <= _TELLING * low or low > n or high < n)
    return Worth(float(value), float(low), float(high), n, m, tells)


def _judge(
    classifier: Any,
    X: Any,
    y: NDArray[Any],
    drawn: NDArray[np.intp],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, bool]:
    """Find each random row's error by models that have not seen it.

    Returns
    -------
    sizes : numpy.ndarray of shape (sizes,)
        Random labels that the models learnt from, ascending.
    wrong : numpy.ndarray of shape (sizes + 1, m)
        How often each was wrong by models that learnt from so many random labels, and
        last by those that learnt from all labels.
    luck : float
        Standard deviation of the error of `sizes[-1]` labels, by which labels they are.
    learnt : bool
        Whether there is, of each of the sizes, a model that tells rows apart.
    """
    classes, codes = np.unique(y, return_inverse=True)
    fold = balanced_folds(codes[drawn], _FOLDS, rng)
    wrong = np.zeros((len(_PARTS) + 2, len(drawn)))
    halves = np.zeros((_SPLITS, 2))
    learnt = np.zeros(len(_PARTS) + 1, dtype=bool)

    def errors(
        size: int, taught: NDArray[np.intp], rows: NDArray[np.intp]
    ) -> NDArray[np.bool_]:
        proba = predict_with(classifier, X, y, taught, rows, classes)
        said = proba.argmax(axis=1)
        if size < len(learnt):
            learnt[size] |= len(np.unique(said)) > 1
        return said != codes[rows]

    for k in range(_FOLDS):
        out, kept = np.flatnonzero(fold == k), drawn[fold != k]
        judges = drawn[out]
        others = np.setdiff1d(np.arange(len(y)), judges)
        wrong[-1, out] = errors(len(_PARTS) + 1, others, judges)
        wrong[-2, out] = errors(len(_PARTS), kept, judges)
        for i, parts in enumerate(_PARTS):
            for split in range(_SPLITS):
                mixed = rng.permutation(kept)
                for part in range(parts):
                    found = errors(i, mixed[part::parts], judges)
                    wrong[i, out] += found / (parts * _SPLITS)
                    if parts == 2:
                        halves[split, part] += found.sum() / len(drawn)
    between = np.mean((halves[:, 0] - halves[:, 1]) ** 2) / 2
    sizes = len(drawn) * (1 - 1 / _FOLDS) / np.array([*_PARTS, 1])
    # Twice as many labels, half the variance.
    return sizes, wrong, float(np.sqrt(between / 2)), bool(learnt.all())


def _times(
    sizes: NDArray[np.float64],
    wrong: NDArray[np.float64],
    luck: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How many times the random labels give the error of all, on curves that agree.

    Returns
    -------
    times, weights : numpy.ndarray of shape (draws,)
        By a curve drawn at random, infinite beyond `_FAR`, and how well that one agrees
        with the parts.
    """
    m = wrong.shape[1]
    # Half an error more, and one either way: none seen is not none.
    found = wrong.mean(axis=1) + 0.5 / m
    spread = np.cov(wrong) / m + np.eye(len(found)) / m**2
    spread[:-1, :-1] += luck**2  # moves the random ones together
    level = found[-2] + np.sqrt(spread[-2, -2]) * rng.uniform(-3, 3, _DRAWS)
    level = np.clip(level, 0.5 / m, None)
    floor = rng.uniform(0, 1, _DRAWS)  # of the level
    steep = rng.uniform(*_STEEP, _DRAWS)
    ratio = sizes[:, None] / sizes[-1]
    curve = level * (floor + (1 - floor) * ratio**-steep)
    off = found[:-1, None] - curve
    precise = np.linalg.inv(spread[:-1, :-1])
    far = (off * (precise @ off)).sum(axis=0)
    weights = np.exp((far.min() - far) / 2)
    # The rows that judge are the same: what is off there is off here.
    pull = spread[-1, :-1] @ precise
    rest = spread[-1, -1] - pull @ spread[:-1, -1]
    error = found[-1] - pull @ off + np.sqrt(rest) * rng.normal(size=_DRAWS)
    error = np.clip(error, 0.5 / m, None)
    above = np.clip((error / level - floor) / (1 - floor), 1e-12, None)
    # Where there are more features than labels, error falls late.
    late = rng.random(_DRAWS) < _LATE
    later = np.where(late & (above < 1), rng.uniform(*_STEEP, _DRAWS), steep)
    times = np.exp(np.minimum(-np.log(above) / later, 9))
    return np.where(times < _FAR, times, np.inf), weights
