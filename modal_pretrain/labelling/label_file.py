"""The label file: a CSV that only grows, so that nothing that was answered is lost.

Each line says what is known of one item from then on; the last line of an item counts.
Undoing adds lines, too. So everything that was answered stands in the file, and

    pandas.read_csv(path).drop_duplicates("item", keep="last").dropna(subset="label")

is what is known now.
"""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from modal_pretrain._disk import locked, write_whole

LABELLED, SKIPPED, CANNOT_TELL, OPEN = "labelled", "skipped", "cannot tell", "open"
STATUSES = (LABELLED, SKIPPED, CANNOT_TELL, OPEN)
FIELDS = (
    *("answer", "item", "label", "tag", "status"),
    *("asked", "undoes", "content", "time"),
)
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
    """

    answer: int
    item: str
    label: str = ""
    tag: str = ""
    status: str = LABELLED
    asked: str = ""
    undoes: int = 0
    content: str = ""


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
        self.path = Path(path).expanduser().absolute()
        if not self.path.parent.is_dir():
            raise FileNotFoundError(
                f"labels: there is no folder {self.path.parent} for {self.path.name}."
            )
        self._held = ExitStack()
        lock = self.path.with_name(f".{self.path.name}.lock")
        try:
            self._held.enter_context(locked(lock, timeout=0))
        except TimeoutError:
            raise TimeoutError(
                f"another process is labelling with {self.path}. Go on there, or end "
                "it first; two at a time would ask about the same things."
            ) from None
        try:
            self.records = self._open()
            self._file = self.path.open("ab", buffering=0)
        except BaseException:
            self._held.close()
            raise
        self._held.callback(self._file.close)

    def _open(self) -> list[Record]:
        if not self.path.exists() or not self.path.stat().st_size:
            write_whole(self.path, _encoded(_MARK + _lines([FIELDS])))
            return []
        data = self.path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        header, records = _parse(whole or data, self.path)
        if header != FIELDS:
            # Made by hand or by a spreadsheet: from now on with all columns.
            rows = [(*record, "") for record in records]
            write_whole(self.path, _encoded(_MARK + _lines([FIELDS, *rows])))
        elif len(whole) < len(data):
            # A line that was being written when the machine went down.
            with self.path.open("r+b") as file:
                file.truncate(len(whole))
        return records

    def append(self, records: Iterable[Record]) -> None:
        """Write lines; when this returns they have reached the disk.

        Raises
        ------
        OSError
            If that fails, such as on a full disk.
        """
        now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        data = _encoded(_lines((*record, now) for record in records))
        before = os.fstat(self._file.fileno()).st_size
        try:
            written = self._file.write(data)
            if written != len(data):
                raise OSError(f"{self.path}: only {written} of {len(data)} bytes fit")
            os.fsync(self._file.fileno())
        except OSError:
            os.ftruncate(self._file.fileno(), before)  # all or nothing
            raise

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
        return Path(labels)
    if not isinstance(pool, str | os.PathLike):
        raise ValueError("labels must name the file for the labels of such a pool.")
    place = Path(pool).expanduser().absolute()
    return place.with_name(
        f"{place.stem if place.is_file() else place.name}-labels.csv"
    )


def _lines(rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _encoded(text: str) -> bytes:
    # Names of files need not be UTF-8 everywhere; they come back as they were.
    return text.encode("utf-8", "surrogateescape")


def _parse(data: bytes, path: Path) -> tuple[tuple[str, ...], list[Record]]:
    text = data.decode("utf-8", "surrogateescape").removeprefix(_MARK)
    reader = csv.reader(io.StringIO(text, newline=""))
    header = tuple(next(reader, ()))
    unknown = set(header) - set(FIELDS)
    if unknown or not {"item", "label"} <= set(header):
        raise ValueError(
            f"{path} is no label file: its first line is {','.join(header)[:200]!r}. "
            f"Expected are the columns {','.join(FIELDS)}, of which item and label "
            "are enough."
        )
    records: list[Record] = []
    for cells in reader:
        if not cells:
            continue
        where = f"{path}, line {reader.line_num}"
        if len(cells) != len(header):
            raise ValueError(
                f"{where} has {len(cells)} cells, the first line {len(header)}. "
                "Correct the line, or take it out."
            )
        records.append(_record(dict(zip(header, cells, strict=True)), where, records))
    return header, records


def _record(cells: dict[str, str], where: str, before: list[Record]) -> Record:
    status = cells.get("status") or (LABELLED if cells["label"] else OPEN)
    number = cells.get("answer") or str(before[-1].answer + 1 if before else 1)
    undoes = cells.get("undoes") or "0"
    if status not in STATUSES or (status == LABELLED) != bool(cells["label"]):
        raise ValueError(
            f"{where}: status must be one of {', '.join(STATUSES)}, the first with a "
            f"label and the others without; got {status!r} and label "
            f"{cells['label']!r}."
        )
    if not (number.isdecimal() and undoes.isdecimal()):
        raise ValueError(
            f"{where}: answer and undoes must be whole numbers, got {number!r} and "
            f"{undoes!r}."
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
    )
