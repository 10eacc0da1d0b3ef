"""What a file is, and which: told from its directory entry, without opening it.

To open a FIFO waits for a writer, perhaps for ever, so nothing here opens what it has
not looked at.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO (named pipe)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

Identity = tuple[int, int, int, int]


class NotAFileError(OSError):
    """There is something under the path, but no regular file.

    Attributes
    ----------
    kind : str
        What it is, in words with their article.
    filename : str
        The path.
    """

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind

    def __str__(self) -> str:
        return f"it is {self.kind}, not a regular file"


def file_identity(path: str | os.PathLike[str]) -> Identity:
    """Tell one state of one file from all others, as far as its directory entry can.

    Parameters
    ----------
    path : str or path-like
        A link stands for what it leads to.

    Returns
    -------
    (int, int, int, int)
        Size, times of change of content and of inode in nanoseconds, and inode. The
        last two differ where a file took the place of another one of equal size and
        time: from an archive, through a link that leads elsewhere, after `os.utime`.
        The number of the device is left out: it changes with a restart, and from one
        machine to the next.

    Raises
    ------
    NotAFileError
        If it is no regular file.
    OSError, ValueError
        As `os.stat` raises them.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        error = NotAFileError(_KINDS.get(stat.S_IFMT(status.st_mode), "no file"))
        error.filename = os.fsdecode(path)
        raise error
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def expanded(path: str | os.PathLike[str], name: str = "path") -> Path:
    """Return a path with the home directory for its "~".

    Of a user whom nobody knows it stays as it is: there is no such file, which whoever
    looks for it says in words of its own. "./~" is a folder of that name, and becomes
    absolute: a Path has no "./", so it would be the home directory to the next reader.

    Raises
    ------
    TypeError
        If it is no path; `name` is what the message calls it.
    """
    if not isinstance(path, str | os.PathLike) or isinstance(os.fspath(path), bytes):
        raise TypeError(
            f"{name} must be a path, got {path!r:.80} of type {type(path).__name__}."
        )
    try:
        found = Path(os.path.expanduser(path))
    except ValueError:  # a NUL
        return Path(path)
    named = str(found).startswith("~") and not os.fspath(path).startswith("~")
    return Path.cwd() / found if named else found


def normal(path: str | os.PathLike[str]) -> str:
    """Return what `os.path.normpath` does, or the path as it is if that is another.

    "link/.." is not the folder that holds the link: it is above what the link leads to.
    """
    text = os.fsdecode(path)
    short = os.path.normpath(text)
    if not _climbs(text):
        return short
    # Below the last "..", both go the same way.
    up = f"{os.sep}{os.pardir}"
    end = f"{text}{os.sep}".rfind(f"{up}{os.sep}")
    above = text[: end + len(up)]
    return text if end > 0 and not _one(above, os.path.normpath(above)) else short


def absolute(path: str | os.PathLike[str]) -> str:
    """Return a path that leads to the same file from every directory, see `normal`."""
    text = os.fsdecode(path)
    if not _climbs(text):  # for speed; where we are is told without links
        return os.path.abspath(text)
    # A whole path asks for no directory, which may be gone.
    return normal(text if os.path.isabs(text) else os.path.join(os.getcwd(), text))


def _one(path: str, other: str) -> bool:
    """Say whether two paths lead to one folder."""
    with suppress(OSError):  # what `os.path.realpath` finds, sooner
        one, two = os.stat(path), os.stat(other)
        if one.st_ino:  # some network drives have none
            return os.path.samestat(one, two)
    return os.path.realpath(path) == os.path.realpath(other)


def _climbs(path: str) -> bool:
    """Say whether a path may go up from what it names, as "../.." at its head don't."""
    return os.pardir in path.lstrip(f"{os.curdir}{os.sep}")


def read_whole(path: str | os.PathLike[str]) -> bytes:
    """Read a regular file; what else has a name, such as a FIFO, may have no end.

    Raises
    ------
    OSError
        If it can't be read or is no regular file; `filename` says which.
    """
    file_identity(path)
    return Path(path).read_bytes()
