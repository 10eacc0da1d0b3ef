"""What a frozen backbone as a scikit-learn transformer is, whatever its rows are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from modal_pretrain._checks import Rule, check_parameters
from modal_pretrain._decisive import DECISIVE, check_unchanged, snapshots
from modal_pretrain._inputs.frames import check_order
from modal_pretrain.backbones.device import resolve_device
from modal_pretrain.backbones.remembered import RememberedWeights
from modal_pretrain.embedding.encoder import Encoder
from modal_pretrain.embedding.parameters import BATCH_SIZE, EMBEDDING_RULES
from modal_pretrain.embedding.source import Source
from modal_pretrain.modality import Modality


class BaseTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """A frozen backbone as a transformer: rows of a modality to embeddings.

    Subclasses name their `modality` and have its parameters, next to ``backbone``,
    ``pretrained``, ``precision``, ``device``, ``cache``, ``batch_size``,
    ``random_state`` and ``verbose``. Methods are described at
    `modal_pretrain.TimmEncoder`.
    """

    modality: ClassVar[Modality]

    backbone: Any
    device: Any
    pretrained: Any
    random_state: Any

    def fit(self, X, y=None):
        """Load the backbone; check that X is readable. All or nothing."""
        check_parameters(vars(self), self._rules())
        check_order(X=X, y=y)  # a pipeline's labels come by here
        before = dict(vars(self))
        try:
            source = self._source(X, reset=True)
            rng = check_random_state(self.random_state)
            self.seed_ = int(rng.randint(np.iinfo(np.int32).max))
            encoder = self._encoder()
            weights = RememberedWeights(encoder.backbone, encoder.preprocessing)
            probe = encoder.compute(source.take(np.arange(1)))
            weights.leave_out_changed(encoder.backbone)
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        self.n_features_out_ = probe.shape[1]
        self.learnt_with_ = snapshots(self._decisive())
        self.weights_ = weights
        return self

    def transform(self, X) -> np.ndarray:
        """Embed X: float32 (n, d)."""
        return self._ready_encoder().encode(self._source(X))

    def embed_to(self, X, path: str | Path) -> np.memmap:
        """Embed X into a .npy file and open that memory-mapped, for reading."""
        return self._ready_encoder().encode_to(self._source(X), path)

    def _ready_encoder(self) -> Encoder:
        check_parameters(vars(self), self._rules())
        check_is_fitted(self)
        if hasattr(self, "learnt_with_"):  # not where no fit is needed
            check_unchanged(type(self), self.learnt_with_, self._decisive())
        encoder = self._encoder()
        # Not where no fit is needed, nor in pickles that are older than this.
        before: RememberedWeights | None = getattr(self, "weights_", None)
        now = encoder.backbone, encoder.preprocessing
        differs = "" if before is None else before.what_differs(*now)
        if differs:
            raise ValueError(
                f"backbone={self.backbone!r:.80} has {differs} than when this "
                f"{type(self).__name__} was fitted (from "
                f"{encoder.backbone.weights_source}), and what was learnt on its "
                "embeddings depends on that. Restore its files, or call fit again."
            )
        return encoder

    def _decisive(self) -> dict[str, Any]:
        """Return the parameters that embeddings depend on, with their values."""
        params = self.get_params(deep=False)
        names = (*DECISIVE, *self.modality.decisive)
        return {name: params[name] for name in names if name in params}

    def _rules(self) -> Mapping[str, Rule]:
        """Say what each parameter may be."""
        return {**EMBEDDING_RULES, "batch_size": BATCH_SIZE, **self.modality.rules}

    def _source(self, X, *, reset: bool = False) -> Source:
        return self.modality.read(X, self, reset=reset)

    def _encoder(self) -> Encoder:
        device = resolve_device(self.device)
        backbone = self.modality.backbone(self, getattr(self, "seed_", 0), device)
        return self.modality.encoder(backbone, self, device)

    @property
    def _n_features_out(self) -> int:  # what scikit-learn counts names by
        return self.n_features_out_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]  # all others become it
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        # Only a random initialisation is drawn in fit.
        return bool(self.pretrained) or hasattr(self, "seed_")
