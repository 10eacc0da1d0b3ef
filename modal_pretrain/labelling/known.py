"""What has been answered, as one state that another thread can read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modal_pretrain.labelling.ledger import Ledger
from modal_pretrain.labelling.why import AUDIT


class Known(NamedTuple):
    """What has been answered, as the thread needs it.

    Attributes
    ----------
    version : int
        Goes up with every answer.
    rows : numpy.ndarray of shape (m,)
        Rows to learn from.
    labels : numpy.ndarray of shape (m,), str
    tags : numpy.ndarray of shape (m,), str
        Empty where nobody gave one.
    closed : numpy.ndarray of shape (k,)
        Rows that must not be asked about.
    contents : tuple of str
        What each of these held when that was said, see `Record`.
    classes : tuple of str
        All classes, in the order of the keys.
    """

    version: int
    rows: NDArray[np.intp]
    labels: NDArray[np.str_]
    tags: NDArray[np.str_]
    closed: NDArray[np.intp]
    contents: tuple[str, ...]
    classes: tuple[str, ...]

    @classmethod
    def of(cls, version: int, classes: Sequence[str], ledger: Ledger) -> Known:
        """Take it from a ledger; what measures the model is not to be learnt."""
        learnt = {
            row: record
            for row, record in ledger.labelled().items()
            if record.asked != AUDIT
        }
        return cls(
            version,
            np.array(list(learnt), dtype=np.intp),
            np.array([record.label for record in learnt.values()], dtype=str),
            np.array([record.tag for record in learnt.values()], dtype=str),
            np.array(list(ledger.state), dtype=np.intp),
            tuple(record.content for record in ledger.state.values()),
            tuple(classes),
        )
