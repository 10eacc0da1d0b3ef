"""Pools that are memory-mapped files: read block by block, never held in memory.

What is read of a mapped file counts as the process's memory until the system wants it
back. Here it is given back as reading goes on, so a pool of any size takes little. The
pages stay in the system's file cache, which makes the next pass cheap.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_KEPT = 64 * 1024**2  # bytes that may be read before pages are given back
_BLOCK = 32 * 1024**2
_FAULT = 2 * 1024**2  # what the system may map when one row is read


def is_mapped(X: Any) -> bool:
    """Tell whether X is an array in a memory-mapped file, or a view of one."""
    return _memmap(X) is not None


def _memmap(X: Any) -> np.memmap | None:
    found = None
    while isinstance(X, np.ndarray):
        if isinstance(X, np.memmap):
            found = X  # views share the mapping; the last one opened it
        X = X.base
    return found if isinstance(X, mmap.mmap) else None


class Pages:
    """Gives back what has been read of an array, if that is mapped; else idle.

    Parameters
    ----------
    X : object
        The array, or a view of it.
    """

    def __init__(self, X: Any) -> None:
        owner = _memmap(X)
        self._file: mmap.mmap | None = None
        self._read = 0
        # Of a copy-on-write mapping the changes would be lost. Windows has no madvise
        # and trims by itself.
        if owner is not None and owner.mode != "c" and hasattr(mmap, "MADV_DONTNEED"):
            self._file = owner._mmap  # type: ignore[attr-defined]

    def read(self, n_bytes: int, n_rows: int = 0) -> None:
        """Note that bytes have been read; of scattered rows, say how many.

        May be called from several threads: who still reads finds the pages again.
        """
        if self._file is None:
            return
        self._read += max(n_bytes, n_rows * _FAULT)
        if self._read >= _KEPT:
            self._read = 0
            self._file.madvise(mmap.MADV_DONTNEED)


def rows_a_block(X: NDArray[Any]) -> int:
    """Count the rows that make a block of a sensible size."""
    return max(256, _BLOCK // max(X[:1].nbytes, 1))


def by_blocks(predict: Callable[[Any], Any], X: Any) -> Any:
    """Apply a row-wise function to a mapped table block by block, else to X at once.

    Estimators would copy the table, to float64 most of the time.
    """
    if not is_mapped(X) or X.ndim != 2 or len(X) == 0:
        return predict(X)
    pages, size = Pages(X), rows_a_block(X)
    answers = []
    for start in range(0, len(X), size):
        block = X[start : start + size]
        answers.append(np.asarray(predict(block)))
        pages.read(block.nbytes)
    return np.concatenate(answers)
