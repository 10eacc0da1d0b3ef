"""What a frozen backbone as a scikit-learn transformer is, whatever its rows are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from modal_pretrain._checks import Rule, check_parameters
from modal_pretrain.backbones.device import resolve_device
from modal_pretrain.embedding.encoder import Encoder
from modal_pretrain.embedding.parameters import BATCH_SIZE, EMBEDDING_RULES
from modal_pretrain.embedding.source import Source
from modal_pretrain.modality import Modality


class BaseTransformer(TransformerMixin, BaseEstimator):
    """A frozen backbone as a transformer: rows of a modality to embeddings.

    Subclasses name their `modality` and have its parameters, next to ``backbone``,
    ``pretrained``, ``precision``, ``device``, ``cache``, ``batch_size``,
    ``random_state`` and ``verbose``. Methods are described at
    `modal_pretrain.TimmEncoder`.
    """

    modality: ClassVar[Modality]

    device: Any
    pretrained: Any
    random_state: Any

    def fit(self, X, y=None):
        """Load the backbone; check that X is readable."""
        check_parameters(vars(self), self._rules())
        source = self._source(X, reset=True)
        rng = check_random_state(self.random_state)
        self.seed_ = int(rng.randint(np.iinfo(np.int32).max))
        probe = self._encoder().compute(source.take(np.arange(1)))
        self.n_features_out_ = probe.shape[1]
        return self

    def transform(self, X) -> np.ndarray:
        """Embed X: float32 (n, d)."""
        check_parameters(vars(self), self._rules())
        check_is_fitted(self)
        return self._encoder().encode(self._source(X))

    def embed_to(self, X, path: str | Path) -> np.memmap:
        """Embed X into a .npy file and open that memory-mapped, for reading."""
        check_parameters(vars(self), self._rules())
        check_is_fitted(self)
        return self._encoder().encode_to(self._source(X), path)

    def _rules(self) -> Mapping[str, Rule]:
        """Say what each parameter may be."""
        return {**EMBEDDING_RULES, "batch_size": BATCH_SIZE, **self.modality.rules}

    def _source(self, X, *, reset: bool = False) -> Source:
        return self.modality.read(X, self, reset=reset)

    def _encoder(self) -> Encoder:
        device = resolve_device(self.device)
        backbone = self.modality.backbone(self, getattr(self, "seed_", 0), device)
        return self.modality.encoder(backbone, self, device)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]  # all others become it
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        # Only a random initialisation is drawn in fit.
        return bool(self.pretrained) or hasattr(self, "seed_")
