"""EPIG: what would tell most about the predictions that matter."""

from __future__ import annotations

from typing import Any

import numpy as np

from modal_pretrain._checks import Whole
from modal_pretrain.query._engine.arguments import (
    RandomState,
    check_request,
    n_rows,
)
from modal_pretrain.query._engine.order import canonical_order
from modal_pretrain.query._engine.samples import probability_samples
from modal_pretrain.query._engine.select import Answer, by_score
from modal_pretrain.query.scores import epig_score


def epig_sampling(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    random_state: RandomState = None,
    X_target: Any = None,
    n_target: int = 100,
    n_samples: int = 10,
    proba_samples: Any = None,
) -> Answer:
    """Query the rows expected to tell most about the classes of target rows [1]_.

    EPIG, the expected predictive information gain, is the mutual information between a
    row's class and that of a target row, under a committee. Unlike BALD it leaves alone
    what the committee disagrees about without consequence for the targets.

    Parameters
    ----------
    classifier : modAL committee or learner, Pipeline, ensemble or network
        As in `bald_sampling`. One that has not been fitted gives a random sample.
    X : array-like or list
        The pool, n rows.
    n_instances : int, default=1
        In [1, n].
    random_state : None, int, SeedSequence, Generator or RandomState
        Drives dropout.
    X_target : array-like or list, optional
        Rows like those the model will be used on, of the same kind as X. By default, a
        sample of the pool.
    n_target : int, default=100
        Size of that sample, at least 1; it depends on the content of the rows only.
    n_samples : int, default=10
        Passes with dropout, at least 1.
    proba_samples : array-like or callable, optional
        Probabilities of shape (n_members, n, n_classes), or a function that gives them
        for X; used in place of the classifier. With `X_target` it must be a function.
        A member is one model, for all rows and in both calls: where dropout draws other
        units for each row or call, rows tell nothing of each other.

    Returns
    -------
    query_idx : numpy.ndarray of shape (n_instances,), int64
        Rows of X, first queried first.
    scores : numpy.ndarray of shape (n_instances,), float64
        Expected information gain in nats, not increasing.

    Raises
    ------
    TypeError
        If the classifier gives a single prediction only, or an argument has a wrong
        type.
    ValueError
        If the pool or `X_target` is empty, an argument is out of range, or the
        probabilities are malformed or not finite.

    Notes
    -----
    Cost: one prediction of the pool and the targets a member, and
    ``n * n_target * n_classes**2`` logarithms in blocks; memory
    O(n_members n n_classes). A batch is the rows of the highest single scores, as the
    paper has no batch form. On dropout, see `bald_sampling`; pool and targets see
    the same units dropped, except within a backbone of texts, where these depend on
    the token and on the padded length of a batch: take a committee for texts.

    References
    ----------
    .. [1] F. Bickford Smith, A. Kirsch, S. Farquhar, Y. Gal, A. Foster and
       T. Rainforth, "Prediction-oriented Bayesian active learning", AISTATS 2023,
       arXiv:2304.08151.

    Examples
    --------
    >>> import numpy as np
    >>> votes = np.array([[[1, 0], [0.5, 0.5]], [[0, 1], [0.5, 0.5]]])
    >>> epig_sampling(None, np.zeros((2, 1)), 1, proba_samples=votes)[0].tolist()
    [0]
    """
    Whole(least=1).check("n_samples", n_samples)
    Whole(least=1).check("n_target", n_target)
    request = check_request(classifier, X, n_instances, random_state)
    seed = np.random.default_rng(request.rng.integers(2**63))  # same dropout for both
    state = seed.bit_generator.state
    samples, fitted = probability_samples(
        classifier,
        X,
        request.n,
        seed,
        n_samples=n_samples,
        proba_samples=proba_samples,
    )
    if X_target is None:
        target = samples[:, canonical_order(X)[:n_target]]
    else:
        m = n_rows(X_target, "X_target")
        if m == 0:
            raise ValueError("X_target is empty; pass at least one row, or None.")
        if proba_samples is not None and not callable(proba_samples):
            raise TypeError(
                "proba_samples must be a function of X if X_target is given, so that "
                "the members can predict the targets too."
            )
        seed.bit_generator.state = state
        target, _ = probability_samples(
            classifier,
            X_target,
            m,
            seed,
            n_samples=n_samples,
            proba_samples=proba_samples,
        )
    return by_score(epig_score(samples, target), request, X, fitted)
