"""Atypicality: rows the classifier sees otherwise than the rows around them.

The principal coordinates and the spreading of a batch live here too; other
disambiguation-aware strategies share them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.utils.extmath import randomized_svd

from modal_pretrain.query._inputs import RandomState, check_number
from modal_pretrain.query._kmeans import kmeans
from modal_pretrain.query._pool import Answer, Pool

_SAMPLE = 4096  # rows that the principal axes are estimated from
_CHUNK = 4096


def atypicality_sampling(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    random_state: RandomState = None,
    X_labelled: Any = None,
    n_clusters: int = 24,
    shortlist: float = 0.1,
    n_components: int = 64,
) -> Answer:
    """Query uncertain rows whose class is at odds with that of their surroundings.

    The pool is clustered by k-means. A row is atypical to the degree that its
    probabilities lean, more than its cluster's mean probabilities do, to another class
    than the cluster's dominant one: a water bird among pictures of forests. The ranks
    of uncertainty (1 - largest probability) and of atypicality are added; the tenth of
    the pool with the highest sum is thinned to `n_instances` rows by greedy k-center,
    away from each other and from the labelled rows.

    It asks whether the class follows what the cluster shows. That pays where the
    clusters are the unintended attribute, and can cost where they are subclasses.

    Parameters
    ----------
    classifier : modAL learner or committee, Pipeline or estimator
        Gives probabilities and embeddings.
    X : array-like or list
        The pool, n rows.
    n_instances : int, default=1
        In [1, n].
    random_state : None, int, SeedSequence, Generator or RandomState
        Drives the clustering and the sketch of the principal axes.
    X_labelled : array-like or list, optional
        Labelled rows, of the same kind as X. By default, what a modAL learner
        remembers; none is fine.
    n_clusters : int, default=24
        Fine enough to part a few classes times a few attributes, coarse enough to give
        a cluster's mean some weight. At most n are made.
    shortlist : float, default=0.1
        Share of the pool that is thinned, in (0, 1]; never less than `n_instances`
        rows.
    n_components : int, default=64
        Whitened principal coordinates in which rows are clustered and spread.

    Returns
    -------
    query_idx : numpy.ndarray of shape (n_instances,), int64
        Rows of X, first queried first.
    scores : numpy.ndarray of shape (n_instances,), float64
        Mean of the two ranks, as shares of n. Not ordered, as the spread is.

    Raises
    ------
    TypeError
        If there are no probabilities or embeddings, or an argument has a wrong type.
    ValueError
        If the pool is empty, an argument is out of range, or the probabilities or
        embeddings are malformed or not finite.

    Notes
    -----
    Cost: a singular value decomposition of a sample, one product with the pool, a
    k-means in few dimensions; memory O(n d).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> X = np.array([[-2.0, 0.0], [-1.8, 0.1], [2.0, 0.0], [0.2, 0.1]])
    >>> model = LogisticRegression().fit([[-1.0, 0.0], [1.0, 0.0]], [0, 1])
    >>> idx, _ = atypicality_sampling(model, X, random_state=0, n_clusters=1,
    ...     shortlist=0.25)
    >>> idx.tolist()
    [3]
    """
    check_number(n_clusters, "n_clusters", 1, integer=True)
    check_number(shortlist, "shortlist", 0, 1, low_open=True)
    check_number(n_components, "n_components", 1, integer=True)
    pool = Pool(
        classifier,
        X,
        n_instances,
        random_state,
        proba=True,
        labelled=True,
        X_labelled=X_labelled,
    )
    coords, base = principal_coordinates(pool, n_components)
    labels = kmeans(coords, min(n_clusters, pool.n), pool.rng).labels
    score = 0.5 * (
        rank_share(1 - pool.proba.max(axis=1))
        + rank_share(atypicality_score(pool.proba, labels))
    )
    size = max(int(np.ceil(shortlist * pool.n)), pool.k)
    candidates = np.argsort(-score, kind="stable")[:size]
    chosen = spread(coords, candidates, base, pool.k)
    return pool.answer(chosen, score[chosen])


def atypicality_score(
    proba: NDArray[np.float64], labels: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Score how far each row leans to another class than its cluster's dominant one.

    The largest of ``proba[i, c] - mean[c]`` over the classes c other than the dominant
    one of the cluster, where `mean` is the mean of the cluster's probabilities.

    Parameters
    ----------
    proba : numpy.ndarray of shape (n, n_classes)
    labels : numpy.ndarray of shape (n,)
        Cluster of each row.

    Returns
    -------
    numpy.ndarray of shape (n,), float64
        0 where there is one class only.

    Examples
    --------
    >>> import numpy as np
    >>> proba = np.array([[0.75, 0.25], [1.0, 0.0], [0.5, 0.5]])
    >>> atypicality_score(proba, np.zeros(3, dtype=int)).tolist()
    [0.0, -0.25, 0.25]
    """
    n, n_classes = proba.shape
    if n_classes < 2:
        return np.zeros(n)
    mean = cluster_mean(proba, labels)
    residual = proba - mean
    residual[np.arange(n), mean.argmax(axis=1)] = -np.inf
    best: NDArray[np.float64] = residual.max(axis=1)
    return best


def cluster_mean(
    values: NDArray[np.float64], labels: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Give each row the mean of the values of its cluster, shape (n, m)."""
    k = int(labels.max()) + 1
    size = np.maximum(np.bincount(labels, minlength=k), 1)
    total = np.column_stack(
        [np.bincount(labels, weights=column, minlength=k) for column in values.T]
    )
    mean: NDArray[np.float64] = (total / size[:, None])[labels]
    return mean


def rank_share(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the ranks, ties sharing their mean rank, as shares of n in (0, 1].

    Values that differ in their last bits only are ties.

    Examples
    --------
    >>> import numpy as np
    >>> rank_share(np.array([0.2, 0.9, 0.2, 0.4])).tolist()
    [0.375, 1.0, 0.375, 0.75]
    """
    ranks: NDArray[np.float64] = rankdata(np.round(values, 12))
    return ranks / len(values)


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
        spread, and the mean squared length of a row is 1, so that one regularisation
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
    _, singular, axes = randomized_svd(part, rank, n_iter=4, random_state=seed)
    keep = singular > 1e-4 * singular[0]
    deviation = singular[keep] / np.sqrt(len(part))
    if not whiten:
        deviation = np.full(len(deviation), np.sqrt((deviation**2).sum()))
    turn = ((axes[keep] / scale) / deviation[:, None]).T.astype(np.float32)
    shift = mean @ turn
    coords = np.empty((pool.n, turn.shape[1]), dtype=np.float32)
    for start in range(0, pool.n, _CHUNK):
        block = slice(start, start + _CHUNK)
        coords[block] = x[block] @ turn - shift
    return coords, labelled @ turn - shift


def spread(
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
    >>> spread(x, np.array([1, 0, 2, 3]), np.array([[0.0]], "f4"), 2).tolist()
    [3, 1]
    """
    points = coords[candidates].astype(np.float64)
    distance = squared_distance(points, base)
    free = np.ones(len(points), dtype=bool)
    chosen = []
    for _ in range(k):
        # Rounded, so that equal distances tie whatever the order of summation.
        value = np.where(free, np.round(distance, 9), -1.0)
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
        block = squares - 2 * points @ near.T + np.einsum("ij,ij->i", near, near)
        distance = np.minimum(distance, np.maximum(block.min(axis=1), 0))
    return distance
