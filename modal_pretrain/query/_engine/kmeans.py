"""k-means in float32 on blocked matrix products, the same on every run.

It differs from scikit-learn's KMeans in two ways. Of a large set, seeding and most
iterations see a random sample (of `rows_per_cluster` rows a cluster, fewer for
seeding), followed by a few iterations on all rows. And sums are taken in a fixed order,
so results do not vary with thread timing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from modal_pretrain._blas import one_thread
from modal_pretrain.query._engine.threads import each_chunk, product

_ENTRIES = 2_000_000  # of a block of products
_SEED_ROWS = 16
# Share of a squared length that rounding may leave of a difference of distances.
_NOISE = np.float32(4e-6)


class Clustering(NamedTuple):
    """Centres (k, d) float32, cluster of each row (n,), squared distance to it (n,)."""

    centres: NDArray[np.float32]
    labels: NDArray[np.intp]
    distance: NDArray[np.float32]


def kmeans(
    x: NDArray[np.float32],
    k: int,
    rng: np.random.Generator,
    *,
    weights: NDArray[np.float64] | None = None,
    rows_per_cluster: int = 64,
    max_iter: int = 100,
    final_iter: int = 2,
    tol: float = 1e-4,
) -> Clustering:
    """Partition rows into k clusters.

    Parameters
    ----------
    x : numpy.ndarray of shape (n, d), float32
        Best centred, for accuracy.
    k : int in [1, n]
    rng : numpy.random.Generator
    weights : numpy.ndarray of shape (n,), float64, or None
        Not negative, not all zero.
    rows_per_cluster : int
        More rows than this times k are sampled for all but the last iterations.
    max_iter, final_iter : int
        Most iterations on the sample, and on all rows after a sample was used.
    tol : float
        Iterations stop when the inertia falls by less than this share; on a sample,
        ten times this share.

    Returns
    -------
    Clustering
        Some clusters may be empty if fewer than k rows differ.
    """
    n, k = len(x), int(k)  # products of NumPy's short integers overflow
    w = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    size = max(rows_per_cluster * k, 4096)
    if n <= size:
        centres = seeds(x, k, rng, w)
        return lloyd(x, centres, w, max_iter, tol)
    part = np.sort(rng.choice(n, size=size, replace=False))
    if not w[part].any():
        part = np.sort(np.argsort(-w, kind="stable")[:size])
    few = x[part]
    sample = lloyd(few, seeds(few, k, rng, w[part]), w[part], max_iter, 10 * tol)
    return lloyd(x, sample.centres, w, final_iter, tol)


def seeds(
    x: NDArray[np.float32], k: int, rng: np.random.Generator, w: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Choose k rows by greedy k-means++ [1]_, from `_SEED_ROWS` rows a centre.

    Each centre is the best of a few draws, as in scikit-learn: the one that leaves the
    least inertia. Draws are made in proportion to the weighted squared distance.

    References
    ----------
    .. [1] D. Arthur and S. Vassilvitskii, "k-means++: the advantages of careful
       seeding", SODA 2007.
    """
    size = max(_SEED_ROWS * k, 4096)
    if len(x) > size:
        part = np.sort(rng.choice(len(x), size=size, replace=False))
        if w[part].any():
            x, w = x[part], w[part]
    n, tries = len(x), min(2 + int(np.log(k)), len(x))
    squares = np.einsum("ij,ij->i", x, x)
    chosen = np.empty(k, dtype=np.intp)
    chosen[0] = np.argmax(w / draw(rng, n))
    distance = np.full(n, np.inf, dtype=np.float32)
    with one_thread():
        for i in range(k):
            if i:
                race = draw(rng, n) / np.maximum(w * distance, 1e-300)
                drawn = np.sort(np.argpartition(race, tries - 1)[:tries])
            else:
                drawn = chosen[:1]
            gaps = x @ x[drawn].T
            gaps *= -2
            gaps += squares[:, None]
            gaps += squares[drawn]
            np.clip(gaps, 0, distance[:, None], out=gaps)
            best = int(np.argmin(w @ gaps))
            chosen[i] = drawn[best]
            distance = gaps[:, best].copy()
            distance[drawn[best]] = 0
    return x[chosen]


def draw(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Draw n positive exponential numbers.

    The row of least ``exponential / weight`` is a draw with probability in proportion
    to the weights.
    """
    return np.maximum(rng.standard_exponential(n), 1e-300)


def lloyd(
    x: NDArray[np.float32],
    centres: NDArray[np.float32],
    w: NDArray[np.float64],
    max_iter: int,
    tol: float = 0.0,
) -> Clustering:
    """Alternate assignment and means until little changes, or `max_iter` times."""
    labels, distance = assign(x, centres)
    inertia = float((w * distance).sum())
    for _ in range(max_iter):
        centres = _means(x, labels, distance, centres, w)
        before, last = labels, inertia
        labels, distance = assign(x, centres)
        inertia = float((w * distance).sum())
        if np.array_equal(labels, before) or last - inertia < tol * last:
            break
    return Clustering(centres, labels, distance)


def assign(
    x: NDArray[np.float32], centres: NDArray[np.float32]
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Find the nearest centre of each row, and the squared distance to it."""
    n = len(x)
    labels = np.empty(n, dtype=np.intp)
    distance = np.empty(n, dtype=np.float32)
    half = 0.5 * np.einsum("ij,ij->i", centres, centres)

    def work(part: slice) -> None:
        block = x[part]
        products = block @ centres.T
        products -= half
        best = products.argmax(axis=1)
        labels[part] = best
        gain = products[np.arange(len(block)), best]
        squares = np.einsum("ij,ij->i", block, block)
        distance[part] = np.maximum(squares - 2 * gain, 0)

    each_chunk(work, n, max(64, min(1024, _ENTRIES // len(centres))))
    return labels, distance


def _means(
    x: NDArray[np.float32],
    labels: NDArray[np.intp],
    distance: NDArray[np.float32],
    old: NDArray[np.float32],
    w: NDArray[np.float64],
) -> NDArray[np.float32]:
    k, n = len(old), len(x)
    mass = np.bincount(labels, weights=w, minlength=k)
    full = mass > 0
    # Shares of a cluster, as weights on their own may be 0 in float32.
    share = (w / np.where(full, mass, 1.0)[labels]).astype(np.float32)
    member = csr_matrix((share, (labels, np.arange(n))), shape=(k, n))
    centres = np.asarray(member @ x, dtype=np.float32)
    empty = np.flatnonzero(~full)
    if len(empty):
        # An empty cluster moves to a row that is far from its centre.
        far = w * distance
        rows = np.argsort(-far, kind="stable")[: len(empty)]
        centres[empty] = np.where((far[rows] > 0)[:, None], x[rows], old[empty])
    return centres


def closest_rows(
    x: NDArray[np.float32], centres: NDArray[np.float32]
) -> NDArray[np.intp]:
    """Find for each centre in turn the nearest row that no earlier centre has.

    Of rows that are as near but for rounding, such as the two of a cluster of two, it
    is the first.

    Parameters
    ----------
    x : numpy.ndarray of shape (n, d), float32
    centres : numpy.ndarray of shape (k, d), float32
        k at most n.

    Returns
    -------
    numpy.ndarray of shape (k,), intp
    """
    half = 0.5 * np.einsum("ij,ij->i", x, x)
    rows = np.empty(len(centres), dtype=np.intp)
    for start in range(0, len(centres), 64):
        farness = half - product(x, centres[start : start + 64].T, 2048).T
        for i, distance in enumerate(farness, start):
            distance[rows[:i]] = np.inf
            rows[i] = np.argmax(distance <= distance.min() + _NOISE * half)
    return rows
