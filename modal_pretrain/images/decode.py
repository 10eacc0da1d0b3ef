"""One picture, from a file or a Pillow image, as upright 8-bit RGB.

The rules, applied to files and to Pillow images alike:

- EXIF orientation is applied, as viewers do.
- Transparency is composited over white.
- 16-bit grey is divided by 257, so 65535 becomes 255. Pillow's own ``convert`` clips
  at 255 instead and turns most such pictures white.
- 32-bit integers and floats carry no scale of their own: integers up to 255 are taken
  as 8-bit, up to 65535 as 16-bit; floats up to 1 as [0, 1], up to 255 as 8-bit.
- Grey TIFF files whose zeros are white, as radiographs may be, are inverted.
- Of an animation or a multi-page file, the first frame counts.
- Colour profiles (ICC) are not applied, as in timm and torchvision.
"""

from __future__ import annotations

import codecs
import errno
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from PIL import Image

from modal_pretrain._checks import is_whole
from modal_pretrain._identity import NotAFileError, file_identity
from modal_pretrain.images.orientation import ON_THEIR_SIDE, orientation, turned
from modal_pretrain.images.pixels import TOLERANCE, from_16_bit, over_white
from modal_pretrain.images.quiet import quiet_pillow

__all__ = ["ImageFileNotFoundError", "ImageLoadError"]


class ImageLoadError(ValueError):
    """A picture can't be read; the message names the row, the file and the fix."""


class ImageFileNotFoundError(ImageLoadError, FileNotFoundError):
    """A picture's file does not exist."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Two built-in bases: what tblib does for dask would call the wrong __new__.
        return type(self), self.args


# Errors that are the path's, not the content's.
_OF_THE_PATH = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.ELOOP, errno.EIO)
# What a file holds whose content has not come, or is another one.
_NO_PICTURES = {
    b"version https://git-lfs": "a Git LFS pointer. Run `git lfs pull`",
    b"/annex/objects/": "a git-annex pointer. Run `git annex get`",
    b"<!doctype html": "a web page. Download it again",
    b"<html": "a web page. Download it again",
}
_PHOTOMETRIC_TAG = 262
_BITS_TAG, _PLANAR_TAG = 258, 284
Enough = Callable[[int, int], tuple[int, int]]
Resize = Callable[[Image.Image, tuple[int, int], int, bool], Image.Image]


def clear_palette(image: Image.Image) -> bool:
    """Say whether the colours of a palette have an alpha of their own."""
    palette = image.palette if image.mode == "P" else None
    return palette is not None and palette.mode.endswith("A")


def zero_is_white(image: Image.Image) -> bool:
    """Say whether a TIFF's numbers run from white to black.

    Pillow inverts those of up to 8 bits as it reads them, and no others.
    """
    tags = getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}
    deep = image.mode.startswith("I") or image.mode == "F"
    return deep and tags.get(_PHOTOMETRIC_TAG) == 0


def upright_rgb(image: Image.Image) -> Image.Image:
    """Convert a Pillow image of any mode to upright RGB.

    Parameters
    ----------
    image : PIL.Image.Image

    Returns
    -------
    PIL.Image.Image
        Mode RGB; `image` itself if it already is upright RGB.

    Raises
    ------
    ValueError
        If the mode has no defined conversion or the values no known scale.
    """
    mode, turn = image.mode, orientation(image)
    if (
        mode in ("RGBA", "RGBa", "LA", "La", "PA")
        or ("transparency" in image.info and mode in ("1", "L", "P", "RGB"))
        or clear_palette(image)
    ):
        if mode == "La":
            image = image.convert("LA")  # the only conversion that Pillow has
        clear = image.info.get("transparency")
        if mode == "RGB" and isinstance(clear, tuple) and max(clear) > 255:
            # Pillow keeps 8 of 16 bits a channel, but not of the transparent colour.
            image = image.copy()
            image.info["transparency"] = tuple(value >> 8 for value in clear)
        rgb = Image.fromarray(over_white(np.asarray(image.convert("RGBA"))))
    elif mode.startswith("I") or mode == "F":
        rgb = Image.fromarray(_deep_grey(image)).convert("RGB")
    elif mode == "RGB":
        rgb = image
    else:
        rgb = image.convert("RGB")
    return turned(rgb, turn)


def _deep_grey(image: Image.Image) -> np.ndarray:
    values = np.asarray(image)
    grey = _scaled_grey(image, values)
    if zero_is_white(image):
        grey = 255 - grey
    clear = image.info.get("transparency")  # the value that stands for it
    return np.where(values == clear, np.uint8(255), grey) if is_whole(clear) else grey


def _scaled_grey(image: Image.Image, values: np.ndarray) -> np.ndarray:
    if image.mode.startswith("I;16"):
        return from_16_bit(values)
    low, high = values.min(), values.max()
    if not (low >= 0 and np.isfinite(high)):
        raise ValueError(f"its values go from {low} to {high}")
    if image.mode == "F":
        if high > 255:
            raise ValueError(f"its float values go up to {high}, not 1 or 255")
        return np.rint(values * 255 if high <= 1 + TOLERANCE else values).astype(
            np.uint8
        )
    if high > 65535:
        raise ValueError(f"its integers go up to {high}, beyond 16 bits")
    # Pillow before 11 opens 16-bit PNGs as 32-bit integers.
    if high > 255 or image.format == "PNG":
        return from_16_bit(values)
    return values.astype(np.uint8)


def decode_file(
    path: str | os.PathLike[str],
    where: str,
    enough: Enough | None = None,
    resize: Resize | None = None,
) -> Image.Image:
    """Read one file.

    Parameters
    ----------
    path : str or path-like
    where : str
        How error messages name the row, such as ``X[3] ('cats/1.jpg')``.
    enough : callable or None, default=None
        Gets height and width of the upright picture and returns those that suffice. A
        JPEG is then decoded at a half, a quarter or an eighth of its size, which takes
        a fraction of the time, as long as that is not smaller.
    resize : callable or None, default=None
        What then resizes one whose sides are no multiples of that, see
        `Preprocessing.resize_part`.

    Returns
    -------
    PIL.Image.Image
        Upright, mode RGB, fully loaded.

    Raises
    ------
    ImageLoadError
        If the file is missing, no regular file, not a picture, damaged or suspiciously
        large.
    """
    try:
        with quiet_pillow(), open_file(path) as image:
            _check_size(image, where)
            whole, scale = image.size, 1
            if enough is not None and image.format in ("JPEG", "MPO"):
                scale = _shrink(image, enough)
            read_pixels(image)
            if resize is not None and any(side % scale for side in whole):
                turn, rgb = orientation(image), image.convert("RGB")
                small = resize(rgb, whole, scale, turn in ON_THEIR_SIDE)
                return turned(small, turn)
            return convert_image(image, where)
    except ImageLoadError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything
        raise load_error(path, where, error) from error


def _shrink(image: Any, enough: Enough) -> int:
    """Have a JPEG decoded at the smallest scale that suffices, one in how many."""
    if orientation(image) in ON_THEIR_SIDE:
        width, height = enough(image.width, image.height)
    else:
        height, width = enough(image.height, image.width)
    image.draft(None, (width, height))
    return int(image.decoderconfig[0]) if image.decoderconfig else 1


def read_pixels(image: Image.Image) -> None:
    """Have Pillow read an opened picture, mending what it gets wrong."""
    if hasattr(image, "tag_v2"):
        _widen_planes(image)
    if image.format == "TIFF" and orientation(image) in ON_THEIR_SIDE:
        # Pillow maps pixels that are not packed from the file it knows the name of,
        # with height and width as they are once it has turned them.
        name, image.filename = image.filename, ""  # type: ignore[attr-defined]
        try:
            image.load()
        finally:
            image.filename = name  # type: ignore[attr-defined]
        return
    _scale_clear(image)
    image.load()


def _widen_planes(image: Any) -> None:
    """Have unpacked planes of 16 bits read as such; Pillow takes bytes for pixels."""
    tags = image.tag_v2
    if tags.get(_PLANAR_TAG) != 2 or max(tags.get(_BITS_TAG, (8,))) != 16:
        return
    end = {b"II": "16L", b"MM": "16B"}[tags.prefix]
    for i, tile in enumerate(image.tile):
        if tile[0] == "raw" and tile[3][0] in tuple("RGBACMYK"):
            band, *layout = tile[3]
            wide = (*tile[:3], (f"{band};{end}", *layout))
            image.tile[i] = getattr(tile, "_make", tuple)(wide)  # a named one, or not


def _scale_clear(image: Any) -> None:
    """Scale the transparent colour of a PNG to 8 bits, as Pillow does its pixels."""
    clear = image.info.get("transparency")
    if image.format != "PNG" or clear is None or not image.tile:  # it was read before
        return
    mode, levels = image.tile[0][3], {"L;2": 3, "L;4": 15}
    if mode in levels and is_whole(clear):
        image.info["transparency"] = clear * 255 // levels[mode]
    elif mode == "RGB;16B" and isinstance(clear, tuple):
        image.info["transparency"] = tuple(value >> 8 for value in clear)


def open_file(path: str | os.PathLike[str]) -> Image.Image:
    """Open a picture's file, in whatever format it is; FIFOs and the like raise."""
    file_identity(path)  # raises for what would wait for ever
    try:
        return Image.open(path)
    except Image.UnidentifiedImageError:
        # Pillow registers its formats at first use; while another thread is at it,
        # a good file can go unrecognised.
        Image.init()
        return Image.open(path)


def load_image(image: Image.Image, where: str) -> None:
    """Read the pixels of a lazily opened Pillow image.

    Raises
    ------
    ImageLoadError
        If that fails.
    """
    try:
        with quiet_pillow():
            read_pixels(image)
    except Exception as error:
        raise ImageLoadError(
            f"{where} can't be read: {type(error).__name__}: {error}. Its file is "
            "damaged, gone or closed; call image.load() right after opening it."
        ) from error


def convert_image(image: Image.Image, where: str) -> Image.Image:
    """Convert a loaded Pillow image to upright RGB.

    Raises
    ------
    ImageLoadError
        If its mode or range of values has no defined conversion.
    """
    try:
        with quiet_pillow():
            return upright_rgb(image)
    except Exception as error:
        raise ImageLoadError(
            f"{where} can't be converted to RGB: {error}. Convert it beforehand, or "
            "drop the row."
        ) from error


def _check_size(image: Image.Image, where: str) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise _bomb_error(f"{image.width} x {image.height} pixels", where)


def _bomb_error(size: str, where: str) -> ImageLoadError:
    return ImageLoadError(
        f"{where} is suspiciously large ({size}; the limit is "
        f"{Image.MAX_IMAGE_PIXELS} pixels). Save a smaller copy or, if you trust it, "
        "raise PIL.Image.MAX_IMAGE_PIXELS."
    )


def _here() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return "which has been deleted"


def _no_picture(path: str | os.PathLike[str]) -> str:
    """Say what a file is that Pillow does not know, and what to do about it."""
    with suppress(OSError), open(path, "rb") as file:
        first = file.read(64)
        if not first:
            return "empty (0 bytes). Have it copied or synchronised again"
        text = first.lower().removeprefix(codecs.BOM_UTF8).lstrip()
        for beginning, words in _NO_PICTURES.items():
            if text.startswith(beginning):
                return words
    return "not a picture that Pillow can read. Convert it to PNG or JPEG"


def load_error(
    path: str | os.PathLike[str], where: str, error: Exception
) -> ImageLoadError:
    """Explain why a file can't be read."""
    if isinstance(error, FileNotFoundError):
        if "://" in os.fsdecode(path):
            return ImageFileNotFoundError(
                f"{where} is a URL; download the picture and pass the file's path."
            )
        if os.fsdecode(path).startswith("~"):
            return ImageFileNotFoundError(
                f"{where}: no such file. '~' is a shell's; write "
                "os.path.expanduser(path) for each path."
            )
        quoted = os.fsdecode(path).strip()
        if quoted[:1] in ('"', "'") and quoted[-1:] == quoted[:1]:
            return ImageFileNotFoundError(
                f"{where}: no such file. Remove the quotation marks around the path."
            )
        return ImageFileNotFoundError(
            f"{where}: no such file. Relative paths start from the working directory "
            f"({_here()}). Correct the path or drop the row."
        )
    if "\0" in os.fsdecode(path):
        return ImageLoadError(
            f"{where}: the path holds a NUL character, which no file's name can. Was "
            "the list of paths read from a binary file?"
        )
    if os.path.isdir(path):
        return ImageLoadError(
            f"{where} is a directory. Pass the paths of its pictures, for example "
            'sorted(pathlib.Path(folder).glob("*.jpg")).'
        )
    if isinstance(error, NotAFileError):
        return ImageLoadError(
            f"{where} is {error.kind}, not a regular file. Drop the row, or save the "
            "picture to a file and pass that one's path."
        )
    if isinstance(error, PermissionError):
        return ImageLoadError(f"{where} can't be opened: permission denied.")
    if isinstance(error, Image.DecompressionBombError):
        return _bomb_error("more than twice the limit", where)
    if isinstance(error, Image.UnidentifiedImageError):
        return ImageLoadError(f"{where} is {_no_picture(path)}, or drop the row.")
    if isinstance(error, UnicodeError):
        return ImageLoadError(
            f"{where}: the path holds half a character (a lone surrogate), which no "
            "file's name can. Were the paths read with the right encoding?"
        )
    if isinstance(error, OSError) and error.errno in _OF_THE_PATH:
        return ImageLoadError(
            f"{where} can't be opened: {error.strerror}. Correct the path or drop the "
            "row."
        )
    if "Ghostscript" in str(error):
        return ImageLoadError(
            f"{where} is an EPS file, which is not decoded here. Convert it to PNG or "
            "JPEG, or drop the row."
        )
    return ImageLoadError(
        f"{where} can't be decoded: {type(error).__name__}: {error}. The file is "
        "probably damaged; replace it or drop the row."
    )
