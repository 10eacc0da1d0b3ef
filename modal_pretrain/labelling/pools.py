"""Pools of what a person has: a folder, paths, pictures in memory, or texts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image
from xxhash import xxh3_64_hexdigest

from modal_pretrain._identity import expanded
from modal_pretrain.datasets import GroupedDataset
from modal_pretrain.datasets._folders import ENDINGS
from modal_pretrain.datasets._quotes import warn_of_quotes
from modal_pretrain.datasets._table import read_table
from modal_pretrain.images.accept import as_images
from modal_pretrain.labelling.file_pool import FilePool
from modal_pretrain.labelling.pool import Pool, check_some
from modal_pretrain.text.accept import as_texts, is_blank


class ArrayPool(Pool):
    """Pictures in memory: arrays, tensors or Pillow images, see `as_images`."""

    def __init__(self, X: Any) -> None:
        self._images = as_images(X, name="pool")
        super().__init__([f"row {row + 1}" for row in range(len(self._images))], X)

    def show(self, row: int) -> Image.Image:
        """Return the picture."""
        return self._images.load_pil(row)

    def content(self, row: int) -> str:
        """Hash the pixels."""
        return self._images.take([row]).row_keys()[0].hex()


class TextPool(Pool):
    """Texts.

    Parameters
    ----------
    texts : sequence of str
        See `as_texts`: what is missing, blank or no text is refused.
    numbers : sequence of int, optional
        Of the rows in the file they come from, from 1 on.
    """

    kind = "text"

    def __init__(self, texts: Sequence[str], numbers: Sequence[int] = ()) -> None:
        texts = as_texts(texts, name="pool").texts()
        numbers = numbers or range(1, len(texts) + 1)
        super().__init__([f"row {number}" for number in numbers], texts)

    @classmethod
    def from_csv(cls, path: str | os.PathLike[str], column: str) -> TextPool:
        """Read a column of a CSV file; rows without a text are left out.

        Raises
        ------
        FileNotFoundError
            If the file is not there.
        ValueError
            If it can't be read, or has no such column or no texts.
        """
        path = expanded(path)
        try:
            table = read_table(path, [column])
        except ValueError as error:
            raise ValueError(f"pool, column={column!r}: {error}.") from None
        warn_of_quotes(path)
        texts = table[column].fillna("").tolist()
        full = [row for row, text in enumerate(texts) if not is_blank(text)]
        pool = cls([texts[row] for row in full], [row + 1 for row in full])
        if len(full) < len(texts):
            pool.left_out = [f"{len(texts) - len(full)} rows without a text"]
        return pool

    def show(self, row: int) -> str:
        """Return the text."""
        return self.X[row]

    def content(self, row: int) -> str:
        """Hash the text."""
        return xxh3_64_hexdigest(self.X[row].encode("utf-8", "surrogatepass"))


def as_pool(pool: Any, *, column: str | None = None, text: bool = False) -> Pool:
    """Make a pool of what a person has.

    Parameters
    ----------
    pool : path, list of paths, pictures in memory, list of texts, or Pool
        A folder of pictures, or a CSV file whose `column` holds texts. Rows without a
        text are left out, so that those of the pool are not those of the table.
    column : str, optional
        Column of the texts.
    text : bool, default=False
        Whether a list of str holds texts, not paths.

    Returns
    -------
    Pool

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        If there is nothing that could be labelled.
    """
    if isinstance(pool, Pool):
        return pool
    if isinstance(pool, str | os.PathLike):
        if not os.fspath(pool):
            raise ValueError("pool is empty; write '.' for the present folder.")
        if column is not None:
            return TextPool.from_csv(pool, column)
        if Path(pool).suffix.lower() == ".csv" and Path(pool).exists():
            raise ValueError(f"column must name the column of {pool} with the texts.")
        return FilePool.below(pool)
    if column is not None:
        raise ValueError("column goes with the path of a CSV file as the pool.")
    if isinstance(pool, pd.DataFrame):
        if pool.shape[1] != 1:
            raise TypeError(
                f"pool is a DataFrame with {pool.shape[1]} columns; one is expected. "
                "Pass that column: pool[column]."
            )
        pool = pool.iloc[:, 0]
    if text:
        return TextPool(pool)
    if isinstance(pool, Mapping | Set):
        raise TypeError(
            f"pool must be a folder, a list or an array, got one of type "
            f"{type(pool).__name__}, which has no order."
        )
    if isinstance(pool, GroupedDataset):
        raise TypeError(
            "pool is a GroupedDataset: pass the rows to label, such as "
            'data.subset("train").X.'
        )
    if hasattr(pool, "__len__"):
        check_some(pool, "rows")
        if isinstance(next(iter(pool)), str | os.PathLike):
            _check_no_texts(pool)
            return FilePool(pool)
    return ArrayPool(pool)


def _check_no_texts(pool: Sequence[Any]) -> None:
    """Raise where paths are none: all rows would be unreadable, as if away."""
    for path in pool:
        named = not isinstance(path, str) or path.lower().endswith(ENDINGS)
        if named or os.path.exists(path):
            return
    raise ValueError(
        f"pool: no such file as {next(iter(pool))[:60]!r}, nor any other. Correct the "
        "paths; for texts pass estimator=PretrainedTextClassifier(), or a CSV file "
        "and its column=."
    )
