"""Answers on their way: checked, into the file, and only then remembered."""

from __future__ import annotations

from collections.abc import Sequence

from modal_pretrain.labelling.asked import Asked
from modal_pretrain.labelling.label_file import LabelFile, Record
from modal_pretrain.labelling.ledger import Ledger
from modal_pretrain.labelling.pool import Pool


class Answers:
    """What was asked and answered, in the label file and in memory.

    Parameters
    ----------
    pool : Pool
    file : LabelFile
        It is closed if its records can't be taken over.

    Attributes
    ----------
    ledger : Ledger
    asked : Asked
    lost : Lost
    """

    def __init__(self, pool: Pool, file: LabelFile) -> None:
        self.pool = pool
        self.file = file
        self.ledger = Ledger()
        self.asked = Asked(pool, self.ledger)
        try:
            self.lost = self.ledger.load(file.records, pool)
        except BaseException:
            file.close()
            raise

    def take(
        self,
        rows: list[int],
        status: str,
        labels: Sequence[str] = (),
        tags: Sequence[str] = (),
    ) -> None:
        """Write an answer about open rows."""
        empty, number = [""] * len(rows), self.ledger.last + 1
        records = [
            Record(
                number,
                self.pool.names[row],
                label,
                tag,
                status,
                self.asked.reasons[row],
                content=self.pool.content(row),
            )
            for row, label, tag in zip(
                rows, labels or empty, tags or empty, strict=True
            )
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
            self.asked.reasons.update(reasons)
        return rows

    def _write(self, rows: list[int], records: list[Record]) -> None:
        self.file.append(records)
        for row, record in zip(rows, records, strict=True):
            self.ledger.add(row, record)
