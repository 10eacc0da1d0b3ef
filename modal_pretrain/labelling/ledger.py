"""What is known of each row now, and what undo takes back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from modal_pretrain.labelling.label_file import LABELLED, OPEN, Record
from modal_pretrain.labelling.pool import Pool


class Lost(NamedTuple):
    """What of a label file does not fit the pool.

    Parameters
    ----------
    vanished : list of str
        Items that are labelled and not in the pool.
    moved : list of (str, str)
        Items found under another name, by their content: old name, new name.
    changed : list of str
        Items that hold something else than when they were labelled; their labels do
        not count.
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
        # By answer: the rows, and what was known of each before.
        self._answers: dict[int, list[tuple[int, Record | None]]] = {}

    def load(self, records: Iterable[Record], pool: Pool) -> Lost:
        """Take over a file's records; say which do not fit the pool."""
        records = list(records)
        rows, lost = _rows_of(records, pool)
        for record in records:
            if record.item in rows:
                self.add(rows[record.item], record)
            self.last = max(self.last, record.answer)
        return lost

    def add(self, row: int, record: Record) -> None:
        """Take note of a record that is in the file."""
        self.last = max(self.last, record.answer)
        before = self.state.get(row)
        if record.undoes:
            self._answers.pop(record.undoes, None)
        else:
            self._answers.setdefault(record.answer, []).append((row, before))
        if record.status == OPEN:
            self.state.pop(row, None)
        else:
            self.state[row] = record

    def undoing(self, pool: Pool) -> list[tuple[int, Record]]:
        """Return the records that take back the last answer; none if there is none."""
        if not self._answers:
            return []
        number = max(self._answers)
        return [
            (
                row,
                Record(self.last + 1, pool.names[row], status=OPEN, undoes=number)
                if before is None
                else before._replace(answer=self.last + 1, undoes=number),
            )
            for row, before in reversed(self._answers[number])
        ]

    def labelled(self) -> dict[int, Record]:
        """Return the rows that have a label, in the order they got it."""
        found = [(r.answer, row) for row, r in self.state.items() if r.label]
        return {row: self.state[row] for _, row in sorted(found)}

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


def _rows_of(records: list[Record], pool: Pool) -> tuple[dict[str, int], Lost]:
    """Find the row of each item, and those that moved by what they hold."""
    known = {name: row for row, name in enumerate(pool.names)}
    last = {record.item: record for record in records}
    rows: dict[str, int] = {}
    lost = Lost([], [], [])
    for item, record in last.items():
        row = known.get(item)
        if row is None:
            lost.vanished.append(item)
        elif pool.same(row, record.content, record.since()):
            rows[item] = row
        else:
            lost.changed.append(item)
    sought = {last[item].content for item in lost.vanished} - {""}
    if sought:
        free = [row for name, row in known.items() if name not in last]
        places = pool.places(sought, free)
        for item in lost.vanished:
            found = places.get(last[item].content)
            if found:
                rows[item] = found.pop(0)
                lost.moved.append((item, pool.names[rows[item]]))
    return rows, lost._replace(vanished=[i for i in lost.vanished if i not in rows])
