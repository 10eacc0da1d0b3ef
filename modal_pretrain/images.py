"""Any accepted X as a sequence of 8-bit RGB pictures, decoded one by one, on demand.

Accepted are

- uint8 or uint16 arrays (n, h, w, 3), (n, h, w, 4), (n, h, w, 1) or (n, h, w); 16 bits
  are divided by 257, a fourth channel is alpha and is composited over white;
- float arrays (n, 3, h, w) or (n, 1, h, w) in [0, 1], quantised by ``round(x * 255)``;
- PyTorch tensors of these kinds, on any device;
- paths: lists, arrays, pandas Series or a one-column DataFrame of str or Path;
- lists or object arrays of Pillow images, or of single arrays of different sizes;
- nested lists of numbers, which modAL makes from lists of arrays.

Memory-mapped arrays stay on the disk. How one file is decoded stands in `files`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
import torch
from PIL import Image
from xxhash import xxh3_64_intdigest, xxh3_128_digest

from modal_pretrain.files import (
    convert_image,
    decode_file,
    orientation,
    quiet_pillow,
    stat_file,
)
from modal_pretrain.pixels import (
    ACCEPTED,
    array_keys,
    check_layout,
    check_not_empty,
    check_range,
    chunks,
    picture_size,
    select_rows,
    to_numpy,
    to_rgb,
)

__all__ = ["ImageSource", "as_images"]

# Pillow images opened lazily are read at first use, which is not thread-safe for one
# image; a few locks shared by all images are enough.
_LOAD_LOCKS = [threading.Lock() for _ in range(61)]


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

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} pictures>"

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
        return np.array(self.load_pil(i))

    def load_pil(self, i: int) -> Image.Image:
        """Decode one picture to a Pillow image of mode RGB; see `load`."""
        return Image.fromarray(np.ascontiguousarray(self.load(i)))

    @property
    def uniform_size(self) -> tuple[int, int] | None:
        """Height and width shared by all pictures; None where they must be opened."""
        return None

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
            pictures have to be loaded one by one.
        """
        return None

    def row_keys(self) -> list[bytes]:
        """Hash the content of each row.

        Equal rows have equal keys in every process. A file's key is made of its
        absolute path, size and time of change, so no file is read.

        Returns
        -------
        list of bytes
            16 bytes each.

        Raises
        ------
        ImageLoadError
            If a file is missing.
        """
        return [self._key(i) for i in range(len(self))]

    def describe(self, i: int) -> str:
        """Name one row for an error message, such as ``X[3] ('cats/1.jpg')``."""
        detail = self._detail(self._row(i))
        return f"{self._name}[{self._row(i)}]" + (f" ({detail})" if detail else "")

    def _row(self, i: int) -> int:
        return int(self._rows[i])

    def _detail(self, row: int) -> str:
        return ""

    def _key(self, i: int) -> bytes:
        raise NotImplementedError


class _Paths(ImageSource):
    """Image files."""

    def load_pil(self, i: int) -> Image.Image:
        return decode_file(self._data[self._row(i)], self.describe(i))

    def _detail(self, row: int) -> str:
        return repr(os.fspath(self._data[row]))

    def _key(self, i: int) -> bytes:
        path = self._data[self._row(i)]
        status = stat_file(path, self.describe(i))
        text = f"path\0{status.st_size}\0{status.st_mtime_ns}\0".encode()
        return xxh3_128_digest(text + os.fsencode(os.path.abspath(path)))


class _Pillow(ImageSource):
    """Pillow images."""

    def load_pil(self, i: int) -> Image.Image:
        image = self._data[self._row(i)]
        with _LOAD_LOCKS[id(image) % len(_LOAD_LOCKS)]:
            return convert_image(image, self.describe(i))

    def _detail(self, row: int) -> str:
        image = self._data[row]
        size = f"{image.width} x {image.height}"
        return f"PIL image of mode {image.mode}, {size}"

    def _key(self, i: int) -> bytes:
        image = self._data[self._row(i)]
        self.load_pil(i)  # for its errors, and to load lazy images
        with quiet_pillow():
            palette = image.getpalette(None)
        about = (image.mode, image.size, palette, image.info.get("transparency"))
        text = repr(("pil", *about, orientation(image), image.format == "PNG"))
        return xxh3_128_digest(image.tobytes(), xxh3_64_intdigest(text.encode()))


class _Arrays(ImageSource):
    """One array (n, ...), possibly memory-mapped."""

    @property
    def uniform_size(self) -> tuple[int, int] | None:
        return picture_size(self._data.dtype, self._data.shape)

    def load(self, i: int) -> np.ndarray:
        row = self._row(i)
        return to_rgb(self._raw(range(row, row + 1)))[0]

    def block(self, start: int, stop: int) -> np.ndarray | None:
        return to_rgb(self._raw(self._rows[start:stop]))

    def row_keys(self) -> list[bytes]:
        keys: list[bytes] = []
        for rows in chunks(self._data, self._rows):
            keys += array_keys(self._raw(rows))
        return keys

    def _raw(self, rows: range | np.ndarray) -> np.ndarray:
        """Rows as stored, a view where possible."""
        return select_rows(self._data, rows)


class _Tensor(_Arrays):
    """A tensor that NumPy can't look into: on a device, or bfloat16."""

    @property
    def uniform_size(self) -> tuple[int, int] | None:
        return picture_size(_numpy_dtype(self._data), tuple(self._data.shape))

    def _raw(self, rows: range | np.ndarray) -> np.ndarray:
        if isinstance(rows, np.ndarray):
            return to_numpy(self._data[torch.from_numpy(rows).to(self._data.device)])
        return to_numpy(select_rows(self._data, rows))


class _ArrayList(ImageSource):
    """A list of single arrays, possibly of different sizes and types."""

    def __init__(self, data: list[np.ndarray], rows: range, name: str) -> None:
        super().__init__(data, rows, name)
        first = data[0]
        self._uniform = all(
            item.shape == first.shape and item.dtype == first.dtype for item in data
        )

    @property
    def uniform_size(self) -> tuple[int, int] | None:
        first = self._data[0]
        return picture_size(first.dtype, (1, *first.shape)) if self._uniform else None

    def load(self, i: int) -> np.ndarray:
        return to_rgb(self._data[self._row(i)][None])[0]

    def block(self, start: int, stop: int) -> np.ndarray | None:
        rows = self._rows[start:stop]
        if not self._uniform or not len(rows):
            return None
        return to_rgb(np.stack([self._data[row] for row in rows]))

    def _detail(self, row: int) -> str:
        item = self._data[row]
        return f"{item.dtype} array of shape {item.shape}"

    def _key(self, i: int) -> bytes:
        return array_keys(self._data[self._row(i)][None])[0]


def as_images(X: Any, *, name: str = "X") -> ImageSource:
    """View any accepted X as a sequence of RGB pictures.

    Files are not touched and nothing is decoded or copied yet. Values of float arrays
    are checked once, a few rows at a time.

    Parameters
    ----------
    X : array, tensor, or sequence of paths, PIL images or arrays; or ImageSource
        See the head of this module for kinds, shapes and ranges.
    name : str, default="X"
        What error messages call X.

    Returns
    -------
    ImageSource
        X itself if it already is one.

    Raises
    ------
    TypeError
        If X holds something else than pictures, or several kinds of them.
    ValueError
        If shape or range do not fit. The message says how to repair X.

    Examples
    --------
    >>> import numpy as np
    >>> source = as_images(np.zeros((5, 32, 48, 3), np.uint8))
    >>> len(source), source.uniform_size, source.take([0, 3]).load(1).shape
    (5, (32, 48), (32, 48, 3))
    """
    if isinstance(X, ImageSource):
        return X
    if scipy.sparse.issparse(X):
        raise TypeError(f"{name} is a sparse matrix, not pictures. {ACCEPTED}")
    if isinstance(X, torch.Tensor):
        return _from_tensor(X, name)
    if isinstance(X, pd.DataFrame):
        if X.shape[1] != 1:
            raise TypeError(
                f"{name} is a DataFrame with {X.shape[1]} columns; one column of paths "
                f"is expected. Pass that column: {name}[column]."
            )
        X = X.iloc[:, 0]
    if isinstance(X, (pd.Series, pd.Index, pd.api.extensions.ExtensionArray)):
        X = X.to_numpy(dtype=object)
    if isinstance(X, np.ndarray):
        return _from_array(np.asarray(X), name)
    if isinstance(X, (str, os.PathLike, Image.Image)):
        one = "PIL image" if isinstance(X, Image.Image) else "path"
        raise TypeError(
            f"{name} is a single {one} ({X!r}); a list is expected. Write [{name}]"
            + ("." if one == "PIL image" else ", or list the files of a folder.")
        )
    if isinstance(X, (bytes, bytearray)) or not isinstance(X, Sequence):
        hint = f" Try numpy.asarray({name})." if hasattr(X, "__array__") else ""
        raise TypeError(f"{name} is of type {type(X).__name__}. {ACCEPTED}{hint}")
    return _from_list(X, name)


def _from_array(X: np.ndarray, name: str) -> ImageSource:
    if X.ndim == 0:
        raise TypeError(f"{name} is a single value of dtype {X.dtype}. {ACCEPTED}")
    check_not_empty(X.shape, name)
    if X.dtype.kind in "OSUT":
        if X.ndim == 2 and X.shape[1] == 1:  # a column, as scikit-learn slices it
            X = X[:, 0]
        if X.ndim == 1:
            return _from_list(X, name)
        return _from_nested(X.tolist(), name)
    check_layout(X.dtype, X.shape, name)
    check_range(X, name)
    return _Arrays(X, range(len(X)), name)


def _from_tensor(X: torch.Tensor, name: str) -> ImageSource:
    if X.layout is not torch.strided:
        raise TypeError(f"{name} is a sparse tensor. Convert it: {name}.to_dense().")
    X = X.detach()
    try:
        if X.device.type == "cpu" and X.dtype is not torch.bfloat16:
            return _from_array(to_numpy(X), name)
        check_not_empty(tuple(X.shape) or (1,), name)
        check_layout(_numpy_dtype(X), tuple(X.shape), name)
        check_range(X, name)
    except (TypeError, ValueError) as error:
        # The advice is in NumPy's words; tensors have their own.
        text = str(error).replace(".transpose(", ".permute(")
        text = text.replace(".astype(numpy.uint8)", ".to(torch.uint8)")
        raise type(error)(text.replace("numpy.nan", "torch.nan")) from None
    return _Tensor(X, range(len(X)), name)


def _numpy_dtype(tensor: torch.Tensor) -> np.dtype:
    return to_numpy(tensor.new_empty(0)).dtype


def _from_list(X: Sequence[Any] | np.ndarray, name: str) -> ImageSource:
    check_not_empty((len(X),), name)
    if isinstance(X[0], (list, tuple)):
        return _from_nested(X, name)
    first = _item_kind(X[0], f"{name}[0]")
    for row, item in enumerate(X):
        kind = _item_kind(item, f"{name}[{row}]")
        if kind != first:
            raise TypeError(
                f"{name} mixes kinds: {name}[0] is a {first}, {name}[{row}] a {kind}. "
                "Convert all of them to one kind, for example to paths."
            )
    if first == "path":
        return _Paths(X, range(len(X)), name)
    if first == "PIL image":
        return _Pillow(X, range(len(X)), name)
    items = [_check_item(item, f"{name}[{row}]") for row, item in enumerate(X)]
    return _ArrayList(items, range(len(X)), name)


def _item_kind(item: Any, where: str) -> str:
    if isinstance(item, (str, os.PathLike)):
        if not os.fspath(item):
            raise ValueError(f"{where} is an empty path. Drop the row.")
        return "path"
    if isinstance(item, Image.Image):
        if 0 in item.size:
            raise ValueError(f"{where} is a PIL image without pixels ({item.size}).")
        return "PIL image"
    if isinstance(item, (np.ndarray, torch.Tensor)) and item.ndim:
        return "array"
    if item is None or item is pd.NA or (isinstance(item, float) and item != item):
        raise ValueError(
            f"{where} is missing ({item!r}). Drop the row, or name a file."
        )
    if isinstance(item, (bytes, bytearray)):
        raise TypeError(
            f"{where} is bytes. For a path write os.fsdecode({where}); for the content "
            f"of a file PIL.Image.open(io.BytesIO({where}))."
        )
    raise TypeError(f"{where} is of type {type(item).__name__}. {ACCEPTED}")


def _check_item(item: np.ndarray | torch.Tensor, where: str) -> np.ndarray:
    array = to_numpy(item) if isinstance(item, torch.Tensor) else np.asarray(item)
    check_layout(array.dtype, array.shape, where, item=True)
    check_range(array[None], where, item=True)
    return array


def _from_nested(X: Any, name: str) -> ImageSource:
    """From nested lists, which modAL's list handling leaves behind."""
    try:
        array = np.asarray(X)
    except ValueError:
        raise ValueError(
            f"{name} is a nested list of pictures of different sizes. Pass a list of "
            "uint8 arrays instead."
        ) from None
    if array.dtype.kind == "O" and array.shape[1:] != (1,):
        raise TypeError(f"{name} is a nested list, but not of numbers. {ACCEPTED}")
    if array.dtype.kind in "iu" and array.ndim > 2:
        low, high = array.min(initial=0), array.max(initial=0)
        if low < 0 or high > 255:
            raise ValueError(
                f"{name} is a nested list of integers from {low} to {high}, but pixels "
                "from 0 to 255 are expected."
            )
        array = array.astype(np.uint8)
    return _from_array(array, name)
