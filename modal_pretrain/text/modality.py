"""Texts as a modality.

This module needs the extra: ``pip install "modal_pretrain[text]"``.
"""

from __future__ import annotations

import functools
import importlib
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import nn

from modal_pretrain._checks import OneOf, Whole, take_rows
from modal_pretrain.embedding.encoder import Encoder
from modal_pretrain.embedding.engine import ENGINE
from modal_pretrain.modality import FineTuning, Modality, register
from modal_pretrain.text.accept import TextSource, as_texts
from modal_pretrain.text.backbone import (
    POOLINGS,
    TextBackbone,
    shared_text_backbone,
)
from modal_pretrain.text.tokens import Tokenization
from modal_pretrain.training.examples import ExampleSet


class TokenEncoder(Encoder):
    """A frozen `TextBackbone` with its tokens, precision and cache."""

    backbone: TextBackbone
    preprocessing: Tokenization

    def compute(self, source: Any) -> np.ndarray:
        """Return float32 embeddings (n, d), computed here and now."""
        order = source.longest_first()
        embeddings = super().compute(source.take(order))
        result = np.empty_like(embeddings)
        result[order] = embeddings
        return result


class TextSet(ExampleSet):
    """Examples whose backbone trains: texts, tokenised once."""

    def __init__(
        self, source: TextSource, encoder: TokenEncoder, y: np.ndarray | None = None
    ) -> None:
        super().__init__(len(source), y)
        self.source = source
        self.encoder = encoder

    @functools.cached_property
    def _tokens(self) -> list[np.ndarray]:
        tokens, n_cut = self.encoder.preprocessing.tokenise(self.source.texts())
        self.encoder.preprocessing.warn(n_cut, len(self))
        return tokens

    def inputs(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        """Return ``{"inputs": int64 (m, 2, length)}``: numbers and mask, padded."""
        rows = [self._tokens[i] for i in indices]
        return {"inputs": self.encoder.preprocessing.pad(rows)}

    def __getitem__(self, index: int):
        # A DataLoader stacks what it gets: all of one length.
        rows, width = [self._tokens[index]], max(map(len, self._tokens))
        tokens = self.encoder.preprocessing.pad(rows, width)[0]
        return {"inputs": tokens}, self.y[index]


class Texts(Modality):
    """Texts for encoders of the Hugging Face hub."""

    name = "text"
    fine_tuning = FineTuning(torch.optim.AdamW, 5e-5, {})
    rules = MappingProxyType(
        {
            "pooling": OneOf(POOLINGS, also=(None,)),
            "max_length": Whole(also=(None,)),
            "engine": ENGINE,
        }
    )
    decisive = ("pooling", "max_length", "engine")

    def read(self, X: Any, estimator: Any, *, reset: bool = False) -> TextSource:
        """Check texts."""
        return as_texts(X)

    def backbone(self, estimator: Any, seed: int, device: torch.device) -> TextBackbone:
        """Return the shared encoder of text with its pooling and its tokens."""
        return shared_text_backbone(
            estimator.backbone,
            estimator.pretrained,
            seed,
            device,
            estimator.pooling,
            estimator.max_length,
        )

    def encoder(
        self, backbone: nn.Module, estimator: Any, device: torch.device
    ) -> TokenEncoder:
        """Build an encoder that computes texts of one length together."""
        assert isinstance(backbone, TextBackbone)
        tokens, engine = backbone.tokenization, estimator.engine
        return TokenEncoder.of(backbone, tokens, estimator, device, engine=engine)

    def examples(
        self, source: Any, encoder: Any, y: np.ndarray | None = None
    ) -> TextSet:
        """Return texts that are tokenised once."""
        return TextSet(source, encoder, y)

    def classifier(self) -> type:
        """Return `PretrainedTextClassifier`, which stands above this module."""
        return importlib.import_module(
            "modal_pretrain.text.classifier"
        ).PretrainedTextClassifier

    def show(self, X: Any, row: int) -> str:
        """Return the text."""
        return as_texts(take_rows(X, [row])).texts()[0]


TEXTS = register(Texts())
