"""What the names of a frame's columns and rows say, where somebody gave them."""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd


def classes_of_columns(proba: Any, classes: Any, name: str) -> Any:
    """Return the classes, those of a frame's columns where none are given.

    Raises
    ------
    ValueError
        If one is given in another place than that of the column of its name.
    """
    columns = named_columns(proba)
    if columns is None or classes is None:
        return classes if columns is None else columns
    given = np.asarray(classes).tolist()
    # As texts: a frame that was read from a file has no other names.
    place = {str(column): i for i, column in enumerate(columns)}
    order = [place.get(str(label)) for label in given]
    if all(i is None or i == at for at, i in enumerate(order)):
        return classes
    says = (
        f"{name} has, by its columns, the classes {columns}, and classes= says "
        f"{given}. "
    )
    if sorted(map(str, given)) == sorted(map(str, columns)):
        right = [columns[i] for i in order if i is not None]
        raise ValueError(
            f"{says}Pass {name}[{right}], which puts the columns in that order."
        )
    raise ValueError(
        f"{says}Leave out classes= if the columns are right; or pass "
        f"{name}.to_numpy() if the classes are."
    )


def named_columns(proba: Any) -> list[Any] | None:
    """Return the names of a frame's columns, None where nobody gave them any."""
    if not hasattr(proba, "iloc") or _is_range(proba.columns):
        return None
    columns: list[Any] = proba.columns.tolist()
    return columns


def check_order(**given: Any) -> None:
    """Check that what comes for each row, by name, is all in the order of the first.

    Only where both have an index that somebody gave them, without repeats: what is
    known later, such as labels, may come in another order. Inputs that are files or
    texts name their rows themselves, for those who made the file the index.

    Raises
    ------
    ValueError
        If it is, by its index, for the same rows in another order.
    """
    indexed = {
        name: values.index
        for name, values in given.items()
        if hasattr(values, "iloc") and not is_default(values.index)
    }
    if not indexed:
        return
    inputs = next(iter(given))
    if inputs.startswith("X"):
        for name, index in indexed.items():
            _check_order_of_files(name, index, inputs, given[inputs])
    first, rows = next(iter(indexed.items()))
    for name, index in indexed.items():
        if not index.equals(rows) and _are_reordered(index, rows):
            raise ValueError(
                f"{name} has, by its index, the rows of {first} in another order. Pass "
                f"{name}.loc[{first}.index]; or {name}.to_numpy(), if the order is "
                "right and the index means something else."
            )


def _check_order_of_files(name: str, index: Any, inputs: str, X: Any) -> None:
    """Check that an index of files or texts has them in the order of the inputs."""
    listed = isinstance(X, list | tuple | pd.Series | pd.Index | np.ndarray)
    if not (listed and len(X) == len(index) > 0 and _are_texts(index[:1])):
        return
    rows = list(X)
    if not _are_texts(rows):
        return
    labels = pd.Index([str(label) for label in index])
    for part in (str, os.path.basename):  # as given, or without folders
        named = pd.Index([part(row) for row in rows])
        if labels.equals(named):
            return
        if _are_reordered(labels, named):
            at = int(np.flatnonzero(labels != named)[0])
            raise ValueError(
                f"{name} has, by its index, the rows of {inputs} in another order: "
                f"row {at} is of {labels[at]!r}, and {named[at]!r} in {inputs}. Put "
                f"{name} in the order of {inputs}; or pass {name}.to_numpy(), if the "
                "order is right and the index means something else."
            )


def _are_texts(values: Any) -> bool:
    return all(isinstance(value, str | PurePath) for value in values)


def check_order_of_columns(name: str, X: Any, like_name: str, like: Any) -> None:
    """Check that the columns of two frames, taken by position, are in one order.

    Raises
    ------
    ValueError
        If they have the same names in another order.
    """
    columns, others = getattr(X, "columns", None), getattr(like, "columns", None)
    if columns is None or others is None:
        return
    if _are_reordered(pd.Index(columns), pd.Index(others)):
        raise ValueError(
            f"{name} has the columns of {like_name} in another order, such as "
            f"{columns[0]!r} before {columns[1]!r}. Pass {like_name}[list("
            f"{name}.columns)], which puts them in the same order; what a learner "
            "remembers is its X_training."
        )


def check_order_of_rows(name: str, values: Any, rows: Any, called: str) -> None:
    """Check that values from pandas are, by their index, in the order of row numbers.

    Raises
    ------
    ValueError
        If they are those of the same rows in another order.
    """
    if not hasattr(values, "iloc") or is_default(values.index):
        return
    if _are_reordered(values.index, pd.Index(rows)):
        raise ValueError(
            f"{name} has, by its index, {called} in another order. Pass "
            f"{name}.loc[{called}]; or {name}.to_numpy(), if the order is right and "
            "the index means something else."
        )


def check_order_of_rounds(name: str, values: Any, labels: Any) -> None:
    """Check that the rounds of curves from pandas are in the order of their labels.

    Raises
    ------
    ValueError
        If their columns, or the index of one curve, are these numbers in another order,
        or the rows of a frame have them as names, and its columns others.
    """
    if hasattr(values, "iloc"):
        given = getattr(values, "columns", values.index)
        rounds = _as_numbers(given)
        # As many seeds as rounds: the shape does not tell which of them the rows are.
        if set(_as_numbers(values.index)) == set(labels) != set(rounds):
            raise ValueError(
                f"{name} has, by its index, a row for each round; expected a row for "
                f"each seed and a column for each round. Pass {name}.T."
            )
        if not is_default(given) and _are_reordered(rounds, pd.Index(labels)):
            # Texts, as of a JSON file, are sorted 10, 100, 20.
            keys = name if _is_frame(values) else f"{name}.index"
            right = "list(labels)" if rounds is given else f"sorted({keys}, key=float)"
            raise ValueError(
                f"{name} has, by the names of its rounds, these in another order than "
                f"labels: {given.tolist()[0]!r} comes before {given.tolist()[1]!r}. "
                f"Pass {name}[{right}]."
            )


def check_same_rounds(**curves: Any) -> None:
    """Check that curves from pandas are, by the names of their columns, of one run.

    Raises
    ------
    ValueError
        If two have other numbers as names.
    """
    named = [(name, named_columns(v)) for name, v in curves.items() if _is_frame(v)]
    given = [(name, columns) for name, columns in named if columns is not None]
    for name, columns in given[1:]:
        first, others = given[0]
        if set(_as_numbers(columns)) != set(_as_numbers(others)):
            raise ValueError(
                f"{name} has, by its columns, the rounds {columns[:3]}... and {first} "
                f"{others[:3]}...: expected the same. Interpolate one, or pass "
                f"{name}.to_numpy() if they are."
            )


def _as_numbers(names: Any) -> Any:
    """Return names that are numbers written as text as numbers, others as they are."""
    if len(names) and all(isinstance(name, str) for name in names):
        try:
            return pd.Index([float(name) for name in names])
        except ValueError:
            pass
    return names


def _is_frame(values: Any) -> bool:
    return hasattr(values, "iloc") and hasattr(values, "columns")


def _are_reordered(index: Any, rows: Any) -> bool:
    """Say whether two indexes have the same labels, each once, in another order.

    By the labels alone: pandas has no two of other types equal, int64 and Int64.
    """
    if not (index.is_unique and rows.is_unique and len(index) == len(rows)):
        return False
    place = {label: i for i, label in enumerate(rows)}
    order = [place.get(label, -1) for label in index]
    return -1 not in order and order != sorted(order)


def is_default(index: Any) -> bool:
    """Say whether pandas made this index where none was given.

    Of columns named 1, 2, 3 it makes a range, too, and of rows that are a slice; and of
    a column 0, 1, 2 that was made the index, which keeps the column's name.
    """
    return getattr(index, "name", None) is None and _is_range(index)


def _is_range(index: Any) -> bool:
    start, step = getattr(index, "start", None), getattr(index, "step", None)
    return (start, step) == (0, 1)
