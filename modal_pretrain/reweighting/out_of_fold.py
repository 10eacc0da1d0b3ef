"""What a head says about each labelled row that was trained on the others."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from xxhash import xxh3_128_digest

from modal_pretrain._blas import one_thread
from modal_pretrain.reweighting.content import content_ranks
from modal_pretrain.reweighting.logistic import coordinates, fit_head


def folds(X: NDArray[Any], y: NDArray[np.int64], n_folds: int) -> NDArray[np.int64]:
    """Share rows out among folds: each class evenly, whatever their order.

    Parameters
    ----------
    X : numpy.ndarray of shape (n, d)
        Equal rows of one class come into one fold: a copy knows its original.
    y : numpy.ndarray of shape (n,)
        Column numbers.
    n_folds : int
        At most; with fewer rows, one each.

    Returns
    -------
    numpy.ndarray of int, shape (n,)
    """
    n_folds = min(n_folds, len(y))
    keys = [xxh3_128_digest(np.ascontiguousarray(row).tobytes()) for row in X]
    rank = content_ranks(X, keys)
    fold = np.empty(len(y), dtype=np.int64)
    dealt = 0
    for label in np.unique(y):
        own = y == label
        distinct, order = np.unique(rank[own], return_inverse=True)
        # At random, as rows that are alike have near ranks; a fixed one. The next class
        # goes on where this one ended, so folds are of one size.
        rng = np.random.RandomState(0)
        place = rng.permutation(len(distinct))[order.ravel()]
        fold[own] = (place + dealt) % n_folds
        dealt += len(distinct)
    return fold


def out_of_fold_logits(
    X: NDArray[Any],
    y: NDArray[np.int64],
    *,
    C: float,
    weight: NDArray[np.float64] | None = None,
    offset: NDArray[Any] | None = None,
    n_folds: int = 5,
    fold: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """Return what heads say of each row that did not see it.

    Parameters
    ----------
    X : numpy.ndarray of shape (n, d)
        Embeddings, centred and scaled as the head takes them.
    y : numpy.ndarray of int, shape (n,)
        Column numbers.
    C : float
        As in `PretrainedClassifier`.
    weight : numpy.ndarray of shape (n,) or None
        What each row weighs in the fits, above 0.
    offset : numpy.ndarray of shape (n, n_classes) or None
        Logits of the head that training starts from and is pulled to.
    n_folds : int, default=5
        At most; with fewer rows, one each.
    fold : numpy.ndarray of int, shape (n,), or None
        Of each row; `folds` if None.

    Returns
    -------
    numpy.ndarray
        float64 (n, max(y) + 1), -inf for columns without a row. Where all rows have one
        label, or are one, there is no other head: the row's own label is certain.
    """
    labels, columns = np.unique(y, return_inverse=True)
    columns = columns.ravel()
    weight = np.ones(len(y)) if weight is None else weight
    result = np.full((len(y), labels[-1] + 1), -np.inf)
    if fold is None:
        fold = folds(X, columns, n_folds)
    if len(labels) < 2 or len(np.unique(fold)) < 2:
        result[np.arange(len(y)), y] = 0
        return result
    if offset is not None:
        offset = offset[:, labels]
    with one_thread():
        Z = coordinates(X)

        def fit(rows: NDArray[np.bool_], start=None):
            return fit_head(
                Z[rows],
                columns[rows],
                len(labels),
                C=C,
                weight=weight[rows],
                offset=None if offset is None else offset[rows],
                start=start,
            )

        whole = fit(np.ones(len(y), dtype=bool))
        for number in np.unique(fold):
            out = fold == number
            logits = fit(~out, whole).logits(Z[out])
            logits = logits if offset is None else logits + offset[out]
            result[np.ix_(out, labels)] = logits
    return result


def own_proba(logits: NDArray[np.float64], y: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the probability of each row's own label, float64 (n,)."""
    return softmax(logits, axis=1)[np.arange(len(y)), y]
