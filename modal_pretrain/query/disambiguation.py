"""The recommended strategy: half of the batch spread, half at odds with its cluster."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modal_pretrain.query._inputs import RandomState, check_number
from modal_pretrain.query._kmeans import kmeans
from modal_pretrain.query._pool import Answer, Pool
from modal_pretrain.query.atypicality import (
    atypicality_score,
    principal_coordinates,
    squared_distance,
)

_MOST_CLUSTERS = 256
_ITERATIONS = 20


def disambiguation_sampling(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    random_state: RandomState = None,
    X_labelled: Any = None,
    shortlist: float = 0.1,
    cluster_size: int = 100,
    n_components: int = 64,
) -> Answer:
    """Query rows that show what the task is, where the labels so far leave it open.

    Two experts take turns, row by row.

    - *Spread*: of the most uncertain tenth of the pool, the row farthest from all that
      is labelled or already chosen, in whitened principal coordinates. Uncertainty on
      its own [1]_ keeps asking about rows in which class and attribute contradict
      each other. Most of them turn out to be labelled as the attribute says, and
      teach the model to trust it.
    - *At odds*: the row that leans furthest to another class than the one that
      dominates its cluster, see `atypicality_score`, over the square root of 1 + the
      number of rows labelled or chosen in that cluster. It finds exceptions even
      where the classifier is sure of them, which uncertainty does not. The root sends
      it round the clusters; without it the same few are asked about again and again.

    Parameters
    ----------
    classifier : modAL learner or committee, Pipeline or estimator
        Gives probabilities and embeddings. One that has not been fitted has its batch
        spread over the pool.
    X : array-like or list
        The pool, n rows.
    n_instances : int, default=1
        In [1, n].
    random_state : None, int, SeedSequence, Generator or RandomState
        Drives the clustering and the sketch of the principal axes.
    X_labelled : array-like or list, optional
        Labelled rows, of the same kind as X. By default, what a modAL learner
        remembers. Where none are known, the first row is the most uncertain one.
    shortlist : float, default=0.1
        Share of the pool that the first expert chooses from, in (0, 1]; never less
        than `n_instances` rows. It does not depend on the batch, so batches of 1 and
        of 50 ask for the same kind of row.
    cluster_size : int, default=100
        Mean rows per cluster: enough for a mean of probabilities, few enough that a
        cluster shows one attribute. Between 2 and 256 clusters are made.
    n_components : int, default=64
        Principal coordinates in which rows are clustered and spread.

    Returns
    -------
    query_idx : numpy.ndarray of shape (n_instances,), int64
        Rows of X, first queried first.
    scores : numpy.ndarray of shape (n_instances,), float64
        What the expert in turn goes by: squared distance over the number of
        coordinates (0 for the first row where nothing is labelled), or atypicality
        over the root of 1 + the labels of its cluster.
        The two are not comparable, so not ordered.

    Raises
    ------
    TypeError
        If there are no probabilities or embeddings, or an argument has a wrong type.
    ValueError
        If the pool is empty, an argument is out of range, or the probabilities or
        embeddings are malformed or not finite.

    Notes
    -----
    It is better than least confidence on most data sets that were tried, not on all:
    with very few exceptions in the pool, or rare subclasses that least confidence
    finds anyway, it can be worse. The figures are in ``docs/disambiguation.md``.

    Nothing is remembered between calls: whose turn it is follows from the number of
    labelled rows.

    Cost: a decomposition of a sample, one product with the pool, a k-means in few
    dimensions, and n_instances passes over the shortlist; memory O(n d).

    References
    ----------
    .. [1] A. Tamkin, D. Nguyen, S. Deshpande, J. Mu and N. Goodman, "Active learning
       helps pretrained models learn the intended task", NeurIPS 2022, arXiv:2204.08491,
       is where uncertainty is studied for this purpose.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> X = np.array([[-3.0], [-0.2], [0.1], [2.0]])
    >>> model = LogisticRegression().fit([[-1.0], [1.0]], [0, 1])
    >>> idx, _ = disambiguation_sampling(model, X, random_state=0, shortlist=0.5,
    ...     X_labelled=np.array([[-1.0], [1.0]]))
    >>> idx.tolist()
    [2]
    """
    check_number(shortlist, "shortlist", 0, 1, low_open=True)
    check_number(cluster_size, "cluster_size", 1, integer=True)
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
    coords, base = principal_coordinates(pool, n_components, whiten=False)
    n_clusters = min(max(pool.n // cluster_size, 2), _MOST_CLUSTERS, pool.n)
    clusters = kmeans(coords, n_clusters, pool.rng, max_iter=_ITERATIONS)
    odds = atypicality_score(pool.proba, clusters.labels)
    known = np.bincount(nearest(base, clusters.centres), minlength=n_clusters)
    spread_of = coords.std(axis=0)
    spread_of[spread_of == 0] = 1
    uncertainty = np.round(1 - pool.proba.max(axis=1), 12)
    size = max(int(np.ceil(shortlist * pool.n)), pool.k)
    candidates = np.argsort(-uncertainty, kind="stable")[:size]
    chosen, scores = take_turns(
        (coords / spread_of).astype(np.float32),
        candidates,
        base / spread_of,
        np.round(odds, 12),
        clusters.labels,
        known,
        pool.k,
        pool.fitted and pool.proba.shape[1] > 1,
    )
    return pool.answer(chosen, scores)


def nearest(
    rows: NDArray[np.float32], centres: NDArray[np.float32]
) -> NDArray[np.intp]:
    """Give the number of the centre nearest to each row; the lowest of equals.

    Examples
    --------
    >>> import numpy as np
    >>> nearest(np.array([[1.0], [8.0]], "f4"), np.array([[0.0], [9.0]], "f4")).tolist()
    [0, 1]
    """
    distance = np.einsum("ij,ij->i", centres, centres) - 2 * rows @ centres.T
    which: NDArray[np.intp] = distance.argmin(axis=1)
    return which


def take_turns(
    coords: NDArray[np.float32],
    candidates: NDArray[np.intp],
    base: NDArray[np.float32],
    odds: NDArray[np.float64],
    cluster: NDArray[np.intp],
    known: NDArray[np.intp],
    k: int,
    both: bool = True,
) -> tuple[list[int], list[float]]:
    """Let the two experts choose in turn; an even number of labels is the first's turn.

    Parameters
    ----------
    coords : numpy.ndarray of shape (n, q), float32
    candidates : numpy.ndarray of shape (m,), m >= k
        Rows the first expert may take, best first.
    base : numpy.ndarray of shape (b, q), float32
        The labelled rows.
    odds : numpy.ndarray of shape (n,)
        What the second expert goes by.
    cluster : numpy.ndarray of shape (n,), int
        Cluster of each row, below c.
    known : numpy.ndarray of shape (c,), int
        Labelled rows of each cluster.
    k : int
    both : bool, default=True
        Whether the second expert has turns.

    Returns
    -------
    chosen : list of k int
    scores : list of k float

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[0.0], [1.0], [5.0], [6.0]], dtype=np.float32)
    >>> take_turns(x, np.array([1, 2]), np.array([[0.0], [1.0]], "f4"),
    ...     np.array([0.1, 0.7, 0.3, 0.9]), np.array([0, 0, 1, 1]), np.array([0, 1]), 2)
    ([2, 1], [16.0, 0.7])
    """
    points = coords[candidates].astype(np.float64)
    distance = squared_distance(points, base)
    free = np.ones(len(coords), dtype=bool)
    seen = known.astype(np.float64)
    q = coords.shape[1]
    chosen: list[int] = []
    scores: list[float] = []
    for turn in range(len(base), len(base) + k):
        if both and turn % 2:
            # Odds of 0 or less sink too where much is known.
            weight = np.sqrt(1 + seen)[cluster]
            worth = np.where(odds > 0, odds / weight, odds * weight)
            value = np.where(free, np.round(worth, 12), -np.inf)
            row = int(value.argmax())
            score = float(value[row])
        else:
            # Rounded, so that equal distances tie whatever the order of summation.
            value = np.where(free[candidates], np.round(distance, 9), -1.0)
            best = int(value.argmax())
            row = int(candidates[best])
            score = float(distance[best]) / q
            if not np.isfinite(score):
                score = 0.0
        free[row] = False
        seen[cluster[row]] += 1
        chosen.append(row)
        scores.append(score)
        gap = points - coords[row]
        distance = np.minimum(distance, np.einsum("ij,ij->i", gap, gap))
    return chosen, scores
