"""Distances to the nearest rows of a large set: every pair once, linear memory."""

from __future__ import annotations

import itertools
import threading

import numpy as np
from numpy.typing import NDArray

from modal_pretrain.query._engine.threads import in_threads

_BLOCK = 512  # rows; those of a tile of distances


def near_enough(m: int, q: int) -> bool:
    """Say whether q neighbours of m rows are so few that `squared_to_nearest` pays."""
    return m > 4 * _BLOCK and 2 * q <= _BLOCK


def squared_to_nearest(
    rows: NDArray[np.float32], norm: NDArray[np.float32], q: int
) -> NDArray[np.float32]:
    """Find the squared distances of each row to its q nearest other rows.

    A tile of distances serves its rows and its columns. Of the first, between the rows
    of a block, the q nearest are a bound of what is looked at in the others: in rows
    that stand in no order, a few of a tile.

    Parameters
    ----------
    rows : numpy.ndarray of shape (m, d), float32
        Best centred, for accuracy.
    norm : numpy.ndarray of shape (m,), float32
        Their squared lengths.
    q : int
        See `near_enough`.

    Returns
    -------
    numpy.ndarray of shape (m, q), float32
        Least first; may be below 0 by rounding. The same for any number of threads.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(3000, dtype=np.float32)[:, None] - 1500
    >>> squared_to_nearest(x, x[:, 0] ** 2, 3)[[0, 1500]].tolist()
    [[1.0, 4.0, 9.0], [1.0, 1.0, 4.0]]
    """
    m = len(rows)
    near = np.empty((m, q), dtype=np.float32)
    n_blocks = m // _BLOCK
    ends = [m * i // n_blocks for i in range(n_blocks + 1)]
    blocks = list(itertools.starmap(slice, itertools.pairwise(ends)))
    lock = threading.Lock()

    def tile(one: slice, other: slice) -> NDArray[np.float32]:
        squared = rows[one] @ rows[other].T
        squared *= -2
        squared += norm[other]
        squared += norm[one, None]
        return squared

    def within(block: slice) -> None:
        squared = tile(block, block)
        np.fill_diagonal(squared, np.inf)
        near[block] = np.partition(squared, q - 1, axis=1)[:, :q]

    def between(i: int) -> None:
        for other in blocks[i + 1 :]:
            squared = tile(blocks[i], other)
            # Another thread may have found nearer ones since: no harm is done.
            row, column = _where(squared < _farthest(near[blocks[i]])[:, None])
            with lock:
                _merge(near[blocks[i]], row, squared[row, column])
            row, column = _where(squared < _farthest(near[other]))
            order = np.argsort(column, kind="stable")
            with lock:
                _merge(near[other], column[order], squared[row, column][order])

    for _ in in_threads(within, blocks):
        pass
    for _ in in_threads(between, range(n_blocks - 1)):
        pass
    near.sort(axis=1)
    return near


def _where(table: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Do what `numpy.nonzero` does, which takes ten times as long in two dimensions."""
    row, column = np.divmod(np.flatnonzero(table), table.shape[1])
    return row, column


def _farthest(near: NDArray[np.float32]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = near.max(axis=1)
    return found


def _merge(
    near: NDArray[np.float32], row: NDArray[np.intp], found: NDArray[np.float32]
) -> None:
    """Keep the least of what is near and of what was found.

    `row` says, in order, of which row each of `found` is a distance.
    """
    count = np.bincount(row, minlength=len(near))
    q, width = near.shape[1], int(count.max())
    table = np.full((len(near), q + width), np.inf, dtype=np.float32)
    table[:, :q] = near
    first = np.cumsum(count) - count
    table[row, q + np.arange(len(row)) - np.repeat(first, count)] = found
    near[:] = np.partition(table, q - 1, axis=1)[:, :q]
