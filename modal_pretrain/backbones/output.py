"""What a backbone of the user's and its factory have to be, and to return."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parameter import is_lazy

from modal_pretrain.backbones.fingerprint import describe


def check_embedding(
    output: Any, backbone: nn.Module, rows: int | None = None
) -> torch.Tensor:
    """Return the backbone's output if it is one vector a row, or say what it is.

    Parameters
    ----------
    output : object
    backbone : torch.nn.Module
        For the message.
    rows : int or None, default=None
        How many rows it got; None where nobody knows.

    Returns
    -------
    torch.Tensor
        Shape (n, d).

    Raises
    ------
    ValueError
        If shape, kind or number of rows are others.
    """
    tensor = isinstance(output, torch.Tensor)
    real = tensor and not output.is_complex()
    dense = tensor and output.layout is torch.strided
    if real and dense and output.ndim == 2 and output.shape[1]:
        if rows is not None:
            check_rows(len(output), rows, backbone)
        return output
    came = f"type {type(output).__name__}"
    if tensor:
        came = f"shape {tuple(output.shape)}" if real else f"numbers of {output.dtype}"
        came += "" if dense else f" in the layout {output.layout}"
    raise ValueError(
        f"The backbone {type(backbone).__name__} must return embeddings of shape "
        f"(n, d), got {came}. Pool it to one vector a row; timm's networks do with "
        "global_pool='avg'."
    )


def check_call(factory: Any, params: dict[str, Any]) -> None:
    """Raise TypeError if a factory wants arguments that nobody gives it."""
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(**params)
    except TypeError as error:
        raise TypeError(
            f"backbone={describe(factory)} can't be called: {error}. A factory has no "
            "required arguments; give them with functools.partial."
        ) from None


def parameter_names(factory: Any) -> set[str]:
    """Return the names of the arguments that a factory takes, as far as it tells."""
    try:
        return set(inspect.signature(factory).parameters)
    except (TypeError, ValueError):
        return set()


def check_weights(backbone: nn.Module, maker: str) -> None:
    """Raise ValueError if a network has no weights that can be frozen.

    Parameters
    ----------
    backbone : torch.nn.Module
    maker : str
        What returned it, as the subject of the message.
    """
    if isinstance(backbone, torch.jit.ScriptModule):
        problem = "of TorchScript, which can't be frozen. Return what it was made of"
    elif any(map(is_lazy, backbone.parameters())):
        problem = (
            "with lazy layers, which has no weights yet. Let it run a batch before it "
            "returns it"
        )
    elif any(parameter.is_meta for parameter in backbone.parameters()):
        problem = "on the device 'meta', where weights have no values. Make it on 'cpu'"
    else:
        return
    raise ValueError(f"{maker} returned a network {problem}.")


def warn_of_batches(backbone: nn.Module, maker: str) -> None:
    """Warn where a picture's embedding depends on the others of its batch."""
    for name, module in backbone.named_modules():
        if isinstance(module, _BatchNorm) and module.running_mean is None:
            warnings.warn(
                f"{maker} returned a network whose {name or type(module).__name__} "
                "keeps no statistics (track_running_stats=False), so that an embedding "
                "depends on what else is in the batch. Let it keep them, or take "
                "nn.GroupNorm.",
                UserWarning,
                stacklevel=2,
            )
            return


def check_width(got: int, width: int, backbone: nn.Module) -> None:
    """Raise ValueError unless embeddings are as long as those of other rows."""
    if got != width:
        raise ValueError(
            f"The backbone {type(backbone).__name__} returned embeddings of {got} "
            f"numbers for one batch and of {width} for another; expected is one length."
        )


def check_rows(got: int, rows: int, backbone: nn.Module) -> None:
    """Raise ValueError unless there are as many embeddings as rows."""
    if got != rows:
        raise ValueError(
            f"The backbone {type(backbone).__name__} returned {got} embeddings for "
            f"{rows} rows; expected is one for each, in their order. Does it pool over "
            "the batch, or drop rows?"
        )
