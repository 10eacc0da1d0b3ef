"""What an audit answers, and the estimators of other designs and of parts of a pool."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modal_pretrain.stopping._intervals import Estimate, normal, wilson

Floats = NDArray[np.float64]


class AuditResult(NamedTuple):
    """What an audit says about a model.

    Parameters
    ----------
    accuracy : Estimate
        Of the pool's rows that are not taught.
    recall : dict
        Class of the model -> `Estimate`, or None where no audited row is of it. A
        label that is none of them, counted as wrong, is not there: its recall is 0.
    """

    accuracy: Estimate
    recall: dict[Any, Estimate | None]

    def __str__(self) -> str:
        low, high = (f"{100 * v:.0f}" for v in self.accuracy[1:3])
        return (
            f"accuracy {100 * self.accuracy.value:.0f} % ({low} to {high} %) by "
            f"{self.accuracy.n} audit labels"
        )


def difference(
    values: Floats,
    guess: Floats,
    rows: NDArray[np.intp],
    inclusion: Floats,
    confidence: float,
) -> Estimate:
    """Use the stratified difference estimator, with the variance within strata.

    Parameters
    ----------
    values : numpy.ndarray of shape (k,), float64
        Of the rows drawn.
    guess, inclusion : numpy.ndarray of shape (n,), float64
        What the model expects of every row that is left, and the chance that the row
        had of being drawn.
    rows : numpy.ndarray of shape (k,), int
    confidence : float
    """
    n, chances = len(guess), inclusion[rows]
    off = values - guess[rows]
    value, variance, df = float(guess.mean()), 0.0, 0
    # Strata that are drawn from at the same rate are alike enough to be one.
    for chance in np.unique(chances):
        part = off[chances == chance]
        # Of the rows that are left: some may have been taught since the draw.
        size = int((inclusion == chance).sum())
        value += size / n * float(part.mean())
        within = part.var(ddof=1) if len(part) > 1 else 0.25
        variance += (size / n) ** 2 * (1 - len(part) / size) * within / len(part)
        df += len(part) - 1
    value = float(np.clip(value, 0, 1))
    ends = normal(value, variance, df, confidence)
    ends = _widened(ends, values, 1 / chances, confidence)
    return Estimate(value, *ends, len(rows), "stratified difference")


def lure(values: Floats, weights: Floats, confidence: float) -> Estimate:
    """Average the weighted values, with Student's interval."""
    n, each = len(values), values * weights
    variance = each.var(ddof=1) / n if n > 1 else 0.25
    value = float(np.clip(each.mean(), 0, 1))
    ends = normal(value, variance, n - 1, confidence)
    ends = _widened(ends, values, weights, confidence)
    return Estimate(value, *ends, n, "LURE")


def _widened(
    ends: tuple[float, float], values: Floats, weights: Floats, confidence: float
) -> tuple[float, float]:
    """Widen an interval to Wilson's, with the effective number, if all values are one.

    No error among 60 labels does not mean that there is none, but the values do not
    vary, and from nothing else does Student's interval know how wide it is.
    """
    if np.ptp(values) > 0:
        return ends
    effective = weights.sum() ** 2 / (weights**2).sum()
    low, high = wilson(values[0] * effective, effective, confidence)
    return min(low, ends[0]), max(high, ends[1])


def share_of(
    values: Floats,
    weights: Floats,
    inside: NDArray[np.bool_],
    confidence: float,
) -> Estimate | None:
    """Estimate the mean in a part of the pool: Wilson's, with the effective number."""
    n = int(inside.sum())
    if n == 0:
        return None
    weight = weights[inside]
    value = float(np.average(values[inside], weights=weight))
    effective = weight.sum() ** 2 / (weight**2).sum()
    ends = wilson(value * effective, effective, confidence)
    return Estimate(value, *ends, n, "Wilson, effective number")
