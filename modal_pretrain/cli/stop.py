"""Ctrl-C at any moment: one line and exit status 130."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

STATUS = 130  # 128 and the number of SIGINT, as shells have it


class Stop:
    """Whether the user asked to stop, whatever becomes of the KeyboardInterrupt.

    An interrupt that comes while a C extension is imported turns into other errors, or
    is printed and forgotten. So while modules are imported it ends the process at once,
    which leaves nothing half done; later it is raised, and remembered.
    """

    def __init__(self) -> None:
        self.asked = False
        self._importing = False

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Take Ctrl-C while the block runs, where the process has not changed it."""
        usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if not usual or threading.current_thread() is not threading.main_thread():
            yield
            return
        signal.signal(signal.SIGINT, self._handle)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    @contextlib.contextmanager
    def importing(self) -> Iterator[None]:
        """Say that the block imports modules and does nothing else."""
        self._importing = True
        try:
            yield
        finally:
            self._importing = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        if self._importing:
            os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, b"\nStopped.\n")
            os._exit(STATUS)
        raise KeyboardInterrupt


STOP = Stop()
