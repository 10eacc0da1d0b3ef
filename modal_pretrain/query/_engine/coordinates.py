"""Principal coordinates of a pool, and what is far from what in them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from modal_pretrain._blas import one_thread
from modal_pretrain.query._engine.order import steady
from modal_pretrain.query._engine.pool import Pool
from modal_pretrain.query._engine.threads import each_chunk, product

_SAMPLE = 4096  # rows that the principal axes are estimated from
_CHUNK = 4096
_EXTRA = 10  # directions beyond those wanted, for accuracy


def principal_coordinates(
    pool: Pool, n_components: int, *, whiten: bool = True
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Place pool and labelled rows in the pool's whitened principal coordinates.

    Features are standardised on the pool first, so none rules by its unit. Axes come
    from a sample of the pool (the canonical order makes the first rows a fair one).

    Parameters
    ----------
    pool : Pool
        With rows in "centred" form, and the labelled set if there is one.
    n_components : int
        At most the rank of the sample is kept.
    whiten : bool, default=True
        Whether each column has variance 1. If not, the columns keep their relative
        size, and the mean squared length of a row is 1, so that one regularisation
        fits embeddings of any scale.

    Returns
    -------
    coords : numpy.ndarray of shape (n, q), float32
        Mean 0 in each column, up to the sampling of the axes. Where all rows are
        alike, one column of zeros.
    base : numpy.ndarray of shape (m, q), float32
        Labelled rows in the same coordinates; m is 0 where none is known.
    """
    x = pool.rows.fast
    labelled = pool.labelled_rows().astype(np.float32)
    sample = x[:_SAMPLE]
    scale = sample.std(axis=0)
    scale[scale <= 1e-6 * max(float(scale.max(initial=0)), 1e-30)] = np.inf
    mean = sample.mean(axis=0)
    part = (sample - mean) / scale
    rank = min(n_components, *part.shape)
    if len(part) < 2 or not np.isfinite(scale).any():
        return np.zeros((pool.n, 1), np.float32), np.zeros((len(labelled), 1), "f4")
    seed = int(pool.rng.integers(2**31 - 1))
    singular, axes = leading_axes(part, rank, seed)
    keep = singular > 1e-4 * singular[0]
    deviation = singular[keep] / np.sqrt(len(part))
    if not whiten:
        deviation = np.full(len(deviation), np.sqrt((deviation**2).sum()))
    turn = ((axes[keep] / scale) / deviation[:, None]).T.astype(np.float32)
    with one_thread():
        shift = mean @ turn
        base = labelled @ turn - shift
    coords = np.empty((pool.n, turn.shape[1]), dtype=np.float32)

    def place(part: slice) -> None:
        coords[part] = x[part] @ turn - shift

    each_chunk(place, pool.n, _CHUNK)
    return coords, base


def leading_axes(
    table: NDArray[np.float32], rank: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Find the leading singular values and axes of a table by a randomised method [1]_.

    The steps are those of scikit-learn's `randomized_svd` with four power iterations;
    the result is the same for any number of threads.

    Parameters
    ----------
    table : numpy.ndarray of shape (m, d), float32
    rank : int in [1, min(m, d)]
    seed : int

    Returns
    -------
    singular : numpy.ndarray of shape (rank,), float32
        Largest first.
    axes : numpy.ndarray of shape (rank, d), float32

    References
    ----------
    .. [1] N. Halko, P. G. Martinsson and J. A. Tropp, "Finding structure with
       randomness", SIAM Review 53, 2011, arXiv:0909.4061.

    Examples
    --------
    >>> import numpy as np
    >>> singular, axes = leading_axes(np.diag([1.0, 3.0, 2.0]).astype("f4"), 2, 0)
    >>> singular.round(3).tolist(), np.abs(axes).round(3).tolist()
    ([3.0, 2.0], [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    """
    wide = len(table) < table.shape[1]
    tall = table.T if wide else table
    rng = np.random.RandomState(seed)
    q = rng.normal(size=(tall.shape[1], rank + _EXTRA)).astype(np.float32)
    for matrix in [tall, tall.T] * 4:
        q = product(matrix, q)
        with one_thread():
            q = linalg.lu(q, permute_l=True, overwrite_a=True, check_finite=False)[0]
    q = product(tall, q)
    with one_thread():
        q = linalg.qr(q, mode="economic", overwrite_a=True, check_finite=False)[0]
    small = product(tall.T, q).T
    with one_thread():
        left, singular, right = linalg.svd(small, full_matrices=False)
        left = (q @ left).T
    rows, axes = (right, left) if wide else (left, right)
    # Signs are free; here the largest entry of each row's side is positive.
    signs = np.sign(rows[np.arange(len(rows)), np.abs(rows).argmax(axis=1)])
    return singular[:rank], (axes * signs[:, None])[:rank]


def farthest_first(
    coords: NDArray[np.float32],
    candidates: NDArray[np.intp],
    base: NDArray[np.float32],
    k: int,
) -> NDArray[np.intp]:
    """Thin candidates by greedy k-center, starting from the labelled rows.

    Parameters
    ----------
    coords : numpy.ndarray of shape (n, q), float32
    candidates : numpy.ndarray of shape (m,), m >= k
        Best first: of equal distances the better one is taken.
    base : numpy.ndarray of shape (b, q), float32
        Where there is none, the best candidate is the first centre.
    k : int

    Returns
    -------
    numpy.ndarray of shape (k,)
        Rows, in the order of choice.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[0.0], [1.0], [5.0], [6.0]], dtype=np.float32)
    >>> farthest_first(x, np.array([1, 0, 2, 3]), np.array([[0.0]], "f4"), 2).tolist()
    [3, 1]
    """
    points = coords[candidates].astype(np.float64)
    distance = squared_distance(points, base)
    free = np.ones(len(points), dtype=bool)
    chosen = []
    for _ in range(k):
        value = np.where(free, steady(distance, 9), -1.0)
        best = int(value.argmax())
        free[best] = False
        chosen.append(best)
        gap = points - points[best]
        distance = np.minimum(distance, np.einsum("ij,ij->i", gap, gap))
    return candidates[np.array(chosen, dtype=np.intp)]


def squared_distance(
    points: NDArray[np.float64], base: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Give the squared distance of each point to the nearest row of the base.

    Infinite where the base has no rows. Shapes (m, q) and (b, q) give (m,).
    """
    distance = np.full(len(points), np.inf)
    squares = np.einsum("ij,ij->i", points, points)[:, None]
    for start in range(0, len(base), 256):
        near = base[start : start + 256].astype(np.float64)
        block = squares - 2 * product(points, near.T)
        block += np.einsum("ij,ij->i", near, near)
        distance = np.minimum(distance, np.maximum(block.min(axis=1), 0))
    return distance
