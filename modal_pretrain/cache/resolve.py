"""What the parameter `cache` of the estimators names."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from modal_pretrain.cache.base import RowCache
from modal_pretrain.cache.disk import disk_cache
from modal_pretrain.cache.memory import memory_cache

Cache = RowCache | str | Path | None


def resolve_cache(cache: Cache) -> RowCache | None:
    """Return the cache that the parameter names; a directory's is shared."""
    if cache is None or isinstance(cache, RowCache):
        return cache
    if isinstance(cache, str) and cache == "memory":
        return memory_cache()
    problem = f"got {cache!r}"
    path = os.fspath(cache) if isinstance(cache, os.PathLike) else cache
    if isinstance(path, str) and path:
        # A misspelt word must not become a directory.
        words = ["memory", "disk", "none"]
        near = difflib.get_close_matches(path.lower(), words, cutoff=0.75)
        named = isinstance(cache, os.PathLike) or os.path.basename(path) != path
        if named or not near or os.path.isdir(path):
            return disk_cache(path)
        problem += f"; for a directory of that name, write './{path}'"
    raise ValueError(
        "cache must be 'memory', None or an EmbeddingCache, or a directory for a cache "
        f"on disk, {problem}."
    )
