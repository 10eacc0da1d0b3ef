"""What a head says about each labelled row that was trained on the others."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from xxhash import xxh3_128_digest

from modal_pretrain.reweighting.logistic import coordinates, fit_head, one_thread


def folds(X: NDArray[Any], y: NDArray[np.int64], n_folds: int) -> NDArray[np.int64]:
    """Share rows out among folds: each class evenly, whatever their order.

    Parameters
    ----------
    X : numpy.ndarray of shape (n, d)
        Equal rows of one class come into one fold: a copy knows its original.
    y : numpy.ndarray of shape (n,)
        Column numbers.
    n_folds : int

    Returns
    -------
    numpy.ndarray of int, shape (n,)
    """
    keys = [xxh3_128_digest(np.ascontiguousarray(row).tobytes()) for row in X]
    _, rank = np.unique(np.array(keys, dtype="S16"), return_inverse=True)
    fold = np.empty(len(y), dtype=np.int64)
    dealt = 0
    for label in np.unique(y):
        own = y == label
        distinct, order = np.unique(rank.ravel()[own], return_inverse=True)
        # The next class goes on where this one ended, so folds are of one size.
        fold[own] = (order.ravel() + dealt) % n_folds
        dealt += len(distinct)
    return fold


def out_of_fold_proba(
    X: NDArray[Any],
    y: NDArray[np.int64],
    *,
    C: float,
    weight: NDArray[np.float64] | None = None,
    offset: NDArray[Any] | None = None,
    n_folds: int = 5,
) -> NDArray[np.float64]:
    """Return the probability of each row's own label, by heads that did not see it.

    Parameters
    ----------
    X : numpy.ndarray of shape (n, d)
        Embeddings, centred and scaled as the head takes them.
    y : numpy.ndarray of int, shape (n,)
        Column numbers.
    C : float
        As in `PretrainedClassifier`.
    weight : numpy.ndarray of shape (n,) or None
        What each row weighs in the fits.
    offset : numpy.ndarray of shape (n, n_classes) or None
        Logits of the head that training starts from and is pulled to.
    n_folds : int, default=5
        At most; with fewer rows, one each.

    Returns
    -------
    numpy.ndarray
        float64 (n,); ones where all rows have one label, as nothing can be wrong there.
    """
    labels, columns = np.unique(y, return_inverse=True)
    columns = columns.ravel()
    weight = np.ones(len(y)) if weight is None else weight
    if len(labels) < 2:
        return np.ones(len(y))
    if offset is not None:
        offset = offset[:, labels]
    fold = folds(X, columns, min(n_folds, len(y)))
    proba = np.empty(len(y))
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
        for number in range(fold.max() + 1):
            out = fold == number
            if out.all():  # copies of one row alone
                return np.ones(len(y))
            logits = fit(~out, whole).logits(Z[out])
            logits = logits if offset is None else logits + offset[out]
            own = softmax(logits.astype(np.float64), axis=1)
            proba[out] = own[np.arange(out.sum()), columns[out]]
    return proba
