"""Pillow images over bytes in memory that nobody has read: decoded beside, to stay so.

Pillow keeps in an image what it has read. A pool of images that nobody has looked at
holds compressed bytes; read in place, it would hold all pixels from its first use on.
Images of files are read in place: each keeps its file open until it is. But in workers
of a DataLoader, which share where the file is read, they are decoded beside, too.
"""

from __future__ import annotations

import io
import os
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from PIL import Image
from torch.utils.data import get_worker_info
from xxhash import xxh3_128_digest

from modal_pretrain._fork import Lock
from modal_pretrain.images.orientation import orientation
from modal_pretrain.images.quiet import quiet_pillow

_LOCK = Lock()
# Keys of pixels by what they are decoded from, so that a query decodes no pool again.
_KEYS: OrderedDict[bytes, bytes] = OrderedDict()
_MOST_KEYS = 1_000_000


def encoded(image: Image.Image) -> bytes | None:
    """Return the bytes that an image is going to be read from, if they are in memory.

    Parameters
    ----------
    image : PIL.Image.Image

    Returns
    -------
    bytes or None
        None if it has been read, is a file's, except in a worker of a DataLoader, or
        shows a later frame.
    """
    file, state = getattr(image, "fp", None), vars(image)
    pixels = state.get("_im", state.get("im"))  # by the version of Pillow
    if pixels is not None or file is None or file.closed or image.tell():
        return None
    if isinstance(file, io.BytesIO):
        return file.getvalue()  # shared, not copied
    if get_worker_info() is None or not isinstance(file, io.BufferedReader):
        return None
    try:
        number = file.fileno()
        # Does not move where the file is read next, here and in other processes.
        return os.pread(number, os.fstat(number).st_size, 0) or None
    except (OSError, AttributeError):  # no file; Windows, where nothing forks
        return None


def reopened(image: Image.Image, data: bytes) -> Image.Image | None:
    """Open what an unread image is going to be read from once more.

    Parameters
    ----------
    image : PIL.Image.Image
    data : bytes
        What `encoded` returned.

    Returns
    -------
    PIL.Image.Image or None
        None if the image was changed since it was opened, as by `draft`.
    """
    try:
        with quiet_pillow():
            twin = Image.open(io.BytesIO(data))
    except Exception:  # to read the image will explain it
        return None
    return twin if type(twin) is type(image) and _about(twin) == _about(image) else None


def in_memory(image: Image.Image) -> Image.Image:
    """Return what is opened and unread over bytes in memory, to need no open file.

    Parameters
    ----------
    image : PIL.Image.Image

    Returns
    -------
    PIL.Image.Image
        `image` itself if it has been read or changed, or is of bytes already.
    """
    file, state = getattr(image, "fp", None), vars(image)
    pixels = state.get("_im", state.get("im"))
    if pixels is not None or file is None or isinstance(file, io.BytesIO):
        return image
    # Members of archives and the like keep the archive's file open.
    if getattr(file, "closed", False) or image.tell():
        return image
    position = file.tell()
    file.seek(0)
    data = file.read()
    file.seek(position)
    twin = reopened(image, data)
    if twin is None:
        return image
    twin.filename = image.filename  # type: ignore[attr-defined]
    return twin


def pixels_of(image: Image.Image) -> bytes:
    """Return what `tobytes` does; an image over bytes in memory stays unread."""
    data = encoded(image)
    twin = None if data is None else reopened(image, data)
    return (image if twin is None else twin).tobytes()


def digest_of_pixels(image: Image.Image, digest: Callable[[bytes], bytes]) -> bytes:
    """Return a digest of `pixels_of`; of unread images it is computed once.

    Parameters
    ----------
    image : PIL.Image.Image
    digest : callable
        Its name tells its digests from others.
    """
    data = encoded(image)
    if data is None:
        return digest(image.tobytes())
    content = digest.__name__.encode() + content_key(image, data)
    known = known_key(content)
    if known is None:
        known = digest(pixels_of(image))
        remember_key(content, known)
    return known


def content_key(image: Image.Image, data: bytes) -> bytes:
    """Hash what an unread image is decoded from, and how."""
    return xxh3_128_digest(repr(_about(image)).encode() + xxh3_128_digest(data))


def known_key(content: bytes) -> bytes | None:
    """Return the key of the pixels that were decoded from a content, if any were."""
    with _LOCK:
        return _KEYS.get(content)


def remember_key(content: bytes, key: bytes) -> None:
    """Keep the key of the pixels that were decoded from a content."""
    with _LOCK:
        _KEYS[content] = key
        while len(_KEYS) > _MOST_KEYS:
            _KEYS.popitem(last=False)


def _about(image: Any) -> tuple[Any, ...]:
    """Return what users can change of an image without reading it."""
    clear, turn = image.info.get("transparency"), None
    # A PNG whose block is not at its head, or was taken off, would be read for it.
    if image.format != "PNG" or "exif" in image.info:
        with _LOCK:  # a second thread would get what the first has parsed so far
            turn = orientation(image)
    return image.format, image.mode, image.size, clear, image.decoderconfig, turn
