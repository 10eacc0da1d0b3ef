"""Quotation marks in CSV files that are not written as pandas reads them."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from typing import Any

from modal_pretrain.datasets._table import warn

_COMPRESSED = (".gz", ".bz2", ".zip", ".xz", ".zst", ".tar")


def warn_of_quotes(
    path: str | os.PathLike[str], options: Mapping[str, Any] | None = None
) -> None:
    r"""Warn where a quoted cell goes on behind the mark that ends it.

    pandas says nothing: of ``\"`` it keeps the backslash, and where a text begins with
    a mark that is only a mark, it joins the rows up to the next one.

    Parameters
    ----------
    path : path-like
        A table that was read. Compressed ones are not looked at.
    options : mapping, optional
        For ``pandas.read_csv``. With others than the separator and the encoding,
        nothing is looked at: they may say what marks mean.
    """
    options = {"sep": ",", "encoding": "utf-8-sig", **(options or {})}
    plain = not os.fspath(path).lower().endswith(_COMPRESSED)
    if not plain or len(options) > 2 or len(str(options["sep"])) != 1:
        return
    with open(path, encoding=options["encoding"], newline="") as file:
        rows = csv.reader(file, delimiter=options["sep"], strict=True)
        try:
            for _ in rows:
                pass
        except csv.Error as error:
            if "expected after" not in str(error):
                return
        else:
            return
    warn(
        f"line {rows.line_num} of {os.fspath(path)} has a quoted cell that goes on "
        "behind the mark that ends it, so that texts may be wrong and rows joined. "
        'Write marks in a quoted cell twice (""), or give load_csv '
        "read_options={'escapechar': '\\\\'} where they are written \\\", or "
        "{'quoting': 3} where no cell is quoted"
    )
