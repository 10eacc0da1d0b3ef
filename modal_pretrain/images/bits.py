"""Pictures of fewer bits than their type has, where they are nearly black.

Of 8 to 12 bits among those of 16, and of one (masks) among those of 8; floats that
were divided by 255 twice, too. Nothing in an array or a file says so: it shows in that
no value is large. Of colours in files Pillow keeps the upper 8 bits of 16, so that they
are looked at before it reads.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable

import numpy as np
from PIL import Image

from modal_pretrain.images.decode import read_pixels

# By bytes of the type: of sensors whose numbers come in 16 bits; and of masks, or of
# floats in [0, 1] whose fractions `astype` has cut off.
_FEW = {1: 1, 2: 12}
_LOOKED_AT = 8  # files of a pass; fewer say little, as one may be dark
_DARK = 1.001 / 255  # the largest float of what was divided twice, and its rounding
_ENOUGH = 1 << 26  # bytes to judge masks by: a map of black ones stays on the disk
_BITS_TAG = 258
_WIDE = re.compile(";16[BLN]")  # of Pillow's raw modes; BGR;16 has 16 bits in all


def warn_of_fewer_bits(parts: Iterable[np.ndarray], name: str) -> None:
    """Warn if arrays look like pictures of fewer bits, as cameras and masks have them.

    Parameters
    ----------
    parts : iterable of ndarray
        They are looked at until one says that all is well.
    name : str
        What the message calls them together.
    """
    size, largest = _few_bits(parts)
    if size == 1:
        _warn(
            f"{name} has dtype uint8, but no value above 1.",
            8,
            f"If they are masks, write {name} * 255; if they were floats in [0, 1], "
            "multiply these by 255 before they become integers.",
        )
    elif size and isinstance(largest, float):
        warnings.warn(
            f"{name} holds floats, but none above 1/255 (the largest is "
            f"{largest:.3g}): floats go up to 1, so its pictures are taken for nearly "
            f"black. If they were divided by 255 twice, write {name} * 255.",
            UserWarning,
            stacklevel=3,
        )
    elif size:
        bits = max(8, int(largest).bit_length())
        fix = (
            f"{name} * {2 ** (16 - bits)}"
            if bits > 8
            else f"{name}.astype(numpy.uint8)"
        )
        _warn(
            f"{name} has dtype uint16, but no value above {largest}.",
            16,
            f"If they hold {bits} bits, write {fix}.",
        )


def sample(n: int) -> range:
    """Return which of n pictures are looked at by `warn_of_dark_files`."""
    return range(0, n, n // _LOOKED_AT)[:_LOOKED_AT] if n >= _LOOKED_AT else range(0)


def warn_of_dark_files(stored: Iterable[np.ndarray], name: str, n: int) -> None:
    """Warn if pictures of 16 bits look like some of 8 to 12.

    Parameters
    ----------
    stored : iterable of ndarray
        What some of them hold.
    name : str
        What the message calls them together.
    n : int
        How many there are.
    """
    size, largest = _few_bits(stored)
    if size == 2:
        bits = max(8, int(largest).bit_length())
        times = 2 ** (16 - bits)
        _warn(
            f"{name} holds {n} pictures, and {_LOOKED_AT} of them, which have 16 bits, "
            f"were looked at: no value is above {largest}.",
            16,
            f"If they hold {bits} bits, save them with all values times {times}.",
        )


def has_16_bits(image: Image.Image) -> bool:
    """Say whether a picture that was opened, and not read, may hold 16 bits a channel.

    Of colours Pillow keeps the upper 8, so that the mode does not tell.
    """
    layouts = [tile[3] for tile in getattr(image, "tile", ())]
    names = [each[0] if isinstance(each, tuple) else each for each in layouts]
    planes = getattr(image, "tag_v2", {}).get(_BITS_TAG) or (8,)
    colours = image.mode in ("RGB", "RGBA", "LA") and (
        max(planes) == 16 or any(_WIDE.search(str(name)) for name in names)
    )
    return image.mode.startswith("I") or (bool(layouts) and colours)


def deep_values(image: Image.Image) -> np.ndarray:
    """Return a picture's values if they have 16 bits, nothing if they have not.

    So do integers of 32 bits that `upright_rgb` takes for such. Of colours, whose lower
    8 bits Pillow drops, the values are what they are at most.

    Parameters
    ----------
    image : PIL.Image.Image
        One of which `has_16_bits` is true.
    """
    read_pixels(image)
    values = np.asarray(image)
    if values.ndim == 3:
        values = values[..., :-1] if image.mode.endswith("A") else values
        return values.astype(np.uint16) << 8 | 255
    if image.mode == "I":
        as_16_bits = values.min() >= 0 and 255 < values.max() < 2**16
        return values.astype(np.uint16) if as_16_bits else np.empty(0)
    return values


def _few_bits(parts: Iterable[np.ndarray]) -> tuple[int, int | float]:
    """Return bytes of the type, 0 if all is well, and the largest value."""
    types, largest, read = set(), 0, 0
    for part in parts:
        kind, size = part.dtype.kind, part.dtype.itemsize
        types.add((kind, size))
        if len(types) > 1 or (kind != "f" and (kind != "u" or size not in _FEW)):
            return 0, 0
        largest = max(largest, part.max(initial=0).item())
        if largest > (_DARK if kind == "f" else 2 ** _FEW[size] - 1):
            return 0, 0
        read += part.nbytes
        if (kind == "f" or size == 1) and read >= _ENOUGH:
            break
    return (size if largest else 0), largest


def _warn(found: str, bits: int, fix: str) -> None:
    warnings.warn(
        f"{found} {bits} bits go up to {2**bits - 1}, so its pictures are taken for "
        f"nearly black. {fix}",
        UserWarning,
        stacklevel=4,
    )
