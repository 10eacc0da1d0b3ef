"""Labels: what y may be, which labels there are, and what each class weighs."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import (
    assert_all_finite,
    check_consistent_length,
    column_or_1d,
)
from sklearn.utils.multiclass import check_classification_targets


def check_labels(y: Any, source: Any, owner: str) -> np.ndarray:
    """Return y as an array of one label per row of a source, or raise.

    Labels keep their kind: pandas' nullable integers are integers, its booleans
    booleans.
    """
    if y is None:
        raise ValueError(
            f"This {owner} estimator requires y to be passed, but the target y is None."
        )
    y = column_or_1d(as_labels(y, "y"), warn=True)
    check_consistent_length(source, y)
    if y.dtype.kind in "fc":
        assert_all_finite(y, input_name="y")
    check_classification_targets(y)
    return y


def as_labels(values: Any, name: str) -> np.ndarray:
    """Return labels as an array of their own kind.

    Parameters
    ----------
    values : array-like
    name : str
        Of the argument, for errors.

    Returns
    -------
    numpy.ndarray
        Of the shape of `values`.

    Raises
    ------
    ValueError
        If a label is missing, or if they are of several kinds, such as numbers and
        strings, which NumPy would make strings of.
    """
    if isinstance(values, set | frozenset | Mapping):
        raise ValueError(
            f"{name} must be a list or an array of labels, got a "
            f"{type(values).__name__}, which has no order. Write list(...)."
        )
    if isinstance(values, pd.DataFrame) and values.shape[1] == 1:
        return as_labels(values.iloc[:, 0], name)[:, None]
    if np.ma.isMaskedArray(values) and np.ma.getmaskarray(values).any():
        raise ValueError(f"{name} contains missing labels (masked). {_ONE_EACH}")
    dtype = getattr(values, "dtype", None)
    if pd.api.types.is_extension_array_dtype(dtype):
        if pd.isna(values).any():
            raise ValueError(f"{name} contains missing labels (NA). {_ONE_EACH}")
        if isinstance(dtype, pd.CategoricalDtype):
            categories = as_labels(dtype.categories, f"the categories of {name}")
            return categories[np.asarray(getattr(values, "cat", values).codes)]
        kind = getattr(dtype, "numpy_dtype", None)
        return np.asarray(values) if kind is None else np.asarray(values, dtype=kind)
    objects = isinstance(values, list | tuple) or (
        dtype == np.dtype(object) and np.ndim(values) == 1
    )
    # Looked at one by one: NumPy can't even compare a string with bytes.
    if objects and not any(np.ndim(value) for value in values):
        _check_kinds(list(values), name)
    array = np.asarray(values)
    if array.dtype.kind not in "fc" and array.ndim and pd.isna(array).any():
        raise ValueError(f"{name} contains missing labels (None or NaN). {_ONE_EACH}")
    return array


_ONE_EACH = "Expected one label per row; leave rows without one out."


def _check_kinds(values: list, name: str) -> None:
    first: dict[str, int] = {}
    for row, value in enumerate(values):
        if value is None or value is pd.NA or value is pd.NaT:
            raise ValueError(f"{name} contains missing labels ({value}). {_ONE_EACH}")
        first.setdefault(_kind(value), row)
    if "a string" in first and "a number" in first:
        for row, value in enumerate(values):
            if value != value:  # NaN, as pandas has it among strings
                raise ValueError(
                    f"{name} contains missing labels ({name}[{row}] is NaN). "
                    f"{_ONE_EACH}"
                )
    if len(first) > 1:
        (one, i), (other, j), *_ = first.items()
        raise ValueError(
            f"{name} mixes kinds of labels: {name}[{i}]={values[i]!r} is {one}, "
            f"{name}[{j}]={values[j]!r} is {other} (Unknown label type: mixed). Use "
            "one kind for all."
        )


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "a string"
    if isinstance(value, bool | np.bool_):
        return "a truth value"
    if isinstance(value, Number | np.number) or hasattr(value, "item"):
        return "a number"
    return f"a {type(value).__name__}"


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
        If the argument differs from what was before.
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
        given = sorted_classes(parameter)
    return np.unique(y) if given is None else given


def columns_of(y: np.ndarray, classes: np.ndarray, owner: str) -> np.ndarray:
    """Return the column number of each label, int64 (n,), or raise for unknown ones."""
    known = set(classes.tolist())
    unknown = [label for label in np.unique(y).tolist() if label not in known]
    if unknown:
        raise ValueError(
            f"y has the labels {unknown}, which are not among the classifier's classes "
            f"{classes.tolist()}. Name all labels when you create it: "
            f"{owner}(classes=[...])."
        )
    return np.searchsorted(classes, y).astype(np.int64)
