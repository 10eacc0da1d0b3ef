"""Batch sizes that the device chooses: by measuring, and by running out of memory."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from numbers import Integral
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import nn

CPU_BATCH_SIZE = 64  # measured: larger ones gain nothing there
OutOfMemory = torch.cuda.OutOfMemoryError

T = TypeVar("T")


def check_batch_size(value: Any) -> Any:
    """Return a batch size that is a positive int or "auto"; raise otherwise."""
    if isinstance(value, str) and value == "auto":
        return value
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(f"batch_size must be a positive int or 'auto', got {value!r}.")
    return int(value)


def best_batch_size(
    run: Callable[[int], object],
    *,
    smallest: int = 32,
    largest: int = 1024,
    gain: float = 1.05,
    clock: Callable[[], float] = time.perf_counter,
) -> int:
    """Double the batch until that gains less than 5 % of throughput.

    Parameters
    ----------
    run : callable
        Computes a batch of that many rows and waits for the result; raises
        torch.cuda.OutOfMemoryError where it does not fit.
    smallest, largest : int
        First and last size to try.
    gain : float, default=1.05
        A larger batch must be that many times faster per row.
    clock : callable

    Returns
    -------
    int
        The fastest size; where not even `smallest` fits, half of it.

    Examples
    --------
    >>> now = 0.0
    >>> def run(rows):
    ...     global now
    ...     now += 1 + rows / 100  # 100 rows a second, and a second for each call
    >>> best_batch_size(run, clock=lambda: now, gain=1.2)
    256
    """
    best, rate, size = max(smallest // 2, 1), 0.0, smallest
    while size <= largest:
        try:
            run(size)  # the first call of a shape prepares kernels
            start = clock()
            run(size)
            seconds = clock() - start
        except OutOfMemory:
            break
        if size / max(seconds, 1e-9) < gain * rate:
            break
        best, rate = size, size / max(seconds, 1e-9)
        size *= 2
    return best


# What "auto" has measured: batch size by shape of the input and precision.
_MEASURED: WeakKeyDictionary[nn.Module, dict] = WeakKeyDictionary()


def measured_batch_size(
    backbone: nn.Module,
    shape: torch.Size,
    dtype: torch.dtype,
    run: Callable[[int], object],
) -> int:
    """Return `best_batch_size` of a backbone for such an input, measured once."""
    known = _MEASURED.setdefault(backbone, {})
    key = (tuple(shape), dtype)
    if key not in known:
        known[key] = best_batch_size(run)
    return known[key]


# Rows of a forward pass that fitted once others had not.
_LIMITS: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()


def in_parts(
    backbone: nn.Module, batch: torch.Tensor, run: Callable[[torch.Tensor], T]
) -> Iterator[T]:
    """Compute a batch, in halves where it does not fit into the device's memory.

    What has fitted is remembered for later batches of the same backbone.

    Parameters
    ----------
    backbone : torch.nn.Module
    batch : torch.Tensor
        Rows along the first axis.
    run : callable
        Gets rows, and raises torch.cuda.OutOfMemoryError if they don't fit.

    Yields
    ------
    object
        Results of `run`, in order.

    Warns
    -----
    RuntimeWarning
        If the rows did not fit.
    """
    parts = list(batch.split(_LIMITS.get(backbone, len(batch))))[::-1]
    too_many = 0
    while parts:
        part = parts.pop()
        try:
            result = run(part)
        except OutOfMemory:
            if len(part) == 1:
                raise
        else:
            if too_many:
                warnings.warn(
                    f"The device has no memory for {too_many} rows at a time: going on "
                    f"with {len(part)}. A smaller batch_size saves the attempt.",
                    RuntimeWarning,
                    stacklevel=2,
                )
                too_many = 0
            yield result
            continue
        # Past the handler, where the error no longer holds what filled the memory.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        too_many = too_many or len(part)
        _LIMITS[backbone] = half = len(part) // 2
        parts = list(torch.cat([part, *parts[::-1]]).split(half))[::-1]
