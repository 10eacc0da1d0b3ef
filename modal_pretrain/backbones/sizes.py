"""Networks that take pictures of one size only: which, and made for another one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from modal_pretrain._checks import height_and_width
from modal_pretrain.backbones.weights import BackboneWeightsError

ImageSize = int | tuple[int, int]
_PATCHES = "patch_embed.proj.weight"


def adapt_size(backbone: nn.Module, image_size: ImageSize | None) -> nn.Module:
    """Make a network that takes one size only take `image_size`, in place.

    Parameters
    ----------
    backbone : torch.nn.Module
    image_size : int, (int, int) or None
        None leaves the network as it is.

    Returns
    -------
    torch.nn.Module
        The same network.

    Raises
    ------
    ValueError
        If the network takes another size only and timm cannot change that.
    """
    if image_size is None or not takes_one_size(backbone):
        return backbone
    size = height_and_width("image_size", image_size)
    height, width = made_for(backbone)
    name = type(backbone).__name__
    if hasattr(backbone, "set_input_size"):
        try:
            backbone.set_input_size(img_size=size)  # type: ignore[operator]
            _check_size(backbone, size)
        except Exception as error:
            raise ValueError(
                f"The backbone {name} cannot be adapted to image_size={image_size!r}: "
                f"{reason_of(error)}. It was made for {height} x {width}."
            ) from error
    elif size != (height, width):
        raise ValueError(
            f"image_size={image_size!r}, but the backbone {name} takes pictures of "
            f"{height} x {width} only. Leave image_size=None, or use another backbone."
        )
    return backbone


def reason_of(error: BaseException) -> str:
    """Return what an error says, or its name where it says nothing."""
    return str(error) or type(error).__name__  # timm asserts without a message


def _check_size(backbone: nn.Module, size: tuple[int, int]) -> None:
    """Try a picture of that size: not every size divides into patches."""
    device = next(backbone.parameters()).device
    mode = backbone.training
    with torch.inference_mode():
        backbone.eval()(torch.zeros(1, 3, *size, dtype=torch.float32, device=device))
    backbone.train(mode)


def takes_one_size(backbone: nn.Module) -> bool:
    """Say whether a network, as it is, takes pictures of one size only."""
    config = getattr(backbone, "pretrained_cfg", None) or {}
    return "input_size" in config and (
        hasattr(backbone, "set_input_size") or config.get("fixed_input_size", False)
    )


def made_for(backbone: nn.Module) -> tuple[int, int]:
    """Return height and width that a network that takes one size only takes now.

    timm's configuration may still tell those of the published weights.
    """
    size = getattr(getattr(backbone, "patch_embed", None), "img_size", None)
    if not isinstance(size, tuple | list):
        size = backbone.pretrained_cfg["input_size"][1:]  # type: ignore[index]
    height, width = size
    return int(height), int(width)


def has_other_positions(state: Mapping[str, Any], backbone: nn.Module) -> bool:
    """Say whether a checkpoint is of the same network for pictures of another size.

    Parameters
    ----------
    state : mapping of str to torch.Tensor
        Of the checkpoint.
    backbone : torch.nn.Module
        That it was loaded into, whereby timm resamples position embeddings.

    Returns
    -------
    bool
    """
    state = _without_prefix(state)
    return any(
        isinstance(state.get(key), torch.Tensor) and state[key].shape != here.shape
        for key, here in backbone.state_dict().items()
    )


def patch_sizes(state: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return height and width of the patches that a state dict's layers take."""
    return {
        key: tuple(tensor.shape[2:])
        for key, tensor in _without_prefix(state).items()
        if key.endswith(_PATCHES) and tensor.ndim == 4
    }


def _without_prefix(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a state dict without what timm takes off its keys, such as "visual."."""
    first = next((key for key in state if key.endswith(_PATCHES)), _PATCHES)
    prefix = first.removesuffix(_PATCHES)
    return {key.removeprefix(prefix): tensor for key, tensor in state.items()}


def check_patches(
    stored: Mapping[str, tuple[int, ...]], backbone: nn.Module, where: str
) -> None:
    """Raise BackboneWeightsError if timm resampled patches to another size.

    Parameters
    ----------
    stored : mapping of str to tuple of int
        `patch_sizes` of the checkpoint.
    backbone : torch.nn.Module
        After it loaded that.
    where : str
        What the error calls the checkpoint.
    """
    for key, here in patch_sizes(backbone.state_dict()).items():
        there = stored.get(key, here)
        if there != here:
            raise BackboneWeightsError(
                f"The weights from {where} do not fit: their patches are of "
                f"{there[0]} x {there[1]} pixels, this network's of {here[0]} x "
                f"{here[1]}. Name the architecture that they were trained with."
            )
