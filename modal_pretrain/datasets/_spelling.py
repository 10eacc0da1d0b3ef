"""Names of classes that look the same and are not."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable


def look_alikes(names: Iterable[str]) -> tuple[str, str] | None:
    """Return the first two names that differ in spaces or kinds of accents only.

    macOS and some archives write "é" as two characters, others as one.
    """
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(unicodedata.normalize("NFC", name.strip()), name)
        if other != name:
            return other, name
    return None
