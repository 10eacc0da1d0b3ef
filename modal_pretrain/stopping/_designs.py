"""How the rows of an audit are drawn, and each row's chance to be drawn."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modal_pretrain._checks import Whole
from modal_pretrain.query._engine.arguments import (
    RandomState,
    as_generator,
    own_stream,
)
from modal_pretrain.stopping._inputs import Predictions
from modal_pretrain.stopping._intervals import ErrorCurves

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

_FLOOR = 0.2  # of the mean spread: no row is left out for being sure
_USUAL_STRETCH = 2.0
_CAUTIOUS_STRETCH = 1.0
_STRATA = 10


def expected_error(errors: Floats) -> float:
    """Plan with the model's own error rate, kept off the extremes."""
    return float(np.clip(errors.mean(), 0.03, 0.4))


def weighted_inclusion(curves: ErrorCurves, errors: Floats, n: int) -> Floats:
    """Chances in proportion to how much a row's outcome varies; they add up to n.

    Parameters
    ----------
    curves : ErrorCurves
    errors : numpy.ndarray of shape (N,), float64
        The model's own error probabilities, for the expected mean.
    n : int
        Rows to draw.

    Returns
    -------
    numpy.ndarray of shape (N,), float64
        Above 0, at most 1.
    """
    chance = curves.at(expected_error(errors), _USUAL_STRETCH)
    spread = np.sqrt(chance * (1 - chance))
    inclusion = np.maximum(spread, _FLOOR * spread.mean())
    inclusion *= n / inclusion.sum()
    sure = np.zeros(len(inclusion), dtype=bool)
    while (inclusion > 1).any():
        sure |= inclusion >= 1
        inclusion[sure] = 1
        left = n - sure.sum()
        inclusion[~sure] *= left / inclusion[~sure].sum() if left > 0 else 0
    return inclusion


def promises_more(errors: Floats, curves: ErrorCurves, inclusion: Floats) -> bool:
    """Say whether an audit drawn so has a narrower interval than a random one.

    Told cautiously: the model's log-odds are taken as they are, not stretched.
    """
    mean, size = expected_error(errors), len(errors)
    chance = curves.at(mean, _CAUTIOUS_STRETCH)
    weighted = ((1 / inclusion - 1) * chance * (1 - chance)).sum() / size
    random = mean * (1 - mean) * (size / inclusion.sum() - 1)
    return bool(weighted < 0.999 * random)


def systematic(inclusion: Floats, order: Rows, rng: np.random.Generator) -> Rows:
    """Draw rows with given chances, spread evenly over an order of the rows."""
    n = round(float(inclusion.sum()))
    ends = np.cumsum(inclusion[order])
    found = np.searchsorted(ends, rng.random() + np.arange(n), side="right")
    return order[np.minimum(found, len(order) - 1)]


def strata(errors: Floats, n: int) -> Rows:
    """Cut the order of confidence into equal parts; say which one each row is in."""
    number = max(1, min(_STRATA, n // 4, len(errors) // 4))
    place = np.empty(len(errors), dtype=np.intp)
    place[np.argsort(errors, kind="stable")] = np.arange(len(errors))
    return place * number // len(errors)


def stratified(errors: Floats, n: int, rng: np.random.Generator) -> tuple[Rows, Floats]:
    """Draw n rows, more of them from strata whose outcome varies more (Neyman).

    Returns
    -------
    rows, inclusion : numpy.ndarray
        Shapes (n,) and (N,).
    """
    stratum = strata(errors, n)
    sizes = np.bincount(stratum)
    inside = np.sqrt(np.maximum(errors * (1 - errors), 0.02))
    wanted = np.bincount(stratum, weights=inside)
    counts = np.minimum(np.minimum(sizes, 2), n // len(sizes))
    # One label at a time to the stratum that lags furthest behind its share.
    while counts.sum() < n:
        lag = np.where(counts < sizes, wanted / (counts + 1), -1.0)
        counts[int(lag.argmax())] += 1
    rows = [
        rng.choice(np.flatnonzero(stratum == h), k, replace=False)
        for h, k in enumerate(counts)
    ]
    return np.concatenate(rows), (counts / sizes)[stratum]


def active(errors: Floats, n: int, rng: np.random.Generator) -> tuple[Rows, Floats]:
    """Draw rows one after another, by their expected error; give LURE's weights.

    Returns
    -------
    rows : numpy.ndarray of shape (n,), int
    weights : numpy.ndarray of shape (n,), float64
        The mean of weight times value estimates the pool's mean without bias.
    """
    total = len(errors)
    mass = np.maximum(errors, 0.1 * errors.mean()) + 1e-9
    # The largest of log mass + Gumbel noise: draws one by one, in one pass.
    keys = np.log(mass) + rng.gumbel(size=total)
    rows = np.argpartition(-keys, n - 1)[:n]
    rows = rows[np.argsort(-keys[rows], kind="stable")]
    left = mass.sum() - np.concatenate([[0.0], np.cumsum(mass[rows])[:-1]])
    chance = mass[rows] / np.maximum(left, mass[rows])
    step = np.arange(1, n + 1)
    if n == total:
        return rows, np.ones(n)
    weights = 1 + (total - n) / (total - step) * (1 / ((total - step + 1) * chance) - 1)
    return rows, weights


class Draw(NamedTuple):
    """Rows of an audit, and how they came about.

    Attributes
    ----------
    rows : numpy.ndarray of shape (budget,), int
    inclusion : numpy.ndarray of float64
        Every row's chance of being drawn, shape (n,); of the design "active", the
        weights of the rows drawn.
    design : str
    """

    rows: Rows
    inclusion: Floats
    design: str


def draw_rows(
    now: Predictions,
    budget: int,
    design: str,
    away: Rows,
    random_state: RandomState,
) -> Draw:
    """Draw rows among those that are not away.

    Raises
    ------
    ValueError
        If there are fewer of them than the budget.
    """
    Whole().check("budget", budget)
    n = len(now.proba)
    there = np.setdiff1d(np.arange(n), away)
    if budget > len(there):
        raise ValueError(
            f"budget={budget} is more than the {len(there)} rows of the pool that are "
            "left. Pass a smaller one."
        )
    rng = own_stream(as_generator(random_state), len(away), random_state)
    errors, inclusion = now.error[there], np.full(len(there), budget / len(there))
    if design in ("auto", "weighted"):
        curves = ErrorCurves(errors)
        weighted = weighted_inclusion(curves, errors, budget)
        if design == "auto":
            pays = promises_more(errors, curves, weighted)
            design = "weighted" if pays else "random"
    if design == "active":
        rows, weights = active(errors, budget, rng)
        return Draw(there[rows], weights, design)
    if design == "weighted":
        inclusion = weighted
        rows = systematic(inclusion, curves.order, rng)
    elif design == "stratified":
        rows, inclusion = stratified(errors, budget, rng)
    else:
        rows = rng.choice(len(there), budget, replace=False)
    everywhere = np.zeros(n)
    everywhere[there] = inclusion
    return Draw(there[rows], everywhere, design)
