"""What is to be labelled: rows, each with a name that the label file keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Hashable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from modal_pretrain._checks import take_rows

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


def check_some(names: Sequence[str], what: str) -> None:
    """Raise ValueError where there is nothing to label."""
    if not len(names):
        raise ValueError(f"pool is empty: there are no {what} to label.")
