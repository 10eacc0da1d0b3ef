"""Embeddings kept on disk, with the memory cache in front; what ``cache="dir"`` means.

Why the store is SQLite, and what happens to damaged, full and shared ones, is told in
docs/embedding-cache.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from modal_pretrain._fork import Lock
from modal_pretrain.cache.base import LIMIT, Compute, RowCache
from modal_pretrain.cache.directory import directory
from modal_pretrain.cache.memory import DEFAULT_MAX_BYTES, EmbeddingCache
from modal_pretrain.cache.sqlite import DISK_MAX_BYTES, CacheWarning, DiskStore

__all__ = ["CacheWarning", "DiskCache", "disk_cache"]


class DiskCache(RowCache):
    """Embeddings on disk, found again by later and other processes.

    What a process has looked up once comes from its memory the next time.

    Parameters
    ----------
    path : str or Path
        A directory, made at the first look-up if it does not exist. Several processes
        may share it. A read-only one serves what it has.
    max_bytes : int, default=16 GiB
        Limit of the file on disk. Past it the rows stored first go first.
    memory_bytes : int, default=2 GiB
        Limit of the rows in memory, see `EmbeddingCache`.

    Warns
    -----
    CacheWarning
        If rows or the whole file are damaged (they are computed again, never served),
        or if the directory or file can't be made, read or written, for example because
        the disk is full or it belongs to somebody else (embedding goes on without it).

    Notes
    -----
    A pickle carries path and limits. In one process, pickles of one cache load as one
    object, so that tasks of a joblib worker share its memory.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from modal_pretrain.cache.disk import DiskCache
    >>> double = lambda missing: np.float32(missing)[:, None] * 2
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     first = DiskCache(folder).get("doubler", [b"zero", b"one"], double)
    ...     later = DiskCache(folder)  # in another process, say
    ...     again = later.get("doubler", [b"one", b"zero"], double)
    >>> again.ravel(), later.info()["misses"]
    (array([2., 0.], dtype=float32), 0)
    """

    def __init__(
        self,
        path: str | Path,
        max_bytes: int = DISK_MAX_BYTES,
        memory_bytes: int = DEFAULT_MAX_BYTES,
    ) -> None:
        self.store = DiskStore(path, max_bytes)
        self.memory = EmbeddingCache(LIMIT.check("memory_bytes", memory_bytes))

    def get(self, encoder: str, keys: Sequence[bytes], compute: Compute) -> np.ndarray:
        """Return the embedding of each row: from memory, from disk, or computed.

        Parameters
        ----------
        encoder : str
            Fingerprint of weights, preprocessing and precision.
        keys : sequence of bytes, length n
            Content key of each row.
        compute : callable
            Gets the positions (int64, increasing) of the rows to compute and returns
            their embeddings, float32 (m, d).

        Returns
        -------
        numpy.ndarray
            float32 (n, d), a copy: the caller may change it.
        """
        keys = list(keys)
        if not all(isinstance(key, bytes) for key in keys):
            odd = next(key for key in keys if not isinstance(key, bytes))
            raise TypeError(f"keys must be bytes, got {odd!r} of {type(odd).__name__}.")

        def from_disk(missing: np.ndarray) -> np.ndarray:
            return self.store.get(
                encoder,
                [keys[i] for i in missing],
                lambda still: compute(missing[still]),
            )

        return self.memory.get(encoder, keys, from_disk)

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
        keys = list(keys)
        in_memory = self.memory.holds(encoder, keys)
        return in_memory if in_memory == len(keys) else self.store.holds(encoder, keys)

    @property
    def folder(self) -> Path:
        """The directory."""
        return self.store.path

    def in_process(self) -> EmbeddingCache:
        """Return the memory cache alone."""
        return self.memory

    def info(self) -> dict[str, int]:
        """Return numbers of the store, and ``memory_*``: those of the cache in front.

        Returns
        -------
        dict
            Name -> number; ``misses`` counts the rows that were computed.
        """
        memory = self.memory.info()
        return {
            **self.store.info(),
            **{f"memory_{k}": memory[k] for k in ("rows", "bytes", "hits", "misses")},
        }

    def clear(self) -> None:
        """Delete all rows, for every process, and forget the counts.

        What other processes have in memory stays there.
        """
        self.store.clear()
        self.memory.clear()

    def __reduce__(self):
        limits = self.store.max_bytes, self.memory.max_bytes
        return disk_cache, (self.store.path, *limits)


_SHARED: dict[tuple, DiskCache] = {}
_LOCK = Lock()


def disk_cache(
    path: str | Path,
    max_bytes: int = DISK_MAX_BYTES,
    memory_bytes: int = DEFAULT_MAX_BYTES,
) -> DiskCache:
    """Return the cache of a directory that all estimators of this process share.

    Parameters
    ----------
    path, max_bytes, memory_bytes
        See `DiskCache`.

    Returns
    -------
    DiskCache
    """
    key = (directory(path), max_bytes, memory_bytes)
    with _LOCK:
        if key not in _SHARED:
            _SHARED[key] = DiskCache(path, max_bytes, memory_bytes)
        return _SHARED[key]
