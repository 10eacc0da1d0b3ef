"""Which way is up in a picture, by its EXIF data."""

from __future__ import annotations

from PIL import Image

from modal_pretrain.images.quiet import quiet_pillow

_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Whose height is the upright picture's width.
ON_THEIR_SIDE = (5, 6, 7, 8)


def orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 (upright) where it is absent or unreadable."""
    try:
        with quiet_pillow():
            value = image.getexif().get(_TAG, 1)
            return value if value in _UPRIGHT else 1
    except Exception:  # a broken EXIF block says nothing about the pixels
        return 1


def turned(image: Image.Image, turn: int) -> Image.Image:
    """Turn an image upright by its `orientation`."""
    return image if turn == 1 else image.transpose(_UPRIGHT[turn])
