"""Repair modAL at the moment somebody imports it.

`import modal_pretrain` must not import modAL itself, which takes seconds; but whoever
imports modAL afterwards shall get the repaired one.
"""

import importlib.util
import sys
import threading
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from . import apply
from ._require import require_modal


class _Watch:
    """A finder that finds what the others do, and repairs modAL once it has run."""

    def __init__(self) -> None:
        self._asking = threading.local()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != "modAL" or getattr(self._asking, "others", False):
            return None
        self._asking.others = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._asking.others = False
        if spec is not None and spec.loader is not None:
            _repair_after(spec)
        return spec


def _repair_after(spec: ModuleSpec) -> None:
    """Have the repairs follow when this spec's module has run."""
    loader: Any = spec.loader
    run = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        del loader.exec_module  # the method of its class is back
        run(module)
        if _WATCH in sys.meta_path:
            sys.meta_path.remove(_WATCH)
        apply()

    loader.exec_module = exec_module


_WATCH = _Watch()


def start() -> None:
    """Repair modAL now if it is loaded, and else when it is.

    Raises
    ------
    ImportError
        If modAL is missing or too old, or skorch is too old, with the command that
        puts it right.
    """
    if sys.modules.get("modAL") is not None:
        apply()
        return
    require_modal()
    if _WATCH not in sys.meta_path:
        sys.meta_path.insert(0, _WATCH)
