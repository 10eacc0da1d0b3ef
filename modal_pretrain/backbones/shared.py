"""One copy of each backbone's initial state in memory, for all estimators.

One mechanism for the weights of all modalities: which weights a name stands for is said
by `weights_key`, the frozen copy is `shared`, a copy to train is `own`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

import timm
import torch
from torch import nn

from modal_pretrain._checks import height_and_width
from modal_pretrain._fork import Lock
from modal_pretrain._identity import absolute, expanded
from modal_pretrain.backbones.code import code_of
from modal_pretrain.backbones.copies import copy_of
from modal_pretrain.backbones.create import Backbone, create_backbone
from modal_pretrain.backbones.device import GENERATORS
from modal_pretrain.backbones.fingerprint import is_own
from modal_pretrain.backbones.folder import files_of
from modal_pretrain.backbones.names import local_folder
from modal_pretrain.backbones.sizes import ImageSize, adapt_size, takes_one_size
from modal_pretrain.backbones.values import Values, hash_of, note_changes, values_of

_MAX_SHARED = 4
_LOCK = Lock()
_SHARED: OrderedDict[tuple, nn.Module] = OrderedDict()
Recipe = tuple[Callable[..., nn.Module], tuple]
Module = TypeVar("Module", bound=nn.Module)


# Builds a backbone with its initial weights, on the CPU: of name and pretrained, and
# random_state by name.
Create = Callable[..., nn.Module]


class Adapt(Protocol):
    """A function that fits a shared backbone to settings, without its weights."""

    def __call__(self, backbone: Any, key: tuple, *settings: Any) -> nn.Module:
        """Return the backbone itself, or another one, which may be kept by `share`."""


def shared(
    create: Create,
    name: Any,
    pretrained: bool | str | Path,
    seed: int,
    device: torch.device | str = "cpu",
    adapt: Adapt | None = None,
    settings: tuple = (),
    given: tuple = (),
) -> nn.Module:
    """Return the one frozen copy of a backbone that this process keeps on a device.

    Loading is paid once for all estimators and clones. The weights are shared: do not
    train them, copy them (`own`). Files that were rewritten are loaded anew.

    Parameters
    ----------
    create : callable
        A function of a module, so that workers find it, such as `create_backbone`.
    name, pretrained
        For `create`.
    seed : int
        Of the random initialisation; without meaning where nothing is drawn.
    device : torch.device or str, default="cpu"
    adapt : callable or None, default=None
        A function of a module that gets the backbone, its key and the settings.
    settings : tuple, default=()
        Small and picklable.
    given : tuple of (str, object), default=()
        Further arguments of `create`, hashable, where another network is loaded by
        them.

    Returns
    -------
    torch.nn.Module
        In evaluation mode, without gradients.
    """
    key = (create, *weights_key(name, pretrained, seed), str(device), *given)

    with _LOCK:
        found = _SHARED.get(key)

    def load() -> nn.Module:
        if found is not None:
            return found
        backbone = create(name, pretrained, random_state=seed, **dict(given))
        return backbone.to(device).requires_grad_(False)

    before = values_of(name) if found is None and callable(name) else None
    # Generators first: a net that trains holds them, and may come here.
    with nullcontext() if found is not None else GENERATORS, _LOCK:
        backbone = share(key, load)
        if before is not None:
            key = _noted(key, before)
        if adapt is not None:
            backbone = adapt(backbone, key, *settings)
        place = _anywhere(name, pretrained)
        recipe = (create, *place, seed, device, adapt, settings, given)
        _RECIPES[backbone] = shared, recipe
        return backbone


def _noted(key: tuple, before: Values) -> tuple:
    """Move a factory's network to the key without what the factory changes itself."""
    create, factory, (code, _, *files), *more = key
    note_changes(factory, before, [other[1] for other in _SHARED])
    now = create, factory, (code, hash_of(factory, before), *files), *more
    _SHARED[now] = _SHARED.pop(key)
    return now


def own(backbone: Module) -> Module:
    """Return a private, trainable copy of a shared backbone, in its initial state."""
    return copy_of(backbone).requires_grad_(True)


def weights_key(name: Any, pretrained: bool | str | Path, seed: int) -> tuple:
    """Name initial weights: what was asked for, and the state of its files.

    Parameters
    ----------
    name : str, Path or callable
        A name, a folder (with "~", or timm's prefix "local-dir:"), or a factory, whose
        code and values count: they may change in place, see `code_of`, `values_of`.
    pretrained : bool, str or Path
        A checkpoint file's path counts with its `file_identity`.
    seed : int
        Counts where weights may be drawn.

    Returns
    -------
    tuple
        Hashable.
    """
    # A factory may draw weights even where it loads others.
    drawn = pretrained is False or callable(name)
    if callable(name) and type(name).__hash__ is None:
        raise TypeError(
            f"backbone={name!r:.80} has no hash, so nobody can tell whether its "
            "network is here already. Pass a function, or give its class __hash__."
        )
    if callable(name):
        state: tuple = (code_of(name, is_own), hash_of(name, values_of(name)))
    else:
        state = files_of(local_folder(str(name)) or str(name))
    if not isinstance(pretrained, bool):
        state += files_of(pretrained)
        pretrained = str(pretrained)
    return name, state, pretrained, seed if drawn else None


def _anywhere(name: Any, pretrained: bool | str | Path) -> tuple[Any, Any]:
    """Return a name and a path that mean the same in every working directory."""
    if not isinstance(pretrained, bool):
        pretrained = absolute(expanded(pretrained))
    if not callable(name):
        folder = local_folder(str(name))
        if folder is not None:
            name = f"local-dir:{absolute(folder)}"
        elif expanded(str(name)).is_dir() and not timm.models.is_model(str(name)):
            name = absolute(expanded(str(name)))
    return name, pretrained


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


def recipe(module: nn.Module) -> Recipe | None:
    """Return a function of this package and its arguments that give this module.

    None for modules that `shared` did not make, such as those that were trained.
    """
    return _RECIPES.get(module)


def shared_backbone(
    name: Backbone,
    pretrained: bool | str | Path,
    seed: int,
    device: torch.device | str = "cpu",
    image_size: ImageSize | None = None,
) -> nn.Module:
    """Return `shared` for a backbone of pictures, channels last.

    Parameters
    ----------
    name, pretrained, image_size
        See `create_backbone`.
    seed : int
    device : torch.device or str, default="cpu"

    Returns
    -------
    torch.nn.Module
    """
    what = _channels_last, name, pretrained, seed, device
    if image_size is not None and _from_files(name, pretrained):
        size = height_and_width("image_size", image_size)
        if size[0] != size[1]:
            # Of a checkpoint that was trained at a rectangle, timm makes no square.
            return shared(*what, given=(("image_size", size),))
    return shared(*what, _sized, (image_size,))


def _from_files(name: Backbone, pretrained: bool | str | Path) -> bool:
    """Say whether weights are a user's, which may be of any size."""
    return not callable(name) and not (
        isinstance(pretrained, bool) and not local_folder(str(name))
    )


def _channels_last(
    name, pretrained, *, random_state=None, image_size=None
) -> nn.Module:
    backbone = create_backbone(
        name, pretrained, image_size=image_size, random_state=random_state
    )
    return backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _sized(backbone: nn.Module, key: tuple, image_size) -> nn.Module:
    """Adapt to a size; a network that takes one size only has a copy for each."""
    if image_size is None or not takes_one_size(backbone):
        return backbone

    def adapted() -> nn.Module:
        create, name, _, pretrained, seed, device = key
        if not _from_files(name, pretrained):
            return adapt_size(copy_of(backbone), image_size).requires_grad_(False)
        # A file may be of a network of just this size.
        sized = create(name, pretrained, random_state=seed, image_size=image_size)
        return sized.to(device).requires_grad_(False)

    return share((*key, height_and_width("image_size", image_size)), adapted)
