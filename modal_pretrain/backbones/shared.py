"""One copy of each backbone's initial state in memory, for all estimators."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from torch import nn

from modal_pretrain.backbones.create import (
    Backbone,
    ImageSize,
    adapt_size,
    as_pair,
    create_backbone,
    takes_one_size,
)
from modal_pretrain.backbones.weights import checkpoint_path

_MAX_SHARED = 4
_LOCK = threading.RLock()
_SHARED: OrderedDict[tuple, nn.Module] = OrderedDict()
Recipe = tuple[Callable[..., nn.Module], tuple]


def shared_backbone(
    name: Backbone,
    pretrained: bool | str | Path,
    seed: int,
    device: torch.device | str = "cpu",
    image_size: ImageSize | None = None,
) -> nn.Module:
    """Return the one frozen copy of a backbone that this process keeps on a device.

    Loading is paid once for all estimators and clones. The module is shared: do not
    train it, copy it (`own_backbone`).

    Parameters
    ----------
    name, pretrained
        See `create_backbone`.
    seed : int
        Of the random initialisation; without meaning where `pretrained` is not False.
    device : torch.device or str, default="cpu"
    image_size : int, (int, int) or None, default=None
        See `create_backbone`.

    Returns
    -------
    torch.nn.Module
        In evaluation mode, channels last, without gradients.
    """
    file = None
    if not isinstance(pretrained, bool):
        stat = checkpoint_path(pretrained).stat()
        file = (str(pretrained), stat.st_size, stat.st_mtime_ns)
    # A factory may draw weights even where it loads others.
    drawn = pretrained is False or callable(name)
    key = (name, file or pretrained, seed if drawn else None, str(device))

    def create() -> nn.Module:
        backbone = create_backbone(name, pretrained, random_state=seed)
        backbone.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return backbone.requires_grad_(False)

    with _LOCK:
        backbone = share(key, create)
        if image_size is not None and takes_one_size(backbone):
            plain = backbone
            backbone = share(
                (*key, as_pair(image_size)),
                lambda: adapt_size(deepcopy(plain), image_size).requires_grad_(False),
            )
        remember_recipe(
            backbone, shared_backbone, name, pretrained, seed, device, image_size
        )
        return backbone


def share(key: tuple, create: Callable[[], nn.Module]) -> nn.Module:
    """Return the module kept under a key; make it where there is none."""
    with _LOCK:
        if key not in _SHARED:
            _SHARED[key] = create()
        _SHARED.move_to_end(key)
        while len(_SHARED) > _MAX_SHARED:
            _SHARED.popitem(last=False)
        return _SHARED[key]


# How to make a shared module again, in another process.
_RECIPES: WeakKeyDictionary[nn.Module, Recipe] = WeakKeyDictionary()


def remember_recipe(module: nn.Module, make: Callable[..., nn.Module], *args) -> None:
    """Note that ``make(*args)`` gives this module, in any process.

    Parameters
    ----------
    module : torch.nn.Module
    make : callable
        A function of this package.
    *args
        Small, and picklable.
    """
    _RECIPES[module] = make, args


def recipe(module: nn.Module) -> Recipe | None:
    """Return what `remember_recipe` noted; None for modules that were trained."""
    return _RECIPES.get(module)


def own_backbone(
    name: Backbone,
    pretrained: bool | str | Path,
    seed: int,
    device: torch.device | str = "cpu",
    image_size: ImageSize | None = None,
) -> nn.Module:
    """Return a private, trainable copy of `shared_backbone`, in its initial state."""
    shared = shared_backbone(name, pretrained, seed, device, image_size)
    return deepcopy(shared).requires_grad_(True)
