"""One call of `run`, as its workers have to know it."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from typing import NamedTuple


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
        """Be in the folder of the call, where this machine has it, while this lasts."""
        here = Call.now().folder
        folder = self.folder
        if folder is None or folder == here or not os.path.isdir(folder):
            yield
            return
        os.chdir(folder)
        try:
            yield
        finally:
            if here is not None:
                with contextlib.suppress(OSError):  # it may be gone by now
                    os.chdir(here)
