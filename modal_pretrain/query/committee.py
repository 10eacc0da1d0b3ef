"""BALD: what several models disagree about."""

from __future__ import annotations

from typing import Any

from modal_pretrain._checks import Whole
from modal_pretrain.query._engine.arguments import (
    RandomState,
    check_request,
)
from modal_pretrain.query._engine.samples import probability_samples
from modal_pretrain.query._engine.select import Answer, by_score, in_chunks
from modal_pretrain.query.scores import bald_score

_CHUNK = 16_384


def bald_sampling(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    random_state: RandomState = None,
    n_samples: int = 10,
    proba_samples: Any = None,
) -> Answer:
    """Query the rows about which the members of a committee disagree most [1]_ [2]_.

    It asks: where would knowing the class tell most about which model is right? A row
    all members find hard scores low; a row each is sure about, differently, scores
    high.

    Parameters
    ----------
    classifier : modAL committee or learner, Pipeline, ensemble or network
        A modAL Committee; an ensemble with `estimators_` such as a random forest or
        bagging; or a skorch network with dropout layers, of which only those are
        switched on. One that has not been fitted gives a random sample.
    X : array-like or list
        The pool, n rows.
    n_instances : int, default=1
        In [1, n].
    random_state : None, int, SeedSequence, Generator or RandomState
        Drives dropout.
    n_samples : int, default=10
        Passes with dropout, at least 1.
    proba_samples : array-like or callable, optional
        Probabilities of shape (n_members, n, n_classes), or a function that gives them
        for X; used in place of the classifier.

    Returns
    -------
    query_idx : numpy.ndarray of shape (n_instances,), int64
        Rows of X, first queried first.
    scores : numpy.ndarray of shape (n_instances,), float64
        Mutual information in nats, not increasing.

    Raises
    ------
    TypeError
        If the classifier gives a single prediction only, or an argument has a wrong
        type.
    ValueError
        If the pool is empty, an argument is out of range, or the probabilities are
        malformed or not finite.

    Notes
    -----
    Cost: one prediction of the pool a member; memory O(n_members n n_classes).
    Dropout is consistent: a pass drops the same units of every row, as one member of a
    committee would. It draws from torch's generator, which is seeded from
    `random_state` and put back afterwards.

    References
    ----------
    .. [1] N. Houlsby, F. Huszár, Z. Ghahramani and M. Lengyel, "Bayesian active
       learning for classification and preference learning", arXiv:1112.5745.
    .. [2] Y. Gal, R. Islam and Z. Ghahramani, "Deep Bayesian active learning with image
       data", ICML 2017, arXiv:1703.02910.

    Examples
    --------
    >>> import numpy as np
    >>> votes = np.array([[[1, 0], [0.5, 0.5]], [[0, 1], [0.5, 0.5]]])
    >>> bald_sampling(None, np.zeros((2, 1)), 1, proba_samples=votes)[0].tolist()
    [0]
    """
    Whole(least=1).check("n_samples", n_samples)
    request = check_request(classifier, X, n_instances, random_state)
    samples, fitted = probability_samples(
        classifier,
        X,
        request.n,
        request.rng,
        n_samples=n_samples,
        proba_samples=proba_samples,
    )
    by_row = samples.transpose(1, 0, 2)
    scores = in_chunks(lambda part: bald_score(part.transpose(1, 0, 2)), _CHUNK, by_row)
    return by_score(scores, request, X, fitted)
