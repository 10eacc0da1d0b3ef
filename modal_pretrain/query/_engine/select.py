"""Selecting by score, with ties broken by what the rows hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modal_pretrain.query._engine.mapped import is_mapped
from modal_pretrain.query._engine.order import canonical_order
from modal_pretrain.query._engine.pool import Answer
from modal_pretrain.query._engine.threads import each_chunk

_TIE_UNIT = 2.0**46


def top_k(scores: NDArray[np.floating], k: int, X: Any) -> Answer:
    """Find the k highest scores, highest first.

    Scores that differ by less than about 1e-14 are ties: estimators give rows in other
    places other last bits. Ties go by the content of the rows, never by their place; of
    rows that hold the same, the one that comes first in X is taken.

    Parameters
    ----------
    scores : numpy.ndarray of shape (n,)
    k : int in [1, n]
    X : the pool, n rows
        Read only where there are ties.

    Returns
    -------
    query_idx : numpy.ndarray of shape (k,), int64
    scores : numpy.ndarray of shape (k,), float64

    Examples
    --------
    >>> import numpy as np
    >>> idx, best = top_k(np.array([0.1, 0.5, 0.3]), 2, np.eye(3))
    >>> idx.tolist(), best.tolist()
    ([1, 2], [0.5, 0.3])
    """
    values = np.asarray(scores, dtype=np.float64)
    rounded = np.round(values * _TIE_UNIT)
    cut = np.partition(rounded, len(rounded) - k)[len(rounded) - k]
    found = np.flatnonzero(rounded >= cut)
    ranked = found[np.argsort(-rounded[found], kind="stable")]
    ordered = rounded[ranked]
    tied = np.zeros(len(ranked), dtype=bool)
    same = ordered[1:] == ordered[:-1]
    tied[1:] |= same
    tied[:-1] |= same
    if tied.any():
        rank = np.zeros(len(values), dtype=np.intp)
        rows = np.sort(ranked[tied])
        if is_mapped(X):
            order = canonical_order(X, rows)  # all rows may be tied
        else:
            order = canonical_order(take(X, rows))
        rank[rows[order]] = np.arange(len(rows))
        ranked = ranked[np.lexsort((rank[ranked], -ordered))]
    chosen = ranked[:k].astype(np.int64)
    return chosen, values[chosen]


def take(X: Any, rows: NDArray[np.intp]) -> Any:
    """Take some rows of a pool of any accepted kind."""
    if hasattr(X, "iloc"):
        return X.iloc[rows]
    if hasattr(X, "tocsr"):
        return X.tocsr()[rows]
    if hasattr(X, "shape"):
        return X[rows]
    if hasattr(X, "keys"):
        return {key: take(value, rows) for key, value in X.items()}
    return [X[row] for row in rows]


def in_chunks(
    score: Callable[..., NDArray[np.float64]], size: int, *arrays: NDArray[Any]
) -> NDArray[np.float64]:
    """Apply a row-wise score to `size` rows at a time, so temporaries stay small."""
    n = len(arrays[0])
    out = np.empty(n)

    def work(part: slice) -> None:
        out[part] = score(*(array[part] for array in arrays))

    each_chunk(work, n, size)
    return out
