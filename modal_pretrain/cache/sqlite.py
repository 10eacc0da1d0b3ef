"""Embeddings in a SQLite file: shared by processes, verified row by row.

Why SQLite, and what happens to damaged, full and shared stores, is told in
docs/embedding-cache.md.
"""
# Long because one file's schema, its queries and what is done when they fail belong
# together.

from __future__ import annotations

import math
import os
import re
import sqlite3
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import numpy as np
from xxhash import xxh3_64_digest, xxh3_64_intdigest

from modal_pretrain._disk import check_replaceable
from modal_pretrain._fork import Lock
from modal_pretrain.cache.base import RowStore
from modal_pretrain.cache.directory import directory

DISK_MAX_BYTES = 16 * 1024**3
FORMAT = 1

_NAME = re.compile(r"embeddings-([0-9]+)\.sqlite")
_PAGE = 32768
_LOCK_SECONDS = 60.0
_KEYS_PER_QUERY = 500  # SQLite before 3.32 takes at most 999 parameters
# Errors that say nothing about the file's content.
_PASSING = ("locked", "full", "readonly", "unable to open", "disk i/o", "interrupt")
_SCHEMA = """
CREATE TABLE rows (
    id INTEGER PRIMARY KEY,
    encoder INTEGER NOT NULL,
    key BLOB NOT NULL,
    checksum BLOB NOT NULL,
    data BLOB NOT NULL,
    UNIQUE (encoder, key)
)"""

T = TypeVar("T")
Found = tuple[np.ndarray | None, np.ndarray]


class CacheWarning(UserWarning):
    """Embeddings on disk are damaged, or can't be read or written."""


class _DamageError(Exception):
    """The file is no intact store of this format."""


# Messages can quote damaged names, which are no text.
_DAMAGE = (_DamageError, sqlite3.Error, UnicodeDecodeError)


def _stamp(version: int) -> int:
    """Format version with a checksum, so that damage is not taken for a version."""
    return version << 16 | zlib.crc32(version.to_bytes(2, "big")) & 0xFFFF


class DiskStore(RowStore):
    """Embeddings in a directory; every look-up reads the file.

    Parameters
    ----------
    path : str or Path
        A directory, made at the first look-up if it does not exist.
    max_bytes : int, default=16 GiB
        Limit of the file. Past it the rows stored first go first.

    See Also
    --------
    modal_pretrain.cache.disk.DiskCache : With a memory cache in front.
    """

    # What a killed process loses at most; every block costs one transaction.
    block_rows = 8192

    def __init__(self, path: str | Path, max_bytes: int = DISK_MAX_BYTES) -> None:
        super().__init__(max_bytes)
        self.path = directory(path)
        self._warned: set[str] = set()
        # SQLite must not be forked while it is at work: its own locks stay held.
        self._working = Lock(waits=True)

    # --- files: the one with the highest number counts ----------------------------

    def _files(self) -> list[tuple[int, Path]]:
        numbered = []
        for name in os.listdir(self.path):
            found = _NAME.fullmatch(name)
            if found:
                numbered.append((int(found[1]), self.path / name))
        return sorted(numbered)

    def _file(self) -> Path:
        files = self._files()
        return files[-1][1] if files else self.path / "embeddings-1.sqlite"

    def _replace(self, file: Path) -> None:
        """Begin anew, in a file with another name.

        A process that still has the old one open then writes into nothing. Under the
        same name its journal would be applied to the new file.
        """
        number = int(file.stem.removeprefix("embeddings-"))
        (self.path / f"embeddings-{number + 1}.sqlite").touch()
        for other, old in self._files():
            if other <= number:
                with suppress(PermissionError):  # open elsewhere, on Windows
                    old.unlink(missing_ok=True)
                    old.with_name(f"{old.name}-journal").unlink(missing_ok=True)

    def _writable(self, file: Path) -> bool:
        return os.access(self.path, os.W_OK) and (
            not file.exists() or os.access(file, os.W_OK)
        )

    @contextmanager
    def _open(self, file: Path, mode: str) -> Iterator[sqlite3.Connection]:
        # SQLite would wait for ever for what is no file, such as a FIFO.
        for name in (file.name, f"{file.name}-journal"):
            check_replaceable(file.with_name(name))
        # A connection for every look-up: it may come from any thread or fork.
        with self._working:
            db = sqlite3.connect(
                f"{file.as_uri()}?mode={mode}",
                uri=True,
                timeout=_LOCK_SECONDS,
                isolation_level=None,
            )
            try:
                db.text_factory = bytes
                db.execute("PRAGMA cache_size = -16384")
                yield db
            finally:
                db.close()

    def _is_new(self, db: sqlite3.Connection, file: Path) -> bool:
        """Whether nothing was ever stored; raise if this isn't our format."""
        (found,) = db.execute("PRAGMA user_version").fetchone()
        if found == _stamp(FORMAT):
            # A view or trigger in the table's place might never end.
            others = "SELECT 1 FROM sqlite_master WHERE type NOT IN ('table', 'index')"
            if db.execute(others).fetchone():
                raise _DamageError("it holds more than a table of rows")
            return False
        if found == 0 and not db.execute("SELECT 1 FROM sqlite_master").fetchone():
            return True
        version = found >> 16
        if found > 0 and found == _stamp(version) and version > FORMAT:
            raise ValueError(
                f"The embedding cache {file} was written by a newer modal_pretrain "
                f"(format {version}, this one reads {FORMAT}). Upgrade, or pass "
                "another directory as cache."
            )
        raise _DamageError("old or unknown format")

    # --- errors: reported, never raised -------------------------------------------

    def _guarded(self, action: Callable[[Path], T], default: T) -> T:
        """Run an action on the file; once more on a new file if it is damaged."""
        for _ in range(2):
            file = self.path
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                file = self._file()
                return action(file)
            except OSError as error:
                self._warn_once(file, _in_words(error))
                return default
            except _DAMAGE as error:
                if _is_passing(error):
                    with suppress(OSError):
                        if not self.path.exists() or (
                            not file.exists() and self._file() != file
                        ):
                            continue  # another process has begun anew meanwhile
                    self._warn_once(file, str(error))
                    return default
                self._warn(
                    f"The embedding cache {file} is damaged ({error}): it is dropped, "
                    "and embeddings are computed again."
                )
                try:
                    self._replace(file)
                except OSError as cause:
                    self._warn_once(file, _in_words(cause))
                    return default
        return default

    def _warn_once(self, file: Path, reason: str) -> None:
        with self._lock:
            seen = reason in self._warned
            self._warned.add(reason)
        if not seen:
            self._warn(
                f"The embedding cache {file} can't be used now ({reason}). Embedding "
                "goes on; what it can't keep is computed again next time. Repair that, "
                "or name another directory as cache, or 'memory'."
            )

    @property
    def problems(self) -> list[str]:
        """The causes that were warned about, for which nothing was stored or found."""
        with self._lock:
            return sorted(self._warned)

    @staticmethod
    def _warn(message: str) -> None:
        warnings.warn(message, CacheWarning, stacklevel=2)

    # --- reading ------------------------------------------------------------------

    def _find(self, encoder: str, keys: list[bytes]) -> Found:
        nothing: Found = None, np.arange(len(keys))
        return self._guarded(lambda file: self._read(file, encoder, keys), nothing)

    def _read(self, file: Path, encoder: str, keys: list[bytes]) -> Found:
        code, found, n_damaged = _code(encoder), None, 0
        absent = np.ones(len(keys), dtype=bool)
        if not file.exists():
            return None, np.flatnonzero(absent)
        # What a killed process left half-done is undone by the next reader: "rw".
        with self._open(file, "rw" if self._writable(file) else "ro") as db:
            if self._is_new(db, file):
                return None, np.flatnonzero(absent)
            for start in range(0, len(keys), _KEYS_PER_QUERY):
                some = keys[start : start + _KEYS_PER_QUERY]
                marks = ",".join("?" * len(some))
                query = (
                    "SELECT key, checksum, data FROM rows "
                    f"WHERE encoder = ? AND key IN ({marks})"
                )
                stored = {}
                for key, checksum, data in db.execute(query, (code, *some)):
                    if _checksum(code, key, data) == checksum:
                        stored[key] = data
                    else:
                        n_damaged += 1
                here = [i for i, key in enumerate(some, start) if key in stored]
                if here:
                    flat = b"".join([stored[keys[i]] for i in here])
                    rows = np.frombuffer(flat, "<f4").reshape(len(here), -1)
                    if found is None:
                        found = np.empty((len(keys), rows.shape[1]), np.float32)
                    found[here] = rows
                    absent[here] = False
        if n_damaged:
            self._warn(
                f"{n_damaged} embedding(s) in the cache {file} are damaged: they are "
                "computed again."
            )
        return found, np.flatnonzero(absent)

    def holds(self, encoder: str, keys: Sequence[bytes]) -> int:
        """Count the rows that are stored, see `RowCache.holds`."""
        code = _code(encoder)

        def count(file: Path) -> int:
            stored: set[bytes] = set()
            if not file.exists():
                return 0
            with self._open(file, "rw" if self._writable(file) else "ro") as db:
                if self._is_new(db, file):
                    return 0
                for start in range(0, len(keys), _KEYS_PER_QUERY):
                    some = keys[start : start + _KEYS_PER_QUERY]
                    marks = ",".join("?" * len(some))
                    query = (
                        f"SELECT key FROM rows WHERE encoder = ? AND key IN ({marks})"
                    )
                    stored.update(key for (key,) in db.execute(query, (code, *some)))
            return sum(key in stored for key in keys)

        return self._guarded(count, 0)

    # --- writing ------------------------------------------------------------------

    def _store(
        self, encoder: str, keys: list[bytes], rows: np.ndarray, n_before: int
    ) -> None:
        # Of a pool beyond the limit the first rows stay, else they'd chase each other.
        cost = _bytes_on_disk(rows.shape[1])
        room = int((self.max_bytes - 8 * _PAGE) // cost) - n_before
        if keys and room > 0:
            keys, rows = keys[:room], rows[:room]
            self._guarded(lambda file: self._write(file, encoder, keys, rows), None)

    def _write(
        self, file: Path, encoder: str, keys: list[bytes], rows: np.ndarray
    ) -> None:
        if not self._writable(file):
            return self._warn_once(file, "it is read-only for this user")
        code = _code(encoder)
        # A file that another process has just replaced must not come back.
        with self._open(file, "rw" if file.exists() else "rwc") as db:
            db.execute(f"PRAGMA page_size = {_PAGE}")
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("BEGIN IMMEDIATE")
            if self._is_new(db, file):
                db.execute(_SCHEMA)
                db.execute(f"PRAGMA user_version = {_stamp(FORMAT)}")
            self._evict(db, math.ceil(len(keys) * _bytes_on_disk(rows.shape[1])))
            blobs = map(bytes, rows.astype("<f4", copy=False))
            db.executemany(
                "INSERT OR REPLACE INTO rows (encoder, key, checksum, data) "
                "VALUES (?, ?, ?, ?)",
                (
                    (code, key, _checksum(code, key, blob), blob)
                    for key, blob in zip(keys, blobs, strict=True)
                ),
            )
            db.execute("COMMIT")
            if _pragma(db, "page_count") * _PAGE > self.max_bytes:
                # The limit was higher once. `execute` would free a single page.
                db.executescript("PRAGMA incremental_vacuum")

    def _evict(self, db: sqlite3.Connection, needed: int) -> None:
        """Delete what was stored first until there is room."""
        while True:
            used = _pragma(db, "page_count") - _pragma(db, "freelist_count")
            excess = (used + 4) * _PAGE + needed - self.max_bytes
            if excess <= 0:
                break
            (first,) = db.execute("SELECT min(id) FROM rows").fetchone()
            if first is None:
                break
            # Damage can turn the values into NULL, or the row into none.
            (size,) = db.execute(
                "SELECT coalesce(max(length(data)), 0) FROM rows WHERE id = ?", (first,)
            ).fetchone()
            count = max(math.ceil(excess / _bytes_on_disk(size // 4)), 1)
            deleted = db.execute(
                "DELETE FROM rows WHERE id IN "
                "(SELECT id FROM rows ORDER BY id LIMIT ?)",
                (count,),
            )
            if deleted.rowcount < 1:  # it would go on for ever, and hold the lock
                raise _DamageError("what it lists cannot be deleted")

    # --- the rest of the interface ------------------------------------------------

    def info(self) -> dict[str, int]:
        """Return the numbers of ``encoders``, ``rows``, ``bytes``, hits and misses."""

        def count(file: Path) -> tuple[int, int]:
            if not file.exists():
                return 0, 0
            with self._open(file, "rw" if self._writable(file) else "ro") as db:
                if self._is_new(db, file):
                    return 0, 0
                return db.execute(
                    "SELECT count(DISTINCT encoder), count(*) FROM rows"
                ).fetchone()

        encoders, rows = self._guarded(count, (0, 0))
        sizes = []
        with suppress(OSError):  # `count` has said so
            sizes = [file.stat().st_size for _, file in self._files()]
        with self._lock:
            return {
                "encoders": encoders,
                "rows": rows,
                "bytes": sum(sizes),
                "max_bytes": self.max_bytes,
                "hits": self._hits,
                "misses": self._misses,
            }

    def clear(self) -> None:
        """Delete all rows, for every process, and forget the counts.

        Raises
        ------
        OSError
            If the directory is there and nothing can be deleted in it.
        """
        with suppress(FileNotFoundError):
            for _, file in self._files()[-1:]:
                self._replace(file)
        with self._lock:
            self._hits = self._misses = 0

    def __reduce__(self):
        return type(self), (self.path, self.max_bytes)


def _in_words(error: OSError) -> str:
    """Say what keeps a directory from being used."""
    if isinstance(error, FileExistsError | NotADirectoryError):
        return f"{error.filename} is not a directory"
    return f"{error.strerror or error}: {error.filename}"


def _is_passing(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, sqlite3.OperationalError) and any(
        part in text for part in _PASSING
    )


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return db.execute(f"PRAGMA {name}").fetchone()[0]


def _code(encoder: str) -> int:
    return xxh3_64_intdigest(encoder.encode()) - 2**63  # SQLite's integers have signs


def _checksum(code: int, key: object, data: object) -> bytes | None:
    """Bind a row to its key and encoder. Damage can turn them into any type."""
    if not isinstance(key, bytes) or not isinstance(data, bytes):
        return None
    return xxh3_64_digest(data, xxh3_64_intdigest(key, code + 2**63))


def _bytes_on_disk(n_features: int) -> float:
    """Estimate what a row takes, with its share of the page and of the index."""
    size = 4 * n_features + 48
    per_page = (_PAGE - 100) // size
    return 64 + (_PAGE / per_page if per_page else _PAGE * math.ceil(size / _PAGE + 1))
