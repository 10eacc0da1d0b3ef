"""What a trace of a network takes as constants: plain attributes that forwards read."""

from __future__ import annotations

from collections.abc import Mapping

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
