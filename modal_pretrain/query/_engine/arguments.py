"""The arguments every strategy has, checked in one place.

What the classifier gives is read in `_classifier` and `_embeddings`.
"""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

RandomState = (
    None | int | np.integer | np.random.Generator | np.random.RandomState
    | np.random.SeedSequence
)  # fmt: skip


class Request(NamedTuple):
    """How many rows the pool has, how many are asked for, and the random numbers."""

    n: int
    k: int
    rng: np.random.Generator


def check_request(X: Any, n_instances: Any, random_state: RandomState) -> Request:
    """Check the arguments that every strategy has.

    Raises
    ------
    TypeError
        If `X` has no rows, `n_instances` is not an integer, or `random_state` is of
        another kind than those listed in `as_generator`.
    ValueError
        If the pool is empty, or `n_instances` is below 1 or above the pool's size.
    """
    n = n_rows(X, "X")
    rng = as_generator(random_state)
    if isinstance(n_instances, (bool, np.bool_)) or not isinstance(
        n_instances, numbers.Integral
    ):
        raise TypeError(
            "n_instances must be an integer, got "
            f"{n_instances!r} of type {type(n_instances).__name__}."
        )
    if n == 0:
        raise ValueError(
            "X: the pool is empty, so there is nothing to query. End the loop when "
            "len(X_pool) is 0."
        )
    k = int(n_instances)
    if not 1 <= k <= n:
        raise ValueError(
            f"n_instances={k} is not between 1 and the {n} rows of the pool X. "
            "Pass min(n_instances, len(X_pool)) for the last batch."
        )
    return Request(n, k, rng)


def n_rows(X: Any, name: str) -> int:
    """Count the rows of a pool of any accepted kind."""
    if isinstance(X, Mapping):
        if not X:
            return 0
        return n_rows(next(iter(X.values())), name)
    shape = getattr(X, "shape", None)
    if shape is not None and len(shape) > 0:
        return int(shape[0])
    if isinstance(X, (str, bytes)) or not hasattr(X, "__len__"):
        raise TypeError(
            f"{name} must hold the pool's rows (an array, a list, a data frame), got "
            f"{type(X).__name__}."
        )
    return len(X)


def as_generator(random_state: RandomState) -> np.random.Generator:
    """Make the generator a strategy draws from; the global one is never used.

    Parameters
    ----------
    random_state : None, int, SeedSequence, Generator or RandomState
        None gives fresh entropy. A Generator is used as it is, so its state moves on;
        from a RandomState one seed is drawn.
    """
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31 - 1))
    if isinstance(random_state, (bool, np.bool_)) or not (
        random_state is None
        or isinstance(random_state, (numbers.Integral, np.random.SeedSequence))
    ):
        raise TypeError(
            "random_state must be None, an int, a numpy.random.Generator, RandomState "
            f"or SeedSequence, got {type(random_state).__name__}."
        )
    if isinstance(random_state, numbers.Integral) and random_state < 0:
        raise ValueError(f"random_state must not be negative, got {random_state}.")
    return np.random.default_rng(random_state)


def check_number(
    value: Any,
    name: str,
    low: float,
    high: float = np.inf,
    *,
    integer: bool = False,
    low_open: bool = False,
    high_open: bool = False,
) -> None:
    """Check a numeric parameter of a strategy against its range."""
    kind = numbers.Integral if integer else numbers.Real
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, kind):
        what = "an integer" if integer else "a number"
        raise TypeError(f"{name} must be {what}, got {value!r}.")
    number = float(value)
    below = number <= low if low_open else number < low
    above = number >= high if high_open else number > high
    if below or above or np.isnan(number):
        left, right = "(" if low_open else "[", ")" if high_open else "]"
        raise ValueError(f"{name} must be in {left}{low}, {high}{right}, got {value}.")
