"""Atypicality: rows the classifier sees otherwise than the rows around them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from modal_pretrain._checks import Number, Whole
from modal_pretrain.query._engine.arguments import RandomState
from modal_pretrain.query._engine.coordinates import (
    farthest_first,
    principal_coordinates,
)
from modal_pretrain.query._engine.kmeans import kmeans
from modal_pretrain.query._engine.order import steady
from modal_pretrain.query._engine.pool import Pool
from modal_pretrain.query._engine.select import Answer
from modal_pretrain.query._engine.surroundings import at_odds, cluster_mean


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
    Whole(least=1).check("n_clusters", n_clusters)
    shortlist = float(Number(above=0, most=1).check("shortlist", shortlist))
    Whole(least=1).check("n_components", n_components)
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
    odds = at_odds(pool.proba, cluster_mean(pool.proba, labels))
    score = 0.5 * (rank_share(1 - pool.proba.max(axis=1)) + rank_share(odds.score))
    size = max(int(np.ceil(shortlist * pool.n)), pool.k)
    candidates = np.argsort(-score, kind="stable")[:size]
    chosen = farthest_first(coords, candidates, base, pool.k)
    return pool.answer(chosen, score[chosen])


def rank_share(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the ranks, ties sharing their mean rank, as shares of n in (0, 1].

    Values that differ in their last bits only are ties.

    Examples
    --------
    >>> import numpy as np
    >>> rank_share(np.array([0.2, 0.9, 0.2, 0.4])).tolist()
    [0.375, 1.0, 0.375, 0.75]
    """
    ranks: NDArray[np.float64] = rankdata(steady(values))
    return ranks / len(values)
