"""Which rows may be answered: those that were asked about and are open still."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from modal_pretrain._checks import is_whole
from modal_pretrain.labelling.ledger import Ledger
from modal_pretrain.labelling.pool import Pool
from modal_pretrain.labelling.why import CHOSEN


class NotAskedError(ValueError):
    """An answer is about a row that was not asked about."""


class AnsweredError(ValueError):
    """An answer is about rows of which some have been answered meanwhile.

    Parameters
    ----------
    message : str
    rows : list of int
        Those.
    hint : str, default=""
        What can be done in Python, which is no help on the page.
    """

    def __init__(self, message: str, rows: list[int], hint: str = "") -> None:
        super().__init__(message, rows, hint)
        self.rows = rows

    def __str__(self) -> str:
        return f"{self.args[0]} {self.args[2]}".rstrip()


class Asked:
    """The open questions, and what may be said of rows.

    Parameters
    ----------
    pool : Pool
    ledger : Ledger

    Attributes
    ----------
    reasons : dict of int to str
        Why each open row was asked about.
    """

    def __init__(self, pool: Pool, ledger: Ledger) -> None:
        self.pool = pool
        self.ledger = ledger
        self.reasons: dict[int, str] = {}

    def rows(self, given: Any) -> list[int]:
        """Return one row or several as a list.

        Raises
        ------
        ValueError
            If there is none, one comes twice, or one is no row of the pool.
        """
        # Arrays and tensors of no dimension look iterable and are not.
        single = getattr(given, "shape", None) == ()
        text = isinstance(given, str | bytes)
        if not is_whole(given) and (single or text or not isinstance(given, Iterable)):
            raise TypeError(
                f"rows must be a whole number or a list of them, got {given!r}."
                + (" Pass its value: rows.item()." if single else "")
                + (" The row of a question is its .row." if text else "")
            )
        listed = [given] if is_whole(given) else list(given)
        for row in listed:
            question = hasattr(given, "row") or hasattr(row, "row")
            if not is_whole(row) or not 0 <= row < len(self.pool):
                raise ValueError(
                    f"rows must be whole numbers from 0 to {len(self.pool) - 1}, got "
                    f"{row!r}."
                    + (" Of what ask() returns, pass the .row." if question else "")
                )
        if not listed or len(set(listed)) < len(listed):
            raise ValueError(f"rows must be one or more, each once; got {listed}.")
        return [int(row) for row in listed]

    def open(self, given: Any) -> list[int]:
        """Return rows that may be answered now.

        Raises
        ------
        NotAskedError, AnsweredError
            If one may not.
        ValueError
            As in `rows`.
        """
        rows = self.rows(given)
        closed = [row for row in rows if row not in self.reasons]
        for row in closed:
            if row not in self.ledger.state:
                raise NotAskedError(
                    f"row {row} ({self.pool.title(row)}) was not asked about. Take "
                    "rows that ask() returned, or name your own: "
                    f"ask(rows=[{row}])."
                )
        if closed:
            row, record = closed[0], self.ledger.state[closed[0]]
            raise AnsweredError(
                f"row {row} ({self.pool.title(row)}) has been answered meanwhile: "
                f"{record.label or record.status}.",
                closed,
                f"To change that, call ask(rows=[{row}]) first.",
            )
        return rows

    def reason(self, row: int) -> str:
        """Return why a row is, or was, asked about."""
        record = self.ledger.state.get(row)
        known = record.asked if record is not None else ""
        return self.reasons.get(row) or known or CHOSEN

    def drawn(self, row: int) -> str:
        """Return why a row came to be asked about, also where it is asked again.

        Rows drawn at random go on measuring the model. Those that it contradicts are
        looked at again, and hard ones are skipped at first: without them it would seem
        better than it is.
        """
        record = self.ledger.state.get(row)
        if record is not None and record.asked:
            return record.asked
        return self.reason(row)

    def close(self, rows: list[int]) -> None:
        """Take note that rows are answered."""
        for row in rows:
            del self.reasons[row]
