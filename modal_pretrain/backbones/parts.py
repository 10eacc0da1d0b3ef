"""Parts of networks that a user's factory returns, and what may be wrong with them.

No mode reaches them, they expect other pictures, or somebody else trains them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import FunctionType, MethodType
from typing import Any

from torch import nn

from modal_pretrain.backbones.code import GLOBAL, variables_read
from modal_pretrain.backbones.copies import copy_of
from modal_pretrain.backbones.values import found_by

_DEPTH = 3  # of containers in each other
_OF_PYTORCH = vars(nn.Module()).keys()


def warn_of_unregistered(backbone: nn.Module, maker: str) -> None:
    """Warn of networks in plain lists, closures and the like, which no mode reaches.

    Their dropout and batch normalisation go on as in training, so that an embedding is
    random and depends on its batch; and they are neither moved nor frozen nor trained.

    Parameters
    ----------
    backbone : torch.nn.Module
        Before its mode is set.
    maker : str
        What returned it, as the subject of the message.
    """
    registered = {id(module) for module in backbone.modules()}
    for name, module in backbone.named_modules():
        for key, value in vars(module).items():
            if key in _OF_PYTORCH:
                continue
            for found in _networks_in(value):
                if id(found) in registered or not _takes_part(found):
                    continue
                where = f"{name}.{key}" if name else key
                warnings.warn(
                    f"{maker} returned a network whose {where!r} computes with a "
                    f"{type(found).__name__} that PyTorch doesn't know as a part of "
                    "it: it is not set to evaluation mode, so that dropout and batch "
                    "normalisation would go on, nor moved to a device, nor trained. "
                    "Make it an attribute (self.net = net), or nn.ModuleList of a "
                    "list; or call eval() and requires_grad_(False) on it where "
                    "that is meant.",
                    UserWarning,
                    stacklevel=2,
                )
                return


def warn_of_other_input(
    backbone: nn.Module, taken: Mapping[str, Any], maker: str
) -> None:
    """Warn where a part of a network was trained on pictures normalised otherwise.

    Parameters
    ----------
    backbone : torch.nn.Module
    taken : mapping
        Mean and std that its pictures get, in timm's terms.
    maker : str
        What returned it, as the subject of the message.
    """
    if getattr(backbone, "pretrained_cfg", None) is not None:  # it says so itself
        return
    for name, module in backbone.named_modules():
        config = vars(module).get("pretrained_cfg")
        if not isinstance(config, dict):
            continue
        for key in ("mean", "std"):
            value = config.get(key)
            if not isinstance(value, list | tuple):
                continue
            if tuple(value) != tuple(taken[key]):
                warnings.warn(
                    f"{maker} returned a network whose {name!r} is timm's and made for "
                    f"pictures with {key}={tuple(value)}, but it gets them with "
                    f"{key}={tuple(taken[key])}, since it does not say otherwise. Set "
                    "its attribute: net.pretrained_cfg = "
                    f"net.get_submodule({name!r}).pretrained_cfg, or a dict of the "
                    "mean and std that it was trained with.",
                    UserWarning,
                    stacklevel=2,
                )
                return


def free_of(backbone: nn.Module, factory: Any) -> nn.Module:
    """Return a copy of a network that has parts of one that a factory only holds.

    As ``lambda: net``, ``lambda: trainer.model.encoder`` and ``lambda:
    nn.Sequential(*list(net.children())[:-1])`` do. The user's own may train on, where
    it would be frozen; and two estimators may load two checkpoints. What cannot be
    copied is returned itself.
    """
    made = {*backbone.modules()}
    values = [factory, *(value for _, value in found_by(factory))]
    found = (net for value in values for net in _networks_in(value))
    if any(part in made for net in found for part in net.modules()):
        with suppress(Exception):
            return copy_of(backbone)
    return backbone


def _takes_part(found: nn.Module) -> bool:
    """Say whether a network has weights, and nobody has put it to rest."""
    weights = [*found.parameters()]
    active = any(module.training for module in found.modules())
    return bool(weights) and (active or any(w.requires_grad for w in weights))


def _networks_in(value: Any, depth: int = 0) -> Iterator[nn.Module]:
    if isinstance(value, nn.Module):
        yield value
        return
    parts: list[Any] = []
    if isinstance(value, list | tuple):
        parts = [*value]
    elif isinstance(value, dict):
        parts = [*value.values()]
    elif isinstance(value, MethodType):
        parts = [value.__self__, value.__func__]
    elif isinstance(value, FunctionType):
        known = value.__globals__
        names = variables_read(value.__code__, GLOBAL) & known.keys()
        parts = [known[name] for name in sorted(names)]
        # Of variables alone: what else it calls is looked into by nobody.
        parts = [part for part in parts if isinstance(part, nn.Module)]
        parts += value.__defaults__ or ()
        parts += (value.__kwdefaults__ or {}).values()
        for cell in value.__closure__ or ():
            with suppress(ValueError):  # not filled yet
                parts.append(cell.cell_contents)
    if depth < _DEPTH:
        for part in parts:
            yield from _networks_in(part, depth + 1)
