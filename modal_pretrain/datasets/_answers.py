"""The label file of the labelling page as a table."""

from __future__ import annotations

import os

import pandas as pd

MARKS = ("answer", "status", "undoes")


def present_answers(table: pd.DataFrame, path: str | os.PathLike[str]) -> pd.DataFrame:
    """Return the last line of each item, if the table is a label file.

    Such a file only grows: what was corrected or taken back stands in earlier lines,
    which are no labels any more.
    """
    if not {"item", "label", *MARKS} <= set(table.columns):
        return table
    numbers = pd.to_numeric(table["answer"], errors="coerce")
    last = table["item"].isna() | ~table.duplicated("item", keep="last")
    newest = numbers.groupby(table["item"]).transform("max")
    if (numbers[last] < newest[last]).any():
        raise ValueError(
            f"the lines of {os.fspath(path)}, a label file, were sorted, so that the "
            "last one of an item is not its last answer. Sort them by the column answer"
        )
    return table[last]
