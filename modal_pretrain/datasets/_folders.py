"""Pictures in a tree of folders."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

# What Pillow opens everywhere.
ENDINGS = (
    *(".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm"),
    *(".tif", ".tiff", ".webp"),
)
# Pictures as phones and cameras save them, which Pillow does not read as it comes, and
# rarer names, which are not looked for.
_OTHER_PICTURES = (
    *(".heic", ".heif", ".avif", ".jxl", ".jp2", ".dng", ".cr2", ".cr3", ".nef"),
    *(".arw", ".orf", ".raf", ".rw2", ".pef", ".srw"),
    *(".apng", ".dib", ".ico", ".j2k", ".jpe", ".mpo", ".pbm", ".pnm", ".psd", ".tga"),
)
# What Windows keeps beside pictures, and what macOS puts into archives. Network drives
# keep thumbnails and what was deleted in folders, Windows and Linux what they found.
_OF_THE_SYSTEM = (
    *("thumbs.db", "desktop.ini", "__macosx", "@eadir", "#recycle", "@recycle"),
    *("$recycle.bin", "system volume information", "lost+found"),
)
# As scrapers and browsers save pictures: a.jpg?w=300, a.jpg_large, a.jpg.1. Not what
# lies beside them: a.jpg.json, or a.jpg_original, as ExifTool keeps what it changed.
_MORE = re.compile(
    rf"(?:{'|'.join(map(re.escape, ENDINGS))})"
    r"(?:(?:\?|%3f).*|(?!_original$)(?:[^\w.]|_)[^.]*|(?:\.\d+)+)$",
    re.IGNORECASE,
)
Inode = tuple[int, int | str]


def subfolders(folder: Path) -> list[Path]:
    """Folders in a folder, sorted; hidden ones and the system's do not count."""
    return sorted(
        entry
        for entry in folder.iterdir()
        if not left_out(entry.name) and is_folder(entry)
    )


def left_out(name: str) -> bool:
    """Say whether a name is hidden, or of what a system keeps among pictures."""
    return name.startswith(".") or name.lower() in _OF_THE_SYSTEM


def is_folder(path: Path) -> bool:
    """Say whether a path leads to a folder.

    Raises
    ------
    PermissionError
        If nobody may tell this user.
    """
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except PermissionError as error:
        problem = "you may not look where this leads; allow it, or remove it"
        raise PermissionError(error.errno, problem, os.fspath(path)) from None
    except (OSError, ValueError):
        return False


def inode(path: Path) -> Inode:
    """Name a file or folder by device and inode: the same through all links to it."""
    return _node(path, os.stat(path))


def _node(path: Path, status: os.stat_result) -> Inode:
    # Some network drives have no inodes: all are 0.
    return status.st_dev, status.st_ino or os.path.realpath(path)


def pictures_below(folder: Path, *, dangling: bool = False) -> list[Path]:
    """Image files anywhere below a folder, sorted; none comes twice.

    Parameters
    ----------
    folder, dangling
        See `pictures_and_inodes`.

    Returns
    -------
    list of Path
    """
    return [path for path, _ in pictures_and_inodes(folder, dangling=dangling)]


def unread(others: Sequence[Path]) -> str:
    """Say how many of what is left out are pictures or stand for some, "" if none."""
    found = [path.suffix.lower() for path in others]
    kinds = [ending for ending in _OTHER_PICTURES if ending in found]
    count = sum(found.count(ending) for ending in kinds)
    more = [path.name for path in others if _MORE.search(path.name)]
    lost = [
        path
        for path in others
        if path.suffix.lower() in ENDINGS and path.is_symlink() and not path.exists()
    ]
    said = []
    if lost:
        links = "1 link" if len(lost) == 1 else f"{len(lost):,} links"
        said.append(
            f"{links} to a picture that is not there, such as {lost[0].name!r} (fetch "
            "it, say with dvc pull or git annex get)"
        )
    if count:
        said.append(f"{_some(count)} of kinds that are not read ({', '.join(kinds)})")
    if more:
        said.append(
            f"{_some(len(more))} with more behind the ending, such as {more[0]!r}, "
            "which are not read until they are renamed"
        )
    return " and ".join(said)


def _some(count: int) -> str:
    return "1 picture" if count == 1 else f"{count:,} pictures"


def pictures_and_inodes(
    folder: Path,
    others: list[Path] | None = None,
    *,
    outside: Collection[Inode] = (),
    dangling: bool = False,
) -> list[tuple[Path, Inode]]:
    """Image files anywhere below a folder, sorted; none comes twice.

    Links are followed, to files and to folders. A folder that was walked already is not
    walked again, so that links in a circle end.

    Parameters
    ----------
    folder : Path
        Where to look.
    others : list of Path, optional
        Gets the files that are no pictures, by their names, and what is no file: links
        that lead nowhere, FIFOs and the like. Also further names of a picture, and
        links to folders that are not walked. What is hidden, and what systems keep
        among pictures (thumbnails, recycle bins), is left out here and there.
    outside : collection of (int, int or str), default=()
        Folders, as `inode` names them, that are not walked where a link leads to them.
    dangling : bool, default=False
        Whether links that lead nowhere are listed as pictures, for their names.

    Returns
    -------
    list of (Path, (int, int or str))
        The pictures, and how `inode` names each.

    Raises
    ------
    OSError
        If a folder can't be read.
    """
    found: list[tuple[Path, Inode]] = []
    seen: set[Inode] = set()
    for path, kind, node in _walk(folder, {*outside, inode(folder)}):
        if kind == 0 and dangling:
            node = (-1, len(found))
        fits = stat.S_ISREG(kind) or (kind == 0 and dangling)
        if fits and node not in seen and path.suffix.lower() in ENDINGS:
            found.append((path, node))
            seen.add(node)
        elif others is not None:
            others.append(path)
    return found


def _walk(folder: Path, walked: set[Inode]) -> Iterator[tuple[Path, int, Inode]]:
    """Yield what is not walked on, with its mode (0: it leads nowhere) and inode."""
    deeper: list[Path] = []
    with os.scandir(folder) as entries:
        visible = [entry for entry in entries if not left_out(entry.name)]
    for entry in sorted(visible, key=lambda entry: entry.name):
        path = folder / entry.name
        try:
            status = os.stat(entry.path)
        except OSError:  # a link that leads nowhere, or to itself
            yield path, 0, (0, 0)
            continue
        node = _node(path, status)
        if not stat.S_ISDIR(status.st_mode) or node in walked:
            yield path, status.st_mode, node
        else:
            walked.add(node)
            deeper.append(path)
    for path in deeper:
        yield from _walk(path, walked)
