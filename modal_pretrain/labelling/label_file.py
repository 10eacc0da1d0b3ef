"""The label file: a CSV that only grows, so that nothing that was answered is lost.

Each line says what is known of one item from then on; the last line of an item counts.
(If that is not its last answer, the lines were sorted, which is an error.) Undoing adds
lines, too. So everything that was answered stands in the file, and

    table = pandas.read_csv(path, dtype=str, na_values="", keep_default_na=False)
    table.drop_duplicates("item", keep="last").dropna(subset="label")

is what is known now. (By itself pandas takes a label "None" or "NA" for a missing one,
and "01" for a number. Items are called what they were called then: `rows_of` finds
those that moved since.)
"""

from __future__ import annotations

import csv
import errno
import io
import os
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from xxhash import xxh3_64

from modal_pretrain._disk import held, locked, naming, write_whole
from modal_pretrain._identity import NotAFileError, expanded, file_identity, read_whole
from modal_pretrain.labelling.records import (
    FIELDS,
    MARK,
    TIME,
    Record,
    cells_of,
    parse,
)


class LabelFile:
    """A label file that this process alone writes.

    Parameters
    ----------
    path : path-like
        It is made where it is not there. One with the columns ``item`` and ``label``
        alone is taken, too, and gets the others.

    Attributes
    ----------
    records : list of Record
        What was in the file when it was opened.

    Raises
    ------
    TimeoutError
        If another process labels with the file.
    ValueError
        If it is no label file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        # What a link leads to, which is locked and replaced, not the link.
        self.path = Path(os.path.realpath(expanded(path)))
        if self.path.is_symlink():  # Path.resolve raises something else for each Python
            raise OSError(errno.ELOOP, "the link leads to itself", str(self.path))
        if not self.path.parent.is_dir():
            raise FileNotFoundError(
                f"labels: there is no folder {self.path.parent} for {self.path.name}."
            )
        self._held = ExitStack()
        lock = self.path.with_name(f".{self.path.name}.lock")
        try:
            self._held.enter_context(locked(lock, timeout=0))
            self.records = self._open()
        except TimeoutError:
            self._held.close()
            raise TimeoutError(
                f"another process is labelling with {self.path}, or a session of this "
                "one that was not closed. Go on there, or end it first, in Python by "
                "session.close(); two at a time would ask about the same things."
            ) from None
        except BaseException:
            self._held.close()
            raise
        data = self.path.read_bytes()
        self._size, self._hash = len(data), xxh3_64(data)
        self._time = os.fstat(self._file.fileno()).st_mtime_ns

    def _open(self) -> list[Record]:
        try:
            new = not self.path.exists() or not file_identity(self.path)[0]
        except NotAFileError as error:
            raise ValueError(
                f"labels: {self.path} is {error.kind}, not a file."
            ) from error
        if new:
            write_whole(self.path, _encoded(MARK + _lines([FIELDS])))
        self._hold()
        data = read_whole(self.path)
        header, records = parse(data[: len(data) - torn(data)], self.path)
        if header != FIELDS:
            # From now on with all columns.
            write_whole(
                self.path, _encoded(MARK + _lines([FIELDS, *map(cells_of, records)]))
            )
            self._hold()
            return records
        with self.path.open("r+b") as file:
            file.truncate(len(data) - torn(data))
            file.seek(0, os.SEEK_END)
            if _end_of_lines(data) < file.tell():  # as many editors leave it
                file.write(b"\n")
        return records

    def _hold(self) -> None:
        """Take what is there now: it may have, by a hard link, another name, too."""
        self._file = self._held.enter_context(self.path.open("ab", buffering=0))
        self._held.enter_context(held(self._file))

    def append(self, records: Iterable[Record]) -> None:
        """Write lines; when this returns they have reached the disk.

        Raises
        ------
        OSError
            If that fails, such as on a full disk.
        """
        if self._file.closed:
            raise ValueError(
                f"the session on {self.path} is closed; begin another one to go on."
            )
        self._check_in_place()
        now = time.strftime(TIME)
        data = _encoded(_lines(cells_of(r._replace(time=now)) for r in records))
        try:
            with naming(self.path):
                written = self._file.write(data)
                if written != len(data):
                    problem = f"only {written} of {len(data)} bytes fit"
                    raise OSError(errno.ENOSPC, problem)
                os.fsync(self._file.fileno())
        except BaseException:  # all or nothing, also where Ctrl-C comes between
            os.ftruncate(self._file.fileno(), self._size)
            raise
        self._size += len(data)
        self._hash.update(data)
        self._time = os.fstat(self._file.fileno()).st_mtime_ns

    def _check_in_place(self) -> None:
        """Raise where lines would go to a file that nobody finds, or would not fit."""
        own = os.fstat(self._file.fileno())
        try:
            there = os.stat(self.path)
        except OSError:
            there = None
        problem = ""
        if there is None or not os.path.samestat(own, there):
            problem = "it was moved, deleted or replaced while it was in use. Put it "
        elif own.st_size != self._size or self._is_rewritten(own.st_mtime_ns):
            problem = "another program has changed it while it was in use. Put it "
        if problem:
            raise OSError(
                errno.ENOENT,
                f"{problem}back, or end here and start again",
                os.fspath(self.path),
            )

    def _is_rewritten(self, time_now: int) -> bool:
        """Say whether there is something else of the same length, such as dog for cat.

        Times alone do not tell: copying tools set them, and some disks are late.
        """
        if time_now == self._time:
            return False
        if xxh3_64(self.path.read_bytes()).digest() != self._hash.digest():
            return True
        self._time = time_now
        return False

    def close(self) -> None:
        """Let other processes have the file."""
        self._held.close()


def label_path(pool: Any, labels: str | os.PathLike[str] | None) -> Path:
    """Return where the labels of a pool go: as named, or beside the folder or file.

    Raises
    ------
    ValueError
        If nothing is named and the pool is neither.
    """
    if labels is not None:
        if not isinstance(labels, str | os.PathLike) or not os.fspath(labels):
            raise ValueError(f"labels must be the path of a file, got {labels!r}.")
        if "\0" in os.fsdecode(labels):
            raise ValueError(f"labels has a NUL character, as no path has: {labels!r}.")
        place = expanded(labels)
        if (
            isinstance(pool, str | os.PathLike)
            and place.is_file()
            and place.samefile(expanded(pool))
        ):
            raise ValueError(
                f"labels is {os.fspath(labels)}, the pool itself; give the labels a "
                "file of their own."
            )
        return place
    if not isinstance(pool, str | os.PathLike):
        raise ValueError("labels must name the file for the labels of such a pool.")
    return beside(pool, "labels.csv")


def beside(pool: str | os.PathLike[str], ending: str) -> Path:
    """Return a path beside a folder or file, called as it is with another ending."""
    place = expanded(pool).absolute()
    if ".." in place.parts:  # it names no folder
        place = place.resolve()
    return place.with_name(f"{place.stem if place.is_file() else place.name}-{ending}")


def _lines(rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _encoded(text: str) -> bytes:
    # Names of files need not be UTF-8 everywhere; they come back as they were.
    return text.encode("utf-8", "surrogateescape")


def _end_of_lines(data: bytes) -> int:
    """Return where the last line begins that does not end."""
    return max(data.rfind(end) for end in (b"\n", b"\r")) + 1


def torn(data: bytes) -> int:
    """Count the bytes of a line that was being written when the machine went down.

    Its time comes last, so that one with all cells is as good as whole. Files without
    all columns are written by hand or a spreadsheet and never torn.
    """
    last = data[_end_of_lines(data) :]
    first = [*data.removeprefix(MARK.encode()).splitlines(), b""][0]
    try:
        # Some programs put quotes around all cells.
        header, cells = (
            next(csv.reader([line.decode("utf-8", "replace")]), [])
            for line in (first, last)
        )
    except csv.Error:  # which reading it tells of
        return 0
    return len(last) if tuple(header) == FIELDS and len(cells) < len(FIELDS) else 0
