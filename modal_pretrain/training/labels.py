"""Labels: what y may be, which labels there are, and what each class weighs."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

import numpy as np
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from modal_pretrain._inputs.alikes import warn_of_spelling
from modal_pretrain._inputs.labels import as_labels


def true_labels(y: Any, classes: np.ndarray) -> np.ndarray:
    """Return the labels of a score as a fit reads them.

    NumPy has other strings for enumerations. One that is a class but for its capitals
    ("Cat"), or the like, is warned of: it never equals a prediction.
    """
    y = as_labels(y, "y")
    if y.dtype.kind in "OUT" and y.ndim == 1:
        warn_of_spelling(y.tolist(), set(classes.tolist()), "y")
    return y


def check_labels(y: Any, source: Sized, owner: str) -> np.ndarray:
    """Return y as an array of one label per row of a source, or raise.

    Labels keep their kind: pandas' nullable integers are integers, its booleans
    booleans.
    """
    if y is None:
        raise ValueError(
            f"This {owner} estimator requires y to be passed, but the target y is None."
        )
    y = as_labels(y, "y")
    if y.ndim > 2:  # scikit-learn's message has no name: X and y in the wrong order
        raise ValueError(
            f"y should be a 1d array, got an array of shape {y.shape} instead: one "
            "label for each row of X. Was X given as y?"
        )
    y = column_or_1d(y, warn=True)
    if len(y) != len(source):
        raise ValueError(
            f"y has {len(y)} labels for {len(source)} rows of X; give one for each. "
            "(Found input variables with inconsistent numbers of samples: "
            f"[{len(source)}, {len(y)}])"
        )
    if y.dtype.kind in "fc":
        assert_all_finite(y, input_name="y")
    if y.dtype.kind == "f" and (y != np.floor(y)).any():
        row = int((y != np.floor(y)).argmax())
        raise ValueError(
            f"y[{row}]={y[row]} is no whole number (Unknown label type: continuous). "
            "Labels name classes: strings, whole numbers or truth values. Of what was "
            "measured make classes first, with pandas.cut, say."
        )
    check_classification_targets(y)
    return y


def sorted_classes(classes: Any) -> np.ndarray | None:
    """Return the labels of a parameter `classes`, sorted; None for None."""
    if classes is None:
        return None
    labels = as_labels(classes, "classes")
    if labels.ndim != 1:
        raise ValueError(
            f"classes must be a list or an array of labels, got {classes!r} of type "
            f"{type(classes).__name__}. Name all labels, or leave it None."
        )
    if labels.dtype.kind in "fc":
        assert_all_finite(labels, input_name="classes")
    labels = np.unique(labels)
    if len(labels) == 0:
        raise ValueError("classes is empty; name all labels, or leave it None.")
    return labels


def all_classes(
    y: np.ndarray, parameter: Any, argument: Any, before: np.ndarray | None
) -> np.ndarray:
    """Return the sorted labels there are.

    Parameters
    ----------
    y : numpy.ndarray of shape (n,)
    parameter, argument : array-like or None
        Labels the estimator was created with, or called with. The first goes first.
    before : numpy.ndarray or None
        Those of a call before, which stay.

    Raises
    ------
    ValueError
        If the argument differs from what was before, or has more than the parameter.
    """
    given = sorted_classes(argument)
    if before is not None:
        if given is not None and not np.array_equal(given, before):
            raise ValueError(
                f"classes={given.tolist()} differs from the first call's: "
                f"{before.tolist()}."
            )
        return before
    if parameter is not None:
        own = np.asarray(sorted_classes(parameter))
        more = [] if given is None else sorted({*given.tolist()} - {*own.tolist()})
        if more:
            raise ValueError(
                f"classes: the call names {more}, which the estimator's classes="
                f"{own.tolist()} lacks. Name them there, or leave them out here."
            )
        return own
    return np.unique(y) if given is None else given


NUMBERED = (
    " Numbers in place of labels are what scikit-learn's VotingClassifier, "
    "StackingClassifier and cross_val_predict(method='predict_proba') hand on"
)


def columns_of(y: np.ndarray, classes: np.ndarray, owner: str) -> np.ndarray:
    """Return the column number of each label, int64 (n,), or raise for unknown ones."""
    known = set(classes.tolist())
    unknown = [label for label in np.unique(y).tolist() if label not in known]
    if unknown:
        raise ValueError(
            f"y has the labels {unknown}, which are not among the classifier's classes "
            f"{classes.tolist()}. Name all labels when you create it: "
            f"{owner}(classes=[...]).{_numbered(y, classes)}"
        )
    return np.searchsorted(classes, y).astype(np.int64)


def _numbered(y: np.ndarray, classes: np.ndarray) -> str:
    """Return a hint where a meta-estimator has put numbers in the labels' place."""
    if classes.dtype.kind not in "UO" or y.dtype.kind not in "iu":
        return ""
    if y.min() < 0 or y.max() >= len(classes):
        return ""
    return f"{NUMBERED}: leave classes out there."


def check_head(net: Any) -> None:
    """Raise ValueError if the head that a net has loaded tells other classes apart."""
    head = getattr(getattr(net, "module_", None), "head", None)
    classes = getattr(net, "classes_", None)
    if head is None or classes is None or head.out_features == len(classes):
        return
    raise ValueError(
        f"The parameters that were loaded tell {head.out_features} classes apart, but "
        f"this {type(net).__name__} has {len(classes)}: {classes.tolist()}. Name those "
        "that the file's net was fitted with: classes=[...]."
    )
