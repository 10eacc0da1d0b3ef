"""Progress on a terminal, in a notebook, and in a file that is read afterwards."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import Any

from tqdm.asyncio import tqdm_asyncio
from tqdm.auto import tqdm

EVERY = 30.0  # seconds between two lines where there is no terminal


def progress_bar(**settings: Any) -> Any:
    """Return a bar of tqdm's, or what writes a line now and then in its place.

    Parameters
    ----------
    **settings
        For ``tqdm``: ``total``, ``unit``, ``desc``, ``initial``, ``disable``,
        ``leave`` and ``delay``.

    Returns
    -------
    tqdm or Lines
        Lines where standard error is a file or a pipe, in which each state of a bar
        would stay.
    """
    in_notebook = tqdm is not tqdm_asyncio  # there it does not draw on standard error
    if sys.stderr is None:  # a program without a console on Windows
        settings["disable"] = True
    if in_notebook or settings.get("disable") or sys.stderr.isatty():
        return tqdm(**settings)
    return Lines(**settings)


class Lines:
    """What of tqdm's bar is used here, as lines on standard error.

    Parameters
    ----------
    total : int
    unit, desc : str
    initial : int, default=0
        What was there before, which says nothing about the speed.
    leave : bool, default=True
        Whether there is a last line.
    **others
        Of a bar that is drawn.
    """

    disable = False

    def __init__(
        self,
        total: int,
        unit: str = "",
        desc: str = "",
        initial: int = 0,
        leave: bool = True,
        **others: Any,
    ) -> None:
        self.total, self.unit, self.desc = total, unit.strip(), desc
        self.n = self.initial = initial
        self._leave = leave
        self._start = self._last = time.monotonic()

    def set_description_str(self, desc: str) -> None:
        """Say what is being done."""
        self.desc = desc

    def update(self, n: int = 1) -> None:
        """Count."""
        self.n += n
        self.refresh()

    def refresh(self) -> None:
        """Write a line, if the last one is long ago."""
        if time.monotonic() - self._last >= EVERY:
            self._write()

    def close(self) -> None:
        """Write the last line."""
        if self._leave:
            self._write()

    def _write(self) -> None:
        self._last = time.monotonic()
        spent, done = self._last - self._start, self.n - self.initial
        what = f"{self.desc}: " if self.desc else ""
        left = ""
        if done > 0 and self.n < self.total:
            left = f", {_clock(spent / done * (self.total - self.n))} left"
        line = f"{what}{self.n} of {self.total} {self.unit} in {_clock(spent)}{left}\n"
        with suppress(OSError):  # that nobody can read it is no reason to end the work
            sys.stderr.write(line)
            sys.stderr.flush()


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
