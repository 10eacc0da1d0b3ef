"""Tables of metadata: found, read and checked."""

from __future__ import annotations

import codecs
import lzma
import os
import unicodedata
import warnings
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from modal_pretrain._identity import NotAFileError, expanded, file_identity

_NO_TEXT = (".xlsx", ".xlsm", ".xls", ".ods", ".numbers", ".parquet", ".feather")
# How zip files (.xlsx, .ods), old Excel files and gzip files begin; no text does.
_PACKED = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"\x1f\x8b", b"PAR1")


@dataclass(frozen=True)
class Layout:
    """Where the files of a published data set lie, and where to get them.

    Parameters
    ----------
    name : str
        The data set, for messages.
    files : sequence of str
        Files or folders that must be there.
    folders : sequence of str
        Names that the data set's folder has by default, below a parent.
    tree : str
        The layout, for messages.
    source : str
        Where to get it.
    """

    name: str
    files: Sequence[str]
    folders: Sequence[str]
    tree: str
    source: str

    def find(self, root: str | os.PathLike[str]) -> Path:
        """Return the data set's folder: `root`, or one of `folders` below it.

        Raises
        ------
        FileNotFoundError
            If none of them has all files.
        """
        root = expanded(root)
        for folder in [root, *(root / name for name in self.folders)]:
            if all((folder / name).exists() for name in self.files):
                return folder
        lacking = [name for name in self.files if not (root / name).exists()]
        problem = f"lacks {', '.join(lacking)}" if root.is_dir() else "is not a folder"
        raise FileNotFoundError(
            f"{self.name} is not in {root}, which {problem}. Give the folder with\n"
            f"{self.tree}\nor its parent, if the folder is called "
            f"{' or '.join(self.folders)}. Nothing is downloaded; get it from "
            f"{self.source}."
        )


def read_table(
    path: str | os.PathLike[str],
    columns: Sequence[str],
    *,
    optional: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Read columns of a CSV file as text; only empty cells are missing.

    Parameters
    ----------
    path : path-like
        The file; UTF-8, with or without a byte order mark.
    columns : sequence of str
        Columns that must be there.
    optional : sequence of str
        Columns that are read where they exist.
    options : mapping, optional
        For ``pandas.read_csv``, over the defaults here.

    Returns
    -------
    DataFrame
        The columns in this order, rows numbered from 0.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it can't be read or lacks a column.
    """
    try:
        file_identity(path)
    except NotAFileError as error:
        raise ValueError(f"{os.fspath(path)} is {error.kind}, not a file") from error
    except (FileNotFoundError, NotADirectoryError, ValueError):  # a NUL in it
        raise FileNotFoundError(f"there is no file {os.fspath(path)}") from None
    settings: dict[str, Any] = {
        "dtype": str,
        # "None", "NA" and "null" are labels and texts like others.
        "keep_default_na": False,
        "na_values": [""],
        "encoding": "utf-8-sig",
        **(options or {}),
    }
    try:
        codecs.lookup(settings["encoding"])
    except (LookupError, TypeError) as error:
        raise ValueError(f"read_options: {error}; utf-8 is one") from error
    try:
        known = _header(path, settings)
        _refuse_mark_of_utf8(path, known, settings["encoding"])
        twice = [column for column in columns if known.count(column) > 1]
        if twice:
            raise ValueError(
                f"{os.fspath(path)} has {known.count(twice[0])} columns {twice[0]!r}. "
                "Give each a name of its own"
            )
        lacking = [column for column in columns if column not in known]
        if lacking:
            text = str(lacking[0])
            hint = f'. Names are texts: write {text!r}, in a shell "{text!r}"'
            hint = hint if text in known else _alike_hint(text, known)
            raise ValueError(
                f"{os.fspath(path)} has no column {lacking[0]!r}; its columns are "
                f"{', '.join(map(repr, known))}{separator_hint(known)}{hint}"
            )
        wanted = [*columns, *(column for column in optional if column in known)]
        wanted = list(dict.fromkeys(wanted))
        # Not usecols: with it, rows that are too long pass for shorter ones.
        table = pd.read_csv(path, **settings)
        long = _has_hidden_cells(path, settings)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(
            f"{os.fspath(path)} can't be read as a table: {error}. If its columns are "
            "not separated by commas, save it with commas, or give load_csv, say, "
            "read_options={'sep': ';'}"
        ) from error
    except UnicodeDecodeError as error:
        with open(path, "rb") as file:  # which may be called .csv all the same
            packed = file.read(4).startswith(_PACKED)
        if packed or os.fspath(path).lower().endswith(_NO_TEXT):
            raise ValueError(
                f"{os.fspath(path)} is no text file. Save the table as CSV (UTF-8), in "
                "a spreadsheet or with pandas' to_csv(..., index=False), and give that"
            ) from error
        raise ValueError(
            f"{os.fspath(path)} is not in {settings['encoding']}: {error}. Save it as "
            "UTF-8, or give load_csv, say, read_options={'encoding': 'cp1252'}, which "
            "Windows writes in the West, or 'utf-16' for its \"Unicode text\""
        ) from error
    except (EOFError, OSError, zipfile.BadZipFile, zlib.error, lzma.LZMAError) as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise ValueError(
            f"{os.fspath(path)} can't be read: {error}. By the end of its name it is "
            "compressed; if it is not, rename it"
        ) from error
    except (TypeError, ValueError, LookupError, ImportError) as error:
        if str(error).startswith(("Multiple files found", "Zero files found")):
            raise ValueError(
                f"{os.fspath(path)} can't be read: {error}. Unpack it, and give the "
                "CSV file in it"
            ) from error
        if not options or str(error).startswith(os.fspath(path)):
            raise
        raise ValueError(
            f"read_options={dict(options)!r:.200}: pandas.read_csv can't work with "
            f"that: {error}"
        ) from error
    if long or not isinstance(table.index, pd.RangeIndex):
        raise ValueError(
            f"{os.fspath(path)} has rows with more cells than its header; quote the "
            "cells that hold a separator, or name a first column of row names, as R's "
            "write.table leaves it, in the header"
        )
    if table.empty:
        raise ValueError(f"{os.fspath(path)} has a header and no rows")
    table = table.set_axis(table.columns.map(str), axis=1)[wanted]  # without a header
    more = (options or {}).get("na_values")
    if more is not None and np.size(more):  # besides empty cells, not instead of them
        table = table.replace("", np.nan)
    return table


def refuse_header_again(table: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Raise ValueError where a row is the header once more, as in joined files.

    Of texts it would be one, in a class of its own. The second file may have its
    columns in another order, or their names with other capitals or spaces.
    """
    names = {_plain(key) for key in table}
    first, *others = table
    rows = table
    for key in (*others, first):  # of inputs most differ: they come last
        known = rows[key].dropna().unique()
        rows = rows[rows[key].isin([cell for cell in known if _plain(cell) in names])]
    found = zip(rows.index, rows.to_numpy().tolist(), strict=True)
    again = [at for at, row in found if {*map(_plain, row)} == names]
    if again:
        raise ValueError(
            f"{row_name(again[0])} of {os.fspath(path)} repeats the header "
            f"({len(again)} such rows), as where files were joined; remove it, and see "
            "that both have their columns in one order. Where read_options names the "
            "columns of a file with a header, give it 'header': 0, too"
        )


def _plain(name: str) -> str:
    """Return a column's name without what another file may spell otherwise."""
    # Spreadsheets write a byte order mark at the start of each file.
    return name.removeprefix("\ufeff").strip('" ').casefold()


def separator_hint(header: Sequence[str]) -> str:
    """Say so, as the end of a message, where commas do not separate the columns."""
    if header and header[0].startswith("sep="):
        mark = f"'sep': {header[0][4:]!r}, " if header[0][4:] else "..., "
        return (
            ". The first line names the separator, for Excel: remove it, or give "
            f"load_csv read_options={{{mark}'skiprows': 1}}"
        )
    found = [mark for mark in ";\t|" if len(header) == 1 and mark in header[0]]
    if not found:
        return ""
    return (
        f". They seem to be separated by {found[0]!r}: save the file with commas, or "
        f"give load_csv read_options={{'sep': {found[0]!r}}}"
    )


def _alike_hint(name: str, header: Sequence[str]) -> str:
    """Say so, as the end of a message, where a column looks like the one wanted."""
    plain = unicodedata.normalize("NFKC", name)
    found = [each for each in header if unicodedata.normalize("NFKC", each) == plain]
    return f". Write {found[0]!a}, not {name!a}" if found else ""


def _header(path: str | os.PathLike[str], settings: dict[str, Any]) -> list[str]:
    """Return the names of the columns as the file has them.

    pandas gives the second of two equal names another.
    """
    if {"header", "names", "usecols"} & settings.keys():
        header = pd.read_csv(path, **{**settings, "nrows": 0})
        return [str(column) for column in header.columns]
    whole = {key: settings[key] for key in settings if key != "skipfooter"}
    row = pd.read_csv(path, **{**whole, "header": None, "nrows": 1}).iloc[0]
    return [f"Unnamed: {i}" if pd.isna(cell) else cell for i, cell in enumerate(row)]


def _has_hidden_cells(path: str | os.PathLike[str], settings: dict[str, Any]) -> bool:
    """Say whether `usecols` hides that rows have more cells than the header.

    With it, pandas cuts such rows: after a separator in a text, labels are another
    column's. Without it, they are an error, or, where the first row is one, all get an
    index. What is empty at the end of rows does no harm.
    """
    if "usecols" not in settings or {"names", "index_col"} & settings.keys():
        return False
    whole = {key: settings[key] for key in settings if key != "usecols"}
    table = pd.read_csv(path, **{**whole, "on_bad_lines": "error"})
    if isinstance(table.index, pd.RangeIndex):
        return False
    return bool(table.iloc[:, -table.index.nlevels :].notna().to_numpy().any())


def _refuse_mark_of_utf8(
    path: str | os.PathLike[str], header: Sequence[Any], encoding: str
) -> None:
    """Raise ValueError where a file says that it is UTF-8, and is read as another.

    Accents would be other letters ("Ã©") in all texts, labels and names of files.
    """
    if codecs.lookup(encoding).name.startswith("utf") or not header:
        return
    start = str(header[0]).encode(encoding, "ignore")
    if start.startswith(codecs.BOM_UTF8):
        raise ValueError(
            f"{os.fspath(path)} begins with the mark of UTF-8, but read_options has "
            f"'encoding': {encoding!r}. Leave the encoding out"
        )


def row_name(index: int) -> str:
    """Name a row of a table for a message."""
    return f"row {index + 1} below the header"


def numbers(table: pd.DataFrame, column: str, where: Any) -> np.ndarray:
    """Return a column of whole numbers as integers.

    For messages, the index of the table has each row's place in the file.

    Raises
    ------
    ValueError
        If a cell is empty or something else.
    """
    parsed = pd.to_numeric(table[column], errors="coerce")
    if pd.api.types.is_signed_integer_dtype(parsed.dtype) and parsed.notna().all():
        return parsed.to_numpy(np.int64)
    values = parsed.to_numpy(np.float64, na_value=np.nan)
    # From here on, floats do not tell whole numbers apart.
    bad = ~((values == np.floor(values)) & (np.abs(values) < 2**53))
    if bad.any():
        first = int(np.argmax(bad))
        cell, row = table[column].iloc[first], row_name(table.index[first])
        held = "an empty cell" if pd.isna(cell) else repr(cell)
        raise ValueError(
            f"column {column!r} of {where} must hold whole numbers; {row} has {held}"
            + (f", and {bad.sum() - 1} more are wrong" if bad.sum() > 1 else "")
        )
    return values.astype(np.int64)


def choices(
    values: np.ndarray,
    known: Mapping[Any, Any],
    column: str,
    where: Any,
    places: Any = None,
) -> np.ndarray:
    """Look up each of `values` in `known`.

    Parameters
    ----------
    values : ndarray
        One for each row.
    known : mapping
        What to return for each value.
    column, where : str, object
        The column and the table, for messages.
    places : sequence of int, optional
        Place of each row in the file, where some were left out.

    Returns
    -------
    ndarray
        What `known` has for them.

    Raises
    ------
    ValueError
        If a value is not a key.
    """
    found, inverse = np.unique(values, return_inverse=True)
    for position, value in enumerate(found.tolist()):
        if value not in known:
            rows = np.flatnonzero(inverse == position)
            first = rows[0] if places is None else places[rows[0]]
            raise ValueError(
                f"column {column!r} of {where} holds {value!r} in {len(rows)} rows, "
                f"first in {row_name(int(first))}; known are "
                f"{', '.join(map(repr, known))}"
            )
    return np.array([known[value] for value in found.tolist()])[inverse]


def warn(message: str, *, depth: int = 4) -> None:
    """Warn in the name of the loader's caller, `depth` frames above."""
    warnings.warn(message, UserWarning, stacklevel=depth)
