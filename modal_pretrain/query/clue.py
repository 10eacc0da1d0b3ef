"""CLUE: clusters of embeddings weighted by uncertainty."""

from __future__ import annotations

from typing import Any

import numpy as np

from modal_pretrain._checks import Number
from modal_pretrain.query._engine.arguments import RandomState
from modal_pretrain.query._engine.kmeans import closest_rows, kmeans
from modal_pretrain.query._engine.pool import Pool
from modal_pretrain.query._engine.select import Answer
from modal_pretrain.query._engine.temperature import soften
from modal_pretrain.query.scores import entropy_score


def clue_sampling(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    random_state: RandomState = None,
    temperature: float = 1.0,
) -> Answer:
    """Query the rows nearest the centres of uncertainty-weighted clusters [1]_.

    The embeddings are clustered by k-means into `n_instances` clusters, each row
    weighted by the entropy of its prediction, so that centres lie where uncertain rows
    are dense. It asks: which rows stand for the different ways to be uncertain?

    Parameters
    ----------
    classifier : modAL learner or committee, Pipeline or estimator
        Gives probabilities and embeddings. Unfitted, all rows have the same weight.
    X : array-like or list
        The pool, n rows.
    n_instances : int, default=1
        In [1, n].
    random_state : None, int, SeedSequence, Generator or RandomState
        Drives the clustering.
    temperature : float, default=1.0
        Softens the probabilities the weights are taken from; below 1, the uncertain
        rows weigh more against the rest.

    Returns
    -------
    query_idx : numpy.ndarray of shape (n_instances,), int64
        Rows of X, first queried first: those of the clusters of the largest total
        entropy.
    scores : numpy.ndarray of shape (n_instances,), float64
        Total entropy of the cluster, in nats, not increasing.

    Raises
    ------
    TypeError
        If there are no probabilities or embeddings, or an argument has a wrong type.
    ValueError
        If the pool is empty, an argument is out of range, or the probabilities or
        embeddings are malformed or not finite.

    Notes
    -----
    Cost: a k-means of the pool in float32, on a sample for all but its last iterations;
    memory O(n d). Where a row is the nearest of two centres, the lighter cluster gets
    its next nearest. If no row is uncertain at all, every row has the same weight.

    References
    ----------
    .. [1] V. Prabhu, A. Chandrasekaran, K. Saenko and J. Hoffman, "Active domain
       adaptation via clustering uncertainty-weighted embeddings", ICCV 2021,
       arXiv:2010.08666.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> X = np.array([[-0.2, 5.0], [0.0, 5.1], [0.0, -5.0], [9.0, 0.0]])
    >>> model = LogisticRegression().fit([[-1.0, 0.0], [1.0, 0.0]], [0, 1])
    >>> sorted(clue_sampling(model, X, 2, random_state=0)[0].tolist())
    [1, 2]
    """
    temperature = float(Number(above=0).check("temperature", temperature))
    pool = Pool(classifier, X, n_instances, random_state, proba=True)
    weights = np.ones(pool.n)
    if pool.fitted:
        weights = entropy_score(soften(pool.proba, temperature))
        if not weights.any():
            weights = np.ones(pool.n)
    rows = pool.rows.fast
    if pool.k == pool.n:  # every row is a cluster
        heavy = np.argsort(-weights, kind="stable")
        return pool.answer(heavy, weights[heavy])
    clusters = kmeans(rows, pool.k, pool.rng, weights=weights)
    mass = np.bincount(clusters.labels, weights=weights, minlength=pool.k)
    heavy = np.argsort(-mass, kind="stable")
    return pool.answer(closest_rows(rows, clusters.centres[heavy]), mass[heavy])
