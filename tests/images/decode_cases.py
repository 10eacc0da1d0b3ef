"""What the tests of decoding share."""

import struct
import zlib

import numpy as np
from PIL import Image

from modal_pretrain.images.accept import as_images


def photo(height=40, width=60, seed=0):
    """Smooth random picture: JPEG and resizing treat noise badly."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), 3))


def load(path):
    return as_images([path]).load(0)


def with_exif(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def png(path, header, *chunks):
    """Write a PNG from the fields of its header and its chunks, which may be wrong."""

    def chunk(kind, data):
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    first = (b"IHDR", struct.pack(">IIBBBBB", *header, 0, 0, 0))
    content = b"".join(chunk(*part) for part in (first, *chunks))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


def huge_png(path, side):
    png(path, (side, side, 8, 2), (b"IDAT", b""))
