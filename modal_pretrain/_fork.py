"""Locks of threads that a fork does not take along locked.

A child of ``os.fork`` has one thread. What other threads held in the parent stays held
in it for ever, unless somebody frees it.
"""

from __future__ import annotations

import _thread
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
    waits : bool, default=False
        Whether a fork waits until no other thread holds it. For calls of libraries with
        locks of their own, which nobody could free in the child.
    """

    def __init__(
        self, forget: Callable[[], object] | None = None, *, waits: bool = False
    ) -> None:
        self._lock = threading.RLock()
        self.waits = waits
        # A lock that held its owner would keep gigabytes until the next collection.
        self._forget = None if forget is None else WeakMethod(forget)
        with _GUARD:
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


_FORKING = threading.RLock()  # one fork at a time
_GUARD = threading.Lock()
_LOCKS: WeakSet[Lock] = WeakSet()
_WAITED_FOR: list[Lock] = []
_INTERRUPTED: list[BaseException] = []  # what signals raised while a fork waited
_CHILDREN: set[int] = set()  # a process that was forked has its number here


def _wait() -> None:
    _acquire(_FORKING.acquire)
    while True:
        # The guard is held until the fork is done, so that no lock is added meanwhile;
        # not while waiting, as the thread that is waited for may add one.
        _acquire(_GUARD.acquire)
        left = [lock for lock in _LOCKS if lock.waits and lock not in _WAITED_FOR]
        if not left:
            return
        _GUARD.release()
        for lock in left:
            _acquire(lock.__enter__)
            _WAITED_FOR.append(lock)


def _acquire(acquire: Callable[[], object]) -> None:
    """Acquire a lock, also where Ctrl-C interrupts that.

    Python forks whatever is raised here: the child would hang, and so would threads of
    the parent that wait for what this one has acquired already.
    """
    acquired = False
    while not acquired:
        try:
            acquire()
            acquired = True
        except BaseException as error:  # noqa: PERF203
            _INTERRUPTED.append(error)


def _go_on() -> None:
    _GUARD.release()
    while _WAITED_FOR:
        _WAITED_FOR.pop().__exit__(None, None, None)
    _FORKING.release()


def _go_on_in_parent() -> None:
    raised = list(_INTERRUPTED)
    _INTERRUPTED.clear()
    _go_on()
    if any(isinstance(error, KeyboardInterrupt) for error in raised):
        # By a thread, which comes after this function: Python drops what it raises.
        _thread.start_new_thread(_thread.interrupt_main, ())
    elif raised:
        raise raised[0]  # for Python to write it to stderr


def is_forked() -> bool:
    """Say whether this process was forked since this package was imported."""
    return os.getpid() in _CHILDREN


def _free_all() -> None:
    _CHILDREN.add(os.getpid())
    _INTERRUPTED.clear()  # the parent's
    _go_on()
    for lock in list(_LOCKS):
        lock.free()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(
        before=_wait, after_in_parent=_go_on_in_parent, after_in_child=_free_all
    )
