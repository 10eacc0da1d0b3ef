"""Pictures of things and of places, upright, as composites are made of them."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from PIL import Image

from modal_pretrain.images.decode import (
    convert_image,
    decode_file,
    load_error,
    load_image,
    open_file,
    read_pixels,
)
from modal_pretrain.images.orientation import orientation, turned
from modal_pretrain.images.quiet import quiet_pillow

# Of 255, the least opacity that is of the thing: JPEG and networks leave less around.
_SEEN = 8


def background(picture: Any, what: str) -> Image.Image:
    """Return a background as upright RGB, as the package decodes pictures."""
    if isinstance(picture, (str, os.PathLike)):
        return decode_file(picture, f"{what} ({os.fspath(picture)!r})")
    return convert_image(_image(picture, what), what)


def cut_out(picture: Any, what: str) -> Image.Image:
    """Return one thing as upright RGBA, cropped to what can be seen."""
    if isinstance(picture, (tuple, list)) and len(picture) == 2:
        base, mask = picture
        image = background(base, what).copy()  # it may be the user's own
        alpha = _mask(mask, f"the mask of {what}")
        if alpha.shape != (image.height, image.width):
            raise ValueError(
                f"the mask of {what} has shape {alpha.shape}, the picture, upright, "
                f"{(image.height, image.width)}; they must be of one size"
            )
        image.putalpha(Image.fromarray(_opacity(alpha, what)))
    else:
        image = _image(picture, what)
        if "A" not in image.getbands() and "transparency" not in image.info:
            raise ValueError(
                f"{what} has no transparency; give RGBA, or pairs (picture, mask)"
            )
        # The conversion may forget how the picture is turned.
        image = turned(image.convert("RGBA"), orientation(image))
    box = image.getchannel("A").point(lambda a: 255 * (a >= _SEEN)).getbbox()
    if box is None:
        raise ValueError(
            f"{what} is wholly transparent; where the thing is, alpha is up to 255"
        )
    return image.crop(box)


def _image(picture: Any, what: str) -> Image.Image:
    """Open or wrap one picture, as it lies in its file."""
    if isinstance(picture, (str, os.PathLike)):
        try:
            with quiet_pillow(), open_file(picture) as image:
                read_pixels(image)
                return image
        except Exception as error:  # Pillow's decoders raise nearly anything
            where = f"{what} ({os.fspath(picture)!r})"
            raise load_error(picture, where, error) from error
    if isinstance(picture, Image.Image):
        load_image(picture, what)
        return picture
    array = np.asarray(picture)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] not in (3, 4):
        raise ValueError(
            f"{what} must be a path, a Pillow image or a uint8 array (h, w, 3 or 4), "
            f"got {array.dtype} of shape {array.shape}"
        )
    return Image.fromarray(np.ascontiguousarray(array))


def _mask(mask: Any, what: str) -> np.ndarray:
    if isinstance(mask, (str, os.PathLike)):
        mask = _image(mask, what)
    if isinstance(mask, Image.Image):
        load_image(mask, what)
        mask = turned(_as_seen(mask, what), orientation(mask))
    return np.asarray(mask)


def _as_seen(mask: Image.Image, what: str) -> Image.Image:
    """Return a mask in grey, as it is seen: some programs save it in colours.

    Where a palette has colours its numbers stand for things, and 0 and 1 are as good as
    black and white.
    """
    if mask.mode not in ("P", "RGB", "RGBA", "LA"):
        return mask
    if "A" in mask.mode and (np.asarray(mask.getchannel("A")) < 255).any():
        raise ValueError(
            f"{what} is transparent in places, so that it may be either its greys or "
            "its opacity; give mask.convert('L') or mask.getchannel('A')"
        )
    seen = np.asarray(mask.convert("RGB"))
    if (seen == seen[..., :1]).all():
        return mask.convert("L")
    if mask.mode != "P":
        raise ValueError(f"{what} has colours; give one that is grey, mode 'L'")
    if np.asarray(mask).max() > 1:
        raise ValueError(
            f"{what} has a palette with colours, whose numbers stand for several "
            "things; give numpy.asarray(mask) == number"
        )
    return mask


def _opacity(mask: np.ndarray, what: str) -> np.ndarray:
    """Return a mask as an alpha channel, whether it counts up to 1 or to 255."""
    if not ((mask >= 0) & (mask <= 255)).all():
        raise ValueError(
            f"the mask of {what} must be true, 1 or up to 255 where the thing is, got "
            f"{mask.dtype} from {mask.min()} to {mask.max()}"
        )
    if mask.max() <= 1:
        mask = np.round(mask * 255.0)
    elif mask.max() < 128:
        raise ValueError(
            f"the mask of {what} goes up to {mask.max()} of 255, so that next to "
            "nothing would show; if it numbers things, give mask == number"
        )
    return mask.astype(np.uint8)
