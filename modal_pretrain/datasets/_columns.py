"""Columns of a data set: one value a row, of one kind, without gaps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from modal_pretrain._checks import Made
from modal_pretrain._inputs.alikes import warn_of_written_nan
from modal_pretrain._inputs.labels import as_labels
from modal_pretrain._inputs.numbers import of_tensor

_TEXT = Made((str,), called="a text")


def as_column(values: Any, key: str, n: int) -> np.ndarray:
    """`values` as a 1-D array of length n."""
    values = of_tensor(values, key)
    if np.ma.is_masked(values):
        raise ValueError(
            f"{key} has masked values; leave these rows out or give them a value"
        )
    try:
        array = np.asarray(values)
    except ValueError:  # lists of several lengths
        array = np.empty((len(values), 0))
    if array.dtype.kind == "T":  # in which a missing one equals others
        array = array.astype(object)
    if array.ndim != 1 or len(array) != n:
        raise ValueError(
            f"{key} must be 1-D with one entry for each of the {n} rows, got "
            + (f"shape {array.shape}" if array.ndim else f"a {type(values).__name__}")
        )
    return array


def free_column(values: Any, key: str, n: int) -> np.ndarray:
    """`values` as a column of any kinds, where NumPy keeps apart what differs."""
    column = as_column(values, key, n)
    listed = isinstance(values, list | tuple)
    if listed and column.dtype.kind in "US" and any(v != v for v in values):
        return np.array(values, dtype=object)  # where NaN is not the text "nan"
    # Not of tensors, whose hashes differ where their one numbers are equal.
    if listed and not hasattr(next(iter(values), None), "detach"):
        try:
            # As many NaN may be one object here and several there.
            kept = {value for value in column.tolist() if value == value}
            merged = len(kept) < len({value for value in values if value == value})
        except (TypeError, ValueError):  # what has no hash stays as it is
            merged = False
        if merged:
            raise ValueError(
                f"{key} holds values that are equal as {column.dtype}, which NumPy "
                "makes of them; give an array, or all of one kind, for example with "
                "map(str, ...)"
            )
    return column


def named_columns(columns: Any, key: str) -> dict[Any, Any]:
    """Columns by their names; none for None."""
    if columns is None:
        return {}
    if not isinstance(columns, Mapping):
        raise TypeError(
            f"{key} must be a dictionary of columns, got a {type(columns).__name__}; "
            "of a frame: frame.to_dict('series')"
        )
    return dict(columns)


def exact(column: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return a column that NumPy made of objects, or these where it changed them.

    Numbers beside texts may become texts; NaN, whole numbers that are no decimals, as
    half of all hashes of 64 bits beside the other half, and bytes that end in zeros
    stay what they are.
    """
    missing = np.asarray(values != values, dtype=bool)
    kept = column.astype(object)
    if column.dtype.kind == "U":
        kept[missing] = values[missing]
        return kept if missing.any() else column
    same = np.asarray(kept == values, dtype=bool)
    if column.dtype.kind != "S":  # where NaN became b"nan"
        same |= missing
    return column if same.all() else values


def label_column(values: Any, key: str, n: int) -> np.ndarray:
    """`values` as a column of one kind, without gaps."""
    column = as_column(values, key, n)
    # NumPy would turn [1, "a"] into strings and [True, 2] into numbers.
    listed: Iterable[Any] = values if isinstance(values, (list, tuple)) else column
    if listed is column and column.dtype.kind != "O":
        missing = column != column
        warn_of_written_nan(column, key)
    else:
        kinds = {kind: kind_of(kind) for kind in set(map(type, listed))}
        missing = np.array([kinds[type(v)] == "" or v != v for v in listed], dtype=bool)
        if not missing.any() and len(set(kinds.values())) > 1:
            shown = " and ".join(sorted(set(kinds.values())))
            raise ValueError(
                f"{key} mixes {shown}; give all labels the same type, for example with "
                "map(str, ...)"
            )
        if not missing.any() and set(kinds.values()) <= {"strings", "numbers"}:
            # What NumPy would merge or cut is an error.
            column = as_labels(list(listed), key)
        elif not missing.any() and column.dtype.kind == "O" and kinds:
            column = np.array(column.tolist())
    if missing.any():
        raise ValueError(
            f"{key} is missing (None or NaN) in {missing.sum()} of {n} rows, first in "
            f"row {np.argmax(missing)}; leave these rows out or give them a label"
        )
    return column


def by_place(X: Any) -> Any:
    """Return inputs whose rows are numbered by their places.

    By the index of a shuffled or filtered frame, X[rows] of its columns would choose
    other inputs than the labels of these rows, which are arrays.
    """
    return X.reset_index(drop=True) if hasattr(X, "reset_index") else X


def check_shown(
    shown: Sequence[Any], name: str, labels: np.ndarray, called: str
) -> None:
    """Check the names to show for labels: one text for each, in the labels' order.

    Raises
    ------
    ValueError, TypeError
        If there are more or fewer, one is no text, or they are the labels (texts)
        themselves in another order, by which each class would go by another's name.
    """
    if len(shown) != len(labels):
        raise ValueError(f"{name} has {len(shown)} entries for {len(labels)} {called}")
    for each in shown:
        _TEXT.check(f"each of {name}", each)
    if labels.dtype.kind in "biuf":  # folders "0", "1", "10", "2" are 0, 1, 2, 3
        return
    given, known = ([str(v).casefold() for v in values] for values in (shown, labels))
    if given != known and sorted(given) == sorted(known):
        ordered = [labels.tolist()[known.index(each)] for each in given]
        raise ValueError(
            f"{name}={list(shown)} are the labels in another order, and would be shown "
            f"for {called}={labels.tolist()}, one for one. For that order give "
            f"{called}={ordered}, and leave out {name}."
        )


def as_rows(selection: Any, n: int, name: str) -> np.ndarray:
    """Row numbers from a mask or row numbers, of a data set of n rows and this name."""
    if np.ma.is_masked(selection):
        raise ValueError("the selection has masked values; leave them out")
    rows = np.asarray(of_tensor(selection, "the selection"))
    if rows.ndim == 0:
        raise ValueError(
            "a selection is the name of a split, a boolean mask or a 1-D array of row "
            f"numbers, got {selection!r:.60} of type {type(selection).__name__}"
        )
    if rows.dtype == bool:
        rows = np.flatnonzero(as_column(rows, "the mask", n))
    elif rows.size == 0:
        rows = rows.astype(np.intp)
    elif rows.ndim != 1 or not np.issubdtype(rows.dtype, np.integer):
        raise ValueError(
            "a selection is the name of a split, a boolean mask or a 1-D array of row "
            f"numbers, got an array of {rows.dtype} with shape {rows.shape}"
        )
    outside = rows[(rows < 0) | (rows >= n)]
    if len(outside):
        raise ValueError(
            f"{name} has the rows 0 to {n - 1}; the selection names {outside[0]}"
        )
    # A tensor takes uint8, of which there may be as many as rows, for a mask.
    return rows.astype(np.intp, copy=False)


def kind_of(kind: type) -> str:
    """Name for labels of a type; "" for one that means missing."""
    if issubclass(kind, str):
        return "strings"
    if issubclass(kind, (bool, np.bool_)):
        return "booleans"
    if issubclass(kind, (int, float, np.integer, np.floating)):
        return "numbers"
    if kind.__name__ in ("NoneType", "NAType", "NaTType"):
        return ""
    return f"objects of type {kind.__name__}"


def in_order(values: Any, key: str) -> Any:
    """Labels or names as they came, unless they are in no order or one text.

    A mapping such as `class_to_idx` lists its keys as they were written, which need not
    be the order of the numbers it gives them; a set has none.
    """
    if isinstance(values, Mapping | set | frozenset | str):
        fix = "Of a mapping to numbers: sorted(mapping, key=mapping.get)"
        if isinstance(values, Mapping) and _names_numbers(values):
            fix = (
                "Of a mapping of numbers: "
                "[mapping[k] for k in sorted(mapping, key=int)]"
            )
        raise TypeError(
            f"{key} must be a list, in order, got {values!r:.60} of type "
            f"{type(values).__name__}. {fix}"
        )
    return values


def _names_numbers(mapping: Mapping[Any, Any]) -> bool:
    """Say whether keys are numbers, or, as in JSON, texts of them, but values none.

    Folders of digits have numbers on both sides, {"0": 0}.
    """
    whole = (int, np.integer)
    return not any(isinstance(value, whole) for value in mapping.values()) and all(
        isinstance(key, whole) or str(key).isdecimal() for key in mapping
    )


def encode(
    labels: np.ndarray, known: Any, key: str, known_key: str
) -> tuple[np.ndarray, np.ndarray]:
    """Known labels and the position of each of `labels` among them."""
    try:
        values, inverse = np.unique(labels, return_inverse=True)
    except TypeError:
        raise ValueError(
            f"{key} holds labels without an order, such as {labels[0]!r:.60}; use "
            "texts or numbers, for example with map(str, ...)"
        ) from None
    if known is None:
        return values, inverse
    known = np.asarray(in_order(known, known_key))
    position = {value: i for i, value in enumerate(known.tolist())}
    if len(position) != len(known):
        raise ValueError(f"{known_key} has duplicates")
    missing = [value for value in values.tolist() if value not in position]
    if missing:
        raise ValueError(f"{key} holds {missing[0]!r}, which {known_key} lacks")
    order = np.array([position[value] for value in values.tolist()], dtype=np.intp)
    return known, order[inverse]
