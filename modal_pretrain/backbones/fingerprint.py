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
        digest.update(_content(tensor))

    modules = list(backbone.named_modules())
    for name, module in modules:
        text = [f"{name}:{_identity(type(module))}"]
        for key, value in vars(module).items():
            if key in _NO_SETTINGS:
                continue
            where = f"{name}.{key}"
            if _is_plain(value):
                text.append(f"{where}={value!r}")
                continue
            tensor = _as_tensor(value)
            if tensor is not None:
                digest.update("".join(text).encode())
                text = []
                add(where, tensor)
            elif callable(value):
                text.append(f"{where}={_identity(value)}")
        digest.update("".join(text).encode())
    # As `named_parameters` and `named_buffers` list them, which walk all modules again.
    for kind in ("_parameters", "_buffers"):
        seen: set[int] = set()
        for name, module in modules:
            for key, tensor in getattr(module, kind).items():
                if tensor is not None and id(tensor) not in seen:
                    seen.add(id(tensor))
                    add(f"{name}.{key}" if name else key, tensor)
    return digest.hexdigest()


def _as_tensor(value: Any) -> torch.Tensor | None:
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return torch.from_numpy(np.array(value))
    return value if isinstance(value, torch.Tensor) else None


def _content(tensor: torch.Tensor) -> memoryview:
    """Return the bytes of a tensor, without a copy where it is on the CPU."""
    tensor = tensor.detach()
    if tensor.dtype in _QUICK and tensor.is_cpu and tensor.is_contiguous():
        return tensor.numpy().data
    flat = tensor.cpu().contiguous().flatten()
    return flat.view(torch.uint8).numpy().data


# What most weights are, and NumPy has too.
_QUICK = {torch.float32, torch.int64}
# Attributes of modules that do not change what they compute in evaluation mode.
_NO_SETTINGS = {
    *vars(nn.Module()),
    "weights_source",
    "pretrained_cfg",
    "default_cfg",
    "_is_torch_compile",  # torch.compile's mark on what it was given
}
_PLAIN = {type(None), bool, int, float, str}
_LIBRARIES = ("torch", "timm", "torchvision", "transformers", "modal_pretrain")
_IDENTITIES: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def _is_plain(value: Any) -> bool:
    if type(value) in _PLAIN:
        return True
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
