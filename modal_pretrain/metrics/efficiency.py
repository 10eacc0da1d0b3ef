"""How many labels a strategy needs for what another one reaches."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from modal_pretrain._checks import Number
from modal_pretrain._inputs.frames import check_order_of_rounds, check_same_rounds
from modal_pretrain._inputs.numbers import as_numbers

_LEVEL = Number()
# Scores this near are equal: records have six decimals, and sums of the same numbers
# in another order, as of other seeds, differ in the last bits.
NEAR = 2e-6


def label_efficiency(
    labels: Any,
    strategy: Any,
    random: Any,
    level: float | None = None,
    *,
    min_gain: float = 0.02,
) -> float:
    """Labels that random sampling needs / labels that a strategy needs.

    Both for the same accuracy. 5 means that the strategy gets there with a fifth of
    the labels; below 1 it needs more than random sampling.

    Parameters
    ----------
    labels : array-like of shape (n_rounds,)
        Number of labels at each recorded round, increasing and positive; the seed set
        is part of it.
    strategy, random : array-like of shape (n_rounds,) or (n_seeds, n_rounds)
        Accuracy (or another score where more is better) at these rounds. Several seeds
        are averaged first: the multiple is one of mean curves.
    level : float, optional
        The accuracy to reach. By default the last of random sampling or, if the
        strategy ends lower, the last of the strategy: a worse strategy has a multiple
        of at most about 1, not none.
    min_gain : float, default=0.02
        If neither curve ends this much above its start, nothing was learned from the
        queries that could be told from noise, and the multiple is 1 by definition.
        0 turns the rule off. A `level` that is given is taken as it is.

    Returns
    -------
    float
        The multiple, positive; nan if a `level` is given that one of the curves never
        reaches (a lower level, or more rounds, are needed then).

    Raises
    ------
    ValueError
        If the shapes disagree, `labels` does not increase, a value is not finite, or
        rounds from pandas are, by their names, in another order than `labels`, or the
        rows of a frame instead of its columns; or the curves, by the names of their
        rounds, are of different ones.

    Notes
    -----
    Each mean curve is replaced by its running maximum, so that a dip after the level
    was reached changes nothing, and is interpolated linearly between rounds. What is
    within 2e-6 of the level, to which records are rounded, has reached it. A curve
    that starts at or above the level needs ``labels[0]``: two curves that never leave
    their start have the multiple 1, and a large seed set bounds it. Look at the curves
    too, use several seeds, and see :func:`paired_bootstrap` for an interval.

    Examples
    --------
    >>> label_efficiency([10, 20, 30, 40], [0.5, 0.8, 0.9, 0.9], [0.5, 0.6, 0.7, 0.8])
    2.0
    """
    if level is not None:
        _LEVEL.check("level", level)
    Number(least=0).check("min_gain", min_gain)
    labels = _labels(labels)
    check_same_rounds(strategy=strategy, random=random)
    best, gain, last = [], [], []
    for key, values in (("strategy", strategy), ("random", random)):
        curve = _curves(values, labels, key)
        mean = curve.mean(axis=0) if curve.ndim == 2 else curve
        best.append(np.maximum.accumulate(mean))
        gain.append(mean[-1] - mean[0])
        last.append(mean[-1])
    if level is None:
        if max(gain) < min_gain - NEAR:
            return 1.0
        level = min(last)
    needed_strategy, needed_random = (_labels_needed(labels, b, level) for b in best)
    return float(needed_random / needed_strategy)


def labels_needed(labels: Any, values: Any, level: float) -> float:
    """Labels at which a learning curve first reaches a level.

    Parameters
    ----------
    labels : array-like of shape (n_rounds,)
        Number of labels at each round, increasing and positive.
    values : array-like of shape (n_rounds,) or (n_seeds, n_rounds)
        Accuracy at these rounds. Several seeds are averaged first.
    level : float
        The accuracy to reach.

    Returns
    -------
    float
        Interpolated as in :func:`label_efficiency`; ``labels[0]`` if the curve starts
        there; nan if it never gets there.

    Examples
    --------
    >>> round(labels_needed([10, 20, 30], [0.5, 0.6, 0.8], 0.7), 6)
    25.0
    """
    _LEVEL.check("level", level)
    labels = _labels(labels)
    curve = _curves(values, labels, "values")
    mean = curve.mean(axis=0) if curve.ndim == 2 else curve
    return _labels_needed(labels, np.maximum.accumulate(mean), level)


def _labels_needed(labels: np.ndarray, rising: np.ndarray, level: float) -> float:
    """Labels at which a non-decreasing curve reaches the level, or nan."""
    reached = rising >= level - NEAR
    if not reached[-1]:
        return np.nan
    i = int(np.argmax(reached))
    if i == 0:
        return float(labels[0])
    part = min((level - rising[i - 1]) / (rising[i] - rising[i - 1]), 1)
    return float(labels[i - 1] + part * (labels[i] - labels[i - 1]))


def area_under_curve(labels: Any, values: Any) -> Any:
    """Mean height of a learning curve, by the trapezoidal rule.

    integral of values over labels / (labels[-1] - labels[0])

    Parameters
    ----------
    labels : array-like of shape (n_rounds,)
        Number of labels at each round, increasing; at least two rounds.
    values : array-like of shape (n_rounds,) or (n_seeds, n_rounds)
        Accuracy, or another score, at these rounds.

    Returns
    -------
    float or ndarray of shape (n_seeds,)
        In the range of the values: an area of 0.8 is an accuracy of 0.8 on average
        over the labels spent.

    Examples
    --------
    >>> area_under_curve([10, 20, 40], [0.5, 0.7, 0.9])
    0.7333333333333333
    """
    labels = _labels(labels)
    if len(labels) < 2:
        raise ValueError("an area needs at least two rounds")
    curve = _curves(values, labels, "values")
    heights = (curve[..., 1:] + curve[..., :-1]) / 2
    area = (heights * np.diff(labels)).sum(axis=-1) / (labels[-1] - labels[0])
    return float(area) if curve.ndim == 1 else area


def _labels(labels: Any) -> np.ndarray:
    labels = as_numbers(labels, "labels").astype(float)
    if labels.ndim != 1 or len(labels) == 0:
        raise ValueError(f"labels must be 1-D and not empty, got shape {labels.shape}")
    if not (labels[0] > 0 and (np.diff(labels) > 0).all()):
        raise ValueError("labels must be positive and increase from round to round")
    return labels


def _curves(values: Any, labels: np.ndarray, key: str) -> np.ndarray:
    curve = as_numbers(values, key).astype(float)
    if curve.ndim not in (1, 2) or curve.size == 0 or curve.shape[-1] != len(labels):
        raise ValueError(
            f"{key} must have shape ({len(labels)},) or (n_seeds, {len(labels)}) like "
            f"labels, got {curve.shape}"
        )
    check_order_of_rounds(key, values, labels)
    if labels[-1] <= 1 < curve.min():
        warnings.warn(
            f"labels, the number of labels at each round, end at {labels[-1]:g}, and "
            f"{key} are {curve.min():g} and more. If it is the other way round, swap "
            "them.",
            UserWarning,
            stacklevel=3,
        )
    return curve
