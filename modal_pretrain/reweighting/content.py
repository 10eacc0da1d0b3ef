"""An order of rows that goes by what is in them, and not by where they stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_COLUMNS = 128  # that are summed, of many


def content_ranks(X: NDArray[Any], digests: Sequence[bytes]) -> NDArray[np.int64]:
    """Rank rows by their content; rows of one digest have one rank.

    A hash alone would do, but embeddings of one picture differ in their last bits with
    its batch, the engine and the processor, and with these every row would get another
    place. So rows stand by a sum of their values first, which hardly moves.

    Parameters
    ----------
    X : numpy.ndarray of shape (n, d)
    digests : sequence of bytes
        Equal for equal rows only, and whatever else is to count; of one length.

    Returns
    -------
    numpy.ndarray of int, shape (n,)
        0, 1, ... without a gap.
    """
    some = np.ascontiguousarray(X[:, :: 1 + X.shape[1] // _COLUMNS])
    # The legacy generator's numbers are the same in all releases of NumPy.
    rng = np.random.RandomState(0)
    signs = rng.choice([-1.0, 1.0], some.shape[1])
    # Not a product of matrices, which rounds a row by its place.
    sums = (some * signs).sum(axis=1)
    width = max(map(len, digests), default=1)
    _, known = np.unique(np.array(digests, dtype=f"S{width}"), return_inverse=True)
    order = np.lexsort((known.ravel(), sums))
    ranks = np.empty(len(X), dtype=np.int64)
    ranks[order] = np.cumsum(np.diff(known.ravel()[order], prepend=-1) != 0) - 1
    return ranks
