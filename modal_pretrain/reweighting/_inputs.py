"""Labelled rows that are to be weighed: embeddings, labels, weights and logits."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modal_pretrain._checks import Number, ParameterError, Whole
from modal_pretrain._inputs.frames import check_order
from modal_pretrain._inputs.labels import as_labels
from modal_pretrain._inputs.numbers import are_graded, as_numbers
from modal_pretrain._inputs.weights import check_sample_weight

STRENGTH = Number(least=0, most=100)
BALANCE = Number(least=0, most=1)
# In float32 its inverse must not be infinite.
PENALTY = Number(least=1e-20)
# Beyond it, squares leave float32's range.
_LARGEST = 1e9


class LabelledRows(NamedTuple):
    """Rows as the heads take them: those that weigh something, in m of n.

    What weighs nothing has no place in a fold.

    Parameters
    ----------
    X : numpy.ndarray of shape (m, d), float32 or float64
    y : numpy.ndarray of shape (m,), int64
        Column numbers.
    weight : numpy.ndarray of shape (m,), float64
    offset : numpy.ndarray of shape (m, n_classes) or None
    kept : numpy.ndarray of bool, shape (n,)
        Which rows these are.
    """

    X: NDArray[Any]
    y: NDArray[np.int64]
    weight: NDArray[np.float64]
    offset: NDArray[Any] | None
    kept: NDArray[np.bool_]


def check_rows(
    X: Any, y: Any, sample_weight: Any, offset: Any, *, C: Any, n_folds: Any
) -> LabelledRows:
    """Return the rows that weigh, or raise an error that names what does not fit.

    Parameters
    ----------
    X, y, sample_weight, offset, C, n_folds
        See `modal_pretrain.reweighting.error_weights`.
    """
    PENALTY.check("C", C)
    Whole(least=2).check("n_folds", n_folds)
    check_order(X=X, y=y, sample_weight=sample_weight, offset=offset)
    X, labels = as_numbers(X, "X"), as_labels(y, "y")
    if X.ndim != 2 or labels.shape != X.shape[:1] or not X.size:
        raise ValueError(
            "X must have shape (n, d) and y (n,), one label for each row and at least "
            f"one row, got {X.shape} and {labels.shape}."
        )
    if np.abs(X).max() > _LARGEST:
        raise ValueError(
            f"X holds values up to {np.abs(X).max():g}; at most {_LARGEST:g} are "
            "expected. Centre and scale the embeddings, as the head takes them."
        )
    if labels.dtype.kind in "fc":
        labels = as_numbers(labels, "y")
        if are_graded(labels):
            raise ValueError(
                f"y holds decimals such as {labels[0]:.4g}, most of which occur once, "
                "as measurements do: labels of classes are expected."
            )
    weight = check_sample_weight(sample_weight, len(labels))
    weight = np.ones(len(labels)) if weight is None else weight
    kept = weight > 0
    if offset is None:
        columns = np.unique(labels[kept], return_inverse=True)[1].ravel()
        return LabelledRows(X[kept], columns, weight[kept], None, kept)
    offset = as_numbers(offset, "offset")
    if offset.ndim != 2 or len(offset) != len(labels):
        raise ValueError(
            f"offset must have shape ({len(labels)}, n_classes), logits for each row, "
            f"got {offset.shape}."
        )
    n_classes = offset.shape[1]
    if labels.dtype.kind not in "iu" or not (
        labels.min() >= 0 and labels.max() < n_classes
    ):
        raise ParameterError(
            f"y must hold column numbers of offset, integers from 0 to "
            f"{n_classes - 1}, where offset is given; got {labels.dtype}: "
            f"{np.unique(labels).tolist()!r:.80}."
        )
    columns = labels[kept].astype(np.int64)
    return LabelledRows(X[kept], columns, weight[kept], offset[kept], kept)


def spread(weight: NDArray[np.float64], kept: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the weights of all rows from those of the rows that weigh something."""
    whole = np.zeros(len(kept))
    whole[kept] = weight
    return whole
