"""What a trace of a network takes as constants.

Plain attributes that forwards read, the tensors that are there, and what is drawn.
"""

from __future__ import annotations

import pickle
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from modal_pretrain.backbones.fingerprint import NO_SETTINGS, is_plain


def looked_into(backbone: nn.Module) -> dict[str, nn.Module]:
    """Return the modules whose own forward is traced: those of which a part trains."""
    return {
        path: module
        for path, module in backbone.named_modules()
        if not path or len({p.requires_grad for p in module.parameters()}) > 1
    }


def settings_of(modules: Mapping[str, nn.Module]) -> dict[tuple[str, str], str]:
    """Return the plain attributes of modules, which a trace takes as constants.

    Also those of objects that they hold, such as a configuration.
    """
    found = {}
    for path, module in modules.items():
        for name, value in vars(module).items():
            if name in NO_SETTINGS:
                continue
            if is_plain(value):
                found[path, name] = repr(value)
            elif not callable(value) and not isinstance(value, torch.Tensor):
                for key, part in getattr(value, "__dict__", {}).items():
                    if is_plain(part):
                        found[path, f"{name}.{key}"] = repr(part)
    return found


def tensors_of(modules: Mapping[str, nn.Module]) -> dict[tuple[str, str], int]:
    """Return the identities of the modules' own weights and buffers.

    A trace holds the tensors that were there: what is assigned later is another.
    """
    return {
        (path, name): id(tensor)
        for path, module in modules.items()
        for name, tensor in (*module._parameters.items(), *module._buffers.items())
    }


def generators() -> tuple[Any, ...]:
    """Return the states of the generators that a forward may draw from."""
    # Of any kind: a program may have set another one than NumPy's usual.
    numpy_state = pickle.dumps(np.random.get_state(legacy=False))  # noqa: NPY002
    states = [torch.get_rng_state()]
    if torch.cuda.is_initialized():
        states += torch.cuda.get_rng_state_all()
    drawn = (state.numpy().tobytes() for state in states)
    return *drawn, numpy_state, random.getstate()
