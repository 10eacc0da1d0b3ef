"""Rows computed block by block into a .npy file, which is then memory-mapped."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from modal_pretrain._checks import ParameterError
from modal_pretrain._disk import check_replaceable, locked, naming, replace, write_whole
from modal_pretrain._identity import expanded, read_whole

_MAGIC = np.lib.format.MAGIC_PREFIX


def write_rows(
    path: str | Path,
    n: int,
    compute: Callable[[int, int], np.ndarray],
    *,
    identity: str | None = None,
    block_rows: int = 8192,
) -> np.memmap:
    """Fill a .npy file with n rows and open it memory-mapped, for reading.

    Rows are written to ``path + ".part"``, which takes the place of `path` at the end:
    what is found under `path` is complete. A pass that was killed goes on where its
    last block ended, if it has the same identity. An empty lock file, hidden beside it,
    is left behind.

    Parameters
    ----------
    path : str or Path
        "~" stands for the home directory.
    n : int
        At least 1.
    compute : callable
        Gets the first row and the one past the last, and returns float32 (m, d).
    identity : str, optional
        Names what the rows depend on. None never continues.
    block_rows : int, default=8192

    Returns
    -------
    numpy.memmap
        float32 (n, d).

    Raises
    ------
    RuntimeError
        If another process is writing the same file.
    OSError
        If the file can't be written, or there is something else than a file.
    ValueError
        If `path` is no path, or that of a file of another kind, which would be lost.
    """
    if (
        not isinstance(path, str | os.PathLike)
        or not Path(path).name
        or "\0" in os.fsdecode(path)
    ):
        raise ParameterError(
            f"path must be that of a .npy file to write, got {path!r} of type "
            f"{type(path).__name__}."
        )
    path = expanded(path)
    part, note = (path.with_name(path.name + end) for end in (".part", ".part.json"))
    check_replaceable(path)
    check_replaceable(part)
    _check_no_other_kind(path)
    with _exclusive(path, part) as file:
        done, d = _progress(note, identity, n, file)
        if not done:  # or it would vouch for the rows of this pass, once it is killed
            note.unlink(missing_ok=True)
        for start in range(done, n, block_rows):
            stop = min(start + block_rows, n)
            rows = np.ascontiguousarray(compute(start, stop), dtype="<f4")
            with naming(part):
                if d is None:
                    d = rows.shape[1]
                    file.truncate(0)
                file.seek(_write_header(file, n, d) + 4 * d * start)
                file.write(rows.data)
                file.flush()
                os.fsync(file.fileno())  # the note must not promise what a crash takes
            progress = json.dumps({"identity": identity, "rows": stop, "d": d})
            write_whole(note, progress, sync=False)
        file.close()  # or Windows would not rename it
        replace(part, path)
        note.unlink(missing_ok=True)
    return np.load(path, mmap_mode="r")


def _check_no_other_kind(path: Path) -> None:
    """Refuse to replace a picture, say, whose name was given by mistake."""
    if not path.is_file():
        return
    with open(path, "rb") as file:
        start = file.read(len(_MAGIC))
    if start.rstrip(b"\0") and start != _MAGIC:
        raise ParameterError(
            f"path is {os.fspath(path)!r}, a file that holds no array of NumPy and "
            "would be lost. Name another, or delete it."
        )


@contextmanager
def _exclusive(path: Path, part: Path) -> Iterator[BinaryIO]:
    """Open the part file, which no other process may have open so."""
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(path.with_name(f".{path.name}.lock"), timeout=0))
        except TimeoutError:
            raise RuntimeError(
                f"Another process is writing {path}. Wait for it, or give another path."
            ) from None
        # Through a link, what it leads to would be overwritten.
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(part, flags, 0o666)
        file = stack.enter_context(open(descriptor, "r+b"))
        stack.callback(_close, file, part)  # before it is closed without its name
        yield file


def _close(file: BinaryIO, path: Path) -> None:
    """Close a file, which fails once more with what a full disk has not taken."""
    with naming(path):
        file.close()


def _write_header(file: BinaryIO, n: int, d: int) -> int:
    file.seek(0)
    about: dict[str, Any] = {"descr": "<f4", "fortran_order": False, "shape": (n, d)}
    np.lib.format.write_array_header_1_0(file, about)
    return file.tell()


def _progress(
    note: Path, identity: str | None, n: int, file: BinaryIO
) -> tuple[int, int | None]:
    """Read how many rows an earlier pass has left, and of what length."""
    with suppress(
        OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError
    ):
        known = json.loads(read_whole(note))
        rows, d = int(known["rows"]), int(known["d"])
        size = os.fstat(file.fileno()).st_size
        same = identity is not None and known["identity"] == identity
        if same and 0 < rows <= n and size >= _write_header(file, n, d) + 4 * d * rows:
            return rows, d
    return 0, None
