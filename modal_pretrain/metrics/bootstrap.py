"""Intervals over seeds."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import check_random_state

from modal_pretrain._checks import CONFIDENCE, SEED, Made, ParameterError, Whole
from modal_pretrain._inputs.frames import check_order
from modal_pretrain._inputs.numbers import as_numbers, is_between


class Interval(NamedTuple):
    """An estimate and the bounds of its confidence interval.

    Parameters
    ----------
    estimate : float
        The statistic on all seeds.
    low, high : float
        Percentiles of its resamples; nan if there are none.
    """

    estimate: float
    low: float
    high: float

    def __contains__(self, number: object) -> bool:
        """Tell whether a number is from low to high, as ``0 in interval`` asks."""
        return is_between(self.low, number, self.high)


def paired_bootstrap(
    a: Any,
    b: Any,
    statistic: Callable[[np.ndarray, np.ndarray], float] | None = None,
    *,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    random_state: int | np.random.RandomState | None = None,
) -> Interval:
    """Percentile bootstrap over seeds that were run for both a and b.

    Seeds are drawn with replacement, the same ones for both: seed i of `a` and seed i
    of `b` share seed set and data, so that what they have in common cancels [1]_.

    Parameters
    ----------
    a, b : array-like of shape (n_seeds, ...)
        One value or one curve a seed.
    statistic : callable, optional
        ``statistic(a[seeds], b[seeds]) -> float``, of the same arrays the same. By
        default mean(a) - mean(b).
    confidence : float, default=0.95
        Share of the resamples inside the interval; in [0.5, 1).
    n_resamples : int, default=2000
        Number of resamples.
    random_state : int, RandomState or None, default=None
        The draw.

    Returns
    -------
    Interval
        ``(estimate, low, high)``: the statistic on all seeds and its percentiles.
        Resamples where it is nan are left out; if all are, low and high are nan. Where
        it is infinite, so may the bounds be. With fewer than about eight seeds such
        intervals are too narrow.

    Raises
    ------
    ValueError, TypeError
        If a and b are no finite numbers of the same seeds, a parameter is out of range,
        or the statistic is no number.

    Warns
    -----
    UserWarning
        If both come from pandas with an index of one name, and other values.

    References
    ----------
    .. [1] B. Efron and R. Tibshirani, An Introduction to the Bootstrap, 1993,
       chapters 8 and 13.

    Examples
    --------
    >>> paired_bootstrap([0.9, 0.8, 0.7], [0.8, 0.7, 0.6], random_state=0).low > 0.09
    True
    """
    CONFIDENCE.check("confidence", confidence)
    Whole().check("n_resamples", n_resamples)
    SEED.check("random_state", random_state)
    Made((), "a function of a and b", test=callable, also=(None,)).check(
        "statistic", statistic
    )
    check_order(a=a, b=b)
    _warn_of_other_seeds(a, b)
    a, b = (as_numbers(v, name).astype(float) for v, name in ((a, "a"), (b, "b")))
    if a.ndim == 0 or b.ndim == 0 or len(a) != len(b) or len(a) == 0:
        raise ValueError(
            "a and b must hold the same seeds, at least one, along their first axis; "
            f"got shapes {a.shape} and {b.shape}"
        )
    if statistic is None:
        statistic = _mean_difference
    rng = check_random_state(random_state)
    draws = rng.randint(len(a), size=(n_resamples, len(a)))
    try:
        estimate = _number(statistic(a, b))
    except ParameterError:
        raise
    except TypeError as error:  # as of np.mean, which takes b for an axis
        raise ParameterError(
            f"statistic must be a function of a and b, such as lambda a, b: a.max() - "
            f"b.max(); {getattr(statistic, '__name__', statistic)!s} of them raised "
            f"{error}."
        ) from error
    # Of few seeds there are few different draws.
    draws, again = np.unique(draws, axis=0, return_inverse=True)
    values = np.array([_number(statistic(a[seeds], b[seeds])) for seeds in draws])
    values = values[again.reshape(-1)]  # of NumPy 2.0 it has two dimensions
    values = values[~np.isnan(values)]
    if not len(values):
        return Interval(estimate, np.nan, np.nan)
    tail = (1 - confidence) / 2
    if np.isfinite(values).all():
        low, high = np.quantile(values, [tail, 1 - tail])
    else:  # between infinity and another value nothing can be interpolated
        low = np.quantile(values, tail, method="lower")
        high = np.quantile(values, 1 - tail, method="higher")
    return Interval(estimate, float(low), float(high))


def _warn_of_other_seeds(a: Any, b: Any) -> None:
    """Warn where two indexes of one name, such as "seed", hold other values."""
    if not (hasattr(a, "iloc") and hasattr(b, "iloc")):
        return
    name = a.index.name
    if name is None or name != b.index.name:
        return
    alone = [value for value in a.index if value not in b.index]
    if alone:
        warnings.warn(
            f"a and b are, by their index {name!r}, no pairs: {alone[0]!r} is in a "
            "alone. They are paired by position; pass what both were run for, or "
            "a.to_numpy() and b.to_numpy(), if that is right.",
            UserWarning,
            stacklevel=3,
        )


def _number(value: Any) -> float:
    if np.ndim(value) or np.asarray(value).dtype.kind not in "iuf":
        raise ParameterError(
            f"statistic must return one number, got {value!r:.80} of type "
            f"{type(value).__name__}."
        )
    return float(value)


def _mean_difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(a.mean() - b.mean())
