"""Pillow images, read where they are or, from bytes in memory, beside."""

from __future__ import annotations

import numpy as np
from PIL import Image
from xxhash import xxh3_64_intdigest, xxh3_128_digest

from modal_pretrain._fork import Lock
from modal_pretrain.images.batches import in_threads
from modal_pretrain.images.bits import deep_values, has_16_bits
from modal_pretrain.images.decode import (
    clear_palette,
    convert_image,
    load_image,
    zero_is_white,
)
from modal_pretrain.images.orientation import orientation
from modal_pretrain.images.sources import ImageSource
from modal_pretrain.images.unread import (
    content_key,
    encoded,
    known_key,
    remember_key,
    reopened,
)

# Pillow images opened lazily are read at first use, which is not thread-safe for one
# image; a few locks shared by all images are enough.
_LOAD_LOCKS = [Lock() for _ in range(61)]


class PillowSource(ImageSource):
    """Pillow images, read where they are or, from bytes in memory, beside."""

    def _pil(self, row: int) -> Image.Image:
        return convert_image(self._loaded(row), self._where(row))

    def _stored(self, row: int) -> np.ndarray:
        deep = has_16_bits(self._data[row])
        return deep_values(self._loaded(row)) if deep else np.empty(0)

    def _keys(self, rows: range | np.ndarray) -> list[bytes]:
        found = [self._known(int(row)) for row in rows]
        unknown = [
            row for row, (key, _) in zip(rows, found, strict=True) if key is None
        ]
        made = iter(in_threads(self._pixel_key, unknown))
        keys = []
        for key, content in found:
            if key is None:
                key = next(made)
                if content is not None:
                    remember_key(content, key)
            keys.append(key)
        return keys

    def _known(self, row: int) -> tuple[bytes | None, bytes | None]:
        """Return a row's key, if it is known, and what an unread row is known by."""
        image = self._data[row]
        data = encoded(image)
        content = None if data is None else content_key(image, data)
        return None if content is None else known_key(content), content

    def _pixel_key(self, row: int) -> bytes:
        image = self._loaded(row)
        # All that `convert_image` looks at, next to the pixels.
        about = (
            image.mode,
            image.size,
            image.getpalette(None),
            image.info.get("transparency"),
            orientation(image),
            image.format == "PNG",
            # Keys of all others are older than this.
            *(["clear palette"] if clear_palette(image) else []),
            *(["zero is white"] if zero_is_white(image) else []),
        )
        seed = xxh3_64_intdigest(repr(("pil", *about)).encode())
        return xxh3_128_digest(image.tobytes(), seed)

    def _loaded(self, row: int) -> Image.Image:
        image, where = self._data[row], self._where(row)
        data = encoded(image)
        twin = None if data is None else reopened(image, data)
        if twin is not None:
            load_image(twin, where)
            return twin
        with _LOAD_LOCKS[id(image) % len(_LOAD_LOCKS)]:
            load_image(image, where)
            orientation(image)  # which Pillow parses once, not thread-safe either
        return image

    def _detail(self, row: int) -> str:
        image = self._data[row]
        return f"PIL image of mode {image.mode}, {image.width} x {image.height}"

    def _pick(self, rows: range | np.ndarray) -> list:
        # Pillow's pickles lose what conversion looks at, so that comes first.
        return [Image.fromarray(np.array(self._pil(row))) for row in rows]
