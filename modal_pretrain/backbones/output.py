"""What a backbone has to return."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def check_embedding(output: Any, backbone: nn.Module) -> torch.Tensor:
    """Return the backbone's output if it is one vector a row, or say what it is."""
    if isinstance(output, torch.Tensor) and output.ndim == 2:
        return output
    came = (
        f"shape {tuple(output.shape)}"
        if isinstance(output, torch.Tensor)
        else f"type {type(output).__name__}"
    )
    raise ValueError(
        f"The backbone {type(backbone).__name__} must return embeddings of shape "
        f"(n, d), got {came}. Pool it to one vector a row; timm's networks do with "
        "global_pool='avg'."
    )
