"""What the names of a frame's columns and rows say, where somebody gave them."""

from __future__ import annotations

from typing import Any

import numpy as np


def classes_of_columns(proba: Any, classes: Any, name: str) -> Any:
    """Return the classes, those of a frame's columns where none are given.

    Raises
    ------
    ValueError
        If they are given in another order than that of the columns.
    """
    if not hasattr(proba, "iloc") or is_default(proba.columns):
        return classes
    columns = proba.columns.tolist()
    if classes is None:
        return columns
    given = np.asarray(classes).tolist()
    # As texts: a frame that was read from a file has no other names.
    named = {str(column): column for column in columns}
    order = [named.get(str(label)) for label in given]
    if order != columns and sorted(map(str, given)) == sorted(map(str, columns)):
        raise ValueError(
            f"{name} has, by its columns, the classes {columns}, and classes= says "
            f"{given}. Pass {name}[{order}], which puts the columns in that order."
        )
    return classes


def is_default(index: Any) -> bool:
    """Say whether pandas made this index where none was given.

    Of columns named 1, 2, 3 it makes a range, too, and of rows that are a slice.
    """
    start, step = getattr(index, "start", None), getattr(index, "step", None)
    return (start, step) == (0, 1)
