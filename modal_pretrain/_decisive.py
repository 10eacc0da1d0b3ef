"""Parameters that what was learnt depends on: they may not change behind its back."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from modal_pretrain._checks import is_number

# Of every estimator that embeds, next to its modality's own.
DECISIVE = ("backbone", "pretrained", "precision")


def snapshots(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters with values that stay if the caller's are changed in place."""
    return {name: _snapshot(value) for name, value in params.items()}


def check_unchanged(
    owner: type, was: Mapping[str, Any], now: Mapping[str, Any]
) -> None:
    """Raise ValueError if what was learnt no longer goes with the parameters.

    Parameters
    ----------
    owner : type
        The estimator's class.
    was : mapping of str to object
        Parameters at the fit, as `snapshots` gave them.
    now : mapping of str to object
    """
    for name in {**was, **now}:
        before, value = was.get(name, _NOT_SET), now.get(name, _NOT_SET)
        if not _same(before, value):
            raise ValueError(
                f"{name} is {value!r} now, but this {owner.__name__} was fitted with "
                f"{name}={before!r}, and what it learnt depends on that. Set it back, "
                "or call fit again."
            )


def _snapshot(value: Any) -> Any:
    if isinstance(value, list | dict | np.ndarray) or hasattr(value, "iloc"):
        return copy.copy(value)
    return value


def _same(value: Any, other: Any) -> bool:
    """Say whether two values of a parameter mean the same; arrays are compared."""
    if value is other:
        return True
    if is_number(value) and is_number(other):
        return bool(value == other)
    if isinstance(value, np.ndarray | list | tuple) or hasattr(value, "dtype"):
        try:
            return type(value) is type(other) and np.array_equal(value, other)
        except (TypeError, ValueError):
            return False
    return type(value) is type(other) and bool(value == other)


class _NotSet:
    def __repr__(self) -> str:
        return "(not set)"


_NOT_SET = _NotSet()
