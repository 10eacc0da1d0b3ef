"""What a user's factory makes its network of, beside its code: values that it finds.

A factory that copies a network which trains on, or reads a checkpoint that a training
writes over, keeps its code and makes another network.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import is_dataclass
from functools import partial
from pathlib import Path
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    MethodType,
    SimpleNamespace,
)
from typing import Any

import xxhash
from torch import nn

from modal_pretrain._identity import NotAFileError, expanded, file_identity
from modal_pretrain.backbones.code import code_of, own_parts, variables_read
from modal_pretrain.backbones.fingerprint import (
    add_tensor,
    as_tensor,
    describe,
    fingerprint,
    is_own,
    is_plain,
)
from modal_pretrain.backbones.folder import files_of
from modal_pretrain.backbones.names import local_folder

_DEPTH = 4  # of containers in each other
_LARGE = 100  # plain values, that are hashed as one: a vocabulary, not names of files
# By which a folder is one of a network, or of an adapter of one, and none of pictures.
_CONFIGS = ("config.json", "adapter_config.json")
Values = dict[str, tuple[bool, str]]
# What each factory has changed while it was called, such as a counter of its calls.
_NOTED: dict[Any, set[str]] = {}


def values_of(factory: Any) -> Values:
    """Return the values that a factory's code finds by name.

    Parameters
    ----------
    factory : callable

    Returns
    -------
    dict of str to (bool, str)
        Global variables, closures, defaults, arguments of partials, attributes of the
        factory and of the user's classes: numbers, texts, and other things that `repr`
        tells all of; hashes of tensors and networks; classes and functions of
        libraries by their names; the `file_identity` of files that a text names, and
        of those in a network's folder. Of other objects their networks count
        (``trainer.model``), and no more. The first says whether it is a plain value.
    """
    found: Values = {}

    def add(name: str, value: Any, depth: int = 0) -> None:
        if isinstance(value, nn.Module):
            found[name] = False, fingerprint(value)
            return
        if isinstance(value, Namespace | SimpleNamespace) or (
            is_dataclass(value) and not isinstance(value, type)
        ):
            value = vars(value) if hasattr(value, "__dict__") else {}
        elif isinstance(value, partial):
            value = value.func, value.args, value.keywords
        elif isinstance(value, set | frozenset):
            value = sorted(value, key=repr)
        tensor = as_tensor(value)
        if tensor is not None:
            digest = xxhash.xxh3_128()
            add_tensor(digest, name, tensor)
            found[name] = False, digest.hexdigest()
        elif isinstance(value, str | Path):
            found[name] = True, repr(str(value))
            found[f"{name}@"] = False, _file(value)
        elif isinstance(value, Mapping | list | tuple):
            items: Iterable[tuple[Any, Any]] = enumerate(value)
            if isinstance(value, Mapping):
                value = dict(value)  # another thread may add some
                items = value.items()
            if len(value) > _LARGE and is_plain(value):
                found[name] = True, _hash(repr(value))
            elif depth < _DEPTH:
                found[f"{name}."] = True, str(len(value))
                for key, part in items:
                    add(f"{name}.{key}", part, depth + 1)
        elif isinstance(value, type | FunctionType | BuiltinFunctionType):
            # Of what is found by name the code counts already, not of a registry's.
            code = code_of(value, is_own) if is_own(value) else ""
            found[name] = True, f"{value.__module__}.{describe(value)} {code}"
        elif is_plain(value):
            found[name] = True, repr(value)

    for name, value in found_by(factory):
        add(name, value)
    return found


def found_by(factory: Any) -> Iterator[tuple[str, Any]]:
    """List what a factory holds, and what its own code finds by name.

    Parameters
    ----------
    factory : callable

    Yields
    ------
    (str, object)
        A name that no other has, and a global variable, say.
    """
    yield from _held(factory)
    for number, part in enumerate(own_parts(factory, is_own)):
        where = f"{number}.{describe(part)}"  # lambdas have one name
        for name, value in _found(part):
            yield f"{where}:{name}", value
            # As of trainer.model, or models.net of a module that is imported.
            attributes: dict[str, Any] = {}
            with suppress(Exception):  # it has none, or is a proxy of nothing
                attributes = dict(vars(value))
            for key, held in attributes.items():
                if issubclass(type(held), nn.Module):
                    yield f"{where}:{name}.{key}", held


def hash_of(factory: Any, values: Values) -> str:
    """Return a hash of a factory's values, but for what it changes itself."""
    noted = _NOTED.get(factory, ())
    return _hash(repr([item for item in values.items() if item[0] not in noted]))


def note_changes(factory: Any, before: Values, kept: Collection[Any]) -> None:
    """Take note of what a factory has changed or added when it was called.

    Not of tensors, networks and files that were there: those may have changed
    meanwhile, as where a training goes on, and are other ones now.

    Parameters
    ----------
    factory : callable
    before : dict
        Its `values_of` before the call.
    kept : collection of callable
        Of other factories, what was noted is forgotten.
    """
    for other in _NOTED.keys() - set(kept):
        _NOTED.pop(other, None)
    after = values_of(factory)
    changed = {
        name
        for name, value in after.items()
        if before.get(name, (True,)) != value and before.get(name, (True,))[0]
    }
    if changed:
        _NOTED.setdefault(factory, set()).update(changed)


def _hash(text: str) -> str:
    return xxhash.xxh3_128_hexdigest(text.encode("utf-8", "surrogatepass"))


def _file(name: str | Path) -> str:
    """Name the state of a file, or of the folder of a network, "" for all others."""
    with suppress(OSError, ValueError):
        place = local_folder(str(name)) or expanded(name)
        try:
            return str(file_identity(place))
        except NotAFileError:
            if str(name) and any((place / config).is_file() for config in _CONFIGS):
                return str(files_of(place))
    return ""


def _held(factory: Any) -> Iterator[tuple[str, Any]]:
    """List what objects that can be called hold, from the outermost inwards."""
    while isinstance(factory, partial):
        yield "args", factory.args
        yield "keywords", factory.keywords
        factory = factory.func
    if isinstance(factory, MethodType):
        factory = factory.__self__
        if isinstance(factory, type) and is_own(factory):
            yield from _found(factory)
    if isinstance(factory, nn.Module):
        yield "self", factory
    elif not isinstance(factory, FunctionType | type):
        yield "self", getattr(factory, "__dict__", None)


def _found(part: FunctionType | type) -> Iterator[tuple[str, Any]]:
    if isinstance(part, type):
        for name, value in [*vars(part).items()]:
            if not name.startswith("__"):
                yield name, value
        return
    code = part.__code__
    yield "defaults", part.__defaults__
    yield "keywords", part.__kwdefaults__
    yield "constants", tuple(_constants(code.co_consts))
    names = variables_read(code)
    for name in sorted(names & part.__globals__.keys()):
        yield name, part.__globals__[name]
    for name, cell in zip(code.co_freevars, part.__closure__ or (), strict=True):
        if name in names:
            with suppress(ValueError):  # not filled yet
                yield name, cell.cell_contents


def _constants(constants: Iterable[Any]) -> Iterator[str]:
    for constant in constants:
        if isinstance(constant, CodeType):
            yield from _constants(constant.co_consts)
        elif isinstance(constant, tuple | frozenset):  # of a list or a loop
            yield from _constants(sorted(constant, key=repr))
        elif isinstance(constant, str):
            yield constant
