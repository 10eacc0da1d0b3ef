"""Sharing out blocks of work among threads, each with BLAS to itself.

BLAS splits every product among its threads and waits for all of them, which on a busy
machine costs many times what it gains, and leaves all else to one thread. It also sums
in another order for every number of threads. Here blocks of a fixed size are shared
out: products and what follows them run side by side, no block waits for another, and
the result is the same for any number of threads.

So a strategy calls BLAS in `in_threads` (or what is built on it) or under `one_thread`,
and nowhere else.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from modal_pretrain._blas import n_threads, one_thread

Item = TypeVar("Item")
Result = TypeVar("Result")
_SMALL = 2**22  # multiplications that are not worth a second thread


def in_threads(
    work: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[Result]:
    """Apply `work` to all items, several at a time; results come in their order.

    Parameters
    ----------
    work : callable
        Must not depend on the other items; NumPy releases the interpreter lock.
    items : iterable

    Yields
    ------
    Result
        One for each item. The number of threads does not change them.
    """
    items = list(items)
    workers = min(n_threads(), len(items))
    with one_thread():
        if workers <= 1:
            yield from map(work, items)
            return
        with ThreadPoolExecutor(workers) as pool:
            yield from pool.map(work, items)


def product(a: NDArray[Any], b: NDArray[Any], size: int = 256) -> NDArray[Any]:
    """Multiply two matrices in blocks of about `size` rows of the first.

    BLAS has other kernels for small products, so small ones are not cut up, and blocks
    are alike in size: each row then comes out as in the product of the whole.

    Examples
    --------
    >>> import numpy as np
    >>> product(np.eye(3), np.array([[1.0], [2.0], [3.0]])).ravel().tolist()
    [1.0, 2.0, 3.0]
    """
    n = len(a)
    out = np.empty((n, b.shape[1]), dtype=np.result_type(a, b))
    n_blocks = 1 if a.size * b.shape[1] < _SMALL else -(-n // size)
    ends = [n * i // n_blocks for i in range(n_blocks + 1)]

    def work(part: slice) -> None:
        np.matmul(a[part], b, out=out[part])

    for _ in in_threads(work, itertools.starmap(slice, itertools.pairwise(ends))):
        pass
    return out


def each_chunk(work: Callable[[slice], None], n: int, size: int) -> None:
    """Call `work` on slices that cover ``range(n)``, several at a time."""
    chunks = [slice(start, min(start + size, n)) for start in range(0, n, size)]
    for _ in in_threads(work, chunks):
        pass
