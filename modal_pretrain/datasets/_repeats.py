"""Rows that repeat an input."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from xxhash import xxh3_64_intdigest

from modal_pretrain.datasets._table import warn
from modal_pretrain.datasets.grouped import GroupedDataset

# Published data sets repeat some pictures, too.
_USUAL = 0.05


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


def warn_of_shared(
    inputs: np.ndarray,
    splits: np.ndarray,
    of: str,
    fix: str,
    *,
    least: float = 0,
    depth: int = 4,
) -> None:
    """Warn if inputs of the training data are in another split, too.

    Parameters
    ----------
    inputs : ndarray of shape (n,)
        What tells them apart.
    splits : ndarray of shape (n,)
    of, fix : str
        What the message says of the data, and to do.
    least : float, default=0
        Share of the other splits that may be so.
    depth : int, default=4
        See `warn`.
    """
    train = splits == "train"
    shared = pd.Series(inputs[~train]).isin(inputs[train]).to_numpy()
    if shared.sum() > least * len(shared):
        first = inputs[~train][shared][0]
        told = f", first {first!r:.200}" if isinstance(first, str) else ""
        warn(
            f"{shared.sum()} of {len(shared)} rows of {of} outside the train split "
            f"repeat an input of that split{told}; results on them are too good. {fix}",
            depth=depth,
        )


def warn_of_shared_pictures(data: GroupedDataset) -> GroupedDataset:
    """Return data; warn where a split repeats that for training, as if read twice.

    Pictures that are loaded one by one are not compared.
    """
    inputs: np.ndarray | None = None
    if isinstance(data.X, np.ndarray) and len(data.X):
        if isinstance(data.X[0], str):
            inputs = np.array(one_spelling(data.X.tolist()), dtype=object)
        elif data.X.dtype.kind in "uif":
            inputs = np.array([xxh3_64_intdigest(row.tobytes()) for row in data.X])
    if inputs is not None:
        warn_of_shared(
            inputs,
            data.split,
            data.name,
            "Give each picture once, and each split data of its own, such as "
            "train=True and train=False",
            least=0 if inputs.dtype == object else _USUAL,
            depth=5,
        )
    return data
