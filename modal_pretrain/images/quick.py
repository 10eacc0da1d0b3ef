"""Pictures resized by PyTorch, for networks that round more than it does."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import interpolate

from modal_pretrain.images.preprocessing import Preprocessing

# PyTorch vectorises bytes with these alone; elsewhere Pillow is quicker.
_VECTORS = ("AVX2", "AVX512")
_FILTERS = ("bilinear", "bicubic")


class QuickPreprocessing(Preprocessing):
    """As `Preprocessing`, but PyTorch resizes, by Pillow's formula.

    Its weights have 15 bits where Pillow's have 22, so a value in 250 is another by one
    grey level, hardly ever by two.
    """

    def fingerprint(self) -> str:
        """Text of all fields and of the way of resizing; part of the cache key."""
        return f"{super().fingerprint()};resized by torch"

    def quicker(self) -> Preprocessing:
        """Return itself."""
        return self

    def _resize(self, picture: Image.Image, height: int, width: int) -> Image.Image:
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]
        size, mode = (height, width), self.interpolation
        resized = interpolate(pixels, size, mode=mode, antialias=True)[0]
        return Image.fromarray(resized.permute(1, 2, 0).contiguous().numpy())


def quick(plain: Preprocessing) -> Preprocessing:
    """Return the quick form of a preprocessing, or itself if there is none here.

    Parameters
    ----------
    plain : Preprocessing

    Returns
    -------
    Preprocessing
    """
    vectors = torch.backends.cpu.get_cpu_capability() in _VECTORS
    if not vectors or plain.interpolation not in _FILTERS:
        return plain
    return QuickPreprocessing(*(getattr(plain, f.name) for f in fields(plain)))
