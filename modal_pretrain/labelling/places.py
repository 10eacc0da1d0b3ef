"""Where the pictures of a label file are now, for those who only read it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from modal_pretrain._identity import absolute, normal
from modal_pretrain.datasets._folders import pictures_below
from modal_pretrain.datasets._table import row_name, warn
from modal_pretrain.labelling.file_pool import FilePool
from modal_pretrain.labelling.moved import rows_of
from modal_pretrain.labelling.records import FIELDS, in_order, records_of

# What a session writes and a table made by hand lacks.
_OWN = {"answer", "content"}


def places(table: pd.DataFrame, file: Path, folder: Path) -> pd.Series:
    """Return the path of the picture that each line is about, in order of answers.

    A session's label file says what the pictures held, by which those that moved are
    found, as the session itself does. Of other tables the names are all that is known,
    however they spell accents and separators.

    Parameters
    ----------
    table : pandas.DataFrame
        Lines of the file, numbered from 0, with the column ``item`` and, of a session's
        file, those that it wrote.
    file : Path
        For messages.
    folder : Path
        What the items are relative to.

    Returns
    -------
    pandas.Series
        Of the paths; None where the file is gone, or holds something else than whenever
        it was labelled. Its index has the places of the lines in the table.

    Raises
    ------
    ValueError
        If the file is a session's and its lines were sorted, or one is none of its.

    Warns
    -----
    UserWarning
        If labels are left out for that.
    """
    named = [normal(folder / item) for item in table["item"]]
    if not set(table) >= _OWN:
        return pd.Series(_spelt_as_there(table["item"], named, folder), dtype=object)
    fields = [name for name in FIELDS if name in table]
    cells = table[fields].fillna("").to_dict("records")
    lines = [
        (f"{file}, {row_name(at)}", line)
        for at, line in zip(table.index, cells, strict=True)
    ]
    records = records_of(lines, file)
    order = in_order(records)
    by_name = pd.Series([named[place] for place in order], order, dtype=object)
    listed: list[str | Path] = [*pictures_below(folder)]
    listed += filter(os.path.isfile, named)
    found = {absolute(path): normal(path) for path in listed}
    if not found:
        return by_name
    pool = FilePool(list(found.values()), folder)
    rows, lost = rows_of([records[place] for place in order], pool)
    if not lost.changed and all(row is None for row in rows):  # of another folder
        return by_name
    # Where they are made anew, as smaller copies, names are right.
    hint = ". If they show the same: without the column content, names alone count"
    for items, why, more in (
        (lost.changed, "hold something else now than when they were labelled", hint),
        (lost.vanished, f"are not in {folder} any more", ""),
    ):
        if items:
            warn(
                f"{len(items)} labels of {file} are left out: the files {why}, first "
                f"{items[0]}{more}"
            )
    paths = [None if row is None else str(pool.X[row]) for row in rows]
    return pd.Series(paths, order, dtype=object)


def _spelt_as_there(
    items: Iterable[str], named: list[str], folder: Path
) -> list[str | None]:
    """Return the paths, those that are no file in the spelling of the one they mean.

    Spreadsheets hold "ä" as one letter and macOS's file names as two, which look alike.
    """
    there = [os.path.isfile(path) for path in named]
    listed = [] if all(there) else list(map(str, pictures_below(folder)))
    if not listed:
        return list(named)
    pool = FilePool(listed, folder)
    rows = [
        None if is_file else pool.find(item)
        for item, is_file in zip(items, there, strict=True)
    ]
    return [
        path if row is None else normal(pool.X[row])
        for path, row in zip(named, rows, strict=True)
    ]
