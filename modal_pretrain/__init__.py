"""Pretrained models and disambiguation-aware queries for modAL active learning."""

from typing import TYPE_CHECKING, Any

from modal_pretrain import compat

# Before anything else: without a usable modAL and skorch nothing below can work.
compat.apply()

from modal_pretrain.backbones.create import create_backbone  # noqa: E402
from modal_pretrain.backbones.weights import BackboneWeightsError  # noqa: E402
from modal_pretrain.cache.disk import CacheWarning, DiskCache  # noqa: E402
from modal_pretrain.cache.memory import EmbeddingCache, memory_cache  # noqa: E402
from modal_pretrain.classifier import PretrainedClassifier  # noqa: E402
from modal_pretrain.encoder import TimmEncoder  # noqa: E402
from modal_pretrain.images.accept import ImageLoadError  # noqa: E402
from modal_pretrain.modality import register_module  # noqa: E402

if TYPE_CHECKING:
    from modal_pretrain.text import PretrainedTextClassifier, TextEncoder  # noqa: F401

__version__ = "0.1.0"

__all__ = [
    "BackboneWeightsError",
    "CacheWarning",
    "DiskCache",
    "EmbeddingCache",
    "ImageLoadError",
    "PretrainedClassifier",
    "TimmEncoder",
    "create_backbone",
    "memory_cache",
]

# They need the extra `text` and take seconds to import: not before they are asked for.
register_module("text", "modal_pretrain.text.modality")
_TEXT = ("PretrainedTextClassifier", "TextEncoder")


def __getattr__(name: str) -> Any:
    if name in _TEXT:
        from modal_pretrain import text

        return getattr(text, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_TEXT])
