"""Sharing out blocks of work among threads, each with BLAS to itself.

BLAS splits every product among its threads and waits for all of them, which on a busy
machine costs many times what it gains, and leaves all else to one thread. Here whole
blocks are shared out: products and what follows them run side by side, and no block
waits for another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

Item = TypeVar("Item")
Result = TypeVar("Result")


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def one_thread() -> AbstractContextManager[Any]:
    """Keep BLAS to one thread in a block of many small products.

    scikit-learn does the same around its k-means.
    """
    return _controller().limit(limits=1, user_api="blas")


def n_threads() -> int:
    """Count the threads that BLAS may use at this moment."""
    counts = [
        library["num_threads"]
        for library in _controller().info()
        if library["user_api"] == "blas"
    ]
    return max(counts, default=1)


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


def each_chunk(work: Callable[[slice], None], n: int, size: int) -> None:
    """Call `work` on slices that cover ``range(n)``, several at a time."""
    chunks = [slice(start, min(start + size, n)) for start in range(0, n, size)]
    for _ in in_threads(work, chunks):
        pass
