"""Core-set selection: cover the pool with balls of the smallest radius."""

from __future__ import annotations

from typing import Any

import numpy as np

from modal_pretrain._blas import one_thread
from modal_pretrain.query._engine.arguments import RandomState
from modal_pretrain.query._engine.nearest import Euclidean, LazyNearest
from modal_pretrain.query._engine.pool import Pool
from modal_pretrain.query._engine.select import Answer


def core_set_sampling(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    random_state: RandomState = None,
    X_labelled: Any = None,
) -> Answer:
    """Query the rows farthest from all that is labelled or queried already [1]_.

    Greedy k-center: each row is the one of the largest distance to the nearest labelled
    or chosen row, which at most doubles the least possible covering radius. It asks:
    what have we seen nothing like yet? It is drawn to outliers.

    Parameters
    ----------
    classifier : modAL learner or committee, Pipeline or estimator
        Gives embeddings; need not be fitted if it can embed without that.
    X : array-like or list
        The pool, n rows.
    n_instances : int, default=1
        In [1, n].
    random_state : None, int, SeedSequence, Generator or RandomState
        Not used; the answer does not depend on chance.
    X_labelled : array-like or list, optional
        Labelled rows, of the same kind as X. By default, what a modAL learner
        remembers. Without any, the first row is the one nearest the pool's mean; or its
        median, where a few huge values, or many rows that are nearly the same, leave
        the mean far from most rows.

    Returns
    -------
    query_idx : numpy.ndarray of shape (n_instances,), int64
        Rows of X, first queried first.
    scores : numpy.ndarray of shape (n_instances,), float64
        Distance to the nearest labelled or previously chosen row, not increasing.
        Where nothing is labelled, the first is infinite.

    Raises
    ------
    TypeError
        If there are no embeddings, or an argument has a wrong type.
    ValueError
        If the pool is empty, `n_instances` is out of range, or the embeddings are
        malformed or not finite.

    Notes
    -----
    Cost: one product of the pool with the labelled rows in float32, then a few rows a
    step in float64; memory O(n d).

    References
    ----------
    .. [1] O. Sener and S. Savarese, "Active learning for convolutional neural networks:
       a core-set approach", ICLR 2018, arXiv:1708.00489.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1.0], [4.0], [9.0]])
    >>> idx, scores = core_set_sampling(None, X, 2, X_labelled=np.array([[0.0]]))
    >>> idx.tolist(), scores.tolist()
    ([2, 1], [9.0, 4.0])
    """
    pool = Pool(
        classifier, X, n_instances, random_state, labelled=True, X_labelled=X_labelled
    )
    space = Euclidean(pool.rows)
    labelled = pool.labelled_rows()
    nearest = LazyNearest(space, space.place(labelled))
    chosen: list[int] = []
    scores: list[float] = []
    if len(labelled) == 0:
        chosen.append(int(np.argmin(space.norm)))  # rows are centred, see Rows
        scores.append(np.inf)
        nearest.add(chosen[0])
    with one_thread():
        while len(chosen) < pool.k:
            row, _, distance = nearest.best(np.copy)
            nearest.add(row)
            chosen.append(row)
            scores.append(distance)
    return pool.answer(chosen, np.sqrt(scores))
