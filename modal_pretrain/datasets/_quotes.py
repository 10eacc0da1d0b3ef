"""Quotation marks in CSV files that are not written as pandas reads them."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from modal_pretrain._fork import Lock
from modal_pretrain.datasets._table import warn

_COMPRESSED = (".gz", ".bz2", ".zip", ".xz", ".zst", ".tar")
# Of read_csv: what says nothing of marks, nor of which lines are read.
_OTHERS = {
    *("sep", "delimiter", "encoding", "header", "names", "usecols", "na_values"),
    *("keep_default_na", "na_filter", "low_memory", "memory_map", "engine"),
}
_LIMIT_LOCK = Lock()
_Rows = Iterator[tuple[int, list[str]]]


def warn_of_quotes(
    path: str | os.PathLike[str], options: Mapping[str, Any] | None = None
) -> None:
    r"""Warn where a quoted cell goes on behind the mark that ends it, or holds rows.

    pandas says nothing: of ``\"`` it keeps the backslash, and where a text begins with
    a mark that is only a mark, it joins the rows up to the next one.

    Parameters
    ----------
    path : path-like
        A table that was read. Compressed ones are not looked at.
    options : mapping, optional
        For ``pandas.read_csv``. With some, such as `quotechar` or `skiprows`, nothing
        is looked at: they say what marks mean, or leave lines out.
    """
    options = {"sep": ",", "encoding": "utf-8-sig", **(options or {})}
    separator = str(options.get("delimiter") or options["sep"])
    plain = not os.fspath(path).lower().endswith(_COMPRESSED)
    if not plain or not options.keys() <= _OTHERS or len(separator) != 1:
        return

    def rows() -> _Rows:
        with open(path, encoding=options["encoding"], newline="") as file:
            reader = csv.reader(file, delimiter=separator, strict=True)
            try:
                for row in reader:
                    if row:
                        yield reader.line_num, row
            except csv.Error as error:
                if "expected after" in str(error):
                    yield reader.line_num, []

    with _cells_of_any_length():
        line, problem = _misread(rows, separator)
    if not line:
        return
    warn(
        f"line {line} of {os.fspath(path)} has a quoted cell that {problem}, so that "
        "texts may be wrong and rows joined. "
        'Write marks in a quoted cell twice (""), or give load_csv '
        "read_options={'escapechar': '\\\\'} where they are written \\\", or "
        "{'quoting': 3} where no cell is quoted"
    )


def _misread(rows: Callable[[], _Rows], separator: str) -> tuple[int, str]:
    """Return the line at whose end a cell was misread, 0 if none is, and how.

    `rows` iterates over line numbers and rows, from the start each time; an empty row
    stands for one whose marks are wrong.
    """
    # What stands in a joined cell, by the column where it would stand.
    found: dict[tuple[int, str], int] = {}
    before, columns = 0, 0
    for line, row in rows():
        if not row:
            return line, "goes on behind the mark that ends it"
        columns = columns or len(row)
        if line > before + 1 and before and len(row) == columns:
            for at, cell in enumerate(row):
                if "\n" in cell and separator in cell:
                    for key in _cells_of_rows(cell, at, columns, separator):
                        found.setdefault(key, line)
        before = line
    if found:
        # A text may have lines with commas; but no label, at the place of labels. What
        # one row alone has may be its number, with which a line of a text may begin.
        own, once = set(found.values()), set()
        for line, row in rows():
            for key in enumerate(row):
                if key in found and line not in own:
                    if key in once:
                        problem = "holds what other rows have in other columns"
                        return found[key], problem
                    once.add(key)
    return 0, ""


def _cells_of_rows(
    cell: str, at: int, columns: int, separator: str
) -> list[tuple[int, str]]:
    """Return the cells of the rows that a cell in a column seems to have swallowed.

    The end of one row, whole ones, and the beginning of another, all with as many
    separators as there should be.
    """
    parts = [line.rstrip("\r").split(separator) for line in cell.split("\n")]
    middle = [columns] * (len(parts) - 2)
    if list(map(len, parts)) != [columns - at, *middle, at + 1]:
        return []
    starts = [at] + [0] * (len(parts) - 1)
    return [
        (column, value)
        for start, part in zip(starts, parts, strict=True)
        for column, value in enumerate(part, start)
        if value and column != at
    ]


@contextmanager
def _cells_of_any_length() -> Iterator[None]:
    """Have the module csv read cells of more than 131,072 letters, which it refuses."""
    with _LIMIT_LOCK:
        before = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # C's long
        try:
            yield
        finally:
            csv.field_size_limit(before)
