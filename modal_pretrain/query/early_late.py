"""Early against late: rows on which an early-stopped head and the classifier differ."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from modal_pretrain._blas import one_thread
from modal_pretrain._checks import Whole
from modal_pretrain.query._engine.arguments import RandomState
from modal_pretrain.query._engine.heads import (
    columns_of_labels,
    head_inputs,
    rank_and_answer,
)
from modal_pretrain.query._engine.select import Answer, in_chunks
from modal_pretrain.query.scores import least_confidence_score

_FLOOR = 1e-12
_CHUNK = 4096


def early_late_sampling(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    random_state: RandomState = None,
    X_labelled: Any = None,
    y_labelled: Any = None,
    early_steps: int = 5,
    n_components: int = 256,
) -> Answer:
    """Query rows on which training changed the prediction most (after SELF [1]_).

    Early in training a model follows the features that are simplest, which often are
    those of the unintended attribute; rows on which the final model disagrees are where
    it had to give them up. An early head is made by a few steps of full-batch gradient
    descent from zero on the labelled rows; the score is the Kullback-Leibler divergence
    of the classifier's probabilities from those of the early head. SELF uses it to
    choose rows for fine-tuning the last layer; here it makes a batch strategy.

    Parameters
    ----------
    classifier : modAL learner or committee, Pipeline or estimator
        Gives probabilities and embeddings.
    X : array-like or list
        The pool, n rows.
    n_instances : int, default=1
        In [1, n].
    random_state : None, int, SeedSequence, Generator or RandomState
        Drives the sketch of the principal axes.
    X_labelled, y_labelled : array-like, optional
        The labelled set. By default, what a modAL learner remembers. The score is
        least confidence unless there are labels of each of the classifier's classes,
        and no others.
    early_steps : int, default=5
        Steps of length 1 over the largest curvature: enough to leave the start, few
        enough that only the leading directions of the labelled set have been fitted.
    n_components : int, default=256
        Principal coordinates the early head sees.

    Returns
    -------
    query_idx : numpy.ndarray of shape (n_instances,), int64
        Rows of X, first queried first.
    scores : numpy.ndarray of shape (n_instances,), float64
        Divergence in nats, largest first.

    Raises
    ------
    TypeError
        If there are no probabilities or embeddings, or an argument has a wrong type.
    ValueError
        If the pool is empty, an argument is out of range, or the probabilities,
        embeddings or labels are malformed.

    References
    ----------
    .. [1] T. LaBonte, V. Muthukumar and A. Kumar, "Towards last-layer retraining for
       group robustness with fewer annotations", NeurIPS 2023, arXiv:2309.08534.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> seed = np.array([[3.0, 1.0], [-3.0, -1.0], [-3.0, 1.0], [3.0, 1.2]])
    >>> y = np.array([1, 0, 1, 1])
    >>> X = np.array([[3.0, 1.0], [-3.0, -1.0], [-3.0, 1.0], [0.1, 0.0]])
    >>> model = LogisticRegression(C=100).fit(seed, y)
    >>> early_late_sampling(model, X, random_state=0, X_labelled=seed,
    ...     y_labelled=y)[0].tolist()
    [2]
    """
    Whole(least=1).check("early_steps", early_steps)
    Whole(least=1).check("n_components", n_components)
    pool, coords, base, codes = head_inputs(
        classifier, X, n_instances, random_state, X_labelled, y_labelled, n_components
    )
    codes = columns_of_labels(classifier, pool, codes)
    if codes is None:
        return rank_and_answer(pool, least_confidence_score(pool.proba))
    with one_thread():
        weights, bias = early_head(base.astype(np.float64), codes, early_steps)

    def score(
        rows: NDArray[np.float32], late: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        early = softmax(rows.astype(np.float64) @ weights + bias, axis=1)
        return divergence(late, early)

    return rank_and_answer(pool, in_chunks(score, _CHUNK, coords, pool.proba))


def early_head(
    base: NDArray[np.float64], codes: NDArray[np.intp], steps: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Take a few steps of gradient descent on the mean cross-entropy, from zero.

    Parameters
    ----------
    base : numpy.ndarray of shape (m, q)
    codes : numpy.ndarray of shape (m,)
        Classes from 0.
    steps : int

    Returns
    -------
    weights : numpy.ndarray of shape (q, n_classes)
    bias : numpy.ndarray of shape (n_classes,)

    Examples
    --------
    >>> import numpy as np
    >>> weights, _ = early_head(np.array([[1.0], [-1.0]]), np.array([1, 0]), 1)
    >>> weights.round(4).tolist()
    [[-1.0, 1.0]]
    """
    table = np.column_stack([base, np.ones(len(base))])
    target = np.eye(int(codes.max()) + 1)[codes]
    # The softmax has curvature at most 1/2.
    curvature = 0.5 * float(np.linalg.norm(table, 2)) ** 2 / len(table)
    head = np.zeros((table.shape[1], target.shape[1]))
    for _ in range(steps):
        slope = table.T @ (softmax(table @ head, axis=1) - target) / len(table)
        head -= slope / curvature
    return head[:-1], head[-1]


def divergence(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the Kullback-Leibler divergence of each row of p from that of q.

    Examples
    --------
    >>> import numpy as np
    >>> p = np.array([[1.0, 0.0], [0.5, 0.5]])
    >>> divergence(p, np.full((2, 2), 0.5)).round(4).tolist()
    [0.6931, 0.0]
    """
    p, q = np.maximum(p, _FLOOR), np.maximum(q, _FLOOR)
    total: NDArray[np.float64] = (p * np.log(p / q)).sum(axis=1)
    return total
