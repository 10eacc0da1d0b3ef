"""Embeddings in memory, within a byte limit; what ``cache="memory"`` means."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from modal_pretrain.cache.base import RowStore

DEFAULT_MAX_BYTES = 2 * 1024**3


class _Slab:
    """Rows of one encoder: a growing array, a slot per key, a stamp per slot."""

    def __init__(self, n_features: int) -> None:
        self.rows = np.empty((0, n_features), dtype=np.float32)
        self.stamps = np.empty(0, dtype=np.int64)
        self.slots: dict[bytes, int] = {}
        self.keys: list[bytes] = []
        self.clock = 0

    @property
    def nbytes(self) -> int:
        return self.rows.nbytes

    def find(self, keys: Sequence[bytes]) -> np.ndarray:
        """Slot of each key, -1 where there is none; marks the found ones as used."""
        get = self.slots.get
        slots = np.fromiter((get(key, -1) for key in keys), np.int64, len(keys))
        self.clock += 1
        self.stamps[slots[slots >= 0]] = self.clock
        return slots

    def insert(self, keys: Sequence[bytes], rows: np.ndarray, max_rows: int) -> None:
        """Store rows; past `max_rows` the least recently used give way."""
        keys, rows = keys[:max_rows], rows[:max_rows]
        self.clock += 1
        n_fresh = min(len(keys), max_rows - len(self.keys))
        self._grow(len(self.keys) + n_fresh, max_rows)
        first = len(self.keys)
        slots = np.arange(first, first + n_fresh)
        self.keys.extend(keys[:n_fresh])
        if n_fresh < len(keys):
            n_evict = len(keys) - n_fresh
            oldest = np.argpartition(self.stamps[:first], n_evict - 1)[:n_evict]
            for slot, key in zip(oldest.tolist(), keys[n_fresh:], strict=True):
                del self.slots[self.keys[slot]]
                self.keys[slot] = key
            slots = np.concatenate([slots, oldest])
        self.rows[slots] = rows
        self.stamps[slots] = self.clock
        self.slots.update(zip(keys, slots.tolist(), strict=True))

    def _grow(self, needed: int, max_rows: int) -> None:
        capacity = len(self.rows)
        if needed <= capacity:
            return
        # Doubling keeps the copying linear in the number of rows.
        capacity = min(max(needed, 2 * capacity), max_rows)
        for name in ("rows", "stamps"):
            old = getattr(self, name)
            new = np.empty((capacity, *old.shape[1:]), dtype=old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)


class EmbeddingCache(RowStore):
    """Embeddings found by the content of the row and the encoder that made them.

    Parameters
    ----------
    max_bytes : int, default=2 GiB
        Limit of the stored rows. Past it the encoders used least recently go first,
        then the rows used least recently.

    Notes
    -----
    All methods may be called from several threads. Copies, such as those that
    scikit-learn's clone makes of parameters, are the cache itself; a pickle carries
    the limit and no rows.

    Examples
    --------
    >>> import numpy as np
    >>> cache = EmbeddingCache(max_bytes=1_000_000)
    >>> double = lambda missing: np.float32(missing)[:, None] * 2
    >>> cache.get("doubler", [b"zero", b"one"], double).ravel()
    array([0., 2.], dtype=float32)
    >>> cache.info()["misses"], cache.info()["hits"]
    (2, 0)
    """

    def __init__(self, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        super().__init__(max_bytes)
        self._slabs: OrderedDict[str, _Slab] = OrderedDict()

    def _find(
        self, encoder: str, keys: list[bytes]
    ) -> tuple[np.ndarray | None, np.ndarray]:
        with self._lock:
            slab = self._slabs.get(encoder)
            if slab is None:
                return None, np.arange(len(keys))
            self._slabs.move_to_end(encoder)
            slots = slab.find(keys)
            found = slab.rows[slots] if (slots >= 0).any() else None
            return found, np.flatnonzero(slots < 0)

    def holds(self, encoder: str, keys: Sequence[bytes]) -> int:
        """Count the rows that are stored, see `RowCache.holds`.

        Parameters
        ----------
        encoder : str
            Fingerprint of weights, preprocessing and precision.
        keys : sequence of bytes
            Content key of each row.

        Returns
        -------
        int
        """
        with self._lock:
            slab = self._slabs.get(encoder)
            return 0 if slab is None else sum(key in slab.slots for key in keys)

    def _store(
        self, encoder: str, keys: list[bytes], rows: np.ndarray, n_before: int
    ) -> None:
        row_bytes = max(rows.itemsize * rows.shape[1], 1)
        with self._lock:
            slab = self._slabs.setdefault(encoder, _Slab(rows.shape[1]))
            self._slabs.move_to_end(encoder)
            # Another thread may have stored some of them meanwhile.
            fresh = [i for i, key in enumerate(keys) if key not in slab.slots]
            wanted = min(
                (len(slab.keys) + len(fresh)) * row_bytes,
                self.max_bytes // row_bytes * row_bytes,
            )
            while len(self._slabs) > 1 and self._others(slab) + wanted > self.max_bytes:
                self._slabs.popitem(last=False)
            max_rows = (self.max_bytes - self._others(slab)) // row_bytes
            if max_rows > 0 and fresh:
                try:
                    slab.insert([keys[i] for i in fresh], rows[fresh], max_rows)
                except BaseException:  # Ctrl-C or no memory: it is changed by half
                    self._slabs.pop(encoder, None)
                    raise

    def _forget(self) -> None:
        self._slabs.clear()

    def _others(self, slab: _Slab) -> int:
        return sum(s.nbytes for s in self._slabs.values() if s is not slab)

    def info(self) -> dict[str, int]:
        """Return the numbers of ``encoders``, ``rows``, ``bytes``, hits and misses."""
        with self._lock:
            return {
                "encoders": len(self._slabs),
                "rows": sum(len(s.keys) for s in self._slabs.values()),
                "bytes": sum(s.nbytes for s in self._slabs.values()),
                "max_bytes": self.max_bytes,
                "hits": self._hits,
                "misses": self._misses,
            }

    def clear(self) -> None:
        """Forget all rows and counts."""
        with self._lock:
            self._slabs.clear()
            self._hits = self._misses = 0

    def __reduce__(self):
        return type(self), (self.max_bytes,)


_MEMORY = EmbeddingCache()


def memory_cache() -> EmbeddingCache:
    """Return the cache that all estimators of this process share by default."""
    return _MEMORY
