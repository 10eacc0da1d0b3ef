"""Fingerprints of networks: what cached embeddings are filed under."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
import xxhash
from torch import nn

from modal_pretrain._fork import Lock

_LOCK = Lock()
Seen = dict[int, tuple[int, Any]]


def fingerprint(backbone: nn.Module) -> str:
    """Hash all that a module computes with: weights, buffers, settings and classes.

    Tensors go in at about 20 GB/s. Classes and functions that are not PyTorch's,
    timm's, transformers' or this package's count by identity, since one that is defined
    anew under its old name, here or in another process, may compute something else. So
    do hooks. What the user's own modules hold is looked into, whatever it lies in.

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
    # Looked into once; the module comes along, so that its number stays its own.
    known: Seen = {id(module): (n, module) for n, (_, module) in enumerate(modules)}
    for name, module in modules:
        text = [f"{name}:{_identity(type(module))}"]
        for key, value, further in _held(module):
            where = f"{name}.{key}"
            for part in _parts(value, known) if further else [value]:
                if _is_plain(part):
                    text.append(f"{where}={part!r}")
                    continue
                tensor = _as_tensor(part)
                if tensor is not None:
                    digest.update("".join(text).encode())
                    text = []
                    add(where, tensor)
                elif callable(part):
                    text.append(f"{where}={_identity(part)}")
        text += [f"{name} hook={_identity(hook)}" for hook in _hooks(module)]
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


def _settings(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield what a module was given beside weights, buffers and submodules."""
    return (item for item in vars(module).items() if item[0] not in _NO_SETTINGS)


def _held(module: nn.Module) -> Iterator[tuple[str, Any, bool]]:
    """Yield what counts beside weights and buffers, and whether to look into it."""
    own = _package(type(module)) not in _LIBRARIES
    for key, value in _settings(module):
        yield key, value, own or _has_modules(value)
    # PyTorch's quantised layers keep their weights where nobody else looks.
    if type(module)._save_to_state_dict is not nn.Module._save_to_state_dict:
        saved: dict[str, Any] = {}
        module._save_to_state_dict(saved, "", True)
        yield "saved", saved, True


def _has_modules(value: Any) -> bool:
    """Say whether it lists modules that are not registered, as torchvision does."""
    return isinstance(value, list | tuple) and any(
        isinstance(part, nn.Module) for part in value
    )


def _hooks(module: nn.Module) -> list[Any]:
    """Return the functions that change what a module takes and returns."""
    return [*module._forward_pre_hooks.values(), *module._forward_hooks.values()]


def _parts(value: Any, seen: Seen) -> Iterator[Any]:
    """Yield what a value consists of: plain values, tensors, classes and functions.

    A plain value, a tensor or a function is itself the only part.
    """
    todo = [value]
    while todo:
        value = todo.pop()
        if _is_plain(value, exact=True) or _as_tensor(value) is not None:
            yield value
        elif id(value) in seen:
            yield seen[id(value)][0]
        elif isinstance(value, type | FunctionType) or (
            isinstance(value, BuiltinFunctionType)
            and isinstance(value.__self__, type | ModuleType | None)
        ):
            yield value
        else:
            seen[id(value)] = len(seen), value
            inner = _inside(value)
            if callable(value) and not isinstance(value, nn.Module):
                yield value
            else:
                yield from (type(value), len(inner))
            todo += reversed(inner)


def _inside(value: Any) -> list[Any]:
    """Return what a container or an object of the user's holds, in an order."""
    if isinstance(value, nn.Module):
        held = (value._parameters, value._buffers, value._modules)
        return [*_settings(value), *held, *_hooks(value)]
    if isinstance(value, torch.Tensor):
        return [*value.unbind()]  # of several lengths
    if isinstance(value, ModuleType):
        return [value.__name__]
    if type(value) in (bytes, bytearray, memoryview):  # a pickle would hold them again
        return [repr(bytes(value))]
    if type(value) is dict:
        return [*value.items()]
    if type(value) in (list, tuple):
        return [*value]
    try:
        if isinstance(value, set | frozenset):
            return [*sorted(value, key=repr), getattr(value, "__dict__", None)]
        if type(value) is np.ndarray:
            return [value.dtype.str, value.shape, *value.ravel().tolist()]
        return _reduced(value)
    except Exception:  # of the user's code, or what can't be pickled, such as a lock
        return []


def _reduced(value: Any) -> list[Any]:
    """Return what a pickle of a value would hold."""
    try:
        reduced = value.__reduce_ex__(4)
    except Exception:
        if hasattr(value, "__dict__"):
            return [*vars(value).items()]
        # Without an own one it is the address.
        return [] if type(value).__repr__ is object.__repr__ else [repr(value)]
    if isinstance(reduced, str):
        return [reduced]
    return [[*part] if isinstance(part, Iterator) else part for part in reduced]


def _as_tensor(value: Any) -> torch.Tensor | None:
    if isinstance(value, np.ndarray) and not isinstance(value, np.ma.MaskedArray):
        # PyTorch has no numbers of 16 bytes.
        if value.dtype.kind not in "biuf" or value.dtype.itemsize > 8:
            return None
        return torch.from_numpy(np.array(value, dtype=value.dtype.newbyteorder("=")))
    if isinstance(value, torch.Tensor) and not value.is_nested:
        return value
    return None


def _content(tensor: torch.Tensor) -> memoryview:
    """Return the bytes of a tensor, without a copy where it is on the CPU."""
    tensor = tensor.detach()
    if tensor.layout is not torch.strided:
        tensor = tensor.to_dense()
    if tensor.is_meta:
        return memoryview(b"")
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    tensor = tensor.resolve_conj().resolve_neg()
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
# Of plain containers in one another. What is deeper, such as a list that holds itself,
# is looked into part by part, each once.
_LEVELS = 12
_LIBRARIES = ("torch", "timm", "torchvision", "transformers", "modal_pretrain")
_IDENTITIES: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
# What can't be a key there, such as NumPy's functions; kept, so that its id stays its.
_KEPT: dict[int, tuple[Any, str]] = {}


def _is_plain(value: Any, levels: int = _LEVELS, *, exact: bool = False) -> bool:
    """Say whether `repr` tells all of a value.

    `exact` refuses what has attributes besides, such as those of a subclass of list.
    """
    if type(value) in _PLAIN:
        return True
    if exact and getattr(value, "__dict__", None):
        return False
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, tuple | list):
        return levels > 0 and all(
            _is_plain(part, levels - 1, exact=exact) for part in value
        )
    return isinstance(value, bool | int | float | str)


def _package(thing: Any) -> str:
    place = getattr(thing, "__module__", None)
    return place.split(".")[0] if isinstance(place, str) else ""


def _identity(thing: Any) -> str:
    """Name a class or function so that two with the same name are told apart."""
    name = f"{getattr(thing, '__module__', None) or ''}.{describe(thing)}"
    package = _package(thing)
    if package in _LIBRARIES:
        return f"{name} {sys.modules[package].__version__}"
    fresh = uuid.uuid4().hex
    with _LOCK:
        try:
            return f"{name} #{_IDENTITIES.setdefault(thing, fresh)}"
        except TypeError:
            return f"{name} #{_KEPT.setdefault(id(thing), (thing, fresh))[1]}"


def is_portable(backbone: nn.Module) -> bool:
    """Whether `fingerprint` means the same in every process.

    It does if all code comes from PyTorch's libraries, timm, transformers and this
    package, hooks included.

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
            *_hooks(module),
            *(
                value
                for _, value in _settings(module)
                if callable(value) and not isinstance(value, torch.Tensor)
            ),
        )
        # What is looked into has types of Python's, at least, which count by identity.
    ) and not any(
        further for module in backbone.modules() for *_, further in _held(module)
    )


def describe(factory: Any) -> str:
    """Name a class or function for people."""
    return getattr(factory, "__qualname__", None) or repr(factory)
