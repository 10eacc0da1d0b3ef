"""Greedy maximisation of a weighted coverage of the pool, without an n x n matrix.

The coverage of a set is ``sum_j w_j max_{i in set} k(x_i, x_j)`` over reference rows j.
It is submodular: what a row adds can only shrink as others are chosen. So an old gain
is an upper bound, and only rows on top are brought up to date: a few at a time by
kernel rows made on the spot, or all at once through the references whose coverage has
changed, whichever is less work.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from modal_pretrain._blas import one_thread
from modal_pretrain._checks import Number
from modal_pretrain.query._engine.threads import each_chunk, in_threads

_BLOCK = 512
# Share of a squared length that rounding may leave of a row's distance to itself.
_NOISE = np.float32(48 * 2.0**-24)
_OVERHEAD = 48  # rows whose products cost as much as reading all references once


# Squares of other radii, and of their inverses, are no float32.
LEAST_RADIUS = 1e-15
RADIUS = Number(least=LEAST_RADIUS, most=1e15)


class Kernel(Protocol):
    """A similarity in [0, 1] as a function of the squared distance."""

    binary: bool  # whether there is nothing between 0 and 1

    def __call__(self, squared: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn squared distances (which may be overwritten) into similarities."""
        ...


class Gaussian:
    """``exp(-(distance / sigma)**2)``."""

    binary = False

    def __init__(self, sigma: float) -> None:
        self.scale = np.float32(-1.0 / sigma**2)

    def __call__(self, squared: NDArray[np.float32]) -> NDArray[np.float32]:
        with np.errstate(over="ignore"):  # too far to be similar
            squared *= self.scale
        return np.exp(squared, out=squared)


class Ball:
    """1 within a radius, 0 beyond or on it."""

    binary = True

    def __init__(self, radius: float) -> None:
        self.squared = np.float32(radius**2)

    def __call__(self, squared: NDArray[np.float32]) -> NDArray[np.float32]:
        return (squared < self.squared).astype(np.float32)


class Distances:
    """Squared distances between rows, in float32, a block at a time.

    Those that may be all rounding are 0: a kernel of any radius covers the row itself.
    """

    def __init__(self, rows: NDArray[np.float32]) -> None:
        self.rows = rows
        self.norm = np.einsum("ij,ij->i", rows, rows)

    def block(
        self, a: NDArray[np.intp] | slice, b: NDArray[np.intp] | slice
    ) -> NDArray[np.float32]:
        """Give the squared distances of rows a and rows b."""
        squared = self.rows[a] @ self.rows[b].T
        squared *= -2
        norm = self.norm[a][:, None]
        squared += norm
        squared += self.norm[b]
        np.copyto(squared, 0, where=squared <= _NOISE * norm)
        return squared


class Coverage:
    """Gains in coverage of all rows, settled on demand.

    Parameters
    ----------
    rows : numpy.ndarray of shape (n, d), float32
        The candidates.
    kernel : Kernel
    m : int
        The first m rows are the references.
    weights : numpy.ndarray of shape (m,), float64
        Not negative.
    base : numpy.ndarray of shape (L, d), float32
        Rows that cover already, such as the labelled set; L may be 0.
    """

    def __init__(
        self,
        rows: NDArray[np.float32],
        kernel: Kernel,
        m: int,
        weights: NDArray[np.float64],
        base: NDArray[np.float32],
    ) -> None:
        self.distances = Distances(rows)
        self.kernel = kernel
        self.m = m
        self.w = np.asarray(weights, dtype=np.float32)
        self.covered = np.zeros(m, dtype=np.float32)
        if len(base):
            both = Distances(np.concatenate([rows[:m], base]))

            def cover(part: slice) -> None:
                near = kernel(both.block(part, slice(m, None))).max(axis=1)
                self.covered[part] = near

            each_chunk(cover, m, max(1, _BLOCK**2 // len(base)))
        self.gain = self._all_gains()
        self.taken = np.zeros(len(rows), dtype=bool)
        self._fresh = np.ones(len(rows), dtype=bool)
        self._synced = self.gain.copy()
        self._covered_then = self.covered.copy()
        self._last: dict[int, NDArray[np.float32]] = {}  # similarities settled last

    def _all_gains(self) -> NDArray[np.float64]:
        n, m = len(self.distances.rows), self.m
        gain = np.zeros(n)

        def triangle(start: int) -> NDArray[np.float64]:
            a = slice(start, min(start + _BLOCK, m))
            part = np.zeros(m - start)  # of rows from start on
            for other in range(start, m, _BLOCK):  # both triangles from one product
                b = slice(other, min(other + _BLOCK, m))
                k = self.kernel(self.distances.block(a, b))
                part[: a.stop - start] += self._added(k, b)
                if other > start:
                    part[other - start : b.stop - start] += self._added(k.T, a)
            return part

        starts = range(0, m, _BLOCK)
        for start, part in zip(starts, in_threads(triangle, starts), strict=True):
            gain[start:m] += part

        def rest(a: slice) -> None:
            a = slice(m + a.start, m + a.stop)
            for other in range(0, m, _BLOCK):
                b = slice(other, min(other + _BLOCK, m))
                k = self.kernel(self.distances.block(a, b))
                gain[a] += self._added(k, b)

        each_chunk(rest, n - m, _BLOCK)
        return gain

    def _added(self, k: NDArray[np.float32], refs: slice) -> NDArray[np.float32]:
        """Give what rows add to the coverage of some references, k being (r, refs)."""
        if self.kernel.binary:
            return k @ (self.w[refs] * (1 - self.covered[refs]))
        return _positive(k, self.covered[refs]) @ self.w[refs]

    def _similar(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """Give the similarities of the references and some rows, shape (m, r)."""
        k = np.empty((self.m, len(rows)), dtype=np.float32)

        def work(part: slice) -> None:
            # References by rows: BLAS is faster with the long side first.
            k[part] = self.kernel(self.distances.block(part, rows))

        each_chunk(work, self.m, 4 * _BLOCK)
        return k

    def _settle(self, rows: NDArray[np.intp]) -> None:
        k = self._similar(rows)
        self._last = dict(zip(rows.tolist(), k.T, strict=True))
        k = _positive(k, self.covered[:, None])
        with one_thread():
            gain = self.w @ k.astype(np.float64)
        self.gain[rows] = np.minimum(gain, self.gain[rows])
        self._fresh[rows] = True

    def _pending(self) -> NDArray[np.intp]:
        return np.flatnonzero((self.covered > self._covered_then) & (self.w > 0))

    def _sync(self, changed: NDArray[np.intp]) -> None:
        """Bring all rows up to date through the references that changed."""
        loss = np.zeros(len(self.gain))
        n = len(self.gain)
        for first in range(0, len(changed), _BLOCK):
            j = changed[first : first + _BLOCK]
            then, now, w = self._covered_then[j], self.covered[j], self.w[j]

            def work(part: slice, j=j, then=then, now=now, w=w) -> None:
                k = self.kernel(self.distances.block(part, j))
                # What lay between the old coverage and the new one is gained no more.
                loss[part] += _positive(np.minimum(k, now), then) @ w

            each_chunk(work, n, max(_BLOCK, min(8 * _BLOCK, _BLOCK**2 // len(j))))
        self._synced = np.maximum(self._synced - loss, 0)
        self._covered_then = self.covered.copy()
        self.gain = np.where(self._fresh, self.gain, self._synced)
        self._fresh[:] = True

    def best(self) -> tuple[int, float]:
        """Find the row of the largest gain that is not taken; of equal ones, the first.

        Returns
        -------
        row : int
        gain : float
        """
        n = len(self.gain)
        changed = self._pending()
        size, work = 16, 0
        sync = (len(changed) + _OVERHEAD) * n / self.m
        while True:
            values = np.where(self.taken, -np.inf, self.gain)
            row = int(np.argmax(values))
            if self._fresh[row]:
                return row, float(self.gain[row])
            count = min(size, n)
            rows = np.argpartition(values, n - count)[n - count :]
            rows = np.union1d(rows, row)
            rows = rows[~self._fresh[rows] & ~self.taken[rows]]
            work += len(rows) + _OVERHEAD
            if work > sync:
                self._sync(changed)
                continue
            self._settle(rows)
            size = min(2 * size, 64)

    def add(self, row: int) -> None:
        """Let a row cover."""
        self.taken[row] = True
        k = self._last.get(row)
        if k is None:
            k = self._similar(np.array([row]))[:, 0]
        if (k > self.covered).any():
            self.covered = np.maximum(self.covered, k)
            self._fresh[:] = False


def _positive(
    k: NDArray[np.float32], floor: NDArray[np.float32]
) -> NDArray[np.float32]:
    return np.maximum(k - floor, 0)
