"""A converted network as one file, whole and checked or not there."""

from __future__ import annotations

import warnings
from pathlib import Path

from xxhash import xxh3_128

from modal_pretrain._disk import write_whole
from modal_pretrain._identity import read_whole
from modal_pretrain.cache.sqlite import CacheWarning

# The number goes up when the layout of the file changes.
_MAGIC = b"modal_pretrain network 2\n"
_OLDER = b"modal_pretrain network 1\n"
_WARNED: set[Path] = set()

Parts = tuple[bytes, bytes]


def model_file(folder: Path, key: str) -> Path:
    """Return where a folder keeps the network of a key."""
    return folder / "networks" / f"{key}.bin"


def read_model(file: Path) -> Parts | None:
    """Return a network's structure and weights; None where there is no good file.

    Parameters
    ----------
    file : Path

    Returns
    -------
    tuple of bytes, or None

    Warns
    -----
    CacheWarning
        If the file is damaged, or another network's under this name.
    """
    try:
        data = read_whole(file)
    except OSError:
        return None
    head = len(_MAGIC)
    checksum, body = data[head : head + 16], data[head + 16 :]
    if data[:head] == _MAGIC and _checksum(file, body) == checksum:
        size = int.from_bytes(body[:8], "little")
        return body[8 : 8 + size], body[8 + size :]
    if data[:head] == _OLDER:  # made again, once, as nothing is wrong with it
        return None
    warnings.warn(
        f"The converted network {file} is damaged: it is made again.",
        CacheWarning,
        stacklevel=2,
    )
    return None


def write_model(file: Path, parts: Parts) -> None:
    """Keep a network, where that is possible.

    Parameters
    ----------
    file : Path
        Its folder is made.
    parts : tuple of bytes
        Structure and weights.

    Warns
    -----
    CacheWarning
        If it can't be written, for example because the disk is full; once a folder.
    """
    structure, weights = parts
    body = len(structure).to_bytes(8, "little") + structure + weights
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, _MAGIC + _checksum(file, body) + body)
    except OSError as error:
        if file.parent in _WARNED:
            return
        _WARNED.add(file.parent)
        warnings.warn(
            f"The converted network can't be kept in {file.parent} ({error}). "
            "Embedding goes on; the next process converts it again.",
            CacheWarning,
            stacklevel=2,
        )


def _checksum(file: Path, body: bytes) -> bytes:
    # With the name: a whole file of another network is no better than a damaged one.
    digest = xxh3_128(file.name.encode() + b"\0")
    digest.update(body)
    return digest.digest()
