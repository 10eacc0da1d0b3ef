"""Intervals of a mean over a pool, from a few of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import norm
from scipy.stats import t as student

from modal_pretrain._checks import CONFIDENCE, Number
from modal_pretrain._inputs.numbers import is_between

Floats = NDArray[np.float64]

# Means that the score interval tries; between them it interpolates.
_MEANS = np.concatenate(
    [[1e-4], np.linspace(0.0025, 0.3, 120), np.linspace(0.305, 0.9999, 100)]
)
_SHIFTS = np.linspace(-20, 20, 161)
_CLIP = 1e-4  # a model that is surer than this is not believed
# How far the model's log-odds may be stretched: below 1 it is too sure of itself.
STRETCHES = (0.2, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
_USUAL, _SPREAD = 1.4, 0.7  # a priori, on the log scale
_SHIFTED = 1.0  # a priori spread of what is left to explain by a shift
BLIND = 0.05  # share of the errors that confidence says nothing about
_BINS = 256
_ROUNDING = 1e-9


class Estimate(NamedTuple):
    """A figure, the bounds of its interval, and what it rests on.

    Parameters
    ----------
    value, low, high : float
        The estimate and its confidence interval.
    n : int
        Labels it rests on.
    method : str
        How the interval was made.
    """

    value: float
    low: float
    high: float
    n: int
    method: str

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}] from {self.n}"

    def __contains__(self, number: object) -> bool:
        """Tell whether a number is from low to high, as ``0.9 in estimate`` asks."""
        return is_between(self.low, number, self.high)

    def flipped(self) -> Estimate:
        """Return the same of one minus the figure: accuracy from error."""
        return self._replace(value=1 - self.value, low=1 - self.high, high=1 - self.low)


def wilson(hits: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion.

    Parameters
    ----------
    hits, n : float
        Out of n, which need not be whole (an effective number).
    confidence : float, default=0.95

    Returns
    -------
    tuple of float
        Low and high, in [0, 1].

    Raises
    ------
    ValueError
        If `n` is not above 0, or `hits` is not from 0 to `n`.

    Examples
    --------
    >>> low, high = wilson(19, 20)
    >>> round(low, 3), round(high, 3)
    (0.764, 0.991)
    """
    Number(above=0).check("n", n)
    # Sums of weights end some roundings beyond their bounds.
    Number(least=-_ROUNDING * n, most=(1 + _ROUNDING) * n).check("hits", hits)
    CONFIDENCE.check("confidence", confidence)
    hits, n = float(hits), float(n)  # NumPy's short integers would overflow
    z = float(norm.ppf(0.5 + confidence / 2))
    share = min(max(hits / n, 0.0), 1.0)
    middle = (share * n + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * np.sqrt(share * (1 - share) * n + z * z / 4)
    low, high = max(0.0, float(middle - half)), min(1.0, float(middle + half))
    return low if share > 0 else 0.0, high if share < 1 else 1.0


def normal(
    value: float, variance: float, df: float, confidence: float
) -> tuple[float, float]:
    """Return Student's interval around a value, cut to [0, 1]."""
    half = float(student.ppf(0.5 + confidence / 2, max(df, 1))) * np.sqrt(variance)
    return max(0.0, float(value - half)), min(1.0, float(value + half))


class ErrorCurves:
    """Guesses of each row's chance to be wrong, for every possible mean.

    The model's own guesses, taken as log-odds, are stretched by one of some factors and
    shifted until their mean over the pool is the one wanted; a share `BLIND` of it is
    spread evenly, for errors that the model does not see coming.

    Parameters
    ----------
    guesses : numpy.ndarray of shape (n,), float64
        Each row's chance in the eyes of the model, in [0, 1].
    """

    def __init__(self, guesses: Floats) -> None:
        self.odds = logit(np.clip(guesses, _CLIP, 1 - _CLIP))
        self.order = np.argsort(self.odds, kind="stable")
        n = len(guesses)
        self._starts = np.linspace(0, n, min(_BINS, n) + 1).astype(int)[:-1]
        sizes = np.diff(np.append(self._starts, n))
        self._binned = self.in_bins(self.odds) / sizes
        self._share = sizes / n

    def in_bins(self, values: Floats) -> Floats:
        """Sum over bins of rows that are alike to the model."""
        return np.add.reduceat(values[self.order], self._starts)

    def shifts(self, stretch: float, means: Floats) -> Floats:
        """Find the shifts that give the curve these means."""
        found = expit(_SHIFTS[:, None] + stretch * self._binned) @ self._share
        return np.interp(means, found, _SHIFTS)

    def at(self, mean: float, stretch: float) -> Floats:
        """Return the chance of each row of the pool: shape (n,)."""
        shift = self.shifts(stretch, np.array([mean]))
        return BLIND * mean + (1 - BLIND) * expit(shift + stretch * self.odds)

    def tried(self, rows: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Return the chances for all stretches and means, of some rows and of the bins.

        Returns
        -------
        of_rows, of_bins : numpy.ndarray
            Shapes (stretches, means, rows) and (stretches, means, bins).
        """
        found = []
        for odds in (self.odds[rows], self._binned):
            curves = [
                expit(self.shifts(s, _MEANS)[:, None] + s * odds) for s in STRETCHES
            ]
            found.append(BLIND * _MEANS[:, None] + (1 - BLIND) * np.stack(curves))
        return found[0], found[1]


class Sample(NamedTuple):
    """The rows of a draw, and every row's chance to be among them.

    Rows of earlier draws stand first; their chance is 1. `size` rows could be drawn;
    some of them may have been taught since.
    """

    rows: NDArray[np.intp]
    inclusion: Floats
    size: int


def parts(samples: Sequence[Sample]) -> list[float]:
    """Weigh draws by the rows that each added; the weights sum to one."""
    sizes = [0, *(len(sample.rows) for sample in samples)]
    return [float(new) / sizes[-1] for new in np.diff(sizes)]


def score_interval(
    curves: ErrorCurves,
    samples: Sequence[Sample],
    values: Floats,
    confidence: float,
) -> tuple[float, float, float]:
    """Wilson's interval, told by the model which rows are likely to be wrong.

    A mean is in the interval if the weighted sum of (value - chance under that mean)
    is no further from zero than it would be by chance. Where the model cannot tell rows
    apart, this is Wilson's interval. The stretch is averaged over what the labels leave
    likely. Values between 0 and 1 vary less than zeros and ones of the same mean, so
    for them the interval is wide enough.

    Parameters
    ----------
    curves : ErrorCurves
        Of the rows of the pool now.
    samples : sequence of Sample
        One a draw.
    values : numpy.ndarray of shape (k,), float64
        Of the rows of the last draw, in [0, 1].
    confidence : float

    Returns
    -------
    value, low, high : float
    """
    quantile = float(norm.ppf(0.5 + confidence / 2))
    n, rows = len(curves.odds), samples[-1].rows
    of_rows, of_bins = curves.tried(rows)
    log_prior = -0.5 * (np.log(np.array(STRETCHES) / _USUAL) / _SPREAD) ** 2
    shifts = np.stack([curves.shifts(stretch, _MEANS) for stretch in STRETCHES])
    log_prior = log_prior[:, None] - 0.5 * (shifts / _SHIFTED) ** 2
    likely = (values * np.log(of_rows) + (1 - values) * np.log1p(-of_rows)).sum(axis=2)
    likely += log_prior
    weight = likely[:, np.unravel_index(likely.argmax(), likely.shape)[1]]
    weight = np.exp(weight - weight.max())
    weight /= weight.sum()
    chance = np.tensordot(weight, of_rows, 1)
    spread = np.tensordot(weight, of_bins, 1)
    spread *= 1 - spread
    off, variance = np.zeros(len(_MEANS)), np.zeros(len(_MEANS))
    for (drawn, inclusion, size), part in zip(samples, parts(samples), strict=True):
        k = len(drawn)
        each = part / (inclusion[drawn] * size)
        off += each @ values[:k] - chance[:, :k] @ each
        odds_against = np.zeros(n)
        some = inclusion > 0
        odds_against[some] = 1 / inclusion[some] - 1
        # Rows taken since stand for as much as those that are left.
        share = part**2 / (size * n)
        variance += share * (spread @ curves.in_bins(odds_against))
    value = float(np.interp(0, -off, _MEANS))
    if not values.any() or (values == 1).all():
        value = float(values[0])
    beyond = np.abs(off) - quantile * np.sqrt(variance)
    inside = np.flatnonzero(beyond <= 0)
    if not len(inside):  # every row was drawn: nothing is left to chance
        return value, value, value
    low, high = int(inside[0]), int(inside[-1])
    return (
        value,
        0.0 if low == 0 or not values.any() else _crossing(beyond, low, low - 1),
        1.0
        if high == len(_MEANS) - 1 or (values == 1).all()
        else _crossing(beyond, high, high + 1),
    )


def _crossing(beyond: Floats, inside: int, outside: int) -> float:
    pair = [inside, outside]
    return float(np.interp(0, beyond[pair], _MEANS[pair]))
