"""Uncertainty of the class probabilities, and random sampling.

The score functions are pure: probabilities in, one number a row out, higher meaning
queried earlier. The strategies add the classifier and the selection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from modal_pretrain.query._engine.arguments import RandomState, check_request
from modal_pretrain.query._engine.classifier import class_probabilities
from modal_pretrain.query._engine.order import canonical_order
from modal_pretrain.query._engine.pool import Answer
from modal_pretrain.query._engine.select import in_chunks, top_k

_CHUNK = 65_536
Score = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def least_confidence_score(proba: NDArray[np.float64]) -> NDArray[np.float64]:
    """Score rows by how improbable their most probable class is.

    Parameters
    ----------
    proba : numpy.ndarray of shape (n, n_classes)
        Class probabilities.

    Returns
    -------
    numpy.ndarray of shape (n,), float64
        ``1 - max(p)``, in [0, 1 - 1 / n_classes].

    Examples
    --------
    >>> import numpy as np
    >>> least_confidence_score(np.array([[0.75, 0.25], [0.5, 0.5]])).tolist()
    [0.25, 0.5]
    """
    return 1 - np.max(proba, axis=1)


def margin_score(proba: NDArray[np.float64]) -> NDArray[np.float64]:
    """Score rows by how close their two most probable classes are.

    Parameters
    ----------
    proba : numpy.ndarray of shape (n, n_classes)
        Class probabilities.

    Returns
    -------
    numpy.ndarray of shape (n,), float64
        ``1 - (p_first - p_second)``, in [0, 1]. With a single class, 0.

    Examples
    --------
    >>> import numpy as np
    >>> margin_score(np.array([[0.5, 0.25, 0.25], [0.5, 0.5, 0.0]])).tolist()
    [0.75, 1.0]
    """
    if proba.shape[1] == 1:
        return np.zeros(len(proba))
    top = np.partition(proba, proba.shape[1] - 2, axis=1)[:, -2:]
    return 1 - (top[:, 1] - top[:, 0])


def entropy_score(proba: NDArray[np.float64]) -> NDArray[np.float64]:
    """Score rows by the entropy of their class probabilities.

    Parameters
    ----------
    proba : numpy.ndarray of shape (n, n_classes)
        Class probabilities.

    Returns
    -------
    numpy.ndarray of shape (n,), float64
        ``-sum(p log p)`` in nats, in [0, log(n_classes)].

    Examples
    --------
    >>> import numpy as np
    >>> entropy_score(np.array([[1.0, 0.0], [0.5, 0.5]])).round(3).tolist()
    [0.0, 0.693]
    """
    return entr(proba).sum(axis=1)


def _by_score(
    score: Score, classifier: Any, X: Any, n_instances: int, random_state: RandomState
) -> Answer:
    n, k, rng = check_request(X, n_instances, random_state)
    proba, fitted = class_probabilities(classifier, X, n)
    scores = in_chunks(score, _CHUNK, proba)
    if fitted:
        return top_k(scores, k, X)
    chosen = canonical_order(X)[rng.choice(n, size=k, replace=False)]
    return chosen.astype(np.int64), scores[chosen]


def least_confidence_sampling(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    random_state: RandomState = None,
) -> Answer:
    """Query the rows whose most probable class is the least probable [1]_.

    It asks: which predictions is the model least sure of? modAL calls it
    `uncertainty_sampling`.

    Parameters
    ----------
    classifier : modAL learner or committee, Pipeline or estimator
        Gives probabilities. One that has not been fitted gives a random sample.
    X : array-like or list
        The pool, n rows.
    n_instances : int, default=1
        In [1, n].
    random_state : None, int, SeedSequence, Generator or RandomState
        Used only where the classifier has not been fitted.

    Returns
    -------
    query_idx : numpy.ndarray of shape (n_instances,), int64
        Rows of X, first queried first.
    scores : numpy.ndarray of shape (n_instances,), float64
        ``1 - max(p)``, not increasing.

    Raises
    ------
    TypeError
        If there is no `predict_proba`, or an argument has a wrong type.
    ValueError
        If the pool is empty, `n_instances` is out of range, or the probabilities are
        malformed or not finite.

    References
    ----------
    .. [1] D. D. Lewis and W. A. Gale, "A sequential algorithm for training text
       classifiers", SIGIR 1994, arXiv:cmp-lg/9407020.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> X = np.array([[-3.0], [-0.1], [0.4], [2.0]])
    >>> model = LogisticRegression().fit([[-1.0], [1.0]], [0, 1])
    >>> least_confidence_sampling(model, X, 2)[0].tolist()
    [1, 2]
    """
    return _by_score(least_confidence_score, classifier, X, n_instances, random_state)


def margin_sampling(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    random_state: RandomState = None,
) -> Answer:
    """Query the rows whose two most probable classes are the closest [1]_ [2]_.

    It asks: which rows are nearest to a decision boundary? With two classes the ranking
    is that of `least_confidence_sampling`.

    Parameters
    ----------
    classifier : modAL learner or committee, Pipeline or estimator
        Gives probabilities. One that has not been fitted gives a random sample.
    X : array-like or list
        The pool, n rows.
    n_instances : int, default=1
        In [1, n].
    random_state : None, int, SeedSequence, Generator or RandomState
        Used only where the classifier has not been fitted.

    Returns
    -------
    query_idx : numpy.ndarray of shape (n_instances,), int64
        Rows of X, first queried first.
    scores : numpy.ndarray of shape (n_instances,), float64
        ``1 - (p_first - p_second)``, not increasing.

    Raises
    ------
    TypeError
        If there is no `predict_proba`, or an argument has a wrong type.
    ValueError
        If the pool is empty, `n_instances` is out of range, or the probabilities are
        malformed or not finite.

    References
    ----------
    .. [1] T. Scheffer, C. Decomain and S. Wrobel, "Active hidden Markov models for
       information extraction", IDA 2001.
    .. [2] D. Bahri, H. Jiang, T. Schuster and A. Rostamizadeh, "Is margin all you
       need?", arXiv:2210.03822.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> X = np.array([[-3.0], [-0.1], [0.4], [2.0]])
    >>> model = LogisticRegression().fit([[-1.0], [1.0]], [0, 1])
    >>> margin_sampling(model, X, 2)[0].tolist()
    [1, 2]
    """
    return _by_score(margin_score, classifier, X, n_instances, random_state)


def entropy_sampling(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    random_state: RandomState = None,
) -> Answer:
    """Query the rows whose class probabilities have the largest entropy [1]_.

    It asks: which predictions spread over most classes? With two classes the ranking is
    that of `least_confidence_sampling`.

    Parameters
    ----------
    classifier : modAL learner or committee, Pipeline or estimator
        Gives probabilities. One that has not been fitted gives a random sample.
    X : array-like or list
        The pool, n rows.
    n_instances : int, default=1
        In [1, n].
    random_state : None, int, SeedSequence, Generator or RandomState
        Used only where the classifier has not been fitted.

    Returns
    -------
    query_idx : numpy.ndarray of shape (n_instances,), int64
        Rows of X, first queried first.
    scores : numpy.ndarray of shape (n_instances,), float64
        Entropy in nats, not increasing.

    Raises
    ------
    TypeError
        If there is no `predict_proba`, or an argument has a wrong type.
    ValueError
        If the pool is empty, `n_instances` is out of range, or the probabilities are
        malformed or not finite.

    References
    ----------
    .. [1] I. Dagan and S. P. Engelson, "Committee-based sampling for training
       probabilistic classifiers", ICML 1995.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> X = np.array([[-3.0], [-0.1], [0.4], [2.0]])
    >>> model = LogisticRegression().fit([[-1.0], [1.0]], [0, 1])
    >>> entropy_sampling(model, X, 2)[0].tolist()
    [1, 2]
    """
    return _by_score(entropy_score, classifier, X, n_instances, random_state)


def random_sampling(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    random_state: RandomState = None,
) -> Answer:
    """Query rows uniformly at random, without replacement.

    The floor every other strategy is compared with. Rows are drawn in an order that
    depends on what they hold, so the same seed finds the same rows in a permuted pool.

    Parameters
    ----------
    classifier : object
        Not looked at.
    X : array-like or list
        The pool, n rows.
    n_instances : int, default=1
        In [1, n].
    random_state : None, int, SeedSequence, Generator or RandomState
        Drives the draw.

    Returns
    -------
    query_idx : numpy.ndarray of shape (n_instances,), int64
        Rows of X, first queried first.
    scores : numpy.ndarray of shape (n_instances,), float64
        The uniform numbers in [0, 1) that ranked the rows, not increasing.

    Raises
    ------
    TypeError
        If an argument has a wrong type.
    ValueError
        If the pool is empty or `n_instances` is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.arange(20.0).reshape(10, 2)
    >>> idx, scores = random_sampling(None, X, 3, random_state=0)
    >>> bool((X[idx] == X[::-1][random_sampling(None, X[::-1], 3,
    ...     random_state=0)[0]]).all())
    True
    """
    n, k, rng = check_request(X, n_instances, random_state)
    scores = np.empty(n)
    scores[canonical_order(X)] = rng.random(n)
    chosen = np.argsort(-scores, kind="stable")[:k].astype(np.int64)
    return chosen, scores[chosen]
