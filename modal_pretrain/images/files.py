"""Pictures in files, large ones decoded at the scale that is needed."""

from __future__ import annotations

import os
from contextlib import suppress

import numpy as np
from PIL import Image
from xxhash import xxh3_128_digest

from modal_pretrain._identity import file_identity
from modal_pretrain.images.decode import decode_file, load_error
from modal_pretrain.images.preprocessing import Preprocessing
from modal_pretrain.images.sources import ImageSource

# Files of fewer bytes are decoded whole: they gain little, and have the keys that they
# had before there was anything else.
_LARGE_FILE = 256 * 1024
_JPEG = (".jpg", ".jpeg", ".jpe", ".jfif")


class PathSource(ImageSource):
    """Image files."""

    _scaled = False

    def scaled(self, allowed: bool) -> ImageSource:
        """Return these pictures, see `ImageSource.scaled`."""
        source = self.take(slice(None))
        source.__dict__["_scaled"] = allowed
        return source

    def load_for(self, i: int, preprocessing: Preprocessing) -> Image.Image:
        """Decode one picture to be resized, see `ImageSource.load_for`."""
        row = self._row(i)
        path = self._data[row]
        with suppress(OSError, ValueError):  # which decoding will explain
            if self._is_scaled(path, os.stat(path).st_size):
                return decode_file(path, self._where(row), preprocessing.enough)
        return self.load_pil(i)

    def _is_scaled(self, path: str | os.PathLike[str], size: int) -> bool:
        # Told without opening the file, as keys are: they must say what is decoded.
        large = self._scaled and size >= _LARGE_FILE
        return large and os.fsdecode(path).lower().endswith(_JPEG)

    def _pil(self, row: int) -> Image.Image:
        return decode_file(self._data[row], self._where(row))

    def _key(self, row: int) -> bytes:
        path = self._data[row]
        try:
            identity = file_identity(path)
        except (OSError, ValueError) as error:
            raise load_error(path, self._where(row), error) from error
        kind = "scaled file" if self._is_scaled(path, identity[0]) else "file"
        name = os.fsencode(os.path.abspath(path))
        return xxh3_128_digest(f"{kind}{identity}\0".encode() + name)

    def _detail(self, row: int) -> str:
        return repr(str(os.fsdecode(self._data[row])))

    def _pick(self, rows: range | np.ndarray) -> list:
        # Workers run in other directories.
        return [os.path.abspath(self._data[row]) for row in rows]
