"""Rows that can't be read: for good, while a drive is away, or half a copy is there."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator

from modal_pretrain.labelling.pool import Pool

# Files that are looked at again at a time.
_AT_A_TIME = 50


class Unreadable:
    """Rows that can't be read, and how their files were then.

    Iterating and ``in`` go by row.

    Parameters
    ----------
    pool : Pool
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._rows: set[int] = set()
        self._states: deque[tuple[int, Hashable]] = deque()

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[int]:
        return iter(self._rows.copy())  # a thread may add some meanwhile

    def __contains__(self, row: int) -> bool:
        return row in self._rows

    def add(self, row: int, reason: str | Exception, state: Hashable = ()) -> bool:
        """Add a row and say whether it is new.

        Parameters
        ----------
        row : int
        reason : str or Exception
        state : hashable, optional
            How its file was before it was read. By default it is as it is now; after a
            FileNotFoundError it was missing, and may have come back since.
        """
        if row in self._rows:
            return False
        if isinstance(reason, FileNotFoundError):
            state = None
        elif state == ():
            state = self._pool.state(row)
        self._rows.add(row)
        self._states.append((row, state))
        return True

    def changed(self) -> bool:
        """Look at some files, drop those that changed, and say whether any did."""
        count, found = min(_AT_A_TIME, len(self._states)), False
        while count:
            count -= 1
            row, state = self._states.popleft()
            now = self._pool.state(row)
            if now is None or now == state:
                self._states.append((row, now))
                continue
            self._rows.discard(row)
            if not found:  # the others may be back, too
                count, found = len(self._states), True
        return found
