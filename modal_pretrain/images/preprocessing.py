"""Pictures to the batches a backbone was trained on: resize, crop, normalise."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image

from modal_pretrain._checks import height_and_width

# Past this size, a resized picture is mostly cropped away: a line one pixel high, say.
_MAX_PIXELS = 1 << 26
# Times the size that a picture is resized to: a decoder's own reduction is coarser than
# Pillow's resizing, which has to follow it. Twice would do for antialiasing; three
# times costs no more for 12 megapixels and leaves down to a third of the difference.
_ENOUGH = 3
# Of all rows: from here on a conversion to a faster engine pays, see docs/speed.md.
_LONG_PASS = 1 << 24
_INTERPOLATIONS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")


@dataclass(frozen=True)
class Preprocessing:
    """How pictures become a backbone's input.

    Resizing is Pillow's, with antialiasing, as in timm; see also `quicker`.

    Parameters
    ----------
    size : tuple of int
        Height and width of the result.
    interpolation : str
        Pillow's name of the filter in lower case, such as "bicubic".
    resize_to : tuple of int
        Height and width that `resize_mode` refers to.
    resize_mode : {"cover", "squash", "fit"}
        "cover" keeps the aspect ratio and makes the picture at least as large as
        `resize_to`; "squash" resizes to exactly `resize_to`; "fit" keeps the aspect
        ratio and makes it at most as large. What exceeds `size` is then cropped around
        the centre; what is missing is filled, in mode "fit" with the mean colour.
    mean, std : tuple of float
        Of the channels R, G, B, for pictures in [0, 1].
    """

    size: tuple[int, int]
    interpolation: str
    resize_to: tuple[int, int]
    resize_mode: Literal["cover", "squash", "fit"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @classmethod
    def from_data_config(
        cls, config: dict[str, Any], image_size: int | Sequence[int] | None = None
    ) -> Preprocessing:
        """Read a timm data configuration.

        Parameters
        ----------
        config : dict
            Result of ``timm.data.resolve_data_config``.
        image_size : int, (int, int) or None, default=None
            None gives timm's own evaluation transform: the configured size, with its
            crop margin. A size (height and width) replaces that: pictures are resized
            to cover it and cropped around the centre, without a margin, so pictures
            of just this size are used as they are.

        Returns
        -------
        Preprocessing

        Raises
        ------
        ValueError
            If the model does not take RGB, or a value has no meaning here.
        """
        channels, *configured = config["input_size"]
        mean, std = (tuple(map(float, config[key])) for key in ("mean", "std"))
        if channels != 3 or len(mean) != 3 or len(std) != 3:
            raise ValueError(
                f"The model takes {channels}-channel input; only RGB (3 channels) is "
                "supported. Create it with in_chans=3."
            )
        interpolation = config.get("interpolation", "bicubic")
        if interpolation not in _INTERPOLATIONS:
            raise ValueError(
                f"interpolation is {interpolation!r}, but one of {_INTERPOLATIONS} is "
                "expected."
            )
        if image_size is not None:
            size = height_and_width("image_size", image_size)
            return cls(size, interpolation, size, "cover", mean, std)
        size = height_and_width("input_size", configured)
        crop_pct = config.get("crop_pct") or 0.875  # timm's default
        crop_mode = config.get("crop_mode") or "center"
        if config.get("crop_border_pixels"):
            raise ValueError("crop_border_pixels is not supported; pass image_size.")
        if crop_mode not in ("center", "squash", "border"):
            raise ValueError(
                f"crop_mode is {crop_mode!r}, but 'center', 'squash' or 'border' is "
                "expected."
            )
        modes: dict[str, Any] = {"squash": "squash", "border": "fit"}
        height, width = (math.floor(side / crop_pct) for side in size)
        mode = modes.get(crop_mode, "cover")
        return cls(size, interpolation, (height, width), mode, mean, std)

    def fingerprint(self) -> str:
        """Text of all fields, equal for equal results; part of the cache key."""
        return ";".join(f"{f.name}={getattr(self, f.name)!r}" for f in fields(self))

    def stated_parameters(self) -> dict[str, Any]:
        """Return the parameters that the files of a backbone, or timm, may state."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def keeps(self, height: int, width: int) -> bool:
        """Whether pictures of this size are used as they are."""
        return (height, width) == self.size == self._resized(height, width)

    def enough(self, height: int, width: int) -> tuple[int, int]:
        """Return a height and width from which resizing gives nearly the same."""
        to_height, to_width = self._resized(height, width)
        return _ENOUGH * to_height, _ENOUGH * to_width

    def resize_part(
        self, picture: Image.Image, whole: tuple[int, int], scale: int, on_side: bool
    ) -> Image.Image:
        """Resize what a decoder's reduction left of a picture, as the whole would be.

        Its last row and column may stand for less than `scale` of the whole's: taken
        for full ones, they would move all others.

        Parameters
        ----------
        picture : RGB PIL image
        whole : tuple of int
            Width and height before the reduction.
        scale : int
            Side of the squares that became pixels.
        on_side : bool
            Whether the picture is going to be turned by a quarter.

        Returns
        -------
        PIL.Image.Image
            Not resized if it is too long for that, see `apply_uint8`.
        """
        sides = whole if on_side else whole[::-1]
        height, width = self._resized(*sides)
        if height * width > max(_MAX_PIXELS, math.prod(self.resize_to)):
            return picture
        size = (height, width) if on_side else (width, height)
        resampling = Image.Resampling[self.interpolation.upper()]
        box = (0, 0, whole[0] / scale, whole[1] / scale)
        return picture.resize(size, resampling, box=box)

    def apply_uint8(self, picture: np.ndarray | Image.Image) -> np.ndarray:
        """Resize and crop one picture.

        Parameters
        ----------
        picture : ndarray of uint8, shape (h, w, 3), or RGB PIL image

        Returns
        -------
        ndarray of uint8, shape (H, W, 3)
        """
        if isinstance(picture, np.ndarray):
            if self.keeps(*picture.shape[:2]):
                return picture
            picture = Image.fromarray(np.ascontiguousarray(picture))
        height, width = self._resized(picture.height, picture.width)
        if height * width > max(_MAX_PIXELS, math.prod(self.resize_to)):
            picture = _middle(picture)
            height, width = self._resized(picture.height, picture.width)
        if (height, width) != (picture.height, picture.width):
            picture = self._resize(picture, height, width)
        if (height, width) != self.size:
            picture = self._crop_or_pad(picture)
        return np.array(picture)

    def _resize(self, picture: Image.Image, height: int, width: int) -> Image.Image:
        resampling = Image.Resampling[self.interpolation.upper()]
        return picture.resize((width, height), resampling)

    def prepare(self, batch: torch.Tensor) -> torch.Tensor:
        """Normalise loaded pictures; the rows of a table are ready as they are."""
        return self.normalise(batch) if batch.dtype is torch.uint8 else batch

    def normalise(
        self, batch: torch.Tensor, dtype: torch.dtype = torch.float32
    ) -> torch.Tensor:
        """Convert to what the backbone takes, on the device of the batch.

        Parameters
        ----------
        batch : Tensor of uint8, shape (b, H, W, 3)
        dtype : torch.dtype, default=torch.float32

        Returns
        -------
        Tensor of `dtype`, shape (b, 3, H, W)
            ``(batch / 255 - mean) / std`` in channels-last memory format. It differs
            from timm's by float32 rounding, at most 1e-6, because both steps are one
            multiply-add here.
        """
        if batch.dtype is not torch.uint8 or batch.ndim != 4 or batch.shape[-1] != 3:
            raise ValueError(
                "batch must be uint8 of shape (b, H, W, 3), got "
                f"{batch.dtype} of shape {tuple(batch.shape)}."
            )
        b, height, width, _ = batch.shape
        scale, shift = _affine(self.mean, self.std, width, batch.device)
        # Rows of width * 3 values vectorise, a last axis of three does not; and a
        # second buffer would cost more than the arithmetic.
        pixels = batch.reshape(b * height, width * 3).to(torch.float32)
        torch.addcmul(shift, pixels, scale, out=pixels)
        return pixels.to(dtype).view(b, height, width, 3).permute(0, 3, 1, 2)

    @property
    def row_shape(self) -> tuple[int, int, int]:
        """Shape of a loaded picture."""
        return (*self.size, 3)

    def examples(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return two batches of noise, uint8 (2, H, W, 3) and (3, H, W, 3)."""
        rng = np.random.default_rng(0)
        noise = rng.integers(0, 256, (5, *self.row_shape))
        first, second = torch.from_numpy(noise.astype(np.uint8)).split([2, 3])
        return first, second

    def traced(self, batch: torch.Tensor) -> torch.Tensor:
        """Normalise, in the plainest operations."""
        moments = torch.tensor([self.mean, self.std], dtype=torch.float32)
        mean, std = 255 * moments
        return ((batch.float() - mean) / std).permute(0, 3, 1, 2)

    def quicker(self) -> Preprocessing:
        """Return a preparation that resizes several times faster, where there is one.

        It rounds some pixels the other way, see `modal_pretrain.images.quick`.
        """
        from modal_pretrain.images.quick import quick

        return quick(self)

    def takes_long(self, n: int) -> bool:
        """Say whether n pictures take longer than a conversion."""
        return n * math.prod(self.size) >= _LONG_PASS

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        """Size after resizing, rounded as timm (and torchvision) round it."""
        to_height, to_width = self.resize_to
        if self.resize_mode == "squash":
            return self.resize_to
        if self.resize_mode == "cover" and to_height == to_width:
            if width <= height:
                return int(to_width * height / width), to_width
            return to_height, int(to_height * width / height)
        choose = max if self.resize_mode == "fit" else min
        ratio = choose(height / to_height, width / to_width)
        return max(1, round(height / ratio)), max(1, round(width / ratio))

    def _crop_or_pad(self, picture: Image.Image) -> Image.Image:
        height, width = self.size
        fill = (0, 0, 0)
        if self.resize_mode == "fit":
            red, green, blue = self.mean
            fill = round(255 * red), round(255 * green), round(255 * blue)
        wide, high = max(width, picture.width), max(height, picture.height)
        if (wide, high) != picture.size:
            padded = Image.new("RGB", (wide, high), fill)
            padded.paste(
                picture, ((wide - picture.width) // 2, (high - picture.height) // 2)
            )
            picture = padded
        left, top = round((wide - width) / 2), round((high - height) / 2)
        return picture.crop((left, top, left + width, top + height))


@functools.lru_cache(maxsize=16)
def _affine(
    mean: tuple[float, ...], std: tuple[float, ...], width: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Factor and summand for one row of pixels."""
    m, s = (torch.tensor(v, dtype=torch.float64) for v in (mean, std))
    scale = (1 / (255 * s)).repeat(width).to(device, torch.float32)
    return scale, (-m / s).repeat(width).to(device, torch.float32)


def _middle(picture: Image.Image) -> Image.Image:
    """Cut a very long picture to 16 times its shorter side, around the centre."""
    width, height = (min(side, 16 * min(picture.size)) for side in picture.size)
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    return picture.crop((left, top, left + width, top + height))
