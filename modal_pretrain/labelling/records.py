"""What the lines of a label file say."""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from modal_pretrain.datasets._table import separator_hint
from modal_pretrain.labelling.words import check_word

LABELLED, SKIPPED, CANNOT_TELL, OPEN = "labelled", "skipped", "cannot tell", "open"
STATUSES = (LABELLED, SKIPPED, CANNOT_TELL, OPEN)
TIME = "%Y-%m-%dT%H:%M:%S%z"
_MOST_DIGITS = 15
_ENCODING = 'Save the file as UTF-8, which spreadsheets call "CSV UTF-8".'
# A spreadsheet rounds what looks like a number, as some hashes do: they end in a letter
# that no hash has. What else ends so, in a pool of the user's own, has another one.
_LIKE_A_NUMBER, _NO_NUMBER = re.compile(r"\d+(e\d+)?h*"), "h"
MARK = "\ufeff"  # spreadsheets take a file without it for another encoding


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
            return datetime.strptime(self.time, TIME).timestamp()
        except ValueError:
            return -math.inf


FIELDS = Record._fields


def cells_of(record: Record) -> Record:
    """Return a record as it stands in the file."""
    if not _LIKE_A_NUMBER.fullmatch(record.content):
        return record
    return record._replace(content=record.content + _NO_NUMBER)


def _content_of(cell: str) -> str:
    """Return the content that `cells_of` wrote as a cell."""
    content = cell.removesuffix(_NO_NUMBER)
    return content if _LIKE_A_NUMBER.fullmatch(content) else cell


def parse(data: bytes, path: Path) -> tuple[tuple[str, ...], list[Record]]:
    """Read the content of a label file; return its columns, and its records in order.

    Raises
    ------
    ValueError
        If it is no label file, which `path` names, or a line is none of its.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError(f"{path} is in UTF-16. {_ENCODING}")
    text = data.decode("utf-8", "surrogateescape").removeprefix(MARK)
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
    records = records_of(lines, path)
    return header, [records[place] for place in in_order(records)]


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


def in_order(records: Sequence[Record]) -> list[int]:
    """Return the places of records in the order of their answers.

    A spreadsheet may have sorted the lines and left those of each item in their order.
    What has moved was called otherwise before, and its last answer must count, too.
    """
    return sorted(range(len(records)), key=lambda place: records[place].answer)


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
    # pandas writes 3.0 where a line of the column, such as one added, has no number.
    number = (cells.get("answer") or number).removesuffix(".0")
    undoes = (cells.get("undoes") or "0").removesuffix(".0")
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
        _content_of(cells.get("content", "")),
        cells.get("time", ""),
    )
