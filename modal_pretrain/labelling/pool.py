"""What is to be labelled: pictures or texts, each with a name the label file keeps."""

from __future__ import annotations

import os
import unicodedata
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from PIL import Image
from xxhash import xxh3_64_hexdigest

from modal_pretrain._checks import take_rows
from modal_pretrain._identity import expanded, read_whole
from modal_pretrain.datasets._folders import ENDINGS, pictures_below
from modal_pretrain.datasets._table import read_table
from modal_pretrain.images.accept import as_images
from modal_pretrain.text.accept import as_texts, is_blank

# A spreadsheet takes a cell that begins so for a formula.
FORMULA = ("=", "+", "-", "@")
# Rows read below a folder that changed, until it is taken for the one it was.
_READ = 50


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
    named : bool
        Whether names are more than the places of rows, so that of two rows that hold
        the same each keeps its own labels when the other is gone.
    """

    kind: ClassVar[str] = "image"
    named: ClassVar[bool] = False

    def __init__(self, names: list[str], X: Any) -> None:
        self.names = names
        self.X = X
        self.left_out: list[str] = []
        self._rows = {name: row for row, name in enumerate(names)}

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: np.ndarray) -> Any:
        """Return some rows of X as the estimator takes them."""
        return take_rows(self.X, rows)

    def title(self, row: int) -> str:
        """Return a row's name as text that any page can show."""
        return self.names[row].encode("utf-8", "replace").decode()

    def find(self, name: str) -> int | None:
        """Return the row that a label file calls so, None if there is none."""
        return self._rows.get(name)

    def state(self, row: int) -> Hashable:
        """Return what changes with what a row holds, None while it is missing."""
        return ()

    def there(self, row: int) -> bool:
        """Say whether a row is still there."""
        return self.state(row) is not None

    @abstractmethod
    def show(self, row: int) -> Image.Image | str | Path:
        """Return a row for a person: a text, a picture, or a picture's file."""

    @abstractmethod
    def content(self, row: int) -> str:
        """Fingerprint what a row holds, for the label file."""

    def same(self, row: int, content: str, since: float) -> bool:
        """Say whether a row holds what it held at a time, when it was labelled."""
        return not content or self.content(row) == content

    def places(
        self, contents: Collection[str], rows: Sequence[int]
    ) -> dict[str, list[int]]:
        """Return which of some rows hold each of some contents."""
        found: dict[str, list[int]] = {}
        for row in rows:
            content = self.content(row)
            if content in contents:
                found.setdefault(content, []).append(row)
        return found


class FilePool(Pool):
    """Picture files.

    Parameters
    ----------
    paths : sequence of str or path-like
    root : path-like, optional
        Names are relative to it, so that the folder may move as a whole. By default
        they are the paths as they are given.
    """

    named = True

    def __init__(
        self,
        paths: Sequence[str | os.PathLike[str]],
        root: str | os.PathLike[str] | None = None,
    ) -> None:
        kept, names, left_out = [], [], []
        for given in paths:
            if not isinstance(given, str | os.PathLike):
                raise TypeError(
                    f"pool must be a list of paths, or none; it holds {given!r} of "
                    f"type {type(given).__name__}."
                )
            path = os.fspath(given)
            name = os.path.relpath(path, root) if root is not None else path
            name = name.replace(os.sep, "/")
            if any(ord(letter) < 32 for letter in name):
                left_out.append(f"{name!r}: its name has a control character")
                continue
            names.append(f"./{name}" if name.startswith(FORMULA) else name)
            kept.append(path)
        _check_some(names, "pictures")
        self._root = os.path.abspath(os.curdir if root is None else root)
        self._spelt: dict[str, int | None] | None = None
        self._agree: Counter[tuple[str, float]] = Counter()
        _check_unique(names, kept)
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
        root = expanded(folder)
        if not root.is_dir():
            raise FileNotFoundError(f"there is no folder {root}")
        paths = pictures_below(root)
        if not paths:
            raise ValueError(f"there are no pictures in {root} or in its folders.")
        return cls(paths, root)

    def find(self, name: str) -> int | None:
        """Return the row of a name, also of one that somebody else has written.

        Such as ``./a.png``, the whole path, with accents in another spelling, or with
        the separators of Windows.
        """
        row = super().find(name)
        if row is not None:
            return row
        if self._spelt is None:
            self._spelt = {}
            for known, at in self._rows.items():
                place = self._place(known)
                self._spelt[place] = None if place in self._spelt else at
        return self._spelt.get(self._place(name))

    def _place(self, name: str) -> str:
        path = os.path.join(self._root, name.replace("\\", "/"))
        return unicodedata.normalize("NFC", os.path.abspath(path))

    def show(self, row: int) -> Path:
        """Return the picture's file, which may be gone or damaged."""
        return Path(self.X[row])

    def state(self, row: int) -> Hashable:
        """Return size, times and inode of the file, None while it is missing."""
        status = self._status(row)
        if status is None:
            return None
        return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino

    def content(self, row: int) -> str:
        """Return size and hash of the file; empty where it can't be read."""
        try:
            data = read_whole(self.X[row])
        except OSError:
            return ""
        return f"{len(data)}:{xxh3_64_hexdigest(data)}"

    def same(self, row: int, content: str, since: float) -> bool:
        """Compare contents, of files that changed later: reading takes minutes.

        Of a folder that changed some files are read, all if one of them is another.
        """
        status = self._status(row)
        if not content or status is None:
            return True
        if content.split(":")[0] != str(status.st_size):
            return False
        path = os.path.abspath(self.X[row])
        folder = os.path.dirname(path)
        before = since - 2  # a clock's tick and a second's fraction aside
        # A copy has a new inode, and a link may lead elsewhere.
        if max(_changed(status), _changed(os.lstat(path))) >= before:
            return self.content(row) in (content, "")
        state = folder, self._folder_changed(folder)
        # A folder changes with whatever is put into it, but is another one with all
        # that it holds: some of that tells.
        if state[1] < before or self._agree[state] >= _READ:
            return True
        found = self.content(row)
        self._agree[state] += 1 if found in (content, "") else -len(self)
        return found in (content, "")

    def places(
        self, contents: Collection[str], rows: Sequence[int]
    ) -> dict[str, list[int]]:
        """Return which files have these contents; those of other sizes are not read."""
        sizes = {content.split(":")[0] for content in contents}
        known = [(row, self._status(row)) for row in rows]
        return super().places(
            contents, [row for row, s in known if s and str(s.st_size) in sizes]
        )

    def _folder_changed(self, folder: str) -> float:
        """Return when a folder was last changed, or a folder or link on its way.

        Folders that swap their names leave the times of what is in them.
        """
        last = max(_changed(os.stat(folder)), _changed(os.lstat(folder)))
        if folder.startswith(os.path.join(self._root, "")):
            last = max(last, self._folder_changed(os.path.dirname(folder)))
        return last

    def _status(self, row: int) -> os.stat_result | None:
        try:
            return os.stat(self.X[row])
        except OSError:
            return None


def _changed(status: os.stat_result) -> float:
    return max(status.st_mtime, status.st_ctime)


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
        try:
            table = read_table(path, [column])
        except ValueError as error:
            raise ValueError(f"pool, column={column!r}: {error}.") from None
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
    if hasattr(pool, "__len__"):
        _check_some(pool, "rows")
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


def _check_some(names: Sequence[str], what: str) -> None:
    if not len(names):
        raise ValueError(f"pool is empty: there are no {what} to label.")


def _check_unique(names: Sequence[str], paths: Sequence[str]) -> None:
    first: dict[str, str] = {}
    for name, path in zip(names, paths, strict=True):
        place = os.path.abspath(path)
        if place in first:
            also = "" if first[place] == name else f", once as {first[place]!r}"
            raise ValueError(
                f"pool names {name!r} twice{also}; every row needs a file of its own."
            )
        first[place] = name
