"""Sequences of 8-bit RGB pictures, decoded one by one; one class per kind of X."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from modal_pretrain.images.batches import load_batches
from modal_pretrain.images.bits import sample, warn_of_dark_files
from modal_pretrain.images.pixels import (
    array_keys,
    chunks,
    numpy_dtype,
    picture_size,
    select_rows,
    to_numpy,
    to_rgb,
)
from modal_pretrain.images.preprocessing import Preprocessing


class ImageSource:
    """A sequence of pictures. Made by `as_images`; one subclass per kind.

    Indexing with an integer gives the picture, like `load`; with a slice or an array of
    integers a shorter source, like `take`.

    Parameters
    ----------
    data : object
        What the subclass reads its rows from.
    rows : range or ndarray of int
        Row of `data` at each position.
    name : str
        What error messages call X.
    """

    def __init__(self, data: Any, rows: range | np.ndarray, name: str) -> None:
        self._data = data
        self._rows = rows
        self._name = name

    cacheable = True
    in_memory = False  # whether pixels may change in place, see `steadily`

    # Numbers of the rows in the original X, where `data` holds a part of that.
    _numbers: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} pictures>"

    def __getstate__(self) -> dict[str, Any]:
        # A pickle carries the selected rows only: it goes to a worker.
        rows = np.asarray(self._rows, dtype=np.intp)
        return {
            **self.__dict__,
            "_data": self._pick(self._rows),
            "_rows": range(len(rows)),
            "_numbers": rows if self._numbers is None else self._numbers[rows],
        }

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, (int, np.integer)):
            return self.load(int(index))
        return self.take(index)

    def take(self, indices: slice | Sequence[int] | np.ndarray) -> ImageSource:
        """Select pictures without decoding or copying any.

        Parameters
        ----------
        indices : slice, or sequence of int, shape (m,)
            Positions in this source. Negative ones count from the end.

        Returns
        -------
        ImageSource
            Of length m; its error messages keep the row numbers of the original X.

        Raises
        ------
        IndexError
            If a position is out of range.
        TypeError
            If `indices` are not integers.
        """
        rows: range | np.ndarray
        if isinstance(indices, slice):
            rows = self._rows[indices]
        else:
            positions = np.asarray(indices)
            if positions.size == 0:
                positions = positions.astype(np.intp)
            if positions.ndim != 1 or positions.dtype.kind not in "iu":
                raise TypeError(
                    "indices must be a slice or a 1-D sequence of integers, got "
                    f"{positions.dtype} of shape {positions.shape}. Use "
                    "numpy.flatnonzero for masks and load for one picture."
                )
            rows = np.asarray(self._rows, dtype=np.intp)[positions]
        source = object.__new__(type(self))
        source.__dict__.update(self.__dict__)
        source._rows = rows
        return source

    def load(self, i: int) -> np.ndarray:
        """Decode one picture.

        Parameters
        ----------
        i : int
            Position in this source.

        Returns
        -------
        ndarray of uint8, shape (h, w, 3)
            RGB. It may be a view of X: do not write to it.

        Raises
        ------
        ImageLoadError
            If its file is missing or damaged.
        """
        return self._rgb(self._row(i))

    def load_pil(self, i: int) -> Image.Image:
        """Decode one picture to a Pillow image of mode RGB; see `load`."""
        return self._pil(self._row(i))

    def load_for(self, i: int, preprocessing: Preprocessing) -> Image.Image:
        """Decode one picture to be resized; it may be smaller than `load_pil`'s."""
        return self.load_pil(i)

    def scaled(self, allowed: bool) -> ImageSource:
        """Return these pictures, with large JPEG files decoded at a reduced scale.

        Parameters
        ----------
        allowed : bool
            False decodes them whole.

        Returns
        -------
        ImageSource
            The keys of such files say how they are decoded; all others stay.
        """
        return self

    @property
    def uniform_size(self) -> tuple[int, int] | None:
        """Height and width shared by all pictures; None where they must be opened."""
        return self._size()

    def block(self, start: int, stop: int) -> np.ndarray | None:
        """Convert consecutive pictures at once, without Python work for each.

        Parameters
        ----------
        start, stop : int
            Positions in this source.

        Returns
        -------
        ndarray of uint8, shape (m, h, w, 3), or None
            RGB; a view of X where that is possible: do not write to it. None where
            pictures have to be loaded one by one, which is where `uniform_size` is
            None.
        """
        return self._block(self._rows[start:stop])

    def row_keys(self) -> list[bytes]:
        """Hash the content of each row.

        Equal rows of the same kind have equal keys, in every process. A file's key is
        made of its absolute path and its `file_identity`: the file is not read.

        Returns
        -------
        list of bytes
            16 bytes each.

        Raises
        ------
        ImageLoadError
            If a file is missing.
        """
        return self._keys(self._rows)

    def batches(
        self,
        preprocessing: Preprocessing,
        batch_size: int,
        n_threads: int | None = None,
        *,
        pin_memory: bool = False,
    ) -> Iterator[torch.Tensor]:
        """Yield resized pictures, uint8 (b, H, W, 3), see `load_batches`."""
        stored = (self._stored(self._row(i)) for i in sample(len(self)))
        warn_of_dark_files(stored, self._name, len(self))
        return load_batches(
            self, preprocessing, batch_size, n_threads, pin_memory=pin_memory
        )

    def describe(self, i: int) -> str:
        """Name one row for an error message, such as ``X[3] ('cats/1.jpg')``."""
        return self._where(self._row(i))

    def _row(self, i: int) -> int:
        return int(self._rows[i])

    def _where(self, row: int) -> str:
        detail = self._detail(row)
        number = row if self._numbers is None else self._numbers[row]
        return f"{self._name}[{number}]" + (f" ({detail})" if detail else "")

    # What subclasses provide; `row` counts in `data`. One of `_rgb` and `_pil`.

    def _rgb(self, row: int) -> np.ndarray:
        return np.array(self._pil(row))

    def _pil(self, row: int) -> Image.Image:
        return Image.fromarray(np.ascontiguousarray(self._rgb(row)))

    def _stored(self, row: int) -> np.ndarray:
        """Return the values of a picture that is read now; arrays were looked at."""
        return np.empty(0)

    def _size(self) -> tuple[int, int] | None:
        return None

    def _block(self, rows: range | np.ndarray) -> np.ndarray | None:
        return None

    def _keys(self, rows: range | np.ndarray) -> list[bytes]:
        return [self._key(int(row)) for row in rows]

    def _key(self, row: int) -> bytes:
        raise NotImplementedError

    def _detail(self, row: int) -> str:
        return ""

    def _pick(self, rows: range | np.ndarray) -> Any:
        return [self._data[row] for row in rows]


class ArraySource(ImageSource):
    """One array (n, ...), possibly memory-mapped."""

    in_memory = True

    def _rgb(self, row: int) -> np.ndarray:
        return to_rgb(self._raw(range(row, row + 1)))[0]

    def _size(self) -> tuple[int, int] | None:
        return picture_size(self._data.dtype, self._data.shape)

    def _block(self, rows: range | np.ndarray) -> np.ndarray | None:
        return to_rgb(self._raw(rows))

    def _keys(self, rows: range | np.ndarray) -> list[bytes]:
        keys: list[bytes] = []
        for some in chunks(self._data, rows):
            keys += array_keys(self._raw(some))
        return keys

    def _raw(self, rows: range | np.ndarray) -> np.ndarray:
        """Rows as stored, a view where possible."""
        return select_rows(self._data, rows)

    def _pick(self, rows: range | np.ndarray) -> Any:
        return np.ascontiguousarray(self._raw(rows))


class TensorSource(ArraySource):
    """A tensor that NumPy can't look into: on a device, or bfloat16."""

    def _size(self) -> tuple[int, int] | None:
        return picture_size(numpy_dtype(self._data), tuple(self._data.shape))

    def _raw(self, rows: range | np.ndarray) -> np.ndarray:
        return to_numpy(select_rows(self._data, rows))

    def _pick(self, rows: range | np.ndarray) -> Any:
        return select_rows(self._data, rows).cpu()


class ArrayListSource(ImageSource):
    """A list of single arrays, possibly of different sizes and types."""

    in_memory = True

    def __init__(self, data: list[np.ndarray], rows: range, name: str) -> None:
        super().__init__(data, rows, name)
        first = data[0]
        self._uniform = all(
            item.shape == first.shape and item.dtype == first.dtype for item in data
        )

    def _rgb(self, row: int) -> np.ndarray:
        return to_rgb(self._data[row][None])[0]

    def _size(self) -> tuple[int, int] | None:
        first = self._data[0]
        return picture_size(first.dtype, (1, *first.shape)) if self._uniform else None

    def _block(self, rows: range | np.ndarray) -> np.ndarray | None:
        if not self._uniform:
            return None
        first = self._data[0]
        raw = np.empty((len(rows), *first.shape), first.dtype)
        for k, row in enumerate(rows):
            raw[k] = self._data[row]
        return to_rgb(raw)

    def _key(self, row: int) -> bytes:
        return array_keys(self._data[row][None])[0]

    def _detail(self, row: int) -> str:
        item = self._data[row]
        return f"{item.dtype} array of shape {item.shape}"
