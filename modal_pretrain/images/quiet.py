"""Pillow's warnings, dropped in the thread that decodes and in no other.

Pictures with a damaged EXIF block and the like decode all the same; where warnings are
errors, as in many tests, each of them would be lost. `warnings.catch_warnings` swaps
the filters of the whole process, and threads decode while the caller's code runs: so
what it hides, and when it puts filters back, would be a matter of chance. Hence one
filter that stays, and matches in one thread alone.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from modal_pretrain._fork import Lock


class _PillowInThisThread(threading.local):
    """Module pattern of a warning filter: Pillow's, inside `quiet_pillow` only."""

    active = False

    # scikit-learn copies the process's filters to its workers, by pattern or pickled.
    # There, a pattern that never matches stands in.
    pattern = "(?!)"

    def match(self, module: str) -> bool:
        return self.active and module.startswith("PIL")

    def __reduce__(self) -> tuple[Any, ...]:
        return re.compile, (self.pattern,)


_IN_PILLOW = _PillowInThisThread()
_FILTER: Any = ("ignore", None, Warning, _IN_PILLOW, 0)
_FILTER_LOCK = Lock()


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Drop Pillow's warnings raised in this thread, here only."""
    filters: Any = warnings.filters
    with _FILTER_LOCK:
        if not filters or filters[0] is not _FILTER:
            if _FILTER in filters:
                filters.remove(_FILTER)
            filters.insert(0, _FILTER)
    before, _IN_PILLOW.active = _IN_PILLOW.active, True
    try:
        yield
    finally:
        _IN_PILLOW.active = before
