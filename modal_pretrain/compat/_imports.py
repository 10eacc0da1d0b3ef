"""Repairs of modAL modules that can no longer be imported."""

import contextlib
import importlib
import sys
import types
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.cluster import AgglomerativeClustering

from ._registry import repair


@contextlib.contextmanager
def _lent(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Give a module an attribute for the length of one import."""
    setattr(owner, name, value)
    try:
        yield
    finally:
        delattr(owner, name)


@repair
def expected_error_import() -> bool:
    """Import `modAL.expected_error`, which names `np.float`, gone since NumPy 1.24.

    Its ``loss is 'binary'`` also makes a SyntaxWarning whenever Python compiles the
    file, which would stop a caller who turns warnings into errors.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        try:
            importlib.import_module("modAL.expected_error")
        except AttributeError:
            with _lent(np, "float", float):
                importlib.import_module("modAL.expected_error")
            return True
    return False


@repair
def cluster_import() -> bool:
    """Import `modAL.cluster`, which names `sklearn.cluster.hierarchical`, long gone."""
    path = "sklearn.cluster.hierarchical"
    try:
        importlib.import_module("modAL.cluster")
    except ModuleNotFoundError as error:
        if error.name != path:
            return False
        stand_in: Any = types.ModuleType(path)
        stand_in.AgglomerativeClustering = AgglomerativeClustering
        sys.modules[path] = stand_in
        try:
            importlib.import_module("modAL.cluster")
        finally:
            del sys.modules[path]
        return True
    return False
