"""What goes into a backbone and comes out: X as a source, batches, embeddings."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import validate_data
from torch import nn

from modal_pretrain.embedding.table import TableSource, is_table
from modal_pretrain.images.accept import ImageSource, as_images
from modal_pretrain.images.preprocessing import load_batches
from modal_pretrain.text.accept import TextSource

Source = ImageSource | TableSource | TextSource


def as_source(X: Any, estimator: Any, *, reset: bool = False) -> Source:
    """Validate X: images for any backbone, 2-D tables for a factory's module.

    With `reset` the estimator remembers the columns of a table, else it checks them.
    """
    if callable(estimator.backbone) and is_table(X):
        return TableSource(validate_data(estimator, X, dtype=np.float32, reset=reset))
    return as_images(X)


def iterate(
    source: Source,
    preprocessing: Any,
    batch_size: int,
    n_threads: int | None,
    *,
    pin_memory: bool = False,
) -> Iterator[torch.Tensor]:
    """Yield the source in batches: uint8 pictures, tokens or float32 table rows."""
    if isinstance(source, TextSource):
        return preprocessing.batches(source, batch_size)
    if isinstance(source, TableSource):
        return source.batches(batch_size)
    return load_batches(
        source, preprocessing, batch_size, n_threads, pin_memory=pin_memory
    )


def check_batch_size(value: Any) -> Any:
    """Return a batch size that is a positive int or "auto"; raise otherwise."""
    if isinstance(value, str) and value == "auto":
        return value
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(f"batch_size must be a positive int or 'auto', got {value!r}.")
    return int(value)


def check_embedding(output: Any, backbone: nn.Module) -> torch.Tensor:
    """Return the backbone's output if it is one vector a row, or say what it is."""
    if isinstance(output, torch.Tensor) and output.ndim == 2:
        return output
    came = (
        f"shape {tuple(output.shape)}"
        if isinstance(output, torch.Tensor)
        else f"type {type(output).__name__}"
    )
    raise ValueError(
        f"The backbone {type(backbone).__name__} must return embeddings of shape "
        f"(n, d), got {came}. Pool it to one vector a picture, e.g. with "
        "timm's global_pool='avg'."
    )
