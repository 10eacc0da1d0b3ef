"""Pictures as a browser wants them: scaled, upright, and kept for the next look."""

from __future__ import annotations

import io
import math
import threading
from collections import OrderedDict
from collections.abc import Hashable
from functools import partial
from pathlib import Path

from PIL import Image

from modal_pretrain.images.decode import decode_file
from modal_pretrain.labelling.pool import Pool

# Longest sides that can be asked for: a tile, and the large picture.
SIZES = (320, 1280)
# Up to this size pixels are kept as they are.
_SMALL = 160
_KEPT_BYTES = 64 * 1024**2
# Decoded at a time: a picture of 80 megapixels takes 240 MB while it is scaled.
_AT_ONCE = threading.BoundedSemaphore(2)


class Pictures:
    """Scaled pictures of a pool, the latest ones from memory.

    Parameters
    ----------
    pool : Pool
        Of pictures.
    """

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[bytes, str]] = OrderedDict()
        self._bytes = 0

    def get(self, row: int, size: int) -> tuple[bytes, str]:
        """Return a picture and its media type.

        Parameters
        ----------
        row : int
        size : int
            Of `SIZES`: the longest side; pictures are never enlarged.

        Returns
        -------
        (bytes, str)

        Raises
        ------
        ImageLoadError
            If it can't be read, or is suspiciously large.
        """
        key = (row, size, self.pool.state(row))
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        with _AT_ONCE:
            encoded = _encoded(self._scaled(row, size))
        with self._lock:
            if key not in self._kept:
                self._kept[key] = encoded
                self._bytes += len(encoded[0])
            while self._bytes > _KEPT_BYTES and len(self._kept) > 1:
                _, (old, _) = self._kept.popitem(last=False)
                self._bytes -= len(old)
        return encoded

    def _scaled(self, row: int, size: int) -> Image.Image:
        shown, where = self.pool.show(row), self.pool.title(row)
        if isinstance(shown, Path):
            shown = decode_file(shown, where, partial(_enough, size))
        assert isinstance(shown, Image.Image)
        if max(shown.size) > size:
            shown = shown.copy()  # it may be the user's own
            shown.thumbnail((size, size), Image.Resampling.LANCZOS, reducing_gap=2.0)
        return shown


def _enough(size: int, height: int, width: int) -> tuple[int, int]:
    """Return the height and width that resizing to a longest side starts from."""
    scale = 2 * size / max(height, width)
    return math.ceil(scale * height), math.ceil(scale * width)


def _encoded(image: Image.Image) -> tuple[bytes, str]:
    data = io.BytesIO()
    if max(image.size) <= _SMALL:
        image.save(data, "PNG", compress_level=1)
        return data.getvalue(), "image/png"
    image.save(data, "JPEG", quality=88)
    return data.getvalue(), "image/jpeg"
