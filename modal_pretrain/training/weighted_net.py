"""skorch's classifier for few labels with weights: of rows, and of classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from skorch.utils import to_tensor
from torch.utils.data import Subset

from modal_pretrain.training.examples import WeightedSet, targets_of
from modal_pretrain.training.skorch_net import FewLabelsNet
from modal_pretrain.training.weights import (
    check_weightable,
    class_weights,
    losses_of_rows,
    weighs_rows,
)


class WeightedNet(FewLabelsNet):
    """A net whose loss weighs rows: their ``sample_weight`` comes in the batch.

    Parameters
    ----------
    module, **params
        See `FewLabelsNet`.
    class_weight : mapping, "balanced" or None, default=None
        As in scikit-learn.

    Attributes
    ----------
    trained_weight_ : float
        What all rows weigh together in the mean that the criterion takes.
    """

    def __init__(self, module, *, class_weight=None, **params) -> None:
        super().__init__(module, **params)
        self.class_weight = class_weight

    def _weight_of_rows(
        self, targets: np.ndarray, weight: np.ndarray | None
    ) -> np.ndarray | None:
        """Return what each row weighs in the loss; None if that is the same for all."""
        if weight is not None:
            check_weightable(self.criterion_, "sample_weight")
        if self.class_weight is None:
            return weight
        check_weightable(self.criterion_, f"class_weight={self.class_weight!r}")
        of_class = class_weights(self.class_weight, self.classes_, targets, weight)
        return of_class[targets] if weight is None else of_class[targets] * weight

    def _weighs_rows(self) -> bool:
        """Say whether the criterion gives the loss of each row."""
        return weighs_rows(self.criterion_, len(self.classes_), self._device())

    def get_split_datasets(self, X, y=None, **fit_params):
        """Split off validation data, see skorch; note what the rest weighs."""
        train, valid = super().get_split_datasets(X, y, **fit_params)
        # The criterion averages over this total weight.
        self.trained_weight_ = _total_weight(train, self.criterion_)
        if len(train) and not self.trained_weight_ > 0:
            raise ValueError(
                "All rows that train_split leaves for training have sample_weight 0."
            )
        self.mean_weight_ = self.trained_weight_ / max(len(train), 1)
        # The loss in validation is a mean, too, of rows that may be lighter.
        total = _total_weight(valid, self.criterion_) if valid else 0.0
        self.valid_weight_ = total / len(valid) if total else self.mean_weight_
        return train, valid

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Return the mean loss of a batch, weighted where it brings weights."""
        weight = X.get("sample_weight") if isinstance(X, Mapping) else None
        if weight is None:
            return super().get_loss(y_pred, y_true, X, training)
        # By the mean weight of all rows, not of the batch: no batch counts more for
        # holding light rows.
        targets = to_tensor(y_true, device=y_pred.device)
        losses = losses_of_rows(self.criterion_, y_pred, targets)
        mean_weight = self.mean_weight_ if training else self.valid_weight_
        return (weight.to(losses) * losses).mean() / mean_weight


def _total_weight(dataset: Any, criterion: Any) -> float:
    """Return what all rows of a split weigh together in a criterion's mean.

    Parameters
    ----------
    dataset : ExampleSet, Subset of one, or any sized data set
    criterion : torch.nn.Module
        Its ``weight`` counts, if it has one.
    """
    rows, targets = np.arange(len(dataset)), targets_of(dataset)
    while isinstance(dataset, Subset):
        rows = np.asarray(dataset.indices, dtype=np.int64)[rows]
        dataset = dataset.dataset
    weight = np.ones(len(rows))
    if isinstance(dataset, WeightedSet):
        weight = dataset.weight[rows]
    of_class = getattr(criterion, "weight", None)
    if of_class is not None and targets is not None:
        weight = weight * of_class.detach().cpu().numpy()[targets]
    return float(weight.sum())
