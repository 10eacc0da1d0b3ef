"""A fit that fails leaves the net as it was: unfitted, or predicting as before."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import torch
from torch import nn


@contextlib.contextmanager
def all_or_nothing(net: Any, *, trains_on: bool) -> Iterator[None]:
    """Restore a skorch net if anything is raised inside, Ctrl-C included.

    Parameters
    ----------
    net : skorch.NeuralNet
    trains_on : bool
        Whether what is inside trains the present network on. A new one is built
        beside it, so then there is nothing to copy.

    Notes
    -----
    What callbacks did elsewhere, files and counters of their own, stays done.

    A caller's ``torch.inference_mode`` is left for the time: nothing can train in it,
    and what is made in it never trains afterwards.
    """
    before = dict(vars(net))
    history, epochs = net.history_, list(net.history_ or ())
    learnt = _Learnt(net) if trains_on else None
    try:
        with torch.inference_mode(False):
            yield
    except BaseException:
        vars(net).clear()
        vars(net).update(before)
        if history is not None:
            history[:] = epochs  # skorch empties it, and appends to it
        if learnt is not None:
            learnt.restore()
        raise


class _Learnt:
    """What training changes in place: weights, statistics, optimizers."""

    def __init__(self, net: Any) -> None:
        parts = [getattr(net, f"{name}_") for name in (*net._modules, *net._criteria)]
        self.modules: list[tuple[Any, ...]] = [
            (module, *map(dict, _contents(module)))
            for part in parts
            if isinstance(part, nn.Module)
            for module in part.modules()
        ]
        optimizers = [getattr(net, f"{name}_") for name in net._optimizers]
        # A callback may freeze some for a time.
        held = {
            id(parameter)
            for optimizer in optimizers
            for group in optimizer.param_groups
            for parameter in group["params"]
        }
        self.tensors = [
            (tensor, tensor.detach().clone())
            for _, _, parameters, buffers, _ in self.modules
            for tensor in (*parameters.values(), *buffers.values())
            if tensor is not None
            and (
                tensor.requires_grad
                or id(tensor) in held
                or not isinstance(tensor, nn.Parameter)
            )
        ]
        self.flags = [
            (parameter, parameter.requires_grad)
            for _, _, parameters, *_ in self.modules
            for parameter in parameters.values()
            if parameter is not None
        ]
        self.optimizers = [(o, deepcopy(o.state_dict())) for o in optimizers]

    def restore(self) -> None:
        for module, attributes, *contents in self.modules:
            vars(module).clear()
            vars(module).update(attributes)
            for held, before in zip(_contents(module)[1:], contents, strict=True):
                held.clear()
                held.update(before)
        with torch.no_grad():
            for tensor, before in self.tensors:
                tensor.copy_(before)
        for parameter, trains in self.flags:
            parameter.requires_grad_(trains)
        for optimizer, state in self.optimizers:
            del optimizer.param_groups[len(state["param_groups"]) :]  # those added
            optimizer.load_state_dict(state)


def _contents(module: nn.Module) -> tuple[dict, dict, dict, dict]:
    return vars(module), module._parameters, module._buffers, module._modules
