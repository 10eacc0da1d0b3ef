"""What a cache of embeddings is: rows found by content, computed where they lack."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from modal_pretrain._checks import Whole
from modal_pretrain._fork import Lock

Compute = Callable[[np.ndarray], np.ndarray]
LIMIT = Whole(least=0, hint="It counts bytes, such as 50 * 10**9.")


class RowCache(ABC):
    """What encoders need of a cache.

    Copies, such as those that scikit-learn's clone makes of parameters, are the cache
    itself.
    """

    @abstractmethod
    def get(self, encoder: str, keys: Sequence[bytes], compute: Compute) -> np.ndarray:
        """Return the embedding of each row, computing those that are not stored.

        Parameters
        ----------
        encoder : str
            Fingerprint of weights, preprocessing and precision.
        keys : sequence of bytes, length n
            Content key of each row. Equal keys are computed once.
        compute : callable
            Gets the positions (int64, increasing) of the rows to compute and returns
            their embeddings, float32 (m, d).

        Returns
        -------
        numpy.ndarray
            float32 (n, d), a copy: the caller may change it.
        """

    def holds(self, encoder: str, keys: Sequence[bytes]) -> int:
        """Count the rows that are stored; 0 where a cache cannot tell.

        Parameters
        ----------
        encoder : str
        keys : sequence of bytes
            See `get`.
        """
        return 0

    @property
    def folder(self) -> Path | None:
        """Where the cache keeps files, if it does."""
        return None

    @abstractmethod
    def info(self) -> dict[str, int]:
        """Return the numbers of ``encoders``, ``rows``, ``bytes``, hits and misses."""

    @abstractmethod
    def clear(self) -> None:
        """Forget all rows and counts."""

    def in_process(self) -> RowCache:
        """Return the part for encoders whose fingerprint means nothing elsewhere."""
        return self

    def __copy__(self) -> RowCache:
        return self

    def __deepcopy__(self, memo: Any) -> RowCache:
        return self


class RowStore(RowCache):
    """A cache of its own: subclasses find and store rows, the rest is here."""

    block_rows: int | None = None  # computed and stored at a time; None for all

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = LIMIT.check("max_bytes", max_bytes)
        self._lock = Lock(self._forget)
        self._hits = self._misses = 0

    def get(self, encoder: str, keys: Sequence[bytes], compute: Compute) -> np.ndarray:
        """Return the embedding of each row, see `RowCache.get`."""
        keys = list(keys)
        found, absent = self._find(encoder, keys)
        n_found = len(keys) - len(absent)
        with self._lock:
            self._hits += n_found
            self._misses += len(absent)
        if len(absent) == 0 and found is not None:
            return found
        # The first position of every distinct key; the others copy from it.
        position: dict[bytes, int] = {}
        for i in absent.tolist():
            position.setdefault(keys[i], i)
        first = np.fromiter(position.values(), np.int64, len(position))
        step = self.block_rows or max(len(first), 1)
        for start in range(0, max(len(first), 1), step):
            some = first[start : start + step]
            rows = np.ascontiguousarray(compute(some), dtype=np.float32)
            if found is None:
                found = np.empty((len(keys), rows.shape[1]), dtype=np.float32)
            found[some] = rows
            self._store(encoder, [keys[i] for i in some], rows, n_found + start)
        assert found is not None
        source = np.fromiter((position[keys[i]] for i in absent), np.int64, len(absent))
        repeated = source != absent
        found[absent[repeated]] = found[source[repeated]]
        return found

    def _forget(self) -> None:
        """Drop what another thread may have changed by half when this one forked."""

    @abstractmethod
    def _find(
        self, encoder: str, keys: list[bytes]
    ) -> tuple[np.ndarray | None, np.ndarray]:
        """Return an array (n, d) and the positions that it lacks; None if it's all."""

    @abstractmethod
    def _store(
        self, encoder: str, keys: list[bytes], rows: np.ndarray, n_before: int
    ) -> None:
        """Keep rows under distinct keys; this look-up has had `n_before` others."""
