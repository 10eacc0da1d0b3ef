"""Pictures in files, large ones decoded at the scale that is needed."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import cache
from itertools import chain

import numpy as np
from PIL import Image
from xxhash import xxh3_128_digest

from modal_pretrain._identity import absolute, file_identity, read_whole
from modal_pretrain.images.bits import deep_values, has_16_bits
from modal_pretrain.images.decode import decode_file, load_error, open_file
from modal_pretrain.images.preprocessing import Preprocessing
from modal_pretrain.images.quiet import quiet_pillow
from modal_pretrain.images.sources import ImageSource

# Files of fewer bytes are decoded whole: they gain little, and have the keys that they
# had before there was anything else.
_LARGE_FILE = 256 * 1024
_SOME = 4096  # rows at a time
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
                ways = preprocessing.enough, preprocessing.resize_part
                return decode_file(path, self._where(row), *ways)
        return self.load_pil(i)

    def _is_scaled(self, path: str | os.PathLike[str], size: int) -> bool:
        # Told without opening the file, as keys are: they must say what is decoded.
        large = self._scaled and size >= _LARGE_FILE
        return large and os.fsdecode(path).lower().endswith(_JPEG)

    def _pil(self, row: int) -> Image.Image:
        return decode_file(self._data[row], self._where(row))

    def _stored(self, row: int) -> np.ndarray:
        try:
            with quiet_pillow(), open_file(self._data[row]) as image:
                return deep_values(image) if has_16_bits(image) else np.empty(0)
        except Exception:  # which decoding will explain
            return np.empty(0)

    def _keys(self, rows: range | np.ndarray) -> list[bytes]:
        # A query makes the keys of its whole pool, so this loop is kept short.
        here = cache(os.getcwd)
        encode, normal, separator = os.fsencode, os.path.normpath, os.sep
        keys: list[bytes] = []
        for path in self._paths(rows):
            if type(path) is not str:
                path = os.fsdecode(path)
            try:
                size, changed, touched, inode = file_identity(path)
            except (OSError, ValueError) as error:
                where = self._where(int(rows[len(keys)]))
                raise load_error(path, where, error) from error
            scaled = self._scaled and self._is_scaled(path, size)
            kind = "scaled file" if scaled else "file"
            # What `os.path.abspath` does, but for its question where we are.
            whole = path if path[:1] == separator else os.path.join(here(), path)
            text = f"{kind}({size}, {changed}, {touched}, {inode})\0{normal(whole)}"
            keys.append(xxh3_128_digest(encode(text)))
        return keys

    def contents(
        self, sizes: Collection[int] | None = None
    ) -> list[tuple[int, bytes] | None]:
        """Read files and hash what is in them, whatever they are called.

        Parameters
        ----------
        sizes : collection of int or None, default=None
            Files of other sizes are not read; None reads all.

        Returns
        -------
        list of (int, bytes) or None
            Size and 16 bytes for each file that was read, None for others.

        Raises
        ------
        ImageLoadError
            If a file is missing or can't be read.
        """
        found: list[tuple[int, bytes] | None] = []
        for path in self._paths(self._rows):
            file = None
            try:
                size = file_identity(path)[0]
                if sizes is None or size in sizes:
                    file = size, xxh3_128_digest(read_whole(path))
            except (OSError, ValueError) as error:
                where = self._where(int(self._rows[len(found)]))
                raise load_error(path, where, error) from error
            found.append(file)
        return found

    def _paths(self, rows: range | np.ndarray) -> Iterator[str | os.PathLike[str]]:
        if not isinstance(self._data, np.ndarray):
            return map(self._data.__getitem__, rows)
        # As Python's own str, some at a time: an array's are slower to work with.
        starts = range(0, len(rows), _SOME)
        parts = (self._data[rows[start : start + _SOME]].tolist() for start in starts)
        return chain.from_iterable(parts)

    def _detail(self, row: int) -> str:
        return repr(str(os.fsdecode(self._data[row])))

    def _pick(self, rows: range | np.ndarray) -> list:
        # Workers run in other directories.
        return [absolute(self._data[row]) for row in rows]
