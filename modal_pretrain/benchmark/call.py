"""One call of `run`, as its workers have to know it."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from typing import NamedTuple

from modal_pretrain._fork import Lock


class Call(NamedTuple):
    """What tells a call from others, and where it was made.

    Workers may be there since an earlier call. Since then files of the data may have
    changed, and the process may have gone to another folder.

    Attributes
    ----------
    mark : str
        Another one for each call.
    folder : str or None
        Where relative paths start; None if that is gone.
    """

    mark: str
    folder: str | None

    @classmethod
    def now(cls) -> Call:
        """Return the call that begins now."""
        folder = None
        with contextlib.suppress(OSError):
            folder = os.getcwd()
        return cls(uuid.uuid4().hex, folder)

    @contextlib.contextmanager
    def in_folder(self) -> Iterator[None]:
        """Be in the folder of the call, where this machine has it, while this lasts.

        A process has one working directory for all threads, such as those of a worker
        of Dask: the first one goes there, and the last one goes back.
        """
        _AWAY.go(self.folder)
        try:
            yield
        finally:
            _AWAY.come_back()


@contextlib.contextmanager
def staying_here() -> Iterator[None]:
    """Come back to the working directory that code of the user's leaves.

    Relative paths of results would mean another place after it.
    """
    here = Call.now().folder
    try:
        yield
    finally:
        if here not in (None, Call.now().folder):
            os.chdir(str(here))


class _Away:
    """How many threads are in the folder of a call, and where they came from."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.threads = 0
        self.home: str | None = None

    def go(self, folder: str | None) -> None:
        with self.lock:
            here = Call.now().folder
            if not self.threads:
                self.home = here
            self.threads += 1
            if folder not in (None, here) and os.path.isdir(str(folder)):
                os.chdir(str(folder))

    def come_back(self) -> None:
        with self.lock:
            self.threads -= 1
            if not self.threads and self.home not in (None, Call.now().folder):
                with contextlib.suppress(OSError):  # it may be gone by now
                    os.chdir(str(self.home))


_AWAY = _Away()
