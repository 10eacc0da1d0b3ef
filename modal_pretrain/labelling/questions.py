"""What to ask next: at random to begin with, then what the model wants to know.

Every so many answers one is about a row drawn at random, which measures the model.
Asking changes nothing: the same questions come again until they are answered.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modal_pretrain.labelling.background import Belief
from modal_pretrain.labelling.ledger import Ledger
from modal_pretrain.labelling.records import SKIPPED
from modal_pretrain.labelling.why import AUDIT, FIRST, LEFT, MEANWHILE


class Question(NamedTuple):
    """A row to label.

    Parameters
    ----------
    row : int
    reason : str
        See `Why`.
    """

    row: int
    reason: str


class Questions:
    """Chooses questions.

    Parameters
    ----------
    n : int
        Rows in the pool.
    audit_share : float
        In [0, 1): share of the answers, once there is a model, that are about rows
        drawn at random.
    seed : int

    Attributes
    ----------
    order : numpy.ndarray of shape (n,)
        That of the first questions.
    """

    def __init__(self, n: int, audit_share: float, seed: int) -> None:
        # In a pool of one more or less the same draws would be neighbours of those
        # before, which in videos say the same.
        first, audit = (np.random.default_rng([seed, k, n]) for k in range(2))
        self.order: NDArray[np.intp] = first.permutation(n)
        self._audit: NDArray[np.intp] = audit.permutation(n)
        self._every = round(1 / audit_share) if audit_share > 0 else 0

    def next(
        self, n: int, ledger: Ledger, belief: Belief | None, unreadable: set[int]
    ) -> list[Question]:
        """Return the n best questions, fewer at the end of the pool."""
        state = ledger.state
        taken = set(unreadable)
        wanted = self._wanted(belief)
        audits = iter(self._audit.tolist())
        due = self._until_audit(ledger) if belief is not None else -1

        def free(rows: Iterator[int]) -> int | None:
            return next((r for r in rows if r not in taken and r not in state), None)

        found: list[Question] = []
        while len(found) < n:
            if len(found) == due:
                row, reason = free(audits), AUDIT
                due += self._every
            else:
                row, reason = next(
                    ((r, w) for r, w in wanted if r not in taken and r not in state),
                    (None, ""),
                )
            if row is None:
                break
            taken.add(row)
            found.append(Question(row, reason))
        skipped = (row for row, record in state.items() if record.status == SKIPPED)
        found += [Question(row, LEFT) for row in skipped if row not in unreadable]
        return found[:n]

    def _wanted(self, belief: Belief | None) -> Iterator[tuple[int, str]]:
        asked = belief.questions if belief is not None else {}
        best = ((row, reason) for row, (reason, _) in asked.items())
        rest = MEANWHILE if belief is not None else FIRST
        return chain(best, ((row, rest) for row in self.order.tolist()))

    def _until_audit(self, ledger: Ledger) -> int:
        """Count the questions before the next one that measures."""
        if not self._every:
            return -1
        since = 0
        for record in reversed(ledger.labelled().values()):
            if record.asked == AUDIT:
                break
            since += record.asked != FIRST
        return max(self._every - 1 - since, 0)
