"""What came of a training: an error where it went astray, a warning where in vain."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import torch

_IN_VAIN = (
    "{} of the network's parameters, such as {}, had requires_grad=True at the end of "
    "the fit but did not train: {}. To thaw them on the way, let them train from the "
    "start (tune='all', or a larger tune), and freeze them at first, as by "
    "skorch.callbacks.Freezer('backbone*', at=1), which Unfreezer takes back."
)


def check_trained(
    net: Any, began: Iterable[torch.Tensor], ended: Iterable[torch.Tensor]
) -> None:
    """Raise where training went astray, and warn where something thawed in vain.

    Parameters
    ----------
    net : skorch.NeuralNet
        Names the parameters, for the messages.
    began, ended : iterable of torch.Tensor
        What its optimizer held before and after training.

    Raises
    ------
    ValueError
        If a parameter is NaN or infinite: such a net predicts nothing.
    """
    before, after = ({id(p): p for p in held} for held in (began, ended))
    if not all(torch.isfinite(parameter).all() for parameter in after.values()):
        _raise_where_infinite(net)
    vain = {
        name: parameter
        for name, parameter in net.module_.named_parameters()
        if parameter.requires_grad
        and id(parameter) not in before
        # Stages whose outputs were computed once get no gradient.
        and (id(parameter) not in after or parameter.grad is None)
    }
    if vain:
        held = any(id(parameter) in after for parameter in vain.values())
        why = "they got no gradient" if held else "the optimizer does not hold them"
        warnings.warn(_IN_VAIN.format(len(vain), next(iter(vain)), why), stacklevel=2)


def _raise_where_infinite(net: Any) -> None:
    for name, parameter in net.get_all_learnable_params():
        if not torch.isfinite(parameter).all():
            lr = net.optimizer_.param_groups[0]["lr"]
            raise ValueError(
                f"Training diverged: {name} is NaN or infinite after epoch "
                f"{len(net.history_)}, with {type(net.optimizer_).__name__} at "
                f"lr={lr:g}. Give a smaller lr."
            )
