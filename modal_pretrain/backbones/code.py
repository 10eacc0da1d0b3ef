"""What a user's classes and functions compute: their code, which may change in place.

A class keeps its identity when somebody assigns another ``forward`` to it, when IPython
reloads the module it comes from (``%autoreload``), and when the cell of a notebook that
defines a function it calls runs again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from types import CodeType, FunctionType
from typing import Any

import xxhash


def code_of(thing: Any, is_own: Callable[[Any], bool]) -> str:
    """Return a hash of the code of a class or function, and of all that it calls.

    Parameters
    ----------
    thing : type or function
        Others have no code that can be looked into.
    is_own : callable
        Says whether a class or function is the user's. Those that are not do not count.

    Returns
    -------
    str
        Values of global variables do not count, nor what is found through an attribute,
        such as ``helpers.pool``.
    """
    digest = xxhash.xxh3_128()
    seen: set[int] = set()
    waiting = [thing]
    while waiting:
        part = waiting.pop()
        if id(part) in seen or not is_own(part):
            continue
        seen.add(id(part))
        if isinstance(part, FunctionType):
            for line in _lines(part.__code__):
                digest.update(line)
            numbers = [d for d in part.__defaults__ or () if isinstance(d, int | float)]
            digest.update(repr(numbers).encode())
            waiting += _called(part)
        elif isinstance(part, type):
            for name, value in vars(part).items():
                function = _function(value)
                if function is not None:
                    digest.update(name.encode())
                    waiting.append(function)
            waiting += part.__bases__
    return digest.hexdigest()


def _function(value: Any) -> FunctionType | None:
    """Return the function behind a member of a class, if there is one."""
    if isinstance(value, property):
        value = value.fget
    value = getattr(value, "__func__", value)  # of a static or a class method
    return value if isinstance(value, FunctionType) else None


def _called(function: FunctionType) -> Iterator[Any]:
    """List the classes and functions that a function knows by name."""
    for name in _names(function.__code__):
        yield from _if_code(function.__globals__.get(name))
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # not filled yet
            yield from _if_code(cell.cell_contents)
    yield from _if_code(getattr(function, "__wrapped__", None))


def _if_code(value: Any) -> Iterator[Any]:
    if isinstance(value, FunctionType | type):
        yield value


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
