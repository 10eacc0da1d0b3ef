"""How far confidence is from accuracy."""

from __future__ import annotations

from typing import Any

import numpy as np

from modal_pretrain._checks import Whole
from modal_pretrain._inputs.frames import check_order, classes_of_columns
from modal_pretrain._inputs.numbers import as_numbers
from modal_pretrain.metrics._arrays import as_columns, check_comparable

_TOLERANCE = 4e-3  # bfloat16 leaves sums of 1 so far off


def calibration_error(
    y_true: Any, proba: Any, classes: Any, *, bins: int = 10
) -> float:
    """Distance between stated confidence and accuracy: the expected error of [1]_.

    The examples are put into equally wide bins by the probability of their predicted
    class; the error is the mean over examples of the distance between their bin's
    accuracy and its mean probability.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        Labels.
    proba : array-like of shape (n, n_classes)
        Predicted probabilities; rows sum to one.
    classes : array-like of shape (n_classes,)
        The label of each column.
    bins : int, default=10
        Number of bins.

    Returns
    -------
    float
        In [0, 1]; 0 is calibrated.

    Raises
    ------
    ValueError
        If the shapes disagree, there are no examples, rows are no distributions,
        labels are missing or of another kind than the classes, or these go against the
        names of a frame's columns.

    References
    ----------
    .. [1] C. Guo et al., On Calibration of Modern Neural Networks, ICML 2017,
       arXiv:1706.04599.

    Examples
    --------
    Two sure answers, one of them wrong: an accuracy of 0.5 said with 0.9.

    >>> calibration_error(["a", "b"], [[0.9, 0.1], [0.9, 0.1]], ["a", "b"])
    0.4
    """
    Whole(most=1_000_000).check("bins", bins)
    if isinstance(proba, tuple) and hasattr(proba, "proba"):
        raise TypeError(
            f"proba is of type {type(proba).__name__}, as predict_pool returns: pass "
            "its .proba, and its .classes as classes."
        )
    classes = classes_of_columns(proba, classes, "proba")
    check_order(proba=proba, y_true=y_true)
    proba = as_numbers(proba, "proba").astype(float)
    (y_true,), (classes,) = as_columns(y_true=y_true), as_columns(classes=classes)
    check_comparable(y_true=y_true, classes=classes)
    if proba.shape != (len(y_true), len(classes)) or proba.size == 0:
        raise ValueError(
            f"proba must have shape ({len(y_true)}, {len(classes)}), a row for each "
            f"label and a column for each class, and not be empty, got {proba.shape}"
        )
    off = np.abs(proba.sum(axis=1) - 1)
    if proba.min() < -_TOLERANCE or off.max() > _TOLERANCE:
        row = int(max(off.argmax(), proba.min(axis=1).argmin()))
        raise ValueError(
            "proba must hold probabilities, at least 0 and of sum 1 in each row, but "
            f"row {row} is {proba[row].tolist()}. Pass logits through a softmax."
        )
    if len(np.unique(classes)) < len(classes):
        raise ValueError(
            f"classes must name each column of proba once, got {classes.tolist()}."
        )
    confidence = proba.max(axis=1).clip(0, 1)
    correct = classes[proba.argmax(axis=1)] == y_true
    # 1.0 belongs to the last bin.
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(bin_of, weights=correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(y_true))
