"""Ctrl-C at any moment: one line and exit status 130."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

_WORDS = b"\nStopped.\n"
STATUS = 130  # 128 and the number of SIGINT, as shells have it


class Stop:
    """Whether the user asked to stop, whatever becomes of the KeyboardInterrupt.

    An interrupt that comes while a C extension is imported turns into other errors, or
    is printed and forgotten. So while modules are imported it ends the process at once,
    which leaves nothing half done, and so it does once more when the command is over;
    between these it is raised, and remembered.
    """

    def __init__(self) -> None:
        self.asked = False
        self._at_once = False

    def watch_imports(self) -> None:
        """Take Ctrl-C from here on, if this process is the command line and no other.

        For the imports of the package itself, which come before any command.
        """
        if _is_command() and _is_usual():
            self._at_once = True
            signal.signal(signal.SIGINT, self._handle)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Take Ctrl-C while the block runs, where the process has not changed it."""
        if not _is_usual() and signal.getsignal(signal.SIGINT) != self._handle:
            yield
            return
        self._at_once = False
        signal.signal(signal.SIGINT, self._handle)
        try:
            yield
        finally:
            if _is_command():  # only Python itself has something to do now
                self.at_once()
            else:
                self._at_once = False
                signal.signal(signal.SIGINT, signal.default_int_handler)

    def at_once(self) -> None:
        """Say that there is nothing left to do that Ctrl-C could break."""
        self._at_once = True

    @contextlib.contextmanager
    def importing(self) -> Iterator[None]:
        """Say that the block imports modules and does nothing else."""
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        if self._at_once:
            with contextlib.suppress(OSError, ValueError):  # it may be closed
                os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, _WORDS)
            os._exit(STATUS)
        raise KeyboardInterrupt


def _is_usual() -> bool:
    """Say whether Ctrl-C does here what Python makes it do."""
    return (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )


def _is_command() -> bool:
    """Say whether Python was started for the command line, not by or for others.

    Workers get the arguments of their parent, but were started with others.
    """
    script = (getattr(sys, "argv", None) or [""])[0]
    started = sys.orig_argv
    if script == "-m" and script in started[:-1]:
        module = started[started.index("-m") + 1]
        return module in ("modal_pretrain", "modal_pretrain.benchmark")
    name = os.path.basename(script).removesuffix(".exe")
    return script in started and name == "modal-pretrain"


@contextlib.contextmanager
def in_one_line(kind: type[Exception]) -> Iterator[None]:
    """Let errors of the block end the command with a message; others see them raised.

    For what is wrong before a command is known, such as modAL that is not installed.
    """
    try:
        yield
    except kind as error:
        if not _is_command():
            raise
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(2) from None


STOP = Stop()
STOP.watch_imports()
