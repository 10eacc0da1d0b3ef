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
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
import torch
from PIL import Image

from modal_pretrain._checks import how_to_list
from modal_pretrain.images.bits import warn_of_fewer_bits
from modal_pretrain.images.decode import ImageFileNotFoundError, ImageLoadError
from modal_pretrain.images.files import PathSource
from modal_pretrain.images.opened import PillowSource
from modal_pretrain.images.pixels import (
    ACCEPTED,
    check_layout,
    check_not_empty,
    check_range,
    chunks,
    numpy_dtype,
    to_numpy,
)
from modal_pretrain.images.sources import (
    ArrayListSource,
    ArraySource,
    ImageSource,
    TensorSource,
)

__all__ = ["ImageFileNotFoundError", "ImageLoadError", "ImageSource", "as_images"]


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

    Warns
    -----
    UserWarning
        If 16-bit integers hold nothing above 4095, 8-bit ones nothing above 1, or
        floats nothing above 1/255: nearly black. If a tensor of three grey pictures
        may be one of three channels.

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
    if isinstance(X, memoryview) and X.ndim > 1:
        X = np.asarray(X)
    if isinstance(X, np.ndarray):
        return _from_array(_unmasked(X, name), name)
    if isinstance(X, (str, os.PathLike, Image.Image)):
        one = "PIL image" if isinstance(X, Image.Image) else "path"
        raise TypeError(
            f"{name} is a single {one} ({X!r}); a list is expected. Write [{name}]"
            + ("." if one == "PIL image" else ", or list the files of a folder.")
        )
    if isinstance(X, (bytes, bytearray, memoryview)):
        raise TypeError(
            f"{name} is of type {type(X).__name__}. {ACCEPTED} For the content of a "
            f"file write [PIL.Image.open(io.BytesIO({name}))]."
        )
    if not isinstance(X, Sequence):
        raise TypeError(
            f"{name} is of type {type(X).__name__}. {ACCEPTED}{how_to_list(X, name)}"
        )
    return _from_list(X, name)


def _from_array(X: np.ndarray, name: str) -> ImageSource:
    if X.ndim == 0:
        raise TypeError(
            f"{name} is a single value of dtype {X.dtype}. {ACCEPTED} For one path "
            f"write {name}.reshape(1)."
        )
    check_not_empty(X.shape, name)
    if X.dtype.kind in "OSUT":
        if X.ndim == 2 and X.shape[1] == 1:  # a column, as scikit-learn slices it
            X = X[:, 0]
        if X.ndim == 1:
            return _from_list(X, name)
        return _from_nested(X.tolist(), name)
    check_layout(X.dtype, X.shape, name)
    check_range(X, name)
    warn_of_fewer_bits((X[rows] for rows in chunks(X, range(len(X)))), name)
    return ArraySource(X, range(len(X)), name)


def _unmasked(X: np.ndarray, name: str) -> np.ndarray:
    if isinstance(X, np.ma.MaskedArray) and np.ma.is_masked(X):
        raise ValueError(
            f"{name} is a masked array with {np.ma.count_masked(X)} masked values. "
            f"Pictures have none: fill them ({name}.filled(0)), or drop the rows."
        )
    return np.asarray(X)


def _check_tensor(X: torch.Tensor, name: str) -> None:
    if X.is_nested:
        raise TypeError(f"{name} is a nested tensor. Pass list({name}.unbind()).")
    if X.layout is not torch.strided:
        raise TypeError(f"{name} is a sparse tensor. Convert it: {name}.to_dense().")
    if X.is_meta:
        raise ValueError(
            f"{name} is on the device 'meta', where tensors have no values. Pass one "
            "that was loaded on the CPU or a GPU."
        )
    try:
        numpy_dtype(X)
    except (TypeError, RuntimeError):
        raise TypeError(
            f"{name} has dtype {X.dtype}, which NumPy does not have. Convert it: "
            f"{name}.float(), with values in [0, 1]."
        ) from None


def _from_tensor(X: torch.Tensor, name: str) -> ImageSource:
    _check_tensor(X, name)
    if X.ndim == 3 and len(X) == 3 and not X.is_floating_point():
        warnings.warn(
            f"{name} of shape {tuple(X.shape)} is taken for 3 grey pictures. If it is "
            "one with channels first, as torchvision reads it, write "
            f"{name}.permute(1, 2, 0)[None]; if not, {name}[..., None] says so.",
            UserWarning,
            stacklevel=3,
        )
    X = X.detach()
    try:
        if X.device.type == "cpu" and X.dtype is not torch.bfloat16:
            return _from_array(to_numpy(X), name)
        check_not_empty(tuple(X.shape) or (1,), name)
        check_layout(numpy_dtype(X), tuple(X.shape), name)
        check_range(X, name)
        parts = (to_numpy(X[rows]) for rows in chunks(X, range(len(X))))
        warn_of_fewer_bits(parts, name)
    except (TypeError, ValueError) as error:
        raise _in_words_of_tensors(error) from None
    return TensorSource(X, range(len(X)), name)


def _in_words_of_tensors(error: Exception) -> Exception:
    """Return an error whose advice, in NumPy's words, is that for a tensor."""
    text = str(error).replace(".transpose(", ".permute(")
    text = text.replace(".astype(numpy.uint8)", ".to(torch.uint8)")
    return type(error)(text.replace("numpy.nan", "torch.nan"))


def _from_list(X: Sequence[Any] | np.ndarray, name: str) -> ImageSource:
    check_not_empty((len(X),), name)
    if isinstance(X[0], (list, tuple)):
        return _from_nested(X, name)
    first = _item_kind(X[0], f"{name}[0]")
    for row, item in enumerate([] if _are_names(X) else X):
        kind = _item_kind(item, f"{name}[{row}]")
        if kind != first:
            raise TypeError(
                f"{name} mixes kinds: {name}[0] is {first}, {name}[{row}] {kind}. "
                "Convert all of them to one kind, for example to paths."
            )
    if not isinstance(X, np.ndarray):
        X = list(X)  # the caller's list may change
    if first == "a path":
        return PathSource(X, range(len(X)), name)
    if first == "a PIL image":
        return PillowSource(X, range(len(X)), name)
    items = [_check_item(item, f"{name}[{row}]") for row, item in enumerate(X)]
    warn_of_fewer_bits(items, name)
    return ArrayListSource(items, range(len(X)), name)


def _are_names(X: Sequence[Any] | np.ndarray) -> bool:
    """Whether all are str, none empty; quick, as every query asks it of its pool."""
    if isinstance(X, np.ndarray) and X.dtype.kind == "U":
        return bool((X != "").all())
    return set(map(type, X)) == {str} and all(X)


def _item_kind(item: Any, where: str) -> str:
    if isinstance(item, (str, os.PathLike)):
        if not os.fspath(item):
            raise ValueError(f"{where} is an empty path. Drop the row.")
        return "a path"
    if isinstance(item, Image.Image):
        if 0 in item.size:
            raise ValueError(f"{where} is a PIL image without pixels ({item.size}).")
        return "a PIL image"
    if isinstance(item, (np.ndarray, torch.Tensor)) and item.ndim:
        return "an array"
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
    if isinstance(item, torch.Tensor):
        _check_tensor(item, where)
        array = to_numpy(item)
    else:
        array = _unmasked(item, where)
    try:
        check_layout(array.dtype, array.shape, where, item=True)
        check_range(array[None], where, item=True)
    except (TypeError, ValueError) as error:
        if isinstance(item, torch.Tensor):
            raise _in_words_of_tensors(error) from None
        raise
    return array


def _from_nested(X: Any, name: str) -> ImageSource:
    """From nested lists, which modAL's list handling leaves behind."""
    first = X[0]
    pictures = (str, os.PathLike, Image.Image)
    if any(np.ndim(part) > 1 or isinstance(part, pictures) for part in first):
        kinds = {type(part).__name__ for part in first}
        if len(kinds) > 1:
            raise TypeError(
                f"{name}[0] holds {' and '.join(sorted(kinds))}, but one picture is "
                "expected. Of pairs of a picture and a label pass the pictures: "
                f"[pair[0] for pair in {name}]."
            )
    try:
        array = np.asarray(X)
    except ValueError:
        raise ValueError(
            f"{name} is a nested list of pictures of different sizes. Pass a list of "
            "uint8 arrays instead."
        ) from None
    if array.dtype.kind in "OSUT" and array.shape[1:] != (1,):
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
