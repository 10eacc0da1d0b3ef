"""Copies of networks that compute with their own weights."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from copy import deepcopy
from functools import partial
from types import CellType, FunctionType, MethodType
from typing import Any, TypeVar

import torch
from torch import nn

Module = TypeVar("Module", bound=nn.Module)

_OF_PYTORCH = vars(nn.Module()).keys()
_MAPPINGS = (dict, OrderedDict)


def copy_of(network: Module, memo: dict[int, Any] | None = None) -> Module:
    """Return a deep copy, also where functions that it holds refer to the network.

    To Python a function is its own copy. That of ``net.forward = lambda x: net.f(x)``
    would compute with the weights of the first network, however the copy is trained,
    and a hook that closes over its network would note what it gets there. Hooks on
    gradients of parameters, which mask or clip them, are the copy's, too.

    Parameters
    ----------
    network : torch.nn.Module
    memo : dict or None, default=None
        Of `copy.deepcopy`: id of an object -> what stands for it in the copy.

    Returns
    -------
    torch.nn.Module
    """
    memo = {} if memo is None else memo
    # What hooks compute anew in every pass, as those of pruning and of the old
    # weight_norm do; PyTorch copies no results.
    for module in network.modules():
        for value in vars(module).values():
            if isinstance(value, torch.Tensor) and not value.is_leaf:
                memo.setdefault(id(value), value.detach().clone())
    copied = deepcopy(network, memo)
    copies = dict(copied.named_parameters())
    for name, old in network.named_parameters():
        new = copies.get(name)
        if old._backward_hooks and isinstance(new, nn.Parameter) and new is not old:
            new._backward_hooks = OrderedDict(  # PyTorch copies none
                (key, _bound_anew(hook, memo))
                for key, hook in old._backward_hooks.items()
            )
    for module in copied.modules():
        for hooks in (module._forward_hooks, module._forward_pre_hooks):
            for key, value in hooks.items():
                hooks[key] = _bound_anew(value, memo)
        attributes = vars(module)
        for name in attributes.keys() - _OF_PYTORCH:
            attributes[name] = _filled_anew(attributes[name], memo)
    return copied


def _filled_anew(value: Any, memo: dict[int, Any]) -> Any:
    """Return what stands for an attribute of the copy.

    Its containers are the copy's own, and closures may hold them: they are filled anew.
    """
    keys: Any = range(len(value)) if type(value) is list else ()
    keys = [*value] if type(value) in _MAPPINGS else keys
    if id(value) in memo or not keys:
        return _bound_anew(value, memo)
    memo[id(value)] = value  # it may hold itself
    for key in keys:
        value[key] = _filled_anew(value[key], memo)
    return value


def _bound_anew(value: Any, memo: dict[int, Any]) -> Any:
    """Return what stands for a value in the copy: itself where nothing is copied."""
    if id(value) in memo:
        return memo[id(value)]
    memo[id(value)] = new = value  # a container may hold itself
    if isinstance(value, MethodType):
        parts = [_bound_anew(p, memo) for p in (value.__func__, value.__self__)]
        if parts[0] is not value.__func__ or parts[1] is not value.__self__:
            new = MethodType(*parts)
    elif isinstance(value, FunctionType):
        new = _function_anew(value, memo)
    elif type(value) in (list, tuple):
        items = [_bound_anew(part, memo) for part in value]
        if any(item is not part for item, part in zip(items, value, strict=True)):
            new = type(value)(items)
    elif type(value) in _MAPPINGS:
        items = [_bound_anew(part, memo) for part in value.values()]
        if any(i is not p for i, p in zip(items, value.values(), strict=True)):
            new = type(value)(zip(value, items, strict=True))
    elif type(value) is partial:
        given = value.func, value.args, value.keywords
        found = [_bound_anew(part, memo) for part in given]
        if any(part is not old for part, old in zip(found, given, strict=True)):
            new = partial(found[0], *found[1], **found[2])
    memo[id(value)] = new  # two functions may share it
    return new


def _function_anew(function: FunctionType, memo: dict[int, Any]) -> FunctionType:
    """Return a function whose closure and defaults are of the copy, or itself."""
    closure = function.__closure__ or ()
    if not (closure or function.__defaults__ or function.__kwdefaults__):
        return function
    cells = tuple(CellType() for _ in closure)
    new = memo[id(function)] = _with_cells(function, cells)  # it may call itself
    # As in forward=lambda x, part=part: ..., which loops need.
    new.__defaults__ = _bound_anew(function.__defaults__, memo)
    new.__kwdefaults__ = _bound_anew(function.__kwdefaults__, memo)
    changed = new.__defaults__ is not function.__defaults__
    changed |= new.__kwdefaults__ is not function.__kwdefaults__
    kept = []
    for cell, old in zip(cells, closure, strict=True):
        try:
            content = old.cell_contents
        except ValueError:  # not filled yet
            kept.append(old)
            continue
        cell.cell_contents = _bound_anew(content, memo)
        same = cell.cell_contents is content
        kept.append(old if same else cell)
        changed |= not same and cell.cell_contents is not new
    if not changed:
        memo[id(function)] = function
        return function
    # Another function may write into it, as a hook does with nonlocal.
    final = memo[id(function)] = _with_cells(function, tuple(kept))
    final.__defaults__, final.__kwdefaults__ = new.__defaults__, new.__kwdefaults__
    for cell in cells:
        with suppress(ValueError):
            if cell.cell_contents is new:
                cell.cell_contents = final
    return final


def _with_cells(function: FunctionType, cells: tuple[CellType, ...]) -> FunctionType:
    code, known = function.__code__, function.__globals__
    new = FunctionType(code, known, function.__name__, None, cells)
    new.__qualname__ = function.__qualname__
    new.__module__, new.__doc__ = function.__module__, function.__doc__
    vars(new).update(vars(function))
    return new
