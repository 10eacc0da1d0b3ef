"""Two-dimensional numeric X, for backbones that are factories of plain networks."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
import torch
from pandas.api.types import is_numeric_dtype
from xxhash import xxh3_128_digest

from modal_pretrain.embedding.source import Rows


def is_table(X: Any) -> bool:
    """Say whether X looks like a table (n, features) of numbers, good or bad.

    Everything that is neither pictures nor paths counts, so that the table's
    validation, which is scikit-learn's, words the error.
    """
    if scipy.sparse.issparse(X):
        return True
    if isinstance(X, torch.Tensor):
        return X.ndim <= 2
    if isinstance(X, pd.DataFrame):
        return all(map(is_numeric_dtype, X.dtypes))
    if isinstance(X, list | tuple) and X and _is_path_or_pillow(X[0]):
        return False
    try:
        array = np.asarray(X)
    except ValueError:
        return False
    if array.ndim == 0 and not isinstance(X, Number):  # an iterator, say
        return False
    return array.ndim <= 2 and array.dtype.kind in "biufcO" and not _holds_objects(X)


def _holds_objects(X: Any) -> bool:
    """Say whether the elements are paths, pictures or arrays, not numbers."""
    array = np.asarray(X)
    if array.dtype.kind != "O" or array.size == 0:
        return False
    first = array.flat[0]
    if isinstance(first, str):  # in one column it is a path, in a table an error
        return array.size == len(array)
    if isinstance(first, dict):  # a row of a data set with its columns, if in a list
        return array.ndim == 1
    return _is_path_or_pillow(first) or np.ndim(first) > 0


def _is_path_or_pillow(item: Any) -> bool:
    return hasattr(item, "__fspath__") or hasattr(item, "mode")


class TableSource:
    """Rows of a finite float32 table (n, features)."""

    cacheable = False  # a row costs less than its hash

    def __init__(self, X: np.ndarray) -> None:
        self.table = np.ascontiguousarray(X, dtype=np.float32)

    def __len__(self) -> int:
        return len(self.table)

    def take(self, indices: Rows) -> TableSource:
        """Return the rows at `indices`."""
        return TableSource(self.table[indices])

    def row_keys(self) -> list[bytes]:
        """Hash the content of each row."""
        return [xxh3_128_digest(row.data) for row in self.table]

    def batches(
        self,
        preprocessing: Any,
        batch_size: int,
        n_threads: int | None = None,
        *,
        pin_memory: bool = False,
    ) -> Iterator[torch.Tensor]:
        """Yield float32 tensors of at most `batch_size` rows, as they are."""
        for start in range(0, len(self.table), batch_size):
            block = self.table[start : start + batch_size]
            # PyTorch warns about read-only memory: memory-mapped files, pandas' tables.
            yield torch.from_numpy(block if block.flags.writeable else block.copy())
