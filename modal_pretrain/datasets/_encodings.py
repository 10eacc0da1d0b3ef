"""UTF-8 that is read in another encoding."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterable

from modal_pretrain.datasets._table import warn


def warn_of_utf8(
    cells: Iterable[object], encoding: str, path: str | os.PathLike[str]
) -> None:
    """Warn where all accents are what UTF-8 looks like elsewhere.

    "süß" becomes "sÃ¼ÃŸ" without an error, since single bytes are nearly always some
    letter. Text that is written in such an encoding is hardly ever valid UTF-8.
    """
    if codecs.lookup(encoding).name.startswith("utf"):
        return
    first = None
    for cell in cells:
        if not isinstance(cell, str) or cell.isascii():
            continue
        try:
            meant = cell.encode(encoding).decode("utf-8")
        except UnicodeError:
            return
        first = first or (cell, meant)
    if first is not None:
        one, meant = (text[:40] for text in first)
        warn(
            f"{os.fspath(path)} seems to be UTF-8, but read_options has 'encoding': "
            f"{encoding!r}: it reads {one!r} where {meant!r} may be meant. Leave the "
            "encoding out"
        )
