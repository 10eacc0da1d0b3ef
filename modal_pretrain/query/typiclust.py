"""TypiClust: typical rows of the clusters where nothing is labelled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from modal_pretrain._checks import Whole
from modal_pretrain.query._engine.arguments import RandomState
from modal_pretrain.query._engine.kmeans import kmeans
from modal_pretrain.query._engine.neighbours import near_enough, squared_to_nearest
from modal_pretrain.query._engine.pool import Pool, form_of
from modal_pretrain.query._engine.select import Answer
from modal_pretrain.query._engine.threads import each_chunk

_BLOCK = 1_000_000  # entries of a block of distances
_LEAST = 1e-5  # mean distance to the neighbours


def typiclust_sampling(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    random_state: RandomState = None,
    X_labelled: Any = None,
    n_neighbors: int = 20,
    max_clusters: int = 500,
    min_cluster_size: int = 5,
    normalize: bool = True,
) -> Answer:
    """Query the most typical row of each of the largest uncovered clusters [1]_.

    Pool and labelled rows together are clustered by k-means into as many clusters as
    there will be labels, at most `max_clusters`. Clusters are visited from those with
    the fewest labelled rows, larger ones first, and round again if need be. Of each,
    the row of the largest typicality is taken, the inverse of the mean distance to its
    `n_neighbors` nearest rows of the cluster. It asks: what does a part of the pool we
    know nothing of look like? It is for small budgets, the first round included.

    Parameters
    ----------
    classifier : modAL learner or committee, Pipeline or estimator
        Gives embeddings; need not be fitted if it can embed without that.
    X : array-like or list
        The pool, n rows.
    n_instances : int, default=1
        In [1, n].
    random_state : None, int, SeedSequence, Generator or RandomState
        Drives the clustering.
    X_labelled : array-like or list, optional
        Labelled rows, of the same kind as X. By default, what a modAL learner
        remembers; none is fine.
    n_neighbors : int, default=20
        At most half the cluster's unlabelled rows are used.
    max_clusters : int, default=500
    min_cluster_size : int, default=5
        Clusters of this many rows or fewer are visited only once the others are used
        up (the authors drop them).
    normalize : bool, default=True
        Scale embeddings to length 1 first, as the authors do.

    Returns
    -------
    query_idx : numpy.ndarray of shape (n_instances,), int64
        Rows of X, first queried first.
    scores : numpy.ndarray of shape (n_instances,), float64
        Typicality of the row in its cluster; 0 where it has no neighbour. Not ordered,
        as the clusters are.

    Raises
    ------
    TypeError
        If there are no embeddings, or an argument has a wrong type.
    ValueError
        If the pool is empty, an argument is out of range, or the embeddings are
        malformed or not finite.

    Notes
    -----
    Cost: a k-means of the pool in float32, on a sample for all but its last iterations;
    distances between all rows of each visited cluster (of 50,000 x 384 in one cluster,
    as for a first query of one row, some 15 s of processor time), unless one of its
    rows occurs more than `n_neighbors` times: at a distance of 0 from so many, it is
    the most typical one. Memory O(n d). The authors' code uses
    scikit-learn's MiniBatchKMeans above 50 clusters, and squared distances for the
    typicality; here distances are those of the paper, not squared.

    References
    ----------
    .. [1] G. Hacohen, A. Dekel and D. Weinshall, "Active learning on a budget: opposite
       strategies suit high and low budgets", ICML 2022, arXiv:2202.02794.

    Examples
    --------
    >>> import numpy as np
    >>> corner = np.array([[0.0, 1.0], [0.1, 1.0], [0.2, 1.0], [0.6, 1.0]])
    >>> X = np.vstack([corner, corner[:, ::-1] + 0.01])
    >>> idx, scores = typiclust_sampling(None, X, 1, random_state=0,
    ...     X_labelled=np.array([[1.0, 0.1]]), min_cluster_size=1)
    >>> idx.tolist()
    [1]
    """
    Whole(least=1).check("n_neighbors", n_neighbors)
    Whole(least=1).check("max_clusters", max_clusters)
    Whole(least=0).check("min_cluster_size", min_cluster_size)
    pool = Pool(
        classifier,
        X,
        n_instances,
        random_state,
        form=form_of(normalize),
        labelled=True,
        X_labelled=X_labelled,
    )
    labelled = pool.labelled_rows().astype(np.float32)
    n_clusters = min(len(labelled) + pool.k, max_clusters)
    # Of one row and a frame NumPy makes columns, but rows are hashed.
    rows = np.ascontiguousarray(np.concatenate([pool.rows.fast, labelled]))
    labels = kmeans(rows, n_clusters, pool.rng).labels
    size = np.bincount(labels, minlength=n_clusters)
    covered = np.bincount(labels[pool.n :], minlength=n_clusters)
    # Of clusters alike in all else, the one whose first row comes first.
    first = np.full(n_clusters, pool.n)
    found, where = np.unique(labels[: pool.n], return_index=True)
    first[found] = where
    visits = np.lexsort((first, -size, covered))
    members = _members(labels[: pool.n], n_clusters)
    keys = np.fromiter(map(xxh3_64_intdigest, rows[: pool.n]), np.uint64, pool.n)
    content = np.unique(keys, return_inverse=True)[1]
    chosen: list[int] = []
    scores: list[float] = []
    large = size[visits] > min_cluster_size
    for group in (visits[large], visits[~large]):
        while len(chosen) < pool.k and any(len(members[c]) for c in group):
            for cluster in group:
                left = members[cluster]
                if len(left) == 0 or len(chosen) == pool.k:
                    continue
                best, score = _most_typical(rows, left, content, n_neighbors)
                chosen.append(int(left[best]))
                scores.append(score)
                members[cluster] = np.delete(left, best)
    return pool.answer(chosen, scores)


def _members(labels: NDArray[np.intp], k: int) -> list[NDArray[np.intp]]:
    order = np.argsort(labels, kind="stable")
    ends = np.cumsum(np.bincount(labels, minlength=k))[:-1]
    return np.split(order, ends)


def _most_typical(
    rows: NDArray[np.floating],
    left: NDArray[np.intp],
    content: NDArray[np.intp],
    n_neighbors: int,
) -> tuple[int, float]:
    """Give the place in `left` of the most typical of these rows, and its typicality.

    Rows of the same `content` are equal. Blank pictures or texts may be half a pool:
    of many copies no distance is needed, and none would come out as 0 in float32.
    """
    _, first, copies = np.unique(content[left], return_index=True, return_counts=True)
    often = copies > max(_n_used(len(left), n_neighbors), 1)
    if often.any():
        return int(first[often].min()), 1 / _LEAST
    score = typicality(rows[left], n_neighbors)
    return int(np.argmax(score)), float(score.max())


def _n_used(m: int, n_neighbors: int) -> int:
    return min(max(1, min(n_neighbors, m // 2)), m - 1)


def typicality(
    rows: NDArray[np.floating], n_neighbors: int = 20
) -> NDArray[np.float64]:
    """Score rows by the inverse of the mean distance to their nearest neighbours.

    Parameters
    ----------
    rows : numpy.ndarray of shape (m, d)
        Embeddings of one cluster.
    n_neighbors : int, default=20
        At most half the rows are used, and at least one other row.

    Returns
    -------
    numpy.ndarray of shape (m,), float64
        In [0, 1e5]; 0 for a row on its own.

    Examples
    --------
    >>> import numpy as np
    >>> typicality(np.array([[0.0], [1.0], [3.0]]), 1).round(2).tolist()
    [1.0, 1.0, 0.5]
    """
    m = len(rows)
    if m == 1:
        return np.zeros(1)
    q = _n_used(m, n_neighbors)
    centred: NDArray[np.floating] = rows - rows.mean(axis=0)
    if m <= 2048:
        centred = centred.astype(np.float64)
    norm = np.einsum("ij,ij->i", centred, centred)
    if centred.dtype == np.float32 and near_enough(m, q):
        near = np.maximum(squared_to_nearest(centred, norm, q), 0)
        return 1 / (np.sqrt(near).mean(axis=1, dtype=np.float64) + _LEAST)
    mean = np.empty(m)

    def work(part: slice) -> None:
        squared = norm[part, None] + norm - 2 * (centred[part] @ centred.T)
        own = np.arange(part.start, part.stop)
        squared[own - part.start, own] = np.inf
        near = np.partition(squared, q - 1, axis=1)[:, :q]
        mean[part] = np.sqrt(np.maximum(near, 0)).mean(axis=1)

    each_chunk(work, m, max(1, _BLOCK // m))
    return 1 / (mean + _LEAST)
