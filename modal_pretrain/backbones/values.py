"""What a user's factory makes its network of, beside its code: values that it finds.

A factory that copies a network which trains on, or reads a checkpoint that a training
writes over, keeps its code and makes another network.
"""

from __future__ import annotations

import dis
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import is_dataclass
from functools import lru_cache, partial
from pathlib import Path
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    MethodType,
    SimpleNamespace,
)
from typing import Any

import numpy as np
import torch
import xxhash
from torch import nn

from modal_pretrain._identity import expanded, file_identity
from modal_pretrain.backbones.code import own_parts
from modal_pretrain.backbones.fingerprint import add_tensor, fingerprint, is_own

_DEPTH = 4  # of containers in each other
_SETTERS = {"STORE_GLOBAL", "STORE_DEREF"}
_GETTERS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_CLASSDEREF"}


def values_of(factory: Any) -> str:
    """Return a hash of the values that a factory's code finds by name.

    Parameters
    ----------
    factory : callable

    Returns
    -------
    str
        Global variables, closures, defaults, arguments of partials and attributes
        count: numbers, texts, tensors, classes and functions, the fingerprints of
        networks, the `file_identity` of files that a text names, and lists, tuples,
        sets and mappings of these. Other objects do not, nor what the factory assigns
        itself.
    """
    digest = xxhash.xxh3_128()

    def add(name: str, value: Any, depth: int = 0) -> None:
        if isinstance(value, nn.Module):
            value = fingerprint(value)
        elif isinstance(value, partial):
            value = [value.func, value.args, value.keywords]
        elif isinstance(value, set | frozenset):
            value = sorted(value, key=repr)
        elif isinstance(value, Namespace | SimpleNamespace) or (
            is_dataclass(value) and not isinstance(value, type)
        ):
            value = vars(value) if hasattr(value, "__dict__") else {}
        if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
            value = torch.from_numpy(np.array(value, value.dtype.newbyteorder("=")))
        if isinstance(value, torch.Tensor):
            add_tensor(digest, name, value)
        elif isinstance(value, str | Path):
            digest.update(f"{name}={str(value)!r}{_file(value)}".encode(*_TEXT))
        elif value is None or isinstance(value, _PLAIN):
            digest.update(f"{name}={value!r}".encode())
        elif isinstance(value, type | BuiltinFunctionType | FunctionType):
            # One that is defined anew under its name counts, too: in a registry, say.
            which = hash(value.__code__) if hasattr(value, "__code__") else id(value)
            digest.update(f"{name}={value.__qualname__} {which}".encode(*_TEXT))
        elif isinstance(value, Mapping | list | tuple) and depth < _DEPTH:
            items = value.items() if isinstance(value, Mapping) else enumerate(value)
            for key, part in items:
                add(f"{name}.{key}", part, depth + 1)

    for name, value in _held(factory):
        add(name, value)
    for part in own_parts(factory, is_own):
        if isinstance(part, FunctionType):
            for name, value in _found(part):
                add(name, value)
    return digest.hexdigest()


_PLAIN = (int, float, complex, bytes, range, np.generic, torch.dtype)
_TEXT = ("utf-8", "surrogatepass")


def _file(name: str | Path) -> tuple:
    with suppress(OSError, ValueError):
        return file_identity(expanded(name))
    return ()


def _held(factory: Any) -> Iterator[tuple[str, Any]]:
    """List what objects that can be called hold, from the outermost inwards."""
    while isinstance(factory, partial):
        yield "args", factory.args
        yield "keywords", factory.keywords
        factory = factory.func
    if isinstance(factory, MethodType):
        factory = factory.__self__
    if isinstance(factory, nn.Module):
        yield "self", factory
    elif not isinstance(factory, FunctionType | type):
        yield "self", getattr(factory, "__dict__", None)


def _found(function: FunctionType) -> Iterator[tuple[str, Any]]:
    code = function.__code__
    yield "defaults", function.__defaults__
    yield "defaults", function.__kwdefaults__
    yield "constants", tuple(_constants(code))
    names = _names(code)
    for name in sorted(names & function.__globals__.keys()):
        yield name, function.__globals__[name]
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        if name in names:
            with suppress(ValueError):  # not filled yet
                yield name, cell.cell_contents


@lru_cache(maxsize=256)
def _names(code: CodeType) -> frozenset[str]:
    """Return the variables that code reads and does not assign."""
    got: set[str] = set()
    assigned: set[str] = set()
    for line in dis.get_instructions(code):
        if line.opname in _SETTERS:
            assigned.add(line.argval)
        elif line.opname in _GETTERS:
            got.add(line.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            got |= _names(constant)
    return frozenset(got - assigned)


def _constants(code: CodeType) -> Iterator[str]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _constants(constant)
        elif isinstance(constant, str):
            yield constant
