"""The bar that shows how far a pass over a source has come."""

from __future__ import annotations

from typing import Any

import numpy as np

from modal_pretrain._progress import progress_bar

_PROGRESS_AFTER = 3.0  # seconds


class Progress:
    """A bar for passes that take longer than 3 seconds.

    Parameters
    ----------
    n : int
        Rows of the whole pass.
    shown : bool
    """

    def __init__(self, n: int, shown: bool) -> None:
        # None is better than a disabled one: every bar takes a lock of tqdm's that all
        # processes of a fork share, and that a killed one never gives back.
        self._bar: Any = None
        self._ahead = np.empty(0, np.int64)
        if shown:
            self._bar = progress_bar(
                total=n,
                desc="Embedding",
                unit=" rows",
                delay=_PROGRESS_AFTER,
                leave=False,
            )

    def advance(self, rows: int) -> None:
        """Count rows that were computed."""
        if self._bar is not None:
            self._bar.update(rows)
            self._ahead = self._ahead[rows:]
            self._pass_over()

    def jump(self, rows: int | np.ndarray) -> None:
        """Say which rows are computed next, or the first of them.

        Those between were found, which says nothing about the speed.
        """
        self._ahead = np.atleast_1d(rows)
        self._pass_over()

    def _pass_over(self) -> None:
        bar = self._bar
        if bar is not None and len(self._ahead) and self._ahead[0] > bar.n:
            found = int(self._ahead[0]) - bar.n
            bar.initial += found
            bar.update(found)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
