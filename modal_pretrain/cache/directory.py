"""The directory that a cache on disk is given."""

from __future__ import annotations

import os
from pathlib import Path


def directory(path: str | Path) -> Path:
    """Return an absolute path without touching what is there, or raise.

    Parameters
    ----------
    path : str or Path
        "~" stands for the home directory.

    Returns
    -------
    Path

    Raises
    ------
    TypeError, ValueError
        If it can be no directory's path, whatever the disk holds.
    """
    text = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(text, str):
        raise TypeError(
            f"path must be a directory, got {path!r} of type {type(path).__name__}."
        )
    if not text or "\0" in text:
        raise ValueError(f"path must be a directory, got {text!r}. Write '.' for here.")
    return Path(os.path.abspath(os.path.expanduser(text)))
