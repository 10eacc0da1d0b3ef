"""A net that learns from the exceptions: weights by errors, and tags to be ignored."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from modal_pretrain._inputs.frames import check_order
from modal_pretrain.embedding.source import Source
from modal_pretrain.modality import Examples, Modality
from modal_pretrain.reweighting.choice import tag_weights
from modal_pretrain.reweighting.errors import error_weights
from modal_pretrain.reweighting.tags import tag_table
from modal_pretrain.training.examples import EmbeddedSet
from modal_pretrain.training.network import centre_and_scale
from modal_pretrain.training.remembered import RememberedTags, check_width
from modal_pretrain.training.weighted_net import WeightedNet

# The strength of weights by errors in pairs of class and tag where nobody gave one.
_STRENGTH = 2.0


class ExceptionsNet(WeightedNet):
    """A net whose labelled rows weigh by errors, and by what may be ignored about them.

    Parameters
    ----------
    module, **params
        See `WeightedNet`.
    error_weighting : float, default=0.0
    group_balance : float, default=1.0
        See `modal_pretrain.PretrainedClassifier`.

    Attributes
    ----------
    weighting_ : str
        What the last training weighed rows by: "nothing", "errors" or "tags and
        errors".
    """

    modality: ClassVar[Modality]

    def __init__(
        self,
        module,
        *,
        error_weighting: float = 0.0,
        group_balance: float = 1.0,
        **params,
    ) -> None:
        super().__init__(module, **params)
        self.error_weighting = error_weighting
        self.group_balance = group_balance

    def tag(self, X, ignore):
        """Remember what may be ignored about rows, for every later training."""
        check_order(X=X, ignore=ignore)
        self.remembered_tags_ = self._remembered().but(self._source(X), ignore)
        return self

    def known_tags(self, X) -> np.ndarray:
        """Return what `tag` remembers about rows.

        Parameters
        ----------
        X : as in `fit`, length n

        Returns
        -------
        numpy.ndarray of object, shape (n, k)
            None where nobody said; k is 0 where no row of X is tagged.
        """
        source = self._source(X)
        table = self._tags_of(source, None)
        return np.empty((len(source), 0), dtype=object) if table is None else table

    def _remembered(self) -> RememberedTags:
        return getattr(self, "remembered_tags_", RememberedTags())

    def _tags_of(self, source: Source, ignore: Any) -> np.ndarray | None:
        """Return the tags of rows, object (n, k), given or remembered, or None."""
        table = None if ignore is None else tag_table(ignore, len(source))
        found = self._remembered().of(source)
        widths = {len(tags) for tags in found if tags is not None}
        if widths:
            check_width(widths | (set() if table is None else {table.shape[1]}))
            if table is None:
                table = np.full((len(source), *widths), None, dtype=object)
            for row, tags in enumerate(found):
                if tags is not None:
                    missing = [tag is None for tag in table[row]]
                    table[row, missing] = np.array(tags, dtype=object)[missing]
        return table

    def _source(self, X, *, reset: bool = False) -> Source:
        return self.modality.read(X, self, reset=reset)

    def _by_exceptions(
        self,
        source: Source,
        dataset: Examples,
        weight: np.ndarray | None,
        tags: np.ndarray | None,
    ) -> np.ndarray | None:
        """Return what rows weigh that the net, with its head, is about to train on."""
        self.weighting_ = "errors" if self.error_weighting else "nothing"
        if tags is None and not self.error_weighting:
            return weight
        X, offset = self._judged(source, dataset, weight)
        judging = {"C": self.C, "sample_weight": weight, "offset": offset}
        if tags is None:
            return error_weights(X, dataset.y, strength=self.error_weighting, **judging)
        found, choice = tag_weights(
            X,
            dataset.y,
            tags,
            strength=self.error_weighting or _STRENGTH,
            balance=self.group_balance,
            otherwise=self.weighting_,
            **judging,
        )
        self.weighting_ = choice
        return weight if choice == "nothing" else found

    def _judged(
        self, source: Source, dataset: Examples, weight: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the scaled embeddings that judge rows, and the logits to begin with.

        Where the backbone trains they are those of the frozen one with its initial
        weights. A frozen one that trains on begins with what it knows.
        """
        network = self.module_
        if isinstance(dataset, EmbeddedSet):
            mean, scale = network.mean.cpu(), network.scale.cpu()
            scaled = (dataset.embeddings - mean) * scale
            head = network.head.weight.detach().cpu(), network.head.bias.detach().cpu()
            logits = nn.functional.linear(scaled, *head).double().numpy()
            return scaled.numpy(), logits
        encoder = self._encoder_of(self._initial())
        embeddings = torch.from_numpy(encoder.encode(source))
        mean, scale = centre_and_scale(embeddings, weight)
        scaled = (embeddings - mean) * scale
        return scaled.numpy(), np.zeros((len(scaled), len(self.classes_)))
