"""Any accepted X as a sequence of texts.

Accepted are lists, tuples, NumPy arrays (of str or of objects), pandas Series, Index
and string arrays, and columns of shape (n, 1). Every row must be a str with something
to read in it: what is missing or empty is an error that names the row, not a guess.
"""

from __future__ import annotations

import os
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from xxhash import xxh3_128_digest

from modal_pretrain._checks import how_to_list
from modal_pretrain._inputs.alikes import warn_of_written_nan

if TYPE_CHECKING:
    from modal_pretrain.text.tokens import Tokenization

# Spaces, ends of lines, and what controls or joins letters: nothing to read.
_UNSEEN = ("Cc", "Cf", "Zs", "Zl", "Zp")
_ACCEPTED = (
    "Expected texts: a list or array of str, a pandas Series, or one column of a "
    "DataFrame."
)


class TextSource:
    """A sequence of texts. Made by `as_texts`.

    Parameters
    ----------
    texts : ndarray of object
        All texts of X.
    rows : ndarray of int
        Row of X at each position.
    """

    cacheable = True

    def __init__(self, texts: np.ndarray, rows: np.ndarray) -> None:
        self._texts = texts
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} texts>"

    def __getstate__(self) -> dict[str, Any]:
        # A pickle carries the selected texts only.
        return {"_texts": self._texts[self._rows], "_rows": np.arange(len(self))}

    def take(self, indices: slice | Sequence[int] | np.ndarray) -> TextSource:
        """Select texts by their positions in this source."""
        return TextSource(self._texts, self._rows[indices])

    def texts(self) -> list[str]:
        """Return the texts in order."""
        return self._texts[self._rows].tolist()

    def row_keys(self) -> list[bytes]:
        """Return the content key of each text."""
        return [xxh3_128_digest(text.encode()) for text in self.texts()]

    def batches(
        self,
        preprocessing: Tokenization,
        batch_size: int,
        n_threads: int | None = None,
        *,
        pin_memory: bool = False,
    ) -> Iterator[torch.Tensor]:
        """Yield tokens and their mask, int64 (b, 2, length), padded by batch."""
        return preprocessing.batches(self, batch_size)

    def longest_first(self) -> np.ndarray:
        """Return the positions by decreasing length in characters.

        Texts of about one length need little padding; memory that runs out does so
        in the first batch.
        """
        return np.argsort([-len(text) for text in self.texts()], kind="stable")


def as_texts(X: Any, *, name: str = "X") -> TextSource:
    """View any accepted X as a sequence of texts.

    Parameters
    ----------
    X : sequence of str, shape (n,) or (n, 1); or TextSource
        See the head of this module.
    name : str, default="X"
        What error messages call X.

    Returns
    -------
    TextSource
        X itself if it already is one.

    Raises
    ------
    TypeError
        If X is one text, or holds something else than texts.
    ValueError
        If X is empty, has several columns, or a text is missing, empty, blank, or
        cannot be encoded.

    Warns
    -----
    UserWarning
        If the texts are names of files: the names are read, not the files. If some
        are "nan" or the like, as a missing text is written.

    Examples
    --------
    >>> source = as_texts(["a fine film", "dull"])
    >>> len(source), source.take([1]).texts()
    (2, ['dull'])
    """
    if isinstance(X, TextSource):
        return X
    if isinstance(X, str):
        raise TypeError(f"{name} is a single text; a list is expected. Write [{name}].")
    if isinstance(X, pd.DataFrame):
        if X.shape[1] != 1:
            raise TypeError(
                f"{name} is a DataFrame with {X.shape[1]} columns; one column of texts "
                f"is expected. Pass that column: {name}[column]."
            )
        X = X.iloc[:, 0]
    if isinstance(X, (pd.Series, pd.Index, pd.api.extensions.ExtensionArray)):
        X = X.to_numpy(dtype=object)
    if isinstance(X, np.ndarray):
        if X.ndim == 2 and X.shape[1] == 1:  # a column, as scikit-learn slices it
            X = X[:, 0]
        if X.ndim != 1 or X.dtype.kind not in "OSUT":
            raise TypeError(
                f"{name} is an array of {X.dtype} of shape {X.shape}. {_ACCEPTED}"
            )
    elif isinstance(X, (bytes, bytearray)) or not isinstance(X, Sequence):
        raise TypeError(
            f"{name} is of type {type(X).__name__}. {_ACCEPTED}{how_to_list(X, name)}"
        )
    if len(X) == 0:
        raise ValueError(f"{name} is empty (0 texts); a minimum of 1 is required.")
    texts = np.empty(len(X), dtype=object)
    for row, item in enumerate(X):
        if isinstance(item, (list, tuple)) and len(item) == 1:
            item = item[0]  # modAL makes lists of columns
        texts[row] = _checked(item, f"{name}[{row}]")
    _warn_of_file_names(texts, name)
    warn_of_written_nan(texts.tolist(), name)
    return TextSource(texts, np.arange(len(texts)))


def _warn_of_file_names(texts: np.ndarray, name: str) -> None:
    # Pictures may be given as paths, so texts are, too, at a first try. Then a folder
    # named after the class, which a path holds, passes for a good model. (The first row
    # settles it for real texts, so that these cost one look at the file system.)
    if all(os.path.splitext(t)[1] and os.path.isfile(t) for t in texts[:8]):
        warnings.warn(
            f"{name} holds names of files, such as {texts[0]!r}: these are taken for "
            "the texts, and what the files hold is not read. For that write "
            f"[pathlib.Path(path).read_text(encoding='utf-8') for path in {name}].",
            UserWarning,
            stacklevel=2,
        )


def is_blank(text: str) -> bool:
    """Say whether there is nothing to read in a text."""
    return all(unicodedata.category(letter) in _UNSEEN for letter in text)


def _checked(item: Any, where: str) -> str:
    if isinstance(item, str):
        # Of a subclass, NumPy's or an enumeration, the text and not what it prints.
        item = str.__str__(item)
        if is_blank(item):
            kind = "a blank" if item else "an empty"
            raise ValueError(f"{where} is {kind} text. Drop the row.")
        if not item.isascii():
            try:
                item.encode()
            except UnicodeEncodeError as error:
                raise ValueError(
                    f"{where} holds half a character (a lone surrogate at position "
                    f"{error.start}). Read the file again with the right encoding, or "
                    f"write {where}.encode('utf-8', 'replace').decode()."
                ) from None
        return item
    if isinstance(item, (bytes, bytearray)):
        raise TypeError(f"{where} is bytes. Decode it: {where}.decode('utf-8').")
    missing = any(item is none for none in (None, pd.NA, pd.NaT, np.ma.masked))
    if missing or (isinstance(item, float | np.floating) and item != item):
        raise ValueError(f"{where} is missing ({item!r}). Drop the row.")
    raise TypeError(f"{where} is of type {type(item).__name__}. {_ACCEPTED}")
