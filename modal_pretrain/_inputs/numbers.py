"""Arrays of finite numbers: what came is named where it is something else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MappingView, Set
from typing import Any

import numpy as np

from modal_pretrain._checks import ParameterError


def of_tensor(values: Any, name: str) -> Any:
    """Return a PyTorch tensor as a NumPy array, and anything else as it is.

    It may need a gradient, be on a device, or of a type that NumPy lacks.

    Parameters
    ----------
    values : object
    name : str
        Of the argument, for errors.

    Raises
    ------
    ParameterError
        If the tensor is sparse, nested, quantised or without values.
    """
    if not (hasattr(values, "detach") and hasattr(values, "cpu")):
        return values
    try:
        tensor = values.detach().cpu()
        try:
            return np.asarray(tensor)
        except TypeError:  # bfloat16
            return np.asarray(tensor.float())
    except (TypeError, RuntimeError):
        raise ParameterError(
            f"{name} is a tensor of {values.dtype}, {values.layout}, on the device "
            f"{str(values.device)!r}, which cannot be read as an array. Pass a dense "
            f"one that has values: {name}.to_dense() if it is sparse, .dequantize() if "
            "it is quantised."
        ) from None


def is_between(low: float, number: Any, high: float) -> bool:
    """Tell whether something is a number from low to high; nan bounds hold none."""
    try:
        return bool(low <= number <= high)
    except (TypeError, ValueError):
        return False


def as_numbers(values: Any, name: str) -> np.ndarray:
    """Return finite numbers as float64, or as float32 where they are half or single.

    Parameters
    ----------
    values : array-like of any shape
        Truth values are 0 and 1.
    name : str
        Of the argument, for errors.

    Returns
    -------
    numpy.ndarray
        Of the machine's byte order; may be `values` itself.

    Raises
    ------
    ValueError, TypeError
        If it holds strings, dates, complex numbers or objects, rows of different
        lengths, masked values, NaN or infinity. The message says where.
    """
    if isinstance(values, str | bytes | Set | Mapping | Iterator | MappingView):
        raise ParameterError(
            f"{name} must be an array of numbers, got {type(values).__name__}: "
            f"{values!r:.80}."
        )
    if np.ma.isMaskedArray(values) and np.ma.getmaskarray(values).any():
        raise ValueError(
            f"{name} has masked values. Fill them ({name}.filled(...)), or leave their "
            "rows out."
        )
    if hasattr(values, "toarray"):
        raise ParameterError(
            f"{name} must be an array of numbers, got a sparse matrix of shape "
            f"{values.shape}. Write {name}.toarray()"
            f"{'.ravel()' if 1 in values.shape else ''}."
        )
    values = of_tensor(values, name)
    try:
        array = np.asarray(values)
    except ValueError:
        raise ValueError(f"{name} holds rows of different lengths.") from None
    if array.dtype.kind == "O":
        array = _of_objects(array, name)
    if array.dtype.kind not in "biuf":
        example = f": {array.ravel()[0]!r:.40}" if array.size else ""
        raise ParameterError(
            f"{name} must be an array of numbers, got one of {array.dtype}{example}."
        )
    narrow = array.dtype.kind == "f" and array.dtype.itemsize <= 4
    with np.errstate(over="ignore"):  # of long doubles
        array = array.astype(np.float32 if narrow else np.float64, copy=False)
    fits = np.isfinite(array)
    if not fits.all():
        place = np.argwhere(~fits)[0]
        where = f"[{', '.join(map(str, place))}]" if array.ndim else ""
        value = "NaN" if np.isnan(array[tuple(place)]) else array[tuple(place)]
        raise ValueError(
            f"{name}{where} is {value}, which is not finite. Leave such rows out, or "
            "replace the value."
        )
    return array


def _of_objects(array: np.ndarray, name: str) -> np.ndarray:
    """Return an object array of numbers, as pandas makes them, as floats."""
    for place, value in enumerate(array.ravel()):
        strange = isinstance(value, str | bytes | complex) or np.ndim(value)
        try:
            if strange:
                raise TypeError
            float(value if value is not None else np.nan)
        except (TypeError, ValueError, OverflowError):
            at = ", ".join(map(str, np.unravel_index(place, array.shape)))
            where = f"{name}[{at}]={value!r:.80}" if at else f"{value!r:.80}"
            raise ParameterError(
                f"{name} must be an array of numbers, but {where} of type "
                f"{type(value).__name__} is none that a float can hold."
            ) from None
    return array.astype(np.float64)


def are_graded(labels: np.ndarray) -> bool:
    """Whether labels look like measurements: stars such as 3.5 repeat, these don't."""
    if labels.dtype.kind != "f" or len(labels) < 10:
        return False
    return len(np.unique(labels[labels % 1 != 0])) > len(labels) / 2
