"""Answers on their way: checked, into the file, and only then remembered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

from modal_pretrain._inputs.frames import check_order_of_rows
from modal_pretrain.labelling.asked import Asked
from modal_pretrain.labelling.label_file import LabelFile
from modal_pretrain.labelling.ledger import Ledger
from modal_pretrain.labelling.pool import Pool
from modal_pretrain.labelling.records import LABELLED, SKIPPED, Record
from modal_pretrain.labelling.words import Words


class Answers:
    """What was asked and answered, in the label file and in memory.

    Parameters
    ----------
    pool : Pool
    file : LabelFile
        It is closed if its records can't be taken over.
    classes, tags : Words
        Those in the file are added.

    Attributes
    ----------
    ledger : Ledger
    asked : Asked
    lost : Lost
    """

    def __init__(
        self, pool: Pool, file: LabelFile, classes: Words, tags: Words
    ) -> None:
        self.pool = pool
        self.file = file
        self.classes = classes
        self.tags = tags
        self.ledger = Ledger()
        self.asked = Asked(pool, self.ledger)
        try:
            self.lost = self.ledger.load(file.records, pool)
            # In the order of the file, which corrections and undoing leave as it is:
            # keys must not change their meaning from one session to the next.
            now = self.ledger.state.values()
            for words, name in ((classes, "label"), (tags, "tag")):
                used = {getattr(record, name) for record in now}
                said = (getattr(record, name) for record in file.records)
                words.learn(word for word in said if word in used)
                words.check_numbers(where=f"{file.path}, ")
        except BaseException:
            file.close()
            raise

    def label(self, rows: Any, labels: Any, tags: Any) -> None:
        """Check a label for open rows, and take it; new words become known."""
        checked = self.asked.open(rows)
        listed = [
            hasattr(x, "__len__") and not isinstance(x, str) for x in (labels, tags)
        ]
        if isinstance(rows, Set | Mapping) and any(listed):
            raise TypeError(
                "rows must be a list where there are several labels or tags: a "
                f"{type(rows).__name__} has no order that they could follow."
            )
        # A table filtered by rows has them in its own order.
        for name, given in (("labels", labels), ("tags", tags)):
            check_order_of_rows(name, given, checked, "rows")
        said = self.classes.each(labels, len(checked))
        tagged = self.tags.each("" if tags is None else tags, len(checked))
        self.classes.learn(said)
        self.tags.learn(tagged)
        self.take(checked, LABELLED, said, tagged)

    def take(
        self,
        rows: list[int],
        status: str,
        labels: Sequence[str] = (),
        tags: Sequence[str] = (),
    ) -> None:
        """Write an answer about open rows; to skip one leaves the label it has."""
        empty, number = [""] * len(rows), self.ledger.last + 1
        records = [
            Record(
                number,
                self.pool.names[row],
                label,
                tag,
                status,
                self.asked.drawn(row),
                content=self.pool.content(row),
            )
            for row, label, tag in zip(
                rows, labels or empty, tags or empty, strict=True
            )
        ]
        if status == SKIPPED:
            before = [self.ledger.state.get(row) for row in rows]
            records = [
                old._replace(answer=number, undoes=0) if old and old.label else record
                for old, record in zip(before, records, strict=True)
            ]
        self._write(rows, records)
        self.asked.close(rows)

    def undo(self) -> list[int]:
        """Take back the last answer; return its rows, which are open again."""
        undone = self.ledger.undoing(self.pool)
        rows = [row for row, _ in undone]
        reasons = {row: self.asked.reason(row) for row in rows}
        if rows:
            self._write(rows, [record for _, record in undone])
            # What nothing else has is unknown if it was corrected in another session.
            self.classes.learn(record.label for _, record in undone)
            self.tags.learn(record.tag for _, record in undone)
            self.asked.reasons.update(reasons)
        return rows

    def _write(self, rows: list[int], records: list[Record]) -> None:
        self.file.append(records)
        for row, record in zip(rows, records, strict=True):
            self.ledger.add(row, record)
