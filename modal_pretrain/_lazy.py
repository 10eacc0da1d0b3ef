"""Packages whose names are imported when they are asked for (PEP 562).

A package lists its names once, as the imports that a type checker reads::

    if TYPE_CHECKING:
        from modal_pretrain.query.badge import badge_sampling

    __all__ = ["badge_sampling"]
    __getattr__, __dir__ = attach(__name__)

and `attach` does each of these imports at the first use of its name. So to import a
package costs nothing that its user does not need.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
from collections.abc import Callable
from typing import Any


def attach(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a package.

    Parameters
    ----------
    package : str
        Its ``__name__``. Submodules are found as attributes too.

    Returns
    -------
    getattr, dir : callable
    """
    module = sys.modules[package]
    places = _imports(package)

    def __getattr__(name: str) -> Any:
        if name in places:
            found = getattr(importlib.import_module(places[name]), name)
            setattr(module, name, found)
            return found
        inner = f"{package}.{name}"
        if not name.startswith("__") and importlib.util.find_spec(inner):
            return importlib.import_module(inner)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*vars(module), *places})

    return __getattr__, __dir__


def _imports(package: str) -> dict[str, str]:
    """Read which name is imported from where ``if TYPE_CHECKING``."""
    spec = sys.modules[package].__spec__
    loader: Any = spec.loader if spec is not None else None
    tree = ast.parse(loader.get_source(package))
    return {
        alias.name: str(line.module)
        for block in tree.body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for line in block.body
        if isinstance(line, ast.ImportFrom)
        for alias in line.names
    }
