"""Picture files that a table lists: which are there, what is wrong with the rest."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from modal_pretrain._inputs.spelling import seen
from modal_pretrain.datasets._table import row_name, warn

MISSING = ("error", "drop", "ignore")


def check_missing(missing: str) -> None:
    """Refuse an unknown choice of what to do about missing things."""
    if missing not in MISSING:
        raise ValueError(
            f"missing must be one of {', '.join(MISSING)}, got {missing!r}"
        )


def image_paths(
    root: str | os.PathLike[str], names: Any, missing: str, where: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Paths of listed images, and which of them are there.

    Parameters
    ----------
    root : path-like
        Folder that the names are relative to.
    names : sequence of str
        The images.
    missing : {"error", "drop", "ignore"}
        What a missing file is: an error, a row less and a warning with the count, or
        nothing to look for.
    where : object
        The list, for messages.

    Returns
    -------
    paths : ndarray of str
        All of them.
    keep : ndarray of bool
        Rows to keep.

    Raises
    ------
    FileNotFoundError
        If files are missing and that is an error, or all of them are.
    ValueError
        If a row names none.
    """
    check_missing(missing)
    empty = pd.isna(np.asarray(names, dtype=object))
    if empty.any():
        raise ValueError(
            f"{empty.sum()} rows of {where} name no image, first "
            f"{row_name(int(np.argmax(empty)))}"
        )
    base = os.fspath(root)
    paths = [os.path.join(base, name) for name in names]
    keep = np.ones(len(paths), dtype=bool)
    if missing != "ignore":
        keep = exist(paths)
    absent = len(paths) - int(keep.sum())
    if absent:
        first = paths[int(np.argmin(keep))]
        message = (
            f"{absent} of {len(paths)} images listed in {where} are missing, first "
            f"{first}"
        )
        if missing == "error" or absent == len(paths):
            raise FileNotFoundError(
                f"{message}.{other_spelling(first)} Check the folder and whether "
                "everything was unpacked; missing='drop' leaves these rows out and "
                "missing='ignore' does not look."
            )
        warn(f"{message}; these rows are left out")
    return np.array(paths), keep


def other_spelling(path: str) -> str:
    """Say so, as a sentence, where a file differs from a missing one in spelling.

    Windows does not tell cases apart and writes backslashes; macOS splits accents.
    """
    place = path.replace("\\", "/")
    folder, name = os.path.split(place)
    rest = [name]
    # The first folder that is not there; a drive that is gone has no name.
    while folder and name and not os.path.isdir(folder):
        folder, name = os.path.split(folder)
        rest.insert(0, name)
    found = _file_spelt(folder, rest)
    if found and found != path:
        return (
            f" There is {found!a}, which differs from {path!a} in case, accents, "
            "spaces, slashes or what can't be seen: correct the list."
        )
    folder, name = os.path.split(place)
    for other in sorted(_files(folder)):
        if os.path.splitext(other)[0] == name:
            return (
                f" There is {other!a} in that folder: the list lacks the endings. Add "
                "them to its names."
            )
    return ""


def _file_spelt(folder: str, names: Sequence[str]) -> str | None:
    """Find a file whose names below a folder are these, but for their spelling."""

    def spelt(name: str) -> str:
        return seen(name).casefold()

    try:
        there = sorted(os.listdir(folder or "."))
    except OSError:
        return None
    for other in there:
        if spelt(other) == spelt(names[0]):
            found: str | None = os.path.join(folder, other)
            if names[1:]:
                found = _file_spelt(str(found), names[1:])
            elif not os.path.isfile(str(found)):
                found = None
            if found:
                return found
    return None


def exist(paths: Sequence[str]) -> np.ndarray:
    """Say of each path whether it is a file, listing each folder once."""
    folders: dict[str, set[str]] = {}
    found = np.empty(len(paths), dtype=bool)
    for i, path in enumerate(paths):
        folder, name = os.path.split(path)
        if folder not in folders:
            folders[folder] = _files(folder)
        # The second look is for file systems that do not tell cases apart.
        found[i] = name in folders[folder] or os.path.isfile(path)
    return found


def _files(folder: str) -> set[str]:
    try:
        with os.scandir(folder or ".") as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except OSError:
        return set()


def warn_about_repeats(paths: np.ndarray, where: Any) -> None:
    """Warn if a list names a file more than once; its rows stay."""
    repeats = pd.Series([os.path.normpath(path) for path in paths]).duplicated()
    if repeats.any():
        warn(
            f"{repeats.sum()} of {len(paths)} rows of {where} name a file that an "
            f"earlier row names, first {paths[int(np.argmax(repeats))]}; they are kept"
        )
