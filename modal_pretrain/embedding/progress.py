"""The bar that shows how far a pass over a source has come."""

from __future__ import annotations

from typing import Any

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

    def jump(self, row: int) -> None:
        """Pass over rows that were found, which say nothing about the speed."""
        bar = self._bar
        if bar is not None and row > bar.n:
            bar.initial += row - bar.n
            bar.update(row - bar.n)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
