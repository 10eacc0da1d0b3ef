"""Functions of the user's own, by the name "module:function"."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any


def imported(place: str, kind: str) -> Callable[..., Any]:
    """Return the function that "module:function" names.

    The module may lie in the working directory, too, where an installed command, unlike
    ``python -m``, does not look.

    Raises
    ------
    ValueError
        If the module cannot be imported or has no such function.
    """
    module, _, function = place.partition(":")
    try:
        found = getattr(_module(module), function)
    except Exception as error:  # whatever the module does when it is imported
        cure = ""
        if _is_absent(module, error):
            cure = " Modules are looked for in the working directory and on PYTHONPATH."
        elif module == "__main__":
            cure = (
                " What a script or notebook defines is known in its own process alone, "
                "not in those of n_jobs: move it to a module's file and name that."
            )
        raise ValueError(
            f"There is no {kind} {place!r}: {type(error).__name__}: {error}.{cure}"
        ) from error
    if not callable(found):
        raise ValueError(
            f"There is no {kind} {place!r}: {function} is no function but of type "
            f"{type(found).__name__}."
        )
    return found


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        here = os.getcwd()
        if here in sys.path or not _is_absent(name, error):
            raise
    # Last, so that no installed package is hidden by a folder of its name. It stays:
    # the module may import its neighbours when it is called.
    sys.path.append(here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if _is_absent(name, error):
            sys.path.remove(here)
        raise


def _is_absent(name: str, error: Exception) -> bool:
    """Say whether it is this module, or the package that it is of, that is missing."""
    top = name.partition(".")[0]
    return isinstance(error, ModuleNotFoundError) and error.name == top
