"""A probe's guess of the tags that nobody gave, where it can tell them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modal_pretrain._blas import one_thread
from modal_pretrain.reweighting.logistic import coordinates, fit_head
from modal_pretrain.reweighting.out_of_fold import out_of_fold_logits
from modal_pretrain.reweighting.tags import balanced, cells, crossed

# Accuracy on tagged rows it has not seen, averaged over class x tag, from which a
# probe's guesses are taken.
_TRUSTED = 0.8


def with_guesses(
    X: NDArray[Any], codes: NDArray[np.int64], y: NDArray[np.int64], *, C: float
) -> NDArray[np.int64]:
    """Fill the gaps among an attribute's tags by a linear probe on the tagged rows.

    The probe's rows weigh so that it cannot read the class for the attribute, and it is
    trusted if it tells tagged rows of the other folds apart in every class alike.

    Parameters
    ----------
    X : numpy.ndarray of shape (n, d)
        Scaled embeddings.
    codes : numpy.ndarray of int, shape (n,)
        -1 where nobody said.
    y : numpy.ndarray of int, shape (n,)
        Column numbers.
    C : float
        Of the probe.

    Returns
    -------
    numpy.ndarray
        int64 (n,); `codes` if there is nothing to guess, no tagged row that tells
        attribute and class apart, or no trust in the probe.
    """
    said = codes >= 0
    values, tags = np.unique(codes[said], return_inverse=True)
    tags = tags.ravel()
    if said.all() or not crossed(codes, y).size:
        return codes
    weight = balanced(y[said], tags, np.ones(len(tags)))
    logits = out_of_fold_logits(X[said], tags, C=C, weight=weight)
    cell = cells(tags, y[said])
    right = np.bincount(cell, logits.argmax(axis=1) == tags) / np.bincount(cell)
    if right.mean() < _TRUSTED:
        return codes
    with one_thread():
        Z = coordinates(X)
        probe = fit_head(Z[said], tags, len(values), C=C, weight=weight)
        guesses = values[probe.logits(Z[~said]).argmax(axis=1)]
    filled = codes.copy()
    filled[~said] = guesses
    return filled
