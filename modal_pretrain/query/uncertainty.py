"""Uncertainty of the class probabilities, and random sampling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modal_pretrain.query._engine.arguments import (
    RandomState,
    check_request,
    own_stream,
)
from modal_pretrain.query._engine.classifier import class_probabilities
from modal_pretrain.query._engine.order import canonical_order
from modal_pretrain.query._engine.select import Answer, by_score, in_chunks
from modal_pretrain.query.scores import (
    entropy_score,
    least_confidence_score,
    margin_score,
)

_CHUNK = 65_536
Score = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def _query(
    score: Score, classifier: Any, X: Any, n_instances: int, random_state: RandomState
) -> Answer:
    request = check_request(classifier, X, n_instances, random_state)
    proba, fitted = class_probabilities(classifier, X, request.n)
    return by_score(in_chunks(score, _CHUNK, proba), request, X, fitted)


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
    return _query(least_confidence_score, classifier, X, n_instances, random_state)


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
    return _query(margin_score, classifier, X, n_instances, random_state)


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
    return _query(entropy_score, classifier, X, n_instances, random_state)


def random_sampling(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    random_state: RandomState = None,
) -> Answer:
    """Query rows uniformly at random, without replacement.

    The floor every other strategy is compared with. Rows are drawn in an order that
    depends on what they hold, so the same seed finds the same rows in a permuted pool
    (objects whose repr has an address are drawn by their place). A number finds
    others in a pool of another size, no neighbours of the first.

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
    n, k, rng = check_request(classifier, X, n_instances, random_state)
    scores = np.empty(n)
    scores[canonical_order(X)] = own_stream(rng, n, random_state).random(n)
    chosen = np.argsort(-scores, kind="stable")[:k].astype(np.int64)
    return chosen, scores[chosen]
