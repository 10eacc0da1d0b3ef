"""What training does to pictures at random: the paper's crop and flip, or one's own.

Both change 8-bit pictures after they were decoded, in the process that trains, and draw
from a seed of the picture's own. So nothing depends on threads, workers or batches.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from modal_pretrain.images.preprocessing import Preprocessing

# The paper resizes to 512 pixels and crops 480.
_MARGIN = 512 / 480


def with_margin(preprocessing: Preprocessing) -> Preprocessing:
    """Return a preprocessing whose pictures are large enough to be cropped at random.

    Parameters
    ----------
    preprocessing : Preprocessing
        What scoring does.

    Returns
    -------
    Preprocessing
        It leaves the margin that scoring crops away around the centre, and resizes to
        16/15 of the size where that is less.
    """
    sides = zip(preprocessing.resize_to, preprocessing.size, strict=True)
    height, width = (max(to, math.ceil(side * _MARGIN)) for to, side in sides)
    return replace(preprocessing, size=(height, width), resize_to=(height, width))


@dataclass(frozen=True)
class CropFlip:
    """A random crop of a size, and a horizontal flip of every second picture.

    Parameters
    ----------
    size : tuple of int
        Height and width of the result.
    """

    size: tuple[int, int]

    def __call__(self, batch: torch.Tensor, seeds: torch.Tensor) -> torch.Tensor:
        """Return the crops.

        Parameters
        ----------
        batch : torch.Tensor of uint8, shape (b, H, W, 3)
            At least of the size.
        seeds : torch.Tensor of int64, shape (b,)
            Of the pictures.

        Returns
        -------
        torch.Tensor of uint8, shape (b, *size, 3)
        """
        height, width = self.size
        crops = batch.new_empty((len(batch), height, width, batch.shape[3]))
        # Three parts of a seed's 62 bits. Slices copy rows of pixels; an index for
        # every pixel would take twenty times as long.
        tops = seeds % (batch.shape[1] - height + 1)
        lefts = (seeds >> 20) % (batch.shape[2] - width + 1)
        flips = (seeds >> 40) % 2
        places = zip(tops.tolist(), lefts.tolist(), flips.tolist(), strict=True)
        for i, (top, left, flip) in enumerate(places):
            crop = batch[i, top : top + height, left : left + width]
            crops[i] = crop.flip(1) if flip else crop
        return crops


@dataclass(frozen=True)
class EachPicture:
    """A function of the user's, applied to one picture after the other.

    Parameters
    ----------
    function : callable
        Gets a uint8 tensor (3, h, w) of its own and returns one of the same shape. What
        it draws from PyTorch's generator comes from the picture's seed.
    """

    function: Callable[[torch.Tensor], torch.Tensor]

    def __call__(self, batch: torch.Tensor, seeds: torch.Tensor) -> torch.Tensor:
        """Return the pictures as the function changes them.

        Parameters
        ----------
        batch : torch.Tensor of uint8, shape (b, h, w, 3)
        seeds : torch.Tensor of int64, shape (b,)
            Of the pictures.

        Returns
        -------
        torch.Tensor of uint8, shape (b, h, w, 3)

        Raises
        ------
        TypeError, ValueError
            If the function returns something else than it may.
        """
        changed = torch.empty_like(batch, memory_format=torch.contiguous_format)
        with torch.random.fork_rng(devices=()):
            for i, seed in enumerate(seeds.tolist()):
                torch.default_generator.manual_seed(seed)
                # A copy: what is kept, or the user's X, must not change.
                picture = batch[i].permute(2, 0, 1)
                picture = picture.clone(memory_format=torch.contiguous_format)
                shape = picture.shape
                found = self.function(picture)
                _check(found, shape)
                changed[i] = found.permute(1, 2, 0)
        return changed


def _check(found: object, shape: torch.Size) -> None:
    expected = f"augment must return a uint8 tensor of shape {tuple(shape)}, as it got"
    if not isinstance(found, torch.Tensor):
        raise TypeError(f"{expected}; it returned {type(found).__name__}.")
    if found.dtype is not torch.uint8:
        raise TypeError(
            f"{expected}; it returned {found.dtype}. Mean and standard deviation are "
            "applied after it, so leave out what converts to floats or normalises."
        )
    if found.shape != shape:
        raise ValueError(f"{expected}; it returned shape {tuple(found.shape)}.")
