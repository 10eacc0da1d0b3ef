"""Fingerprints of networks: what cached embeddings are filed under."""

from __future__ import annotations

import io
import json
import pickle
import sys
import uuid
from enum import Enum
from functools import cache, partial
from pathlib import Path
from textwrap import shorten
from types import FunctionType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
import xxhash
from torch import nn

from modal_pretrain._fork import Lock
from modal_pretrain.backbones.code import code_of

_LOCK = Lock()


def fingerprint(backbone: nn.Module) -> str:
    """Hash all that a module computes with: weights, buffers, settings and classes.

    Tensors go in at about 20 GB/s. Classes and functions that are not PyTorch's,
    timm's, transformers' or this package's count by identity, since one that is defined
    anew under its old name, here or in another process, may compute something else, and
    by their code, see `code_of`, which may change in place. Of hooks and of the user's
    own modules, all that a pickle would hold counts; of the libraries' modules too,
    where such hooks, modules or functions may read it.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    digest = xxhash.xxh3_128()

    add = partial(add_tensor, digest)
    modules = list(backbone.named_modules())
    first = {id(module): name for name, module in modules}
    opaque: dict[str, Any] = {}
    others: dict[str, Any] = {}
    has_own = False
    configs: dict[int, str] = {}  # all parts of a network have the same one
    classes = {kind: _identity(kind) for kind in {type(m) for _, m in modules}}
    for name, module in modules:
        text = [f"{name}:{classes[type(module)]}"]
        for key, part in module._modules.items():
            where = f"{name}.{key}" if name else key
            if part is not None and first[id(part)] != where:  # it computes again
                text.append(f"{where} is {first[id(part)]}")
        settings, more = _settings(module)
        if more:
            opaque[name] = more
        for key, value in settings.items():
            where = f"{name}.{key}"
            if is_plain(value):
                text.append(f"{where}={value!r}")
                continue
            tensor = as_tensor(value)
            if tensor is not None:
                digest.update("".join(text).encode())
                text = []
                add(where, tensor)
            elif callable(value):
                text.append(f"{where}={_identity(value)}")
                has_own |= _package(value) not in _LIBRARIES
            elif hasattr(value, "to_dict"):
                about = configs.get(id(value)) or _config(value)
                text.append(f"{where}={configs.setdefault(id(value), about)}")
            else:
                others[f"{where}."] = value
        digest.update("".join(text).encode())
    if opaque or has_own:  # a hook may read what no code of the libraries computes with
        opaque |= others
        numbers = {id(module): number for number, (_, module) in enumerate(modules)}
        digest.update(_pickled(opaque, numbers))
    # As `named_parameters` and `named_buffers` list them, which walk all modules again.
    for kind in ("_parameters", "_buffers"):
        seen: dict[int, str] = {}
        for name, module in modules:
            for key, tensor in getattr(module, kind).items():
                where = f"{name}.{key}" if name else key
                if tensor is None:
                    continue
                if seen.setdefault(id(tensor), where) == where:
                    add(where, tensor)
                else:
                    digest.update(f"{where} is {seen[id(tensor)]}".encode())
    return digest.hexdigest()


def add_tensor(digest: Any, name: str, tensor: torch.Tensor) -> None:
    """Add a tensor's name, type, shape and content to a digest."""
    digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
    digest.update(_content(tensor))


def _settings(module: nn.Module) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a module holds beside weights, and what of it has to be looked into.

    The second is all that the user's own modules hold, and of the libraries': modules
    in a list, which are not registered (torchvision), weights that only a state dict
    shows (PyTorch's quantised layers), code that only TorchScript sees, and hooks.
    """
    # A copy, as another thread may begin to sample by dropout: its forwards (see
    # `is_sampled`) are none of this thread's, but those that they took the place of.
    every = vars(module).copy()
    if not getattr(every.get("forward"), "samples", lambda: True)():
        own = every.pop("forward").own
        every.update({} if own is None else {"forward": own})
    settings = {k: v for k, v in every.items() if k not in NO_SETTINGS}
    if _package(type(module)) not in _LIBRARIES:
        settings, opaque = {}, settings
    else:
        lists = [k for k, v in settings.items() if isinstance(v, list | tuple)]
        opaque = {
            key: settings.pop(key)
            for key in lists
            if any(isinstance(part, nn.Module) for part in settings[key])
        }
    if type(module)._save_to_state_dict is not nn.Module._save_to_state_dict:
        module._save_to_state_dict(opaque, "saved.", True)
    if isinstance(module, torch.jit.ScriptModule):  # to write it would take a second
        opaque["code."] = _number(module)
    hooks = (module._forward_pre_hooks, module._forward_hooks)
    if any(hooks):
        opaque["hooks."] = [[*by_number.values()] for by_number in hooks]
    return settings, opaque


def _config(config: Any) -> str:
    """Write a configuration of transformers, which forwards read: layers to pass, say.

    Not where it comes from.
    """
    values = {
        **config.to_dict(),
        "attention": str(getattr(config, "_attn_implementation", None)),
    }
    for unrelated in ("_name_or_path", "transformers_version", "architectures"):
        values.pop(unrelated, None)
    return json.dumps(values, sort_keys=True, default=str)


def _pickled(value: Any, numbers: dict[int, int]) -> memoryview:
    """Return a pickle of a value in which registered modules are their numbers."""
    file = io.BytesIO()
    try:
        _Pickler(file, numbers).dump(value)
    except Exception:  # of the user's code; what nobody can read is never the same
        file.write(uuid.uuid4().bytes)
    return file.getbuffer()


class _Pickler(pickle.Pickler):
    """Write what a value consists of: tensors by content, code by identity."""

    def __init__(self, file: io.BytesIO, numbers: dict[int, int]) -> None:
        super().__init__(file, 4)
        self._numbers = numbers

    def persistent_id(self, value: Any) -> Any:
        """Name what is not pickled, None for the rest."""
        if type(value) is str:
            return repr(value)  # whether equal ones are one object does not count
        if isinstance(value, nn.Module):
            return self._numbers.get(id(value))
        if isinstance(value, type | FunctionType | ModuleType):
            return _identity(value)
        tensor = as_tensor(value)
        if tensor is None:
            return None
        about = f"{tensor.dtype}:{tuple(tensor.shape)}"
        return about, xxhash.xxh3_128_digest(_content(tensor))

    def reducer_override(self, value: Any) -> Any:
        """Take apart what pickle cannot, or would look up by its name."""
        if isinstance(value, torch.Tensor):  # of several lengths
            return tuple, (value.unbind(),)
        try:
            reduced = value.__reduce_ex__(4)
        except Exception:
            reduced = ""
        if isinstance(reduced, str):
            return type(value), (_identity(value), getattr(value, "__dict__", None))
        return reduced


def as_tensor(value: Any) -> torch.Tensor | None:
    """Return a tensor or an array of numbers as a tensor, None for anything else."""
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
    if tensor.dtype in _QUICK and tensor.is_cpu and tensor.is_contiguous():
        return tensor.resolve_neg().numpy().data
    if tensor.is_meta:
        return memoryview(b"")
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    tensor = tensor.resolve_conj().resolve_neg()
    flat = tensor.cpu().contiguous().flatten()
    return flat.view(torch.uint8).numpy().data


# What most weights are, and NumPy has too.
_QUICK = {torch.float32, torch.int64}
# Attributes of modules that do not change what they compute in evaluation mode.
NO_SETTINGS = {
    *vars(nn.Module()),
    "weights_source",
    "name_or_path",  # of transformers
    "pretrained_cfg",
    "default_cfg",
    "_is_torch_compile",  # torch.compile's mark on what it was given
}
_PLAIN = {type(None), bool, int, float, str}
_LIBRARIES = ("torch", "timm", "torchvision", "transformers", "modal_pretrain")
_SHIPPED = {*_LIBRARIES, *sys.stdlib_module_names}
_IDENTITIES: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
# What can't be a key there, such as NumPy's functions; kept, so that its id stays its.
_KEPT: dict[int, tuple[Any, str]] = {}


def is_plain(value: Any) -> bool:
    """Say whether `repr` tells all of a value."""
    if type(value) in _PLAIN:
        return True
    if isinstance(value, tuple | list):
        return all(map(is_plain, value))
    if isinstance(value, dict):
        return is_plain([*value, *value.values()])
    # NumPy's numbers too: PyTorch's layers keep the one of np.arange that they got.
    return isinstance(value, int | float | str | np.generic | Enum | torch.dtype)


def _package(thing: Any) -> str:
    if isinstance(thing, partial) and is_plain((thing.args, thing.keywords)):
        return _package(thing.func)
    return _place(_most_own(thing))


def _most_own(thing: Any) -> Any:
    """Return the class that a library's own is made of, if that is another's.

    PyTorch makes one of the class of each layer that is parametrised.
    """
    bases = thing.__mro__ if isinstance(thing, type) else ()
    return next((base for base in bases if _place(base) not in _SHIPPED), thing)


def _place(thing: Any) -> str:
    place = getattr(thing, "__module__", None)
    return place.split(".")[0] if isinstance(place, str) else ""


def _identity(thing: Any) -> str:
    """Name a class or function so that two with the same name are told apart."""
    package = _package(thing)
    if isinstance(thing, partial) and package in _LIBRARIES:
        return f"{_identity(thing.func)} {thing.args} {thing.keywords}"
    name = f"{getattr(thing, '__module__', None) or ''}.{describe(thing)}"
    if package in _LIBRARIES:
        return f"{name} {sys.modules[package].__version__}"
    return f"{name} #{_number(_most_own(thing))} {code_of(thing, is_own)}"


def _number(thing: Any) -> str:
    """Return what nothing else has in this process, nor anything in another one."""
    fresh = uuid.uuid4().hex
    with _LOCK:
        try:
            return _IDENTITIES.setdefault(thing, fresh)
        except TypeError:
            return _KEPT.setdefault(id(thing), (thing, fresh))[1]


def is_own(thing: Any) -> bool:
    """Say whether a class or function is the user's, so that its code may change."""
    return _may_change(_package(thing))


@cache
def _may_change(package: str) -> bool:
    if package == "__main__":  # which a launcher among the libraries may have been
        return True
    if package in _LIBRARIES or package in sys.stdlib_module_names:
        return False
    file = getattr(sys.modules.get(package), "__file__", None) or ""
    return not {"site-packages", "dist-packages"} & set(Path(file).parts)


def is_portable(backbone: nn.Module) -> bool:
    """Whether `fingerprint` means the same in every process.

    It does if all code comes from PyTorch's libraries, timm, transformers and this
    package, and there are no hooks.

    Parameters
    ----------
    backbone : torch.nn.Module

    Returns
    -------
    bool
    """
    for module in backbone.modules():
        settings, opaque = _settings(module)
        # What is looked into has types of Python's, at least, which count by identity.
        if opaque or _package(type(module)) not in _LIBRARIES:
            return False
        if any(
            callable(value)
            and not isinstance(value, torch.Tensor)
            and _package(value) not in _LIBRARIES
            for value in settings.values()
        ):
            return False
    return True


def describe(factory: Any) -> str:
    """Name a class or function for people; a partial may hold a whole network."""
    name = getattr(factory, "__qualname__", None) or repr(factory)
    return shorten(name, 200, placeholder=" ...")
