"""The parameters that every estimator with a backbone has, and what they may be."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from modal_pretrain._checks import (
    SEED,
    Made,
    OneOf,
    Rule,
    Whole,
    height_and_width,
)
from modal_pretrain.backbones.device import PRECISIONS, resolve_device
from modal_pretrain.cache.base import RowCache
from modal_pretrain.cache.resolve import Cache

BATCH_SIZE = Whole(also=("auto",))
VERBOSE = Whole(least=0, also=(False, True))
# No backbone was trained with as many. Far more take the machine's memory: a stage of
# the default needs 25 GB for one picture of 16,384.
LARGEST_SIDE = 2_048


@dataclass(frozen=True)
class Device(Rule):
    """A device of PyTorch's that computes here."""

    def check(self, name: str, value: Any) -> Any:
        """Return the value; raise ValueError if nothing can be computed there."""
        resolve_device(value)
        return value


@dataclass(frozen=True, kw_only=True)
class Pixels(Rule):
    """A height and width, or one number for both."""

    def check(self, name: str, value: Any) -> Any:
        """Return the value; raise ValueError if it is no size."""
        if value is None:
            return value
        if max(height_and_width(name, value)) > LARGEST_SIDE:
            raise ValueError(
                f"{name} must be of at most {LARGEST_SIDE} pixels a side, got "
                f"{value!r}. None takes what the backbone was trained with."
            )
        return value


class EncoderParameters(Protocol):
    """What every estimator that embeds has among its parameters."""

    precision: str
    cache: Cache
    batch_size: Any
    verbose: int


def _is_cache(value: Any) -> bool:
    if not isinstance(value, str | os.PathLike):
        return False
    path = os.path.expanduser(value)
    if not path or "\0" in path:
        return False
    return os.path.isdir(path) or not os.path.exists(path)


EMBEDDING_RULES: Mapping[str, Rule] = {
    "backbone": Made(
        (str, Path),
        "a name, or a function or class that returns a network",
        test=callable,
    ),
    "pretrained": Made((bool, str, Path), "True, False or the path of a checkpoint"),
    "precision": OneOf(PRECISIONS),
    "device": Device(),
    "cache": Made(
        (RowCache,),
        "a directory (no file; it may not exist yet), an EmbeddingCache or a DiskCache",
        test=_is_cache,
        also=("memory", None),
    ),
    "random_state": SEED,
    "verbose": VERBOSE,
}
