"""Steps of a fit, which only its loader knows: one may drop or merge batches."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any


def n_batches(loader: Any, n_rows: int, batch_size: int) -> int:
    """Return how many batches a loader gives, at least 1; estimated if it has no len.

    Parameters
    ----------
    loader : iterable
    n_rows : int
        Of its data set.
    batch_size : int

    Returns
    -------
    int
    """
    has_len = hasattr(loader, "__len__")
    return max(1, len(loader) if has_len else math.ceil(n_rows / batch_size))


class EpochsLater:
    """A number of epochs that is not known before skorch's loop has its loader.

    Parameters
    ----------
    count : callable
        Returns it.
    """

    def __init__(self, count: Callable[[], int]) -> None:
        self.count = count

    def __index__(self) -> int:
        return self.count()
