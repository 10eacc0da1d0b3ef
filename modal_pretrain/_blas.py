"""How many threads BLAS has. To look its libraries up takes time: it is done once."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController


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
