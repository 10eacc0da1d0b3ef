"""The label file: a CSV that only grows, so that nothing that was answered is lost.

Each line says what is known of one item from then on; the last line of an item counts.
(If that is not its last answer, the lines were sorted, which is an error.) Undoing adds
lines, too. So everything that was answered stands in the file, and

    table = pandas.read_csv(path, dtype=str, na_values="", keep_default_na=False)
    table.drop_duplicates("item", keep="last").dropna(subset="label")

is what is known now. (By itself pandas takes a label "None" or "NA" for a missing one,
and "01" for a number.)
"""

from __future__ import annotations

import codecs
import csv
import errno
import io
import math
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from xxhash import xxh3_64

from modal_pretrain._disk import held, locked, naming, write_whole
from modal_pretrain._identity import NotAFileError, expanded, file_identity, read_whole
from modal_pretrain.datasets._table import separator_hint
from modal_pretrain.labelling.words import check_word

LABELLED, SKIPPED, CANNOT_TELL, OPEN = "labelled", "skipped", "cannot tell", "open"
STATUSES = (LABELLED, SKIPPED, CANNOT_TELL, OPEN)
_TIME = "%Y-%m-%dT%H:%M:%S%z"
_MOST_DIGITS = 15
_ENCODING = 'Save the file as UTF-8, which spreadsheets call "CSV UTF-8".'
_MARK = "\ufeff"  # spreadsheets take a file without it for another encoding


class Record(NamedTuple):
    """One line.

    Attributes
    ----------
    answer : int
        Number of the answer it belongs to; answering many at once is one answer.
    item : str
        Name in the pool.
    label, tag : str
        Empty where there is none.
    status : {"labelled", "skipped", "cannot tell", "open"}
        "open": nothing is known any more, since an answer was undone.
    asked : str
        Why the item was asked about, such as "audit".
    undoes : int
        Number of the answer that this line takes back, else 0.
    content : str
        Fingerprint of what the item held.
    time : str
        When the line was written, with the offset from UTC.
    """

    answer: int
    item: str
    label: str = ""
    tag: str = ""
    status: str = LABELLED
    asked: str = ""
    undoes: int = 0
    content: str = ""
    time: str = ""

    def since(self) -> float:
        """Return the time as seconds since the epoch; -inf where it is not known."""
        try:
            return datetime.strptime(self.time, _TIME).timestamp()
        except ValueError:
            return -math.inf


FIELDS = Record._fields


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
                f"another process is labelling with {self.path}. Go on there, or end "
                "it first; two at a time would ask about the same things."
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
            write_whole(self.path, _encoded(_MARK + _lines([FIELDS])))
        self._hold()
        data = read_whole(self.path)
        header, records = _parse(data[: len(data) - _torn(data)], self.path)
        if header != FIELDS:
            # From now on with all columns.
            write_whole(self.path, _encoded(_MARK + _lines([FIELDS, *records])))
            self._hold()
            return records
        with self.path.open("r+b") as file:
            file.truncate(len(data) - _torn(data))
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
        now = time.strftime(_TIME)
        data = _encoded(_lines(record._replace(time=now) for record in records))
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
        if (
            isinstance(pool, str | os.PathLike)
            and os.path.isfile(labels)
            and os.path.samefile(labels, pool)
        ):
            raise ValueError(
                f"labels is {os.fspath(labels)}, the pool itself; give the labels a "
                "file of their own."
            )
        if "\0" in os.fsdecode(labels):
            raise ValueError(f"labels has a NUL character, as no path has: {labels!r}.")
        return Path(labels)
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


def _torn(data: bytes) -> int:
    """Count the bytes of a line that was being written when the machine went down.

    Its time comes last, so that one with all cells is as good as whole. Files without
    all columns are written by hand or a spreadsheet and never torn.
    """
    if not data.removeprefix(_MARK.encode()).startswith(",".join(FIELDS).encode()):
        return 0
    last = data[_end_of_lines(data) :]
    try:
        cells = next(csv.reader([last.decode("utf-8", "replace")]), [])
    except csv.Error:  # which reading it tells of
        return 0
    return len(last) if len(cells) < len(FIELDS) else 0


def _parse(data: bytes, path: Path) -> tuple[tuple[str, ...], list[Record]]:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError(f"{path} is in UTF-16. {_ENCODING}")
    text = data.decode("utf-8", "surrogateescape").removeprefix(_MARK)
    reader = csv.reader(io.StringIO(text, newline=""))
    header = tuple(next(reader, ()))
    unknown = set(header) - set(FIELDS)
    twice = len(set(header)) < len(header)
    if unknown or twice or not {"item", "label"} <= set(header):
        raise ValueError(
            f"{path} is no label file: its first line is {','.join(header)[:200]!r}. "
            f"Expected are the columns {','.join(FIELDS)}, each once, of which item "
            f"and label are enough{separator_hint(header)}."
        )
    lines = []
    for cells in _lines_of(reader, path):
        if not cells:
            continue
        where = f"{path}, line {reader.line_num}"
        if len(cells) != len(header):
            raise ValueError(
                f"{where} has {len(cells)} cells, the first line {len(header)}. "
                "Correct the line, or take it out."
            )
        lines.append((where, dict(zip(header, cells, strict=True))))
    return header, records_of(lines, path)


def records_of(lines: Iterable[tuple[str, dict[str, str]]], path: Path) -> list[Record]:
    """Return what the lines say: of each where it stands, and its cells by column."""
    records: list[Record] = []
    last = 0
    for where, cells in lines:
        # A line without a number is a new answer, also where the others are sorted.
        records.append(_record(cells, where, str(last + 1)))
        last = max(last, records[-1].answer)
    _check_order(records, path)
    return records


def _check_order(records: list[Record], path: Path) -> None:
    """Raise where lines were sorted, so that what was corrected would count again."""
    last = {record.item: record for record in records}
    latest = {r.item: r for r in sorted(records, key=lambda record: record.answer)}
    for item, record in last.items():
        other = latest[item]
        said = record._replace(label=other.label, tag=other.tag, status=other.status)
        if record != said:
            raise ValueError(
                f"{path}: the last line of {item!r} is of answer {record.answer}, and "
                f"answer {other.answer} says something else, as if the lines had been "
                "sorted. Sort them by the column answer; or empty that column, if the "
                "last line of each item is what counts."
            )


def _lines_of(reader: Any, path: Path) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {reader.line_num}: {error}. Correct the line, or take it "
            "out."
        ) from error


def _record(cells: dict[str, str], where: str, number: str) -> Record:
    for name in ("label", "tag"):
        if any("\udc80" <= letter <= "\udcff" for letter in cells.get(name, "")):
            raise ValueError(
                f"{where}: {name} is not in UTF-8, got {cells[name]!a}. {_ENCODING}"
            )
        if cells.get(name, "").strip():
            cells[name] = check_word(f"{where}: {name}", cells[name])
        elif name in cells:
            cells[name] = ""
    status = cells.get("status") or (LABELLED if cells["label"] else OPEN)
    number = cells.get("answer") or number
    undoes = cells.get("undoes") or "0"
    if status not in STATUSES or (status == LABELLED) != bool(cells["label"]):
        raise ValueError(
            f"{where}: status must be one of {', '.join(STATUSES)}, the first with a "
            f"label and the others without; got {status!r} and label "
            f"{cells['label']!r}."
        )
    if not all(n.isdecimal() and len(n) <= _MOST_DIGITS for n in (number, undoes)):
        raise ValueError(
            f"{where}: answer and undoes must be whole numbers of at most "
            f"{_MOST_DIGITS} digits, got {number[:30]!r} and {undoes[:30]!r}."
        )
    return Record(
        int(number),
        cells["item"],
        cells["label"],
        cells.get("tag", ""),
        status,
        cells.get("asked", ""),
        int(undoes),
        cells.get("content", ""),
        cells.get("time", ""),
    )
