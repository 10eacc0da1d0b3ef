"""Fingerprints of networks: what cached embeddings are filed under."""

from __future__ import annotations

import sys
import uuid
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
import xxhash
from torch import nn

from modal_pretrain._fork import Lock

_LOCK = Lock()


def fingerprint(backbone: nn.Module) -> str:
    """Hash all that a module computes with: weights, buffers, settings and classes.

    Tensors go in at about 20 GB/s. Classes and functions that are not PyTorch's,
    timm's, transformers' or this package's count by identity, since one that is defined
    anew under its old name, here or in another process, may compute something else.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    digest = xxhash.xxh3_128()

    def add(name: str, tensor: torch.Tensor) -> None:
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        flat = tensor.detach().cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy().data)

    for name, module in backbone.named_modules():
        digest.update(f"{name}:{_identity(type(module))}".encode())
        for key, value in vars(module).items():
            if key in _NO_SETTINGS:
                continue
            where = f"{name}.{key}"
            if isinstance(value, torch.Tensor):
                add(where, value)
            elif isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
                add(where, torch.from_numpy(np.array(value)))
            elif _is_plain(value):
                digest.update(f"{where}={value!r}".encode())
            elif callable(value):
                digest.update(f"{where}={_identity(value)}".encode())
    for name, tensor in (*backbone.named_parameters(), *backbone.named_buffers()):
        add(name, tensor)
    return digest.hexdigest()


# Attributes of modules that do not change what they compute in evaluation mode.
_NO_SETTINGS = {
    *vars(nn.Module()),
    "weights_source",
    "pretrained_cfg",
    "default_cfg",
    "_is_torch_compile",  # torch.compile's mark on what it was given
}
_LIBRARIES = ("torch", "timm", "torchvision", "transformers", "modal_pretrain")
_IDENTITIES: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return _is_plain([*value, *value.values()])
    return value is None or isinstance(value, bool | int | float | str)


def _package(thing: Any) -> str:
    return (getattr(thing, "__module__", None) or "").split(".")[0]


def _identity(thing: Any) -> str:
    """Name a class or function so that two with the same name are told apart."""
    name = f"{getattr(thing, '__module__', None) or ''}.{describe(thing)}"
    package = _package(thing)
    if package in _LIBRARIES:
        return f"{name} {sys.modules[package].__version__}"
    with _LOCK:
        return f"{name} #{_IDENTITIES.setdefault(thing, uuid.uuid4().hex)}"


def is_portable(backbone: nn.Module) -> bool:
    """Whether `fingerprint` means the same in every process.

    It does if all code comes from PyTorch's libraries, timm, transformers and this
    package.

    Parameters
    ----------
    backbone : torch.nn.Module

    Returns
    -------
    bool
    """
    return all(
        _package(thing) in _LIBRARIES
        for module in backbone.modules()
        for thing in (
            type(module),
            *(
                value
                for key, value in vars(module).items()
                if key not in _NO_SETTINGS
                and callable(value)
                and not isinstance(value, torch.Tensor)
            ),
        )
    )


def describe(factory: Any) -> str:
    """Name a class or function for people."""
    return getattr(factory, "__qualname__", None) or repr(factory)
