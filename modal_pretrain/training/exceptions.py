"""Weights of the rows that a classifier gets wrong, from the embeddings it has."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from modal_pretrain.embedding.source import Source
from modal_pretrain.modality import Examples
from modal_pretrain.reweighting.errors import error_weights
from modal_pretrain.training.examples import EmbeddedSet
from modal_pretrain.training.network import centre_and_scale


def weights_of_exceptions(
    classifier: Any, source: Source, dataset: Examples, weight: np.ndarray | None
) -> np.ndarray:
    """Return `error_weights` of the rows that a classifier is about to train on.

    Where the backbone trains, the heads that judge are those of the frozen one with its
    initial weights. A frozen one that trains on judges by what it knows and learns anew
    from the other folds.

    Parameters
    ----------
    classifier : BaseClassifier
        With its head.
    source : Source
    dataset : Examples
        Of the source, or merged from it.
    weight : numpy.ndarray of shape (n,) or None
        What the rows weigh anyway.

    Returns
    -------
    numpy.ndarray
        float64 (n,).
    """
    network, offset = classifier.module_, None
    if isinstance(dataset, EmbeddedSet):
        embeddings = dataset.embeddings
        mean, scale = network.mean.cpu(), network.scale.cpu()
        scaled = (embeddings - mean) * scale
        known = network.head.weight.detach().cpu(), network.head.bias.detach().cpu()
        offset = torch.nn.functional.linear(scaled, *known).double().numpy()
    else:
        encoder = classifier.modality.encoder(
            classifier._initial(), classifier, classifier._device()
        )
        embeddings = torch.from_numpy(encoder.encode(source))
        mean, scale = centre_and_scale(embeddings, weight)
        scaled = (embeddings - mean) * scale
    return error_weights(
        scaled.numpy(),
        dataset.y,
        strength=classifier.error_weighting,
        C=classifier.C,
        sample_weight=weight,
        offset=offset,
    )
