"""The bar that shows how far a pass over a source has come."""

from __future__ import annotations

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
        self._bar = progress_bar(
            total=n,
            desc="Embedding",
            unit=" rows",
            delay=_PROGRESS_AFTER,
            disable=not shown,
            leave=False,
        )

    def advance(self, rows: int) -> None:
        """Count rows that were computed."""
        self._bar.update(rows)

    def jump(self, row: int) -> None:
        """Pass over rows that were found, which say nothing about the speed."""
        bar = self._bar
        if not bar.disable and row > bar.n:
            bar.initial += row - bar.n
            bar.update(row - bar.n)

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()
