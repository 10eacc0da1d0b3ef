"""Pretrained models and disambiguation-aware queries for modAL active learning."""

from typing import TYPE_CHECKING

from modal_pretrain._lazy import attach
from modal_pretrain._modalities import register_module
from modal_pretrain.cli.stop import in_one_line  # first: it watches for Ctrl-C
from modal_pretrain.compat import _watch

# Without a usable modAL and skorch nothing can work; one that is usable is repaired
# when it is imported, whoever does that.
with in_one_line(ImportError):
    _watch.start()

# Whatever takes seconds to import waits until it is asked for.
if TYPE_CHECKING:
    from modal_pretrain.backbones.create import create_backbone
    from modal_pretrain.backbones.weights import BackboneWeightsError
    from modal_pretrain.cache.disk import CacheWarning, DiskCache
    from modal_pretrain.cache.memory import EmbeddingCache, memory_cache
    from modal_pretrain.classifier import PretrainedClassifier
    from modal_pretrain.encoder import TimmEncoder
    from modal_pretrain.images.accept import ImageLoadError
    from modal_pretrain.text import (  # noqa: F401
        PretrainedTextClassifier,
        TextEncoder,
    )

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

register_module("image", "modal_pretrain.images.modality")
register_module("text", "modal_pretrain.text.modality")

__getattr__, __dir__ = attach(__name__)
