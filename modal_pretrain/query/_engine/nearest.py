"""Distances of all rows to the nearest of a growing set of centres, done lazily.

Farthest-first traversal, k-means++ and ranked batches all need, at every step, the row
that is best by a priority which grows with its distance to the nearest centre so far.
That distance can only shrink, so an old one is an upper bound: only rows whose bound
puts them on top are brought up to date, in float64. The choice is the one that all
distances in float64 would give; what it costs is a few rows a step, not all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from modal_pretrain.query._engine.pool import Rows

_ENTRIES = 2_000_000  # of a block of distances
_UNIT = 2.0**-24  # rounding unit of float32
_TIE = 1e-7  # distances that differ by this share are equal but for rounding
_NEAR = 1e-9  # below this share of the norms, differences are taken first


class Points(NamedTuple):
    """Some points of a space: vectors, coefficients, squared norms (float64)."""

    x: NDArray[np.float64]
    a: NDArray[np.float64]
    norm: NDArray[np.float64]

    def part(self, start: int, stop: int | None = None) -> Points:
        """Give a slice of the points."""
        return Points(*(array[start:stop] for array in self))


class Space(Protocol):
    """A space with squared distances, cheap for all rows and exact for some."""

    def __len__(self) -> int: ...

    def points(self, index: NDArray[np.intp]) -> Points:
        """Give some rows in float64."""
        ...

    def between(self, p: Points, q: Points) -> NDArray[np.float64]:
        """Give the squared distances of p and q, shape (len(p), len(q)), float64."""
        ...

    def screen(self, q: Points) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give every row's least squared distance to q, and a bound on its error."""
        ...


def _rounding(d: int) -> float:
    # For any order of summation a float32 dot product of length d is off by at most
    # d * unit * |x||z|; the rest covers the norms and the conversion of the rows.
    return (2 * d + 16) * _UNIT


def _rows_a_block(m: int, most: int = 2048) -> int:
    return max(16, min(most, _ENTRIES // max(m, 1)))


def _dot(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.einsum("ij,ij->i", p, q)


def _close_pairs(
    distance: NDArray[np.float64], scale: NDArray[np.float64]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Find pairs whose distance has drowned in rounding, a few hundred at a time."""
    i, j = np.nonzero(distance < _NEAR * scale)
    for start in range(0, len(i), 512):
        yield i[start : start + 512], j[start : start + 512]


class Euclidean:
    """The rows themselves, with the Euclidean distance."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.norm = rows.squares()

    def __len__(self) -> int:
        return len(self.rows)

    def place(self, x: NDArray[np.float64]) -> Points:
        """Make points of vectors that are already in the form of the rows."""
        return Points(x, np.empty((len(x), 0)), _dot(x, x))

    def points(self, index: NDArray[np.intp]) -> Points:
        return self.place(self.rows.exact(index))

    def between(self, p: Points, q: Points) -> NDArray[np.float64]:
        scale = p.norm[:, None] + q.norm
        distance = scale - 2 * (p.x @ q.x.T)
        for i, j in _close_pairs(distance, scale):
            gap = p.x[i] - q.x[j]
            distance[i, j] = _dot(gap, gap)
        return distance

    def screen(self, q: Points) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        z, zz = q.x.astype(np.float32), q.norm.astype(np.float32)
        least = np.empty(len(self))

        def work(which: Any, block: NDArray[np.float32]) -> None:
            products = block @ z.T
            products *= -2
            products += zz
            least[which] = products.min(axis=1)

        self.rows.each_block(work, _rows_a_block(len(z)))
        error = _rounding(z.shape[1]) * (self.norm + q.norm.max())
        return self.norm + least, error


class Gradient:
    """Outer products of a coefficient vector and a row, as BADGE's gradients are.

    The squared distance of ``outer(a, x)`` and ``outer(b, z)`` is
    ``|a|^2 |x|^2 + |b|^2 |z|^2 - 2 (a.b)(x.z)``, so they are never formed.
    """

    def __init__(self, rows: Rows, a: NDArray[np.float64]) -> None:
        self.rows = rows
        self.a = a
        self.norm = rows.squares() * _dot(a, a)

    def __len__(self) -> int:
        return len(self.rows)

    def points(self, index: NDArray[np.intp]) -> Points:
        x, a = self.rows.exact(index), self.a[index]
        norm = _dot(x, x) * _dot(a, a)
        return Points(x, a, norm)

    def between(self, p: Points, q: Points) -> NDArray[np.float64]:
        scale = p.norm[:, None] + q.norm
        distance = scale - 2 * (p.a @ q.a.T) * (p.x @ q.x.T)
        for i, j in _close_pairs(distance, scale):
            # outer(a, x) - outer(b, z) = outer(a, x - z) + outer(a - b, z)
            a, z = p.a[i], q.x[j]
            dx, da = p.x[i] - z, a - q.a[j]
            exact = _dot(a, a) * _dot(dx, dx) + _dot(da, da) * _dot(z, z)
            exact += 2 * _dot(a, da) * _dot(dx, z)
            distance[i, j] = np.maximum(exact, 0.0)
        return distance

    def screen(self, q: Points) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        z = q.x.astype(np.float32)
        least = np.empty(len(self))

        def work(which: Any, block: NDArray[np.float32]) -> None:
            products = (block @ z.T) * (self.a[which] @ q.a.T)
            least[which] = (q.norm - 2 * products).min(axis=1)

        self.rows.each_block(work, _rows_a_block(len(z)))
        error = _rounding(z.shape[1]) * (self.norm + q.norm.max())
        return self.norm + least, error


class LazyNearest:
    """Squared distances to the nearest centre, as upper bounds settled on demand.

    Parameters
    ----------
    space : Space
    base : Points or None
        Centres there are from the start, such as the labelled set.

    Attributes
    ----------
    bound : numpy.ndarray of shape (n,), float64
        Upper bounds of the squared distances; infinite while there is no centre.
    taken : numpy.ndarray of shape (n,), bool
        Rows that have been made centres; they are not offered again.
    """

    def __init__(self, space: Space, base: Points | None = None) -> None:
        n = len(space)
        self.space = space
        self.bound = np.full(n, np.inf)
        self.taken = np.zeros(n, dtype=bool)
        self._seen = np.zeros(n, dtype=np.intp)  # how many centres bound allows for
        self._exact = np.zeros(n, dtype=bool)  # whether it is the float64 distance
        self._m = 0
        self._store: Points | None = None
        if base is not None and len(base.norm):
            self._append(base)
            value, error = space.screen(base)
            self.bound = np.maximum(value + error, 0.0)
            self._seen[:] = self._m

    def _append(self, new: Points) -> None:
        if self._store is None:
            self._store = Points(
                *(np.empty((0, *array.shape[1:]), np.float64) for array in new)
            )
        end = self._m + len(new.norm)
        if end > len(self._store.norm):  # grow by doubling
            size = max(end, 2 * self._m, 16)
            grown = [np.empty((size, *old.shape[1:])) for old in self._store]
            for old, fresh in zip(self._store, grown, strict=True):
                fresh[: self._m] = old[: self._m]
            self._store = Points(*grown)
        for array, values in zip(self._store, new, strict=True):
            array[self._m : end] = values
        self._m = end

    def _centres(self, start: int = 0) -> Points:
        assert self._store is not None
        return self._store.part(start, self._m)

    def add(self, row: int) -> None:
        """Make a row a centre."""
        self.taken[row] = True
        first = self._m == 0
        self._append(self.space.points(np.array([row])))
        if first:
            self._screen()

    def _screen(self) -> None:
        """Bring every row up to date in float32."""
        start = int(self._seen[~self.taken].min(initial=self._m))
        if start == self._m:
            return
        value, error = self.space.screen(self._centres(start))
        certain = self._exact & (value - error >= self.bound)
        self.bound = np.minimum(self.bound, np.maximum(value + error, 0.0))
        self._exact = certain | (self._exact & (self._seen == self._m))
        self._seen[:] = self._m

    def _settle(self, rows: NDArray[np.intp]) -> None:
        """Bring some rows up to date in float64."""
        exact = self._exact[rows]
        for group, start in (
            (rows[exact], int(self._seen[rows[exact]].min(initial=self._m))),
            (rows[~exact], 0),
        ):
            if len(group) == 0 or start == self._m:
                continue
            distance = self.space.between(
                self.space.points(group), self._centres(start)
            ).min(axis=1)
            if start:
                distance = np.minimum(distance, self.bound[group])
            self.bound[group] = distance
        self._seen[rows] = self._m
        self._exact[rows] = True

    def best(
        self, priority: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    ) -> tuple[int, float, float]:
        """Find the row of highest priority that is not a centre.

        Parameters
        ----------
        priority : callable
            Squared distances of all rows to priorities; of each row, it must not
            decrease with the distance.

        Returns
        -------
        row : int
            Of priorities that are equal but for rounding, the first: a product of
            matrices rounds equal rows differently by their place, on some processors.
        value : float
            Its priority.
        distance : float
            Its squared distance to the nearest centre.
        """
        n = len(self.bound)
        block, work = 16, 0
        while True:
            values = priority(self.bound)
            values[self.taken] = -np.inf
            row = int(np.argmax(values))
            settled = self._exact & (self._seen == self._m)
            before = np.empty(0, dtype=np.intp)  # rows that may be as good
            if settled[row]:
                near = priority(self.bound * (1 + _TIE)) >= values[row]
                near &= ~self.taken
                row = int(np.argmax(near & settled))
                before = np.flatnonzero(near[:row])
                if not len(before):
                    return row, float(values[row]), float(self.bound[row])
            if work > n // 16 and (self._seen != self._m).any():
                self._screen()
                work = 0
                continue
            if len(before):
                rows = before[:block]
            elif block < n:
                rows = np.argpartition(values, n - block)[n - block :]
            else:
                rows = np.arange(n)
            if not len(before):  # of equal values, the first may be missing
                rows = np.union1d(rows, row)
            rows = rows[~settled[rows] & ~self.taken[rows]]
            self._settle(rows)
            work += len(rows)
            block = min(2 * block, _rows_a_block(self._m, 1024))
