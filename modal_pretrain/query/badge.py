"""BADGE: batches that are uncertain and diverse in gradient space."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modal_pretrain._blas import one_thread
from modal_pretrain.query._engine.arguments import RandomState
from modal_pretrain.query._engine.kmeans import draw
from modal_pretrain.query._engine.nearest import Gradient, LazyNearest
from modal_pretrain.query._engine.pool import Pool
from modal_pretrain.query._engine.select import Answer


def badge_sampling(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    random_state: RandomState = None,
) -> Answer:
    """Query rows whose loss gradients are large and differ from each other [1]_.

    The gradient embedding of a row x is the gradient of the cross-entropy loss at the
    last linear layer, were the predicted class the true one: the outer product of
    ``p - onehot(argmax p)`` and x. The first row is that of the largest gradient; each
    further one is drawn by k-means++, with probability in proportion to its squared
    distance to the nearest gradient chosen so far.

    Parameters
    ----------
    classifier : modAL learner or committee, Pipeline or estimator
        Gives probabilities and embeddings.
    X : array-like or list
        The pool, n rows.
    n_instances : int, default=1
        In [1, n].
    random_state : None, int, SeedSequence, Generator or RandomState
        Drives the k-means++ draws.

    Returns
    -------
    query_idx : numpy.ndarray of shape (n_instances,), int64
        Rows of X, first queried first.
    scores : numpy.ndarray of shape (n_instances,), float64
        Of the first, the squared norm of its gradient; of each other, the squared
        distance to the nearest gradient chosen before it.

    Raises
    ------
    TypeError
        If there are no probabilities or embeddings, or an argument has a wrong type.
    ValueError
        If the pool is empty, `n_instances` is out of range, or the probabilities or
        embeddings are malformed or not finite.

    Notes
    -----
    Where all gradients vanish (an unfitted classifier, a seed of one class, or
    probabilities of 0 and 1 throughout), the embeddings take their place.

    Cost: one pass over the embeddings, then a few rows a step; memory O(n d), never
    n x C x d. The distribution is exactly that of k-means++.

    References
    ----------
    .. [1] J. T. Ash, C. Zhang, A. Krishnamurthy, J. Langford and A. Agarwal, "Deep
       batch active learning by diverse, uncertain gradient lower bounds", ICLR 2020,
       arXiv:1906.03671.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> X = np.array([[-3.0], [-0.1], [0.2], [2.0]])
    >>> model = LogisticRegression().fit([[-1.0], [1.0]], [0, 1])
    >>> idx, scores = badge_sampling(model, X, 2, random_state=0)
    >>> idx.shape, int(idx[0])
    ((2,), 3)
    """
    pool = Pool(classifier, X, n_instances, random_state, form="raw", proba=True)
    a = gradient_coefficients(pool.proba)
    if not pool.fitted or not a.any():
        a = np.ones((pool.n, 1))
    space = Gradient(pool.rows, a)
    nearest = LazyNearest(space)
    first, norm = _largest(space)
    nearest.add(first)
    chosen, scores = [first], [norm]
    with one_thread():
        for _ in range(pool.k - 1):
            race = partial(np.multiply, 1 / draw(pool.rng, pool.n))
            row, _, distance = nearest.best(race)
            nearest.add(row)
            chosen.append(row)
            scores.append(distance)
    return pool.answer(chosen, scores)


def gradient_coefficients(proba: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give ``p - onehot(argmax p)``, the gradient with respect to the logits.

    Parameters
    ----------
    proba : numpy.ndarray of shape (n, n_classes)

    Returns
    -------
    numpy.ndarray of shape (n, n_classes), float64

    Examples
    --------
    >>> import numpy as np
    >>> gradient_coefficients(np.array([[0.75, 0.25]])).tolist()
    [[-0.25, 0.25]]
    """
    a = np.array(proba, dtype=np.float64)
    a[np.arange(len(a)), a.argmax(axis=1)] -= 1
    return a


def _largest(space: Gradient) -> tuple[int, float]:
    """Find the row of the largest gradient, settled in float64."""
    norm = space.norm
    close = np.flatnonzero(norm >= norm.max() * (1 - 1e-3))
    best, value = int(close[0]), -1.0
    for start in range(0, len(close), 1024):
        rows = close[start : start + 1024]
        exact = space.points(rows).norm
        i = int(np.argmax(exact))
        if exact[i] > value:
            best, value = int(rows[i]), float(exact[i])
    return best, value
