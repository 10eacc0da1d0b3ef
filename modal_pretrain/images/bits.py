"""Pictures of 8 to 12 bits among those of 16, where they are nearly black.

Nothing in an array or a file says so: it shows in that no value is large.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import numpy as np

_CAMERA_BITS = 12  # of sensors whose numbers come in 16 bits
_LOOKED_AT = 8  # files of a pass; fewer say little, as one may be dark


def warn_of_fewer_bits(parts: Iterable[np.ndarray], name: str) -> None:
    """Warn if uint16 arrays look like pictures of 8 to 12 bits, as cameras give them.

    Parameters
    ----------
    parts : iterable of ndarray
        They are looked at until one says that all is well.
    name : str
        What the message calls them together.
    """
    bits, largest = _bits(parts)
    if bits:
        fix = (
            f"{name} * {2 ** (16 - bits)}"
            if bits > 8
            else f"{name}.astype(numpy.uint8)"
        )
        _warn(
            f"{name} has dtype uint16, but no value above {largest}.",
            f"If they hold {bits} bits, write {fix}.",
        )


def sample(n: int) -> range:
    """Return which of n pictures are looked at by `warn_of_dark_files`."""
    return range(0, n, n // _LOOKED_AT)[:_LOOKED_AT] if n >= _LOOKED_AT else range(0)


def warn_of_dark_files(stored: Iterable[np.ndarray], name: str, n: int) -> None:
    """Warn if pictures of 16 bits look like some of 8 to 12.

    Parameters
    ----------
    stored : iterable of ndarray
        What some of them hold.
    name : str
        What the message calls them together.
    n : int
        How many there are.
    """
    bits, largest = _bits(stored)
    if bits:
        times = 2 ** (16 - bits)
        _warn(
            f"{name} holds {n} pictures, and {_LOOKED_AT} of them, which have 16 bits, "
            f"were looked at: no value is above {largest}.",
            f"If they hold {bits} bits, save them with all values times {times}.",
        )


def _bits(parts: Iterable[np.ndarray]) -> tuple[int, int]:
    """Return what bits uint16 arrays seem to have, 0 if all is well, and the top."""
    largest = 0
    for part in parts:
        if part.dtype.kind != "u" or part.dtype.itemsize != 2:
            return 0, 0
        largest = max(largest, int(part.max(initial=0)))
        if largest >= 2**_CAMERA_BITS:
            return 0, 0
    return (max(8, largest.bit_length()) if largest else 0), largest


def _warn(found: str, fix: str) -> None:
    warnings.warn(
        f"{found} 16 bits go up to 65535, so its pictures are taken for nearly black. "
        f"{fix}",
        UserWarning,
        stacklevel=4,
    )
