"""What is to be labelled: pictures or texts, each with a name the label file keeps."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from PIL import Image
from xxhash import xxh3_64_hexdigest

from modal_pretrain._checks import take_rows
from modal_pretrain.datasets._folders import pictures_below
from modal_pretrain.images.accept import as_images

# A spreadsheet takes a cell that begins so for a formula.
FORMULA = ("=", "+", "-", "@")


class Pool(ABC):
    """Rows to label, in a fixed order.

    Attributes
    ----------
    kind : {"image", "text"}
        The modality.
    names : list of str
        What the label file calls each row: unique, one line each.
    X : object
        What the estimator takes, one entry a row.
    left_out : list of str
        What was found and can't be labelled, with the reason.
    """

    kind: ClassVar[str] = "image"

    def __init__(self, names: list[str], X: Any) -> None:
        self.names = names
        self.X = X
        self.left_out: list[str] = []

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: np.ndarray) -> Any:
        """Return some rows of X as the estimator takes them."""
        return take_rows(self.X, rows)

    def title(self, row: int) -> str:
        """Return a row's name as text that any page can show."""
        return self.names[row].encode("utf-8", "replace").decode()

    @abstractmethod
    def show(self, row: int) -> Image.Image | str | Path:
        """Return a row for a person: a text, a picture, or a picture's file."""

    @abstractmethod
    def content(self, row: int) -> str:
        """Fingerprint what a row holds, for the label file."""

    def same(self, row: int, content: str) -> bool:
        """Say whether a row holds what it held when it was labelled."""
        return not content or self.content(row) == content

    def find(self, content: str, rows: Sequence[int]) -> int | None:
        """Return which of some rows holds this content, if any does."""
        return next((row for row in rows if self.content(row) == content), None)


class FilePool(Pool):
    """Picture files.

    Parameters
    ----------
    paths : sequence of str or path-like
    root : path-like, optional
        Names are relative to it, so that the folder may move as a whole. By default
        they are the paths as they are given.
    """

    def __init__(
        self,
        paths: Sequence[str | os.PathLike[str]],
        root: str | os.PathLike[str] | None = None,
    ) -> None:
        kept, names, left_out = [], [], []
        for path in (os.fspath(path) for path in paths):
            name = os.path.relpath(path, root) if root is not None else path
            name = name.replace(os.sep, "/")
            if any(ord(letter) < 32 for letter in name):
                left_out.append(f"{name!r}: its name has a control character")
                continue
            names.append(f"./{name}" if name.startswith(FORMULA) else name)
            kept.append(path)
        _check_some(names, "pictures")
        _check_unique(names)
        super().__init__(names, np.array(kept, dtype=object))
        self.left_out = left_out

    @classmethod
    def below(cls, folder: str | os.PathLike[str]) -> FilePool:
        """List the pictures anywhere below a folder, sorted.

        Raises
        ------
        FileNotFoundError
            If the folder is not there.
        ValueError
            If it holds no pictures.
        """
        root = Path(folder).expanduser()
        if not root.is_dir():
            raise FileNotFoundError(f"there is no folder {root}")
        paths = pictures_below(root)
        if not paths:
            raise ValueError(f"there are no pictures in {root} or in its folders.")
        return cls(paths, root)

    def show(self, row: int) -> Path:
        """Return the picture's file, which may be gone or damaged."""
        return Path(self.X[row])

    def content(self, row: int) -> str:
        """Return size and hash of the file; empty where it can't be read."""
        try:
            data = Path(self.X[row]).read_bytes()
        except OSError:
            return ""
        return f"{len(data)}:{xxh3_64_hexdigest(data)}"

    def same(self, row: int, content: str) -> bool:
        """Compare sizes only: thousands of files are not read again."""
        size = self._size(row)
        return not content or size is None or content.split(":")[0] == str(size)

    def find(self, content: str, rows: Sequence[int]) -> int | None:
        """Return which file has this content; files of other sizes are not read."""
        size = content.split(":")[0]
        return super().find(content, [r for r in rows if str(self._size(r)) == size])

    def _size(self, row: int) -> int | None:
        try:
            return os.stat(self.X[row]).st_size
        except OSError:
            return None


class ArrayPool(Pool):
    """Pictures in memory: arrays, tensors or Pillow images, see `as_images`."""

    def __init__(self, X: Any) -> None:
        self._images = as_images(X)
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
    numbers : sequence of int, optional
        Of the rows in the file they come from, from 1 on.
    """

    kind = "text"

    def __init__(self, texts: Sequence[str], numbers: Sequence[int] = ()) -> None:
        texts = [str(text) for text in texts]
        _check_some(texts, "texts")
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
        try:
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
        except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeError) as error:
            raise ValueError(f"{path} is not a CSV file in UTF-8: {error}") from None
        if column not in table:
            raise ValueError(
                f"column must be one of {path}: {', '.join(map(repr, table.columns))}; "
                f"got {column!r}."
            )
        texts = table[column].tolist()
        full = [row for row, text in enumerate(texts) if text.strip()]
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
        A folder of pictures, or a CSV file whose `column` holds texts.
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
        if column is not None:
            return TextPool.from_csv(pool, column)
        if Path(pool).suffix.lower() == ".csv":
            raise ValueError(f"column must name the column of {pool} with the texts.")
        return FilePool.below(pool)
    if column is not None:
        raise ValueError("column goes with the path of a CSV file as the pool.")
    if text:
        return TextPool(pool)
    first = pool[0] if hasattr(pool, "__len__") and len(pool) else None
    if isinstance(first, str | os.PathLike):
        return FilePool(pool)
    return ArrayPool(pool)


def _check_some(names: Sequence[str], what: str) -> None:
    if not names:
        raise ValueError(f"pool is empty: there are no {what} to label.")


def _check_unique(names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise ValueError(f"pool names {twice!r} twice; every row needs its own name.")
