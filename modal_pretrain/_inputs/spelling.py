"""Names of classes that look or mean the same and are not."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from decimal import Decimal, InvalidOperation

import numpy as np
import pandas as pd

# What word processors, and macOS in any field, make of ' and - as one types, and what
# some keyboards write behind an emoji.
_TYPED = str.maketrans(
    "\u2018\u2019\u02bc\u2010\u2011\u2013\u2014\u2212", "'''-----", "\ufe0e\ufe0f"
)
# Not at an end: -- may be worse than -.
_BETWEEN = re.compile(r"(?<=[^-_\s])[-_\s]+(?=[^-_\s])")
# No joiners, which Persian, Indic scripts and emoji need; but the marks of direction
# that Arabic and Hebrew text, and paths of Windows, come with when they are copied.
_UNSEEN = (
    "\0\u00ad\u200b\u2060\ufeff"
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
_NOTHING = str.maketrans("", "", _UNSEEN)
# Of Windows in some languages, macOS, GNOME, and of browsers' second downloads.
_COPY = re.compile(
    r"(.+?)(?: - (?:Copy|Kopie|Copie|Copia|Cópia|Kopia)|[ _]copy(?: \d+)?"
    r"| \((?:copy|another copy|\d+(?:st|nd|rd|th) copy|\d+)\))+",
    re.IGNORECASE,
)
# Nothing to be seen; or what spreadsheets write where a formula fails (in their user's
# language: #REF!, #NOM?, #N/D, #NV) or a column is too narrow.
_NO_VALUE = re.compile(
    rf"[\s{_UNSEEN}]*"
    r"|#(?:[\u00a1\u00bf]?[^\Wa-z][^\sa-z]*[!?]|[NI]/[ABDT]|\u041d/\u0414|#+"
    "|NV|YOK|HI\u00c1NYZIK|NEDOSTUPN\u00dd|NEN\u00cd_K_DISPOZICI|GETTING_DATA)"
    r"|Err:\d+"
)


def blanks_missing(cells: pd.Series) -> pd.Series:
    """Return a column where blank cells and errors of a spreadsheet are missing.

    Some empty a cell with the space bar, and SPSS and padded exports of data bases
    write spaces where nothing is. Labels may be looked up by a formula, which fails for
    some rows: #N/A.
    """
    blank = [name for name in cells.dropna().unique() if is_no_value(name)]
    return cells.mask(cells.isin(blank)) if blank else cells


def is_no_value(cell: str) -> bool:
    """Return whether nothing is to be seen in a cell, or a spreadsheet's error."""
    return _NO_VALUE.fullmatch(cell) is not None


def seen(name: str) -> str:
    """Return what of a name can be seen, in one kind of accents and of spaces."""
    return unicodedata.normalize("NFC", " ".join(name.translate(_NOTHING).split()))


def look_alikes(names: Iterable[str]) -> tuple[str, str] | None:
    """Return the first two names that differ in what can't be seen only.

    In kinds of spaces and of accents, and in signs such as a space without width.
    macOS and some archives write "é" as two characters, others as one.
    """
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(seen(name), name)
        if other != name:
            return other, name
    return None


def near_alikes(names: Iterable[str]) -> tuple[str, str] | None:
    """Return the first two names that differ in how they are typed only.

    In capitals, apostrophes, dashes, underscores and spaces between words, the width of
    letters, which Chinese and Japanese keyboards have two of, or the colour of emoji;
    in what can't be seen, too: "Cat " and "cat". Single letters may be two.
    """
    first: dict[str, str] = {}
    for name in names:
        typed = unicodedata.normalize("NFKC", seen(name).translate(_TYPED)).casefold()
        other = first.setdefault(_BETWEEN.sub(" ", typed), name)
        if other != name and max(len(other), len(name)) > 1:
            return other, name
    return None


def copied(name: str) -> str | None:
    """Return the name of what this is a copy of, as file managers name copies."""
    found = _COPY.fullmatch(name)
    return found[1] if found else None


def equal_numbers(names: Iterable[str]) -> tuple[str, str] | None:
    """Return the first two names that are one number in two spellings, 1 and 1.0.

    Identifiers such as 12e4567 are infinite as numbers, and may be of two things; those
    of twenty digits are compared digit by digit.
    """
    known = pd.Series(list(dict.fromkeys(names)), dtype=object)
    values = pd.to_numeric(known, errors="coerce")
    first: dict[Decimal, str] = {}
    for name, value in zip(known, values, strict=True):
        if np.isfinite(value):
            with suppress(InvalidOperation):  # 0e99999999999999999999
                other = first.setdefault(Decimal(name), name)
                if other != name:
                    return other, name
    return None
