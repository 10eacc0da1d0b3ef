"""Pictures in a tree of folders."""

from __future__ import annotations

import os
from pathlib import Path

# What Pillow opens everywhere.
ENDINGS = {
    *(".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm"),
    *(".tif", ".tiff", ".webp"),
}


def subfolders(folder: Path) -> list[Path]:
    """Folders in a folder, sorted; hidden ones do not count."""
    return sorted(
        entry
        for entry in folder.iterdir()
        if entry.is_dir() and not entry.name.startswith(".")
    )


def pictures_below(folder: Path, others: list[Path] | None = None) -> list[Path]:
    """Image files anywhere below a folder, sorted.

    Parameters
    ----------
    folder : Path
        Where to look; links to folders are followed.
    others : list of Path, optional
        Gets the files that are no pictures, by their names. Hidden files, and those
        that Windows keeps in folders of pictures, are left out here and there.

    Returns
    -------
    list of Path
        The pictures.
    """
    found = []
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.startswith(".") or name.lower() in ("thumbs.db", "desktop.ini"):
                continue
            path = Path(place, name)
            if path.suffix.lower() in ENDINGS:
                found.append(path)
            elif others is not None:
                others.append(path)
    return found
