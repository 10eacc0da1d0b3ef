"""What is known of each row now, and what undo takes back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from modal_pretrain.labelling.moved import Lost, rows_of
from modal_pretrain.labelling.pool import Pool
from modal_pretrain.labelling.records import LABELLED, OPEN, SKIPPED, Record


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
            back = _known(before) or Record(number, "", status=OPEN)
            back = back._replace(
                item=pool.names[row],
                undoes=number,
                # Where the row moves, or another program turns the picture, this line
                # goes with those that it takes back.
                content=(now.content if now else "") or back.content,
            )
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
    """Return what a record says, leaving out which line it stands in, and of what."""
    own = ("answer", "item", "undoes", "content")
    return {k: v for k, v in record._asdict().items() if k not in own}


def _says_the_same(record: Record, other: Record) -> bool:
    return record[2:5] == other[2:5]  # label, tag and status
