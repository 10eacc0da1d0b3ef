"""An order of the pool that depends on what its rows hold, not on where they stand.

Every strategy breaks ties and draws random numbers in this order, so a permuted pool
gives the same rows. The order is that of a hash, hence as good as random: its first m
rows are a fair sample of the pool.
"""

from __future__ import annotations

import hashlib
import itertools
import sys
from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modal_pretrain._checks import ParameterError
from modal_pretrain._inputs.numbers import of_tensor
from modal_pretrain.query._engine.mapped import Pages

_N_PROBED = 16
_CHUNK = 4096
_GOLDEN = 0x9E3779B97F4A7C15


def _mix(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scatter 64-bit words over the whole range (the finaliser of splitmix64)."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def _bits(values: NDArray[Any]) -> NDArray[np.uint64]:
    """Give the bits of each number as an unsigned 64-bit word."""
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.dtype.kind == "f" and values.dtype.itemsize in (2, 4, 8):
        unsigned = np.dtype(f"u{values.dtype.itemsize}")
        return np.ascontiguousarray(values).view(unsigned).astype(np.uint64)
    if values.dtype.kind in "iub":
        return values.astype(np.uint64)
    return np.ascontiguousarray(values.astype(np.float64)).view(np.uint64)


def _probe(flat: NDArray[Any]) -> NDArray[np.uint64]:
    """Hash a few evenly spaced numbers of each row, which rarely collides."""
    columns = np.unique(np.linspace(0, flat.shape[1] - 1, _N_PROBED).astype(np.intp))
    salts = _mix(np.arange(1, len(columns) + 1, dtype=np.uint64) * np.uint64(_GOLDEN))
    words = _mix(_bits(flat[:, columns]) ^ salts)
    return _mix(words.sum(axis=1, dtype=np.uint64))


def _hash(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=8).digest()


def _digest(data: bytes) -> int:
    return int.from_bytes(_hash(data), "little")


def _reader(item: Any) -> Any:
    """Return what reads a picture beside, if this is one that may not be read yet.

    Pillow keeps in an image what it has read: a pool of compressed bytes would hold all
    pixels from then on. Nothing here imports how pictures are read; whoever has a model
    of them has done so.
    """
    if not hasattr(item, "getexif") or getattr(item, "fp", None) is None:
        return None
    return sys.modules.get("modal_pretrain.images.unread")


def _digest_of(item: Any) -> int:
    reader = _reader(item)
    if reader is not None:
        return int.from_bytes(reader.digest_of_pixels(item, _hash), "little")
    return _digest(_as_bytes(item))


def _as_bytes(item: Any) -> bytes:
    """Give the content of one pool item: a path, an image, an array, or its repr."""
    if isinstance(item, bytes | bytearray):
        return bytes(item)
    if isinstance(item, str):
        return item.encode("utf-8", "surrogatepass")
    if type(item) in (int, float):  # not those of NumPy; for speed
        return repr(item).encode()
    if hasattr(item, "__fspath__"):
        return str(item).encode("utf-8", "surrogatepass")
    if hasattr(item, "detach"):  # a tensor, whose repr is shortened
        with suppress(ParameterError):
            item = of_tensor(item, "X")
    if hasattr(item, "to_numpy"):  # a Series, whose repr has its label
        item = item.to_numpy()
    if getattr(getattr(item, "dtype", None), "hasobject", False):
        item = item.tolist()  # its bytes are addresses, others in each process
    reader = _reader(item)
    if reader is not None:
        return bytes(reader.pixels_of(item))
    if hasattr(item, "tobytes"):  # NumPy arrays and PIL images
        return bytes(item.tobytes())
    if isinstance(item, Mapping):
        item = list(item.items())
    if isinstance(item, Set):  # strings in it have another order in each process
        item = sorted(map(_as_bytes, item))
    if isinstance(item, Sequence):
        return b"\0".join(_as_bytes(part) for part in item)
    text = repr(item)
    if " at 0x" in text:  # its own, or of what it holds
        raise TypeError("its repr has an address")
    return text.encode("utf-8", "surrogatepass")


def _numeric_rows(X: Any) -> NDArray[Any] | None:
    """Give X as a two-dimensional array of numbers, or None if it is something else."""
    if isinstance(X, memoryview):
        X = np.asarray(X)
    if not hasattr(X, "__array__") or hasattr(X, "toarray"):
        return None
    array = np.asarray(of_tensor(X, "X"))
    if array.ndim == 0 or array.dtype.kind not in "fiub":
        return None
    return array.reshape(len(array), -1)


def _digests(X: Any) -> list[int] | None:
    """Digest each row; one after another, as all pixels of a pool may be much."""
    if hasattr(X, "tocsr"):
        csr = X.tocsr()
        ends = csr.indptr
        return [
            _digest(csr.indices[a:b].tobytes() + csr.data[a:b].tobytes())
            for a, b in itertools.pairwise(ends)
        ]
    if isinstance(X, Mapping):
        return None
    if hasattr(X, "__array__"):
        X = np.asarray(X).tolist()
    try:
        return [_digest_of(item) for item in X]
    except TypeError:
        return None


def content_keys(X: Any) -> list[int] | None:
    """Digest what each row holds; None for kinds whose content can't be read."""
    flat = _numeric_rows(X)
    return _digests(X) if flat is None else [_digest(row.tobytes()) for row in flat]


def steady(values: NDArray[np.floating], digits: int = 12) -> NDArray[np.float64]:
    """Round values so that those equal but for rounding errors are ties.

    Other places in the pool, and other blocks of a sum, give other last bits; a choice
    must not depend on them.

    Parameters
    ----------
    values : numpy.ndarray
        Of magnitude 1 or so.
    digits : int, default=12
        Decimals kept: 12 of what comes from probabilities, 9 of what comes from
        distances, which sums of many squares have passed through.

    Examples
    --------
    >>> import numpy as np
    >>> steady(np.array([0.1 + 0.2, 0.3])).tolist()
    [0.3, 0.3]
    """
    return np.asarray(np.round(values.astype(np.float64), digits), np.float64)


def canonical_order(X: Any, rows: NDArray[np.intp] | None = None) -> NDArray[np.intp]:
    """Sort the rows of a pool by their content.

    Parameters
    ----------
    X : array-like, sparse matrix, or list of paths, images or arrays
        The pool, n rows. A memory-mapped array is read block by block.
    rows : numpy.ndarray of shape (m,), optional
        Of an array of numbers, sort these rows only.

    Returns
    -------
    numpy.ndarray of shape (n,), dtype intp
        Row numbers of X, or places in `rows`. Rows that hold the same keep the order
        they have in X; those of a kind whose content can't be read (a dictionary of
        columns, objects whose repr has an address) all do.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> a = X[canonical_order(X)]
    >>> b = X[::-1][canonical_order(X[::-1])]
    >>> bool((a == b).all())
    True
    """
    flat = _numeric_rows(X)
    if flat is None:
        keys = _digests(X)
        if keys is None:
            n = len(next(iter(X.values()))) if isinstance(X, Mapping) else len(X)
            return np.arange(n, dtype=np.intp)
        return np.argsort(np.array(keys, dtype=np.uint64), kind="stable")
    n = len(flat) if rows is None else len(rows)
    if n == 0 or flat.shape[1] == 0:
        return np.arange(n, dtype=np.intp)
    pages, probe = Pages(flat), np.empty(n, dtype=np.uint64)
    for start in range(0, n, _CHUNK):
        part = slice(start, start + _CHUNK)
        block = flat[part] if rows is None else flat[rows[part]]
        probe[part] = _probe(block)
        pages.read(block.nbytes, 0 if rows is None else len(block))
    order = np.argsort(probe, kind="stable")
    same = probe[order[1:]] == probe[order[:-1]]
    if not same.any():
        return order
    # Rows whose probes agree are told apart by all they hold.
    suspects = np.zeros(n, dtype=bool)
    suspects[order[1:][same]] = True
    suspects[order[:-1][same]] = True
    full = np.zeros(n, dtype=np.uint64)
    for row in np.flatnonzero(suspects):
        full[row] = _digest(flat[row if rows is None else rows[row]].tobytes())
    return np.lexsort((full, probe))
