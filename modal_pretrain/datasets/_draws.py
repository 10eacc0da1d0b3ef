"""Numbers of examples, checked, shared out and shuffled, for generated data."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_random_state


def check_whole(key: str, value: Any, low: int, high: int | None = None) -> None:
    """Refuse what is not a whole number from `low` to `high`."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value > high):
        limits = f"at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{key} must be a whole number, {limits}, got {value!r}")


def check_random(random_state: Any) -> np.random.RandomState:
    """Return the generator of a data set's draws.

    Raises
    ------
    ValueError
        If `random_state` is neither None, a seed nor a generator.
    """
    try:
        return check_random_state(random_state)
    except ValueError as error:
        raise ValueError(
            "random_state must be None, a whole number from 0 to 4294967295 or a "
            f"numpy.random.RandomState, got {random_state!r} of type "
            f"{type(random_state).__name__}."
        ) from error


def even(total: int, parts: int) -> np.ndarray:
    """`total` in equal parts; the first get one of the remainder."""
    return np.full(parts, total // parts) + (np.arange(parts) < total % parts)


def matching_counts(n: int, k: int, match_rate: float) -> np.ndarray:
    """Count the training pictures in each cell of class x attribute, flat.

    ``round((1 - match_rate) * n)`` lie off the diagonal, evenly.
    """
    counts = np.zeros((k, k), dtype=int)
    diagonal = np.eye(k, dtype=bool)
    # Column by column, so that a remainder does not go to one class.
    other = np.argwhere(~diagonal)
    other = other[np.lexsort((other[:, 0], (other[:, 1] - other[:, 0]) % k))]
    counts[tuple(other.T)] = even(round((1 - match_rate) * n), len(other))
    left = even(n, k) - counts.sum(axis=1)
    # With match_rate 0 a class may have one picture more than its even share.
    counts[diagonal] = np.maximum(left, 0)
    excess = counts.sum() - n
    if excess:
        counts[tuple(other[np.argmax(counts[tuple(other.T)])])] -= excess
    return counts.ravel()


def shuffled(rng: np.random.RandomState, counts: np.ndarray) -> np.ndarray:
    """Cell numbers, each as often as `counts` says, in random order."""
    return rng.permutation(np.repeat(np.arange(len(counts)), counts))
