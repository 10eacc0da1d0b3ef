"""What a user's classes and functions compute: their code, which may change in place.

A class keeps its identity when somebody assigns another ``forward`` to it, when IPython
reloads the module it comes from (``%autoreload``), and when the cell of a notebook that
defines a function it calls runs again.
"""

from __future__ import annotations

import dis
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property, lru_cache, partial, partialmethod
from types import CodeType, FunctionType, MethodType
from typing import Any

import xxhash

_CACHED = type(lru_cache(len))  # functools gives it no name
# Instructions that read a variable: a global one, or one of a closure too.
GLOBAL = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})
ANY = GLOBAL | {"LOAD_DEREF", "LOAD_CLASSDEREF"}
_PLAIN = {type(None), bool, int, float, str}
_SETTINGS = {bool, int, float, str, tuple}  # None may be the place of a cache


def code_of(thing: Any, is_own: Callable[[Any], bool]) -> str:
    """Return a hash of the code of a class or function, and of all that it calls.

    Parameters
    ----------
    thing : type, function or other callable
        Of partials, methods and the like, what they call counts; of an object, its
        class.
    is_own : callable
        Says whether a class or function is the user's. Those that are not do not count.

    Returns
    -------
    str
        Values of global variables and closures do not count, nor what is found through
        an attribute, such as ``helpers.pool``.
    """
    digest = xxhash.xxh3_128()
    for part in own_parts(thing, is_own):
        if isinstance(part, FunctionType):
            for line in _lines(part.__code__):
                digest.update(line)
            defaults = [part.__defaults__ or (), part.__kwdefaults__ or {}]
            digest.update(repr([*map(_plain, defaults)]).encode())
            continue
        for name, value in vars(part).items():
            if isinstance(_behind(value), FunctionType):
                digest.update(name.encode())
            elif type(value) in _SETTINGS and not name.startswith("__"):
                digest.update(repr((name, _plain(value))).encode())
    return digest.hexdigest()


def own_parts(thing: Any, is_own: Callable[[Any], bool]) -> Iterator[Any]:
    """List the user's functions and classes that something consists of and calls.

    Parameters
    ----------
    thing : type, function or other callable
    is_own : callable
        See `code_of`.

    Yields
    ------
    function or type
        Each once.
    """
    seen: set[int] = set()
    waiting = [_behind(thing) or type(thing)]
    while waiting:
        part = waiting.pop()
        if id(part) in seen or not is_own(part):
            continue
        seen.add(id(part))
        yield part
        if isinstance(part, FunctionType):
            waiting += _called(part)
            continue
        methods = map(_behind, vars(part).values())
        waiting += [found for found in methods if isinstance(found, FunctionType)]
        waiting += part.__bases__


@lru_cache(maxsize=256)
def variables_read(code: CodeType, by: frozenset[str] = ANY) -> frozenset[str]:
    """Return the variables that code reads by some instructions, no attributes."""
    got = {line.argval for line in dis.get_instructions(code) if line.opname in by}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            got |= variables_read(constant, by)
    return frozenset(got)


def _behind(value: Any) -> Any:
    """Return the class or function that a value calls, None if it is no such thing."""
    while not isinstance(value, FunctionType | type):
        if isinstance(value, property):
            value = value.fget
        elif isinstance(value, partial | partialmethod | cached_property):
            value = value.func
        elif isinstance(value, staticmethod | classmethod | MethodType):
            value = value.__func__
        elif isinstance(value, _CACHED):
            value = value.__wrapped__
        else:
            return None
    return value


def _plain(value: Any) -> Any:
    """Return what of a value is the same whenever it is read and tells what it is."""
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if type(value) is dict:
        return {name: _plain(part) for name, part in value.items()}
    return value if type(value) in _PLAIN else type(value).__name__


def _called(function: FunctionType) -> Iterator[Any]:
    """List the classes and functions that a function knows by name."""
    for name in _names(function.__code__):
        yield from _code_behind(function.__globals__.get(name))
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # not filled yet
            yield from _code_behind(cell.cell_contents)
    yield from _code_behind(getattr(function, "__wrapped__", None))


def _code_behind(value: Any) -> Iterator[Any]:
    found = _behind(value)
    if found is not None:
        yield found


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _lines(code: CodeType) -> Iterator[bytes]:
    yield code.co_code
    yield repr((code.co_names, code.co_varnames, code.co_freevars)).encode()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _lines(constant)
        else:
            yield repr(constant).encode()
