"""What came of a training: an error where it went astray, a warning where in vain."""

from __future__ import annotations

import warnings
from collections.abc import Container, Iterable
from typing import Any

import torch

_IN_VAIN = (
    "{} of the network's parameters, such as {}, had requires_grad=True at the end of "
    "the fit but did not train: {}. To thaw them on the way, let them train from the "
    "start (tune='all', or a larger tune), and freeze them at first, as by "
    "skorch.callbacks.Freezer('backbone*', at=1), which Unfreezer takes back."
)

_NO_GRADIENT = (
    "Of the backbone {} nothing has trained: none of its {} parameters that were to "
    "train got a gradient, so only the head learnt. Does its forward run under "
    "torch.no_grad() or detach what it returns, call another network than itself, or "
    "leave out the stages that `tune` names? Mend that, or take tune='head'."
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
    _warn_of_frozen(net.module_, before)
    if vain:
        held = any(id(parameter) in after for parameter in vain.values())
        why = "they got no gradient" if held else "the optimizer does not hold them"
        warnings.warn(_IN_VAIN.format(len(vain), next(iter(vain)), why), stacklevel=2)


def _warn_of_frozen(module: torch.nn.Module, held: Container[int]) -> None:
    """Warn where of all that was to train in a backbone nothing got a gradient."""
    backbone = getattr(module, "backbone", None)
    if not isinstance(backbone, torch.nn.Module):
        return
    trains = {id(p): p for p in module.parameters() if p.requires_grad}
    tuned = [p for p in backbone.parameters() if p.requires_grad and id(p) in held]
    stepped = any(p.grad is not None for p in trains.values())
    if tuned and stepped and all(p.grad is None for p in tuned):
        warnings.warn(
            _NO_GRADIENT.format(type(backbone).__name__, len(tuned)), stacklevel=3
        )


def _raise_where_infinite(net: Any) -> None:
    for name, parameter in net.get_all_learnable_params():
        if not torch.isfinite(parameter).all():
            lr = net.optimizer_.param_groups[0]["lr"]
            raise ValueError(
                f"Training diverged: {name} is NaN or infinite after epoch "
                f"{len(net.history_)}, with {type(net.optimizer_).__name__} at "
                f"lr={lr:g}. Give a smaller lr."
            )
