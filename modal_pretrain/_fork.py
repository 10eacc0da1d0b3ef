"""Locks of threads that a fork does not take along locked.

A child of ``os.fork`` has one thread. What other threads held in the parent stays held
in it for ever, unless somebody frees it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from types import TracebackType
from weakref import WeakMethod, WeakSet


class Lock:
    """A re-entrant lock that is free in a child, whoever held it in the parent.

    Parameters
    ----------
    forget : bound method, optional
        Called in the child if another thread held the lock: what that one was about to
        change may be changed by half, and must be dropped.
    """

    def __init__(self, forget: Callable[[], object] | None = None) -> None:
        self._lock = threading.RLock()
        # A lock that held its owner would keep gigabytes until the next collection.
        self._forget = None if forget is None else WeakMethod(forget)
        _LOCKS.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lock.release()

    def free(self) -> None:
        """Free it in a child, unless the thread that forked holds it itself."""
        if self._lock.acquire(blocking=False):
            self._lock.release()
            return
        self._lock = threading.RLock()
        forget = None if self._forget is None else self._forget()
        if forget is not None:
            forget()


_LOCKS: WeakSet[Lock] = WeakSet()


def _free_all() -> None:
    for lock in list(_LOCKS):
        lock.free()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_free_all)
