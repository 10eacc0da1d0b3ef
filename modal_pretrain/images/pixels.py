"""Arrays of pixels: which are accepted, how they become 8-bit RGB, how they hash.

Integers are channels-last, floats channels-first, as NumPy and PyTorch users have them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from xxhash import xxh3_64_intdigest, xxh3_128_digest

ACCEPTED = (
    "Pictures are uint8 arrays (n, h, w, 3), float arrays (n, 3, h, w) in [0, 1], "
    "tensors of the same kinds, or lists or arrays of paths or PIL images."
)
# Rows checked or hashed at a time hold about this many bytes.
_CHUNK_BYTES = 1 << 22
# Resizing in float32 leaves values like 1.0000001.
TOLERANCE = 1e-5


def over_white(rgba: np.ndarray) -> np.ndarray:
    """Composite uint8 RGBA over white.

    Parameters
    ----------
    rgba : ndarray of uint8, shape (..., 4)

    Returns
    -------
    ndarray of uint8, shape (..., 3)
    """
    alpha = rgba[..., 3:].astype(np.uint16)
    # At most 255 * 255 + 127, so 16 bits hold it.
    mixed = rgba[..., :3] * alpha + 255 * (255 - alpha) + np.uint16(127)
    return (mixed // 255).astype(np.uint8)


def from_16_bit(values: np.ndarray) -> np.ndarray:
    """Scale 0..65535 to uint8 0..255, rounding to the nearest."""
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def to_rgb(raw: np.ndarray) -> np.ndarray:
    """Convert accepted arrays to 8-bit RGB.

    Parameters
    ----------
    raw : ndarray, shape (m, ...)
        As `check_layout` accepts it.

    Returns
    -------
    ndarray of uint8, shape (m, h, w, 3)
        `raw` itself if it already is that.
    """
    if raw.dtype.kind == "f":
        scaled = np.multiply(raw, 255, dtype=np.result_type(raw.dtype, np.float32))
        np.rint(scaled, out=scaled)
        m, _, h, w = raw.shape
        rgb = np.empty((m, h, w, 3), np.uint8)
        # Also spreads a single channel over three.
        np.copyto(rgb, scaled.transpose(0, 2, 3, 1), casting="unsafe")
        return rgb
    if raw.dtype.itemsize == 2:
        raw = from_16_bit(raw)
    if raw.ndim == 3:
        raw = raw[..., None]
    if raw.shape[-1] == 1:
        return np.repeat(raw, 3, axis=-1)
    return over_white(raw) if raw.shape[-1] == 4 else raw


def picture_size(dtype: np.dtype, shape: tuple[int, ...]) -> tuple[int, int]:
    """Height and width of pictures in an accepted array (n, ...)."""
    height, width = shape[2:4] if dtype.kind == "f" else shape[1:3]
    return int(height), int(width)


def array_keys(raw: np.ndarray) -> list[bytes]:
    """Hash each row with its type and shape; 16 bytes each."""
    # Byte order is lost in pickles and must not matter.
    raw = raw.astype(raw.dtype.newbyteorder("="), copy=False)
    about = repr(("array", raw.dtype.str, raw.shape[1:]))
    seed = xxh3_64_intdigest(about.encode())
    flat = np.ascontiguousarray(raw).reshape(len(raw), -1)
    return [xxh3_128_digest(row.data, seed) for row in flat]


def select_rows(data: Any, rows: range | np.ndarray) -> Any:
    """Rows of an array or tensor; a view where they are evenly spaced."""
    if isinstance(rows, range):
        if rows.step > 0:
            return data[rows.start : rows.stop : rows.step]
        rows = np.asarray(rows, dtype=np.intp)  # tensors can't be sliced backwards
    if isinstance(data, torch.Tensor):
        return data[torch.from_numpy(rows).to(data.device)]
    return data[rows]


def chunks(data: Any, rows: range | np.ndarray) -> Iterator[range | np.ndarray]:
    """Cut `rows` of an array or tensor into pieces of a few megabytes."""
    row_bytes = math.prod(data.shape[1:]) * data.dtype.itemsize
    step = max(1, _CHUNK_BYTES // max(1, row_bytes))
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    """Copy a tensor to NumPy; bfloat16, which NumPy lacks, becomes float32."""
    if tensor.dtype is torch.bfloat16:
        tensor = tensor.float()
    return tensor.detach().resolve_conj().resolve_neg().cpu().numpy()


def numpy_dtype(tensor: torch.Tensor) -> np.dtype:
    """Type that `to_numpy` gives."""
    return to_numpy(tensor.new_empty(0)).dtype


def check_not_empty(shape: tuple[int, ...], name: str) -> None:
    """Raise what scikit-learn raises for an X without rows."""
    if shape[0] == 0:
        raise ValueError(
            f"Found array with 0 sample(s) (shape={shape}) while a minimum of 1 is "
            f"required. {name} is empty; pictures are expected."
        )


def check_layout(
    dtype: np.dtype, shape: tuple[int, ...], name: str, item: bool = False
) -> None:
    """Check type and shape.

    Parameters
    ----------
    dtype : numpy.dtype
    shape : tuple of int
    name : str
        What error messages call the array.
    item : bool, default=False
        True for a single picture out of a list, which has no batch axis.

    Raises
    ------
    TypeError
        If the type is none for pixels.
    ValueError
        If the shape is none for pictures of this type.
    """
    got = f"{name} has dtype {dtype} and shape {shape}"
    inner = shape if item else shape[1:]
    if len(shape) < 2 or (len(shape) == 2 and not item):
        raise ValueError(
            f"{got}: tabular data, but pictures are expected. {ACCEPTED} For one grey "
            f"picture write {name}[None]."
        )
    _check_dtype(dtype, name)
    lead = "" if item else "n, "
    batch = () if item else (0,)
    if dtype.kind == "f":
        expected = f"({lead}3, h, w) or ({lead}1, h, w) are expected for floats"
        if len(inner) == 3 and inner[0] in (1, 3):
            pass
        elif len(inner) == 3 and inner[2] in (1, 3, 4):
            axes = (*batch, *(i + len(batch) for i in (2, 0, 1)))
            alpha = " after dropping alpha" if inner[2] == 4 else ""
            raise ValueError(
                f"{got}: channels last, but {expected}. Write "
                f"{name}.transpose{axes}{alpha}."
            )
        elif not item and len(shape) == 3 and (shape[0] in (1, 3) or shape[2] in (3,)):
            raise ValueError(f"{got}: one picture. Add a batch axis: {name}[None].")
        else:
            grey = f" For grey pictures write {name}[:, None]." if not item else ""
            raise ValueError(f"{got}, but {expected}.{grey if len(inner) == 2 else ''}")
    else:
        expected = f"({lead}h, w, 3) is expected for integers (or 4, 1, no channels)"
        if len(inner) == 3 and inner[2] in (1, 3, 4):
            pass
        elif len(inner) == 3 and inner[0] in (1, 3, 4):
            axes = (*batch, *(i + len(batch) for i in (1, 2, 0)))
            raise ValueError(
                f"{got}: channels first, but {expected}. Write {name}.transpose{axes}."
            )
        elif not item and len(shape) == 3 and shape[2] in (1, 3, 4):
            raise ValueError(f"{got}: one picture. Add a batch axis: {name}[None].")
        elif len(inner) != 2:
            raise ValueError(f"{got}, but {expected}.")
    if 0 in inner:
        raise ValueError(f"{got}: its pictures have no pixels.")


def _check_dtype(dtype: np.dtype, name: str) -> None:
    if dtype.kind == "f" or (dtype.kind == "u" and dtype.itemsize <= 2):
        return
    expected = "uint8 in 0..255 (or uint16), or floats in [0, 1] are expected"
    if dtype.kind == "c":
        raise ValueError(f"{name} is {dtype}. Complex data not supported: {expected}.")
    if dtype.kind == "b":
        fix = f" For black and white write {name}.astype(numpy.uint8) * 255."
    elif dtype.kind in "iu":
        fix = f" If its values are 0..255, write {name}.astype(numpy.uint8)."
    else:
        fix = ""
    raise TypeError(f"{name} has dtype {dtype}, but {expected}.{fix}")


def check_range(data: Any, name: str, item: bool = False) -> None:
    """Check that floats are finite and in [0, 1], a few rows at a time.

    Parameters
    ----------
    data : ndarray or torch.Tensor, shape (n, ...)
    name : str
        What error messages call the array.
    item : bool, default=False
        True if `name` means the only row and not the array.

    Raises
    ------
    ValueError
        If they are not; the message names the first such row.
    """
    tensor = isinstance(data, torch.Tensor)
    if not (data.dtype.is_floating_point if tensor else data.dtype.kind == "f"):
        return
    for rows in chunks(data, range(len(data))):
        part = select_rows(data, rows)
        low, high = torch.aminmax(part) if tensor else (part.min(), part.max())
        if low >= -TOLERANCE and high <= 1 + TOLERANCE:  # also False for NaN
            continue
        values = to_numpy(part) if tensor else part
        fits = (values >= -TOLERANCE) & (values <= 1 + TOLERANCE)
        first = int(np.flatnonzero(~fits.reshape(len(values), -1).all(axis=1))[0])
        where = name if item else f"{name}[{rows[first]}]"
        raise ValueError(_range_message(values[first], where, name))


def _range_message(row: np.ndarray, where: str, name: str) -> str:
    if not np.isfinite(row).all():
        return (
            f"{where} contains NaN or infinity. Replace such pixels, for example with "
            "numpy.nan_to_num, or drop the row."
        )
    low, high = float(row.min()), float(row.max())
    got = f"{where} has values from {low:.6g} to {high:.6g}, but floats in [0, 1]"
    if low < 0:
        return (
            f"{got} are expected. If the pictures are normalised already, pass them "
            "as they were before: mean and standard deviation are applied here."
        )
    if high <= 255:
        return (
            f"{got} are expected. Divide by 255 ({name} / 255), or pass uint8 "
            "(channels last)."
        )
    return f"{got} are expected. Divide by the largest possible value."
