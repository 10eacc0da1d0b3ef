"""What a loader's data set holds, declared where it is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

# A modality's name, or a function of the loader's parameters that returns it.
Declared = str | Callable[[Mapping[str, Any]], str]
L = TypeVar("L", bound=Callable[..., Any])


def holds(modality: Declared) -> Callable[[L], L]:
    """Declare what the data set of a loader holds.

    Parameters
    ----------
    modality : str or callable
        The name of a modality, or a function of the loader's parameters that returns
        it.

    Returns
    -------
    callable
        A decorator, which sets the loader's attribute ``modality``.
    """

    def declare(loader: L) -> L:
        loader.__dict__["modality"] = modality
        return loader

    return declare


def column(params: Mapping[str, Any]) -> str:
    """Return the modality of a table: texts, if it is given the column of a text."""
    return "image" if params.get("text") is None else "text"
