"""Selecting by score, with ties broken by what the rows hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modal_pretrain._checks import take_rows
from modal_pretrain.query._engine.arguments import Request, own_stream
from modal_pretrain.query._engine.mapped import is_mapped
from modal_pretrain.query._engine.order import canonical_order, steady
from modal_pretrain.query._engine.threads import each_chunk

Answer = tuple[NDArray[np.int64], NDArray[np.float64]]


def top_k(scores: NDArray[np.floating], k: int, X: Any) -> Answer:
    """Find the k highest scores, highest first.

    Scores that `steady` makes equal are ties. They go by the content of the rows, never
    by their place; of rows that hold the same, the one that comes first in X is taken.

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
    rounded = steady(values)
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
            order = canonical_order(take_rows(X, rows))
        rank[rows[order]] = np.arange(len(rows))
        ranked = ranked[np.lexsort((rank[ranked], -ordered))]
    chosen = ranked[:k].astype(np.int64)
    return chosen, values[chosen]


def by_score(
    scores: NDArray[np.float64], request: Request, X: Any, fitted: bool
) -> Answer:
    """Answer with the rows of the highest scores.

    Where nothing has been fitted the scores say nothing, and rows are drawn at random.

    Parameters
    ----------
    scores : numpy.ndarray of shape (n,)
    request : Request
    X : the pool, n rows
    fitted : bool
        Whether a fitted classifier is behind the scores.

    Returns
    -------
    query_idx : numpy.ndarray of shape (k,), int64
    scores : numpy.ndarray of shape (k,), float64
    """
    n, k, rng = request
    if fitted:
        return top_k(scores, k, X)
    drawn = own_stream(rng, n).choice(n, size=k, replace=False)
    chosen = canonical_order(X)[drawn]
    return chosen.astype(np.int64), scores[chosen]


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
