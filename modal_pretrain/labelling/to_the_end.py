"""Calls that Ctrl-C does not cut in two: the file and the memory must say the same."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

Call = TypeVar("Call", bound=Callable[..., Any])


def to_the_end(function: Call) -> Call:
    """Let a method end before the KeyboardInterrupt that came meanwhile is raised.

    Python interrupts the main thread alone, so it runs in another, which holds the
    object's ``_lock``, a reentrant one. A main thread that has it, as a signal handler
    may that came while it asked, goes on in itself: another would wait for ever.
    """

    @functools.wraps(function)
    def whole(self: Any, *args: Any, **kwargs: Any) -> Any:
        def locked() -> Any:
            with self._lock:
                return function(self, *args, **kwargs)

        main = threading.current_thread() is threading.main_thread()
        if not main or self._lock._is_owned():
            return locked()
        outcome: Future[Any] = Future()

        def run() -> None:
            if not outcome.set_running_or_notify_cancel():
                return
            try:
                outcome.set_result(locked())
            except BaseException as error:
                outcome.set_exception(error)

        thread = threading.Thread(target=run, name="modal_pretrain answer", daemon=True)
        interrupt: KeyboardInterrupt | None = None
        try:
            thread.start()
        except KeyboardInterrupt as error:
            if outcome.cancel():  # it has not begun
                raise
            interrupt = error
        while not outcome.done():
            try:
                outcome.exception()
            except KeyboardInterrupt as error:  # noqa: PERF203
                interrupt = error
        if interrupt is not None:
            raise interrupt
        return outcome.result()

    return whole  # type: ignore[return-value]
