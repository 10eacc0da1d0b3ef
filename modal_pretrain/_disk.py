"""Files that are whole or not there, and locks between processes."""

from __future__ import annotations

import contextlib
import errno
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def write_whole(path: Path | str, content: str | bytes, *, sync: bool = True) -> None:
    """Write a file so that it is there whole or not at all.

    Parameters
    ----------
    path : Path or str
        Its folder exists. A file or link that is there is replaced.
    content : str or bytes
        Text is written as UTF-8, its ends of lines as they are.
    sync : bool, default=True
        Whether the content has reached the disk when this returns.

    Raises
    ------
    OSError
        If that fails, or there is something else than a file, such as a device, which
        stays; `filename` says which.
    """
    path = Path(path)
    check_replaceable(path)
    data = content.encode() if isinstance(content, str) else content
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with naming(path, partial):
            with partial.open("wb") as file:
                file.write(data)
                if sync:
                    file.flush()
                    os.fsync(file.fileno())
            replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def naming(path: Path, alias: Path | None = None) -> Iterator[None]:
    """Have errors of the block name a file, which those of a full disk leave out.

    Parameters
    ----------
    path : Path
    alias : Path, optional
        What the file is called while the block runs.
    """
    try:
        yield
    except OSError as error:
        known = (None, None if alias is None else os.fspath(alias))
        if error.errno is not None and error.filename in known:
            error.filename = os.fspath(path)
            del error.filename2  # None would show, as the target of a renaming
        raise


def check_replaceable(path: Path) -> None:
    """Raise OSError if there is something else than a file, such as a device."""
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "no regular file"
        problem = f"it is {kind}, and no file is put in its place; name another"
        raise OSError(errno.EINVAL, problem, os.fspath(path))


def replace(source: Path, target: Path, attempts: int = 10) -> None:
    """Rename over what is there; wait where another process still reads it."""
    while True:
        attempts -= 1
        try:
            source.replace(target)
            return
        except PermissionError:  # Windows only, while somebody has the file open
            if attempts <= 0 or os.name != "nt":
                raise
            time.sleep(0.1)


@contextlib.contextmanager
def locked(path: Path | str, *, timeout: float = -1) -> Iterator[Any]:
    """Hold a lock between processes while the block runs.

    Parameters
    ----------
    path : Path or str
        Of the lock's file, beside what it guards. It is left behind: to delete it
        would let two processes hold one lock each.
    timeout : float, default=-1
        Seconds to wait; 0 does not wait, -1 waits for ever.

    Raises
    ------
    TimeoutError
        If another process (or thread) holds it that long.
    """
    # Whoever holds it may hand it to another thread.
    lock = FileLock(path, timeout=timeout, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        if not os.path.lexists(path):  # nobody holds what is not there
            raise FileNotFoundError(
                errno.ENOENT, "no lock can be made", os.fspath(path)
            ) from None
        raise TimeoutError(f"Another process holds {path}.") from None
    except NotImplementedError:  # a file system without locks: nobody is kept out
        yield lock
        return
    try:
        yield lock
    finally:
        lock.release()


@contextlib.contextmanager
def held(file: Any) -> Iterator[Any]:
    """Hold an open file itself, whatever else it is called, while the block runs.

    Where files can't be held, as on Windows, nobody is kept out.

    Parameters
    ----------
    file : file object

    Raises
    ------
    TimeoutError
        If another process (or thread) holds it.
    """
    if fcntl is None:
        yield file
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise TimeoutError(f"Another process holds {file.name}.") from None
    except OSError:  # a file system without locks
        yield file
        return
    try:
        yield file
    finally:
        # Also for processes that were forked meanwhile and have it open. What nobody
        # closed is closed by Python as it ends, and with that let go.
        if not file.closed:
            fcntl.flock(file, fcntl.LOCK_UN)
