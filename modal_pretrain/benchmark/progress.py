"""How far a grid is, over all rounds and whoever does them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from modal_pretrain._progress import progress_bar

_EVERY = 1.0  # seconds between two looks at the folder


class Progress:
    """A bar that counts rounds, with an estimate of the time left.

    Parameters
    ----------
    total : int
        Rounds of all units.
    count : callable
        Returns how many of them are on disk.
    show : bool
        False shows nothing.
    """

    def __init__(self, total: int, count: Callable[[], int], show: bool) -> None:
        self._count = count
        self._show = show
        initial = count() if show else 0
        self._bar = progress_bar(
            total=total, initial=initial, unit=" rounds", disable=not show, leave=True
        )

    def say(self, text: str) -> None:
        """Show what is being done."""
        self._bar.set_description_str(text)

    def step(self) -> None:
        """Count one round of this process."""
        self._bar.update(1)

    def look(self) -> None:
        """Count what is on disk."""
        if self._show:
            self._bar.n = self._count()
            self._bar.refresh()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Look every second, while other processes work."""
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(_EVERY):
                self.look()

        thread = threading.Thread(target=watch, daemon=True)
        if self._show:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            if self._show:
                thread.join()
            self.look()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()
