"""Rows of a table that repeat an input."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from modal_pretrain.datasets._table import warn


def one_spelling(paths: Sequence[str]) -> list[str]:
    """Return one spelling of each path; each folder is looked up once."""
    known: dict[str, str] = {}
    found = []
    for path in paths:
        folder, name = os.path.split(path)
        if folder not in known:
            known[folder] = os.path.realpath(folder)
        found.append(os.path.join(known[folder], name))
    return found


def first_of_each(
    table: pd.DataFrame, inputs: Any, column: str, duplicates: str, path: Path
) -> np.ndarray:
    """Flag the rows whose input no earlier row has, or all."""
    spelt, table = table[column], table.copy()
    table[column] = inputs
    repeats = table.duplicated(subset=column).to_numpy()
    if duplicates == "keep" or not repeats.any():
        return np.ones(len(table), dtype=bool)
    first = int(np.argmax(repeats))
    cell = str(spelt.iloc[first])
    message = (
        f"{repeats.sum()} of {len(table)} rows of {path} repeat the {column!r} of an "
        f"earlier row, first {cell[:60]!r}"
    )
    same = repeats & table.duplicated().to_numpy()
    if duplicates == "drop" and (same == repeats).all():
        warn(f"{message}. They are left out")
        return ~repeats
    differ = int((repeats & ~same).sum())
    raise ValueError(
        f"{message}; in {differ} of them other columns differ. "
        + ("Correct these, " if differ else "Leave them out with duplicates='drop', ")
        + "or keep all with duplicates='keep'."
    )


def warn_of_shared(inputs: np.ndarray, splits: np.ndarray, path: Path) -> None:
    """Warn if inputs of the training data are in another split, too."""
    train = splits == "train"
    shared = pd.Series(inputs[~train]).isin(inputs[train]).to_numpy()
    if shared.any():
        warn(
            f"{shared.sum()} of {len(shared)} rows of {path} outside the train split "
            f"repeat an input of that split, first {inputs[~train][shared][0]!r:.200}; "
            "results on them are too good. Give, in the column split, all rows of one "
            "input the same split"
        )
