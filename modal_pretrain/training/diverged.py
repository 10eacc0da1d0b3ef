"""A training that went astray is an error, not a net that predicts nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch


def check_finite(net: Any, trained: Iterable[torch.Tensor]) -> None:
    """Raise ValueError if a parameter is NaN or infinite after training.

    Parameters
    ----------
    net : skorch.NeuralNet
        Names the parameter, for the message.
    trained : iterable of torch.Tensor
        What its optimizer holds.
    """
    if all(torch.isfinite(parameter).all() for parameter in trained):
        return
    for name, parameter in net.get_all_learnable_params():
        if not torch.isfinite(parameter).all():
            lr = net.optimizer_.param_groups[0]["lr"]
            raise ValueError(
                f"Training diverged: {name} is NaN or infinite after epoch "
                f"{len(net.history_)}, with {type(net.optimizer_).__name__} at "
                f"lr={lr:g}. Give a smaller lr."
            )
