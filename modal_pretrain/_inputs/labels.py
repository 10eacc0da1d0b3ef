"""Labels of any kind as an array of their own kind: nothing is lost, merged or guessed.

NumPy makes strings of numbers that stand among strings, cuts enumerations to the width
of their values, drops a NUL at the end and rounds integers that stand among floats. Two
labels that differ could become one so. What NumPy would change is an error here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MappingView, Sequence, Set
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd

from modal_pretrain._checks import ParameterError
from modal_pretrain._inputs.alikes import warn_of_written_nan
from modal_pretrain._inputs.numbers import of_tensor

_ONE_EACH = "Expected one label per row; leave rows without one out."
_BYTES = bytes | bytearray | memoryview
_PLAIN = str | int | float | np.generic | _BYTES
# Beyond it not every integer is a float.
_EXACT = 2**53


def as_labels(values: Any, name: str) -> np.ndarray:
    """Return labels as an array of their own kind.

    Pandas' nullable integers are integers, its booleans booleans; enumerations of
    strings are their values; an object array of numbers is one of numbers.

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
        If a label is missing, of no kind for labels, or if they are of several kinds,
        such as numbers and strings, which NumPy would make strings of.

    Warns
    -----
    UserWarning
        If one is the text "nan", which may have been a missing label.
    """
    labels = _as_labels(values, name)
    warn_of_written_nan(labels, name)
    return labels


def _as_labels(values: Any, name: str) -> np.ndarray:
    if isinstance(values, Set | Mapping):
        raise ValueError(
            f"{name} must be a list or an array of labels, got a "
            f"{type(values).__name__}, which has no order. Write list(...)."
        )
    if isinstance(values, Iterator | MappingView):
        raise ParameterError(
            f"{name} must be a list or an array of labels, got a "
            f"{type(values).__name__}. Write list({name})."
        )
    if isinstance(values, pd.DataFrame) and values.shape[1] == 1:
        return _as_labels(values.iloc[:, 0], name)[:, None]
    if np.ma.isMaskedArray(values) and np.ma.getmaskarray(values).any():
        raise ValueError(f"{name} contains missing labels (masked). {_ONE_EACH}")
    values = of_tensor(values, name)
    if hasattr(values, "toarray"):
        raise ParameterError(
            f"{name} must be a list or an array of labels, got a sparse matrix of "
            f"shape {values.shape}. Write {name}.toarray().ravel()."
        )
    dtype = getattr(values, "dtype", None)
    if pd.api.types.is_extension_array_dtype(dtype):
        if pd.isna(values).any():
            raise ValueError(f"{name} contains missing labels (NA). {_ONE_EACH}")
        if isinstance(dtype, pd.CategoricalDtype):
            try:
                categories = _as_labels(dtype.categories, f"the categories of {name}")
            except ValueError:  # told of the rows, which are what one can rewrite
                return _as_labels(np.asarray(values, dtype=object), name)
            return categories[np.asarray(getattr(values, "cat", values).codes)]
        kind = getattr(dtype, "numpy_dtype", None)
        values = np.asarray(values, dtype=kind)
    elif getattr(dtype, "kind", "") == "T":  # NumPy's strings of any length
        values = np.asarray(values, dtype=object)
    sequence = isinstance(values, Sequence) and not isinstance(
        values, str | bytes | bytearray | memoryview | range
    )
    if sequence or getattr(values, "dtype", None) is np.dtype(object):
        return _of_objects(values, name)
    array = np.asarray(values)
    if array.dtype.kind in "SV":
        _check_one(array.ravel()[:1].tolist(), name)
    if array.dtype.kind == "O":
        return _of_objects(array, name)
    if array.dtype.kind not in "fc" and array.ndim and pd.isna(array).any():
        raise ValueError(f"{name} contains missing labels (None or NaN). {_ONE_EACH}")
    return array


def _of_objects(values: Any, name: str) -> np.ndarray:
    """Return labels that came as Python objects, in a list or an array."""
    if isinstance(values, np.ndarray) and values.ndim != 1:
        if values.ndim != 2 or values.shape[1] != 1:
            return values  # whose shape the caller refuses
        return _of_objects(values[:, 0], name)[:, None]
    found = list(values)
    # NumPy takes a microsecond to say that a string has no rows.
    if any(np.ndim(v) for v in found if not isinstance(v, _PLAIN)):
        try:
            return np.asarray(found)
        except ValueError:
            raise ValueError(
                f"{name} holds rows of different lengths. {_ONE_EACH}"
            ) from None
    if not found:
        return np.asarray(values)
    # Looked at one by one: NumPy can't even compare a string with a number.
    kind = _check_kinds(found, name)
    if kind == "a string":
        return _strings(found, values, name)
    array = np.asarray(found)
    if isinstance(found[0], _BYTES) or array.dtype.kind == "O":
        _check_one(found, name)
    if array.dtype.kind == "f":
        for row, value in enumerate(found):
            if isinstance(value, int | np.integer) and abs(int(value)) > _EXACT:
                raise ValueError(
                    f"{name}[{row}]={value} is an integer that the floats beside it "
                    "would round. Use integers, or strings, for all."
                )
    return array


def _strings(found: list, values: Any, name: str) -> np.ndarray:
    # Of a subclass, such as an enumeration, the string that it is, not what it prints.
    exact = [v if type(v) is str else str.__str__(v) for v in found]
    for row, text in enumerate(exact):
        if text[-1:] == "\0":
            raise ValueError(
                f"{name}[{row}]={text!r} ends in a NUL character, which NumPy drops. "
                f"Write {name}[{row}].rstrip('\\0')."
            )
    return np.asarray(exact, dtype=object if isinstance(values, np.ndarray) else None)


def _check_one(values: list, name: str) -> None:
    """Raise for labels that are of no kind for labels."""
    if not values:
        return
    odd = (row for row, value in enumerate(values) if np.asarray(value).dtype == object)
    row = next(odd, 0)  # such as an integer that is too large
    to_text = "label.decode()" if isinstance(values[0], _BYTES) else "str(label)"
    raise ParameterError(
        f"{name}[{row}]={values[row]!r:.80} is of type {type(values[row]).__name__} "
        "(Unknown label type). Labels are strings, whole numbers or truth values: "
        f"write [{to_text} for label in {name}]."
    )


def _check_kinds(values: list, name: str) -> str:
    """Return what kind all labels are of."""
    # The first row of each type, so that a million labels cost no million calls.
    rows = dict(zip(map(type, reversed(values)), range(len(values))[::-1], strict=True))
    first: dict[str, int] = {}
    for row in sorted(rows.values()):
        value = values[row]
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
    (kind,) = first
    return kind


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "a string"
    if isinstance(value, bool | np.bool_):
        return "a truth value"
    if isinstance(value, Number | np.number) or hasattr(value, "item"):
        return "a number"
    return f"a {type(value).__name__}"


def as_list(values: np.ndarray) -> list[Any]:
    """Return a list of an array's values, dates as dates.

    Those in nanoseconds, as of pandas before 3, would be numbers.
    """
    of = {"M": pd.Timestamp, "m": pd.Timedelta}.get(values.dtype.kind)
    if of is not None and np.datetime_data(values.dtype)[0] == "ns":
        return list(map(of, values))
    return values.tolist()


def comparable(one: np.ndarray, other: np.ndarray) -> bool:
    """Say whether labels of the two arrays can be equal at all."""
    return _family(one) == _family(other) or 0 in (one.size, other.size)


def _family(labels: np.ndarray) -> str:
    kind = labels.dtype.kind
    if kind == "O" and labels.size:  # strings, or what as_labels lets by as it is
        return "U" if isinstance(labels.flat[0], str) else "O"
    return "number" if kind in "biufc" else kind
