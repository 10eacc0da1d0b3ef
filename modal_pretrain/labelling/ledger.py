"""What is known of each row now, and what undo takes back."""

from __future__ import annotations

import bisect
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import pandas as pd

from modal_pretrain.labelling.pool import Pool
from modal_pretrain.labelling.records import (
    CANNOT_TELL,
    LABELLED,
    OPEN,
    SKIPPED,
    Record,
)


class Lost(NamedTuple):
    """What of a label file does not fit the pool.

    Parameters
    ----------
    vanished : list of str
        Items that are labelled and not in the pool.
    moved : list of (str, str)
        Items found under another name, by their content: old name, new name.
    changed : list of str
        Items that hold something else than whenever they were labelled, which is
        nowhere else; their labels do not count.
    """

    vanished: list[str]
    moved: list[tuple[str, str]]
    changed: list[str]


class Ledger:
    """The present state of every row that was answered, built from records.

    Attributes
    ----------
    state : dict of int to Record
        The last record of each row that is not open again.
    last : int
        The highest number of an answer.
    """

    def __init__(self) -> None:
        self.state: dict[int, Record] = {}
        self.last = 0
        # The rows of each answer and the answers about each row, without the undone.
        self._answers: dict[int, dict[int, None]] = {}
        self._history: dict[int, list[Record]] = {}

    def load(self, records: Iterable[Record], pool: Pool) -> Lost:
        """Take over a file's records; say which do not fit the pool."""
        records = list(records)
        rows, lost = rows_of(records, pool)
        for row, record in zip(rows, records, strict=True):
            if row is not None:
                self.add(row, record)
                if row in self.state:
                    self.state[row] = self.state[row]._replace(item=pool.names[row])
            self.last = max(self.last, record.answer)
        return lost

    def add(self, row: int, record: Record) -> None:
        """Take note of a record that is in the file."""
        self.last = max(self.last, record.answer)
        history = self._history.setdefault(row, [])
        if record.undoes:
            self._forget(record.undoes, row)
            history[:] = [r for r in history if r.answer != record.undoes]
            nothing = record._replace(label="", tag="", status=OPEN)
            known = _known(history) or nothing
            # The line tells what was known under that name. What moved there and back,
            # or is a copy, has more, which whoever took this back may not have seen.
            own = [r for r in history if r.item == record.item] or [nothing]
            if _says_the_same(record, own[-1]) or _says_the_same(record, known):
                record = record._replace(**_said(known))
            else:  # it was edited by hand, or lines before it were taken out
                history.append(record)
        else:
            self._answers.setdefault(record.answer, {})[row] = None
            history.append(record)
            known = _known(history) or record
            record = record._replace(**_said(known))
        self.state.pop(row, None)
        if record.status != OPEN:
            self.state[row] = record  # at the end, as what is skipped once more

    def _forget(self, number: int, row: int) -> None:
        """Take a row out of an answer; where others are away, it stays for them."""
        rows = self._answers.get(number, {})
        rows.pop(row, None)
        if not rows:
            self._answers.pop(number, None)

    def undoing(self, pool: Pool) -> list[tuple[int, Record]]:
        """Return the records that take back the last answer; none if there is none."""
        if not self._answers:
            return []
        number = max(self._answers)
        found = []
        for row in reversed(self._answers[number]):
            now = self.state.get(row)
            before = [r for r in self._history[row] if r.answer != number]
            opened = Record(
                number,
                pool.names[row],
                status=OPEN,
                # Where the row moves, this line goes with those that it takes back.
                content=now.content if now else "",
            )
            back = _known(before) or opened
            back = back._replace(item=pool.names[row], undoes=number)
            found.append((row, back._replace(answer=self.last + 1)))
        return found

    def labelled(self) -> dict[int, Record]:
        """Return the rows that have a label, in the order they got it."""
        found = [(r.answer, row) for row, r in self.state.items() if r.label]
        return {row: self.state[row] for _, row in sorted(found)}

    def skipped(self, reason: str) -> list[int]:
        """Return the rows without a label that were asked for a reason and skipped."""
        return [
            row
            for row, record in self.state.items()
            if record.status == SKIPPED and record.asked == reason
        ]

    def table(self) -> pd.DataFrame:
        """Return the rows that have a label as a table."""
        return pd.DataFrame(
            [
                (row, r.item, r.label, r.tag, r.asked)
                for row, r in self.labelled().items()
            ],
            columns=["row", "item", "label", "tag", "asked"],
        )

    def by_class(self) -> Counter[str]:
        """Count labels."""
        return Counter(r.label for r in self.state.values() if r.status == LABELLED)


def _known(history: Sequence[Record]) -> Record | None:
    """Return the last word on a row, which is not that a copy of it was skipped.

    Of what has a label and is skipped the line tells the label.
    """
    last = history[-1] if history else None
    if last is not None and last.status == SKIPPED:
        said = next((r for r in reversed(history) if r.status != SKIPPED), last)
        return said if said.label and said.item != last.item else last
    return last


def _said(record: Record) -> dict[str, Any]:
    """Return what a record says, leaving out which line it stands in."""
    own = ("answer", "item", "undoes")
    return {k: v for k, v in record._asdict().items() if k not in own}


def _says_the_same(record: Record, other: Record) -> bool:
    return record[2:5] == other[2:5]  # label, tag and status


class _Run:
    """Records of one name while it held one thing, by their places in the file."""

    def __init__(self, name: str, key: int | str) -> None:
        self.name, self.key = name, key
        self.content = ""
        self.places: list[int] = []
        self.answers: set[int] = set()
        self.undone: set[int] = set()
        self.word = ("", "", "")  # status, label and tag, as they were said last
        self.row: int | None = None

    def add(self, place: int, record: Record) -> None:
        self.content = self.content or record.content
        self.places.append(place)
        self.answers.add(record.answer)
        self.undone.add(record.undoes)
        self.word = record.status, record.label, record.tag

    def takes_back(self) -> set[int]:
        """Return the answers that are not its own and taken back by it."""
        return self.undone - self.answers - {0}

    def standing(self) -> set[int]:
        """Return its answers but those that it takes back itself."""
        return self.answers - self.undone


class _Alike:
    """Runs of one content whose rows are known: of hundreds of copies, say."""

    def __init__(self) -> None:
        self.last: _Run | None = None
        self._taking_back: dict[int, _Run] = {}
        self._saying: dict[tuple[str, str, str], list[_Run]] = {}  # as they began

    def add(self, run: _Run) -> None:
        self.last = run
        for answer in run.takes_back():
            self._taking_back.setdefault(answer, run)
        if run.word[0] in (LABELLED, CANNOT_TELL):
            said = self._saying.setdefault(run.word, [])
            bisect.insort(said, run, key=lambda other: other.places[0])

    def correcting(self, run: _Run, named: bool) -> _Run | None:
        """Return one that is about the row of an earlier run, which moved, not a copy.

        If it takes back what was said there it is. Where names are but places, what was
        said last of the same content counts: a new copy must not get what was
        corrected.
        """
        for answer in run.standing():
            if answer in self._taking_back:
                return self._taking_back[answer]
        found = []
        for word, said in self._saying.items():
            if not named and word != run.word:
                end = run.places[-1]
                at = bisect.bisect_left(said, end, key=lambda other: other.places[0])
                found += said[at : at + 1]
        return min(found, key=lambda other: other.places[0], default=None)


def rows_of(records: Sequence[Record], pool: Pool) -> tuple[list[int | None], Lost]:
    """Find the row of each record, also where it moved, by what it held.

    A name may have come to stand for something else, and been answered anew. What was
    said before is of what it held then, wherever that is now.
    """
    runs, present = _runs(records, pool)
    for run in runs:
        last = records[run.places[-1]]
        # What somebody added to the file by hand is of what is there, whatever it is.
        # An answer that was taken back has no content either, and was of its run's.
        by_hand = present[run.key] is run and not last.undoes
        content = last.content if by_hand else run.content
        if isinstance(run.key, int) and pool.same(run.key, content, last.since()):
            run.row = run.key
    known: defaultdict[str, _Alike] = defaultdict(_Alike)
    for run in runs:
        if run.row is not None and run.content:
            known[run.content].add(run)
    taken = {run.row for run in runs}
    away = [run for run in runs if run.row is None]
    contents = {run.content for run in away} - {""}
    free = [row for row in range(len(pool)) if row not in taken]
    homes = pool.places(contents, free) if contents else {}
    # The last word on what moved goes first, which is not of the run that began last
    # where something moved there and back.
    for run in sorted(away, key=lambda run: run.places[-1], reverse=True):
        home, alike = homes.get(run.content), known[run.content]
        later = alike.last
        if corrected := alike.correcting(run, pool.named):
            run.row = corrected.row
        elif home:
            run.row = home.pop()
        elif later and (not pool.named or run.places[-1] < later.places[0]):
            run.row = later.row  # it has moved before
        elif later and _says_more(run, later, records):
            run.row = later.row  # it moved back, or is a copy that is gone
        if run.row is not None:
            alike.add(run)
    names = [(run.name, pool.names[run.row]) for run in away if run.row is not None]
    lost = Lost([], list(dict.fromkeys(names)), [])
    own = {run.row for run in runs if run.row == run.key}
    for key, run in present.items():
        if run.row is None and key not in own and records[run.places[-1]].label:
            (lost.changed if isinstance(key, int) else lost.vanished).append(run.name)
    rows: list[int | None] = [None] * len(records)
    for run in runs:
        for place in run.places:
            rows[place] = run.row
    return rows, lost


def _says_more(run: _Run, before: _Run, records: Sequence[Record]) -> bool:
    """Say whether a run has the last word on what an earlier one is about.

    To skip a copy that is gone says nothing of the other, nor does an answer that was
    given to the copy and taken back.
    """
    if run.takes_back() & before.standing():
        return True  # whatever was known before: open, skipped, or another label
    if run.places[0] < before.places[-1]:
        return False
    words = [records[place] for place in run.places]
    last = next((word for word in reversed(words) if word.status != SKIPPED), None)
    return last is not None and last.status != OPEN


def _runs(
    records: Sequence[Record], pool: Pool
) -> tuple[list[_Run], dict[int | str, _Run]]:
    """Split records into runs; also return the last of each row, or of a lost name."""
    runs: list[_Run] = []
    present: dict[int | str, _Run] = {}
    for place, record in enumerate(records):
        row = pool.find(record.item)
        key = record.item if row is None else row
        run = present.get(key)
        if run is None or (
            record.content and run.content and record.content != run.content
        ):
            run = present[key] = _Run(record.item, key)
            runs.append(run)
        run.add(place, record)
    return runs, present
