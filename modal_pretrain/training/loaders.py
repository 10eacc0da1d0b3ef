"""A net whose loaders must go with what it does: train on all rows, predict each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from skorch.dataset import Dataset
from skorch.utils import to_device
from torch import nn
from torch.utils.data import Subset

from modal_pretrain._checks import ParameterError, take_rows
from modal_pretrain.modality import Examples
from modal_pretrain.training.augmented import AugmentedNet
from modal_pretrain.training.examples import targets_of
from modal_pretrain.training.labels import check_labels, columns_of
from modal_pretrain.training.scorers import score_by_label


def _given(dataset: Any) -> tuple[Any, Any] | None:
    """Return X and y of a user's data set or a part of it; None of others."""
    if isinstance(dataset, Subset):
        whole = _given(dataset.dataset)
        if whole is None:
            return None
        rows = np.asarray(dataset.indices, dtype=np.intp)
        return take_rows(whole[0], rows), np.asarray(whole[1])[rows]
    if isinstance(dataset, Dataset) and dataset.y is not None:
        return dataset.X, dataset.y
    return None


def _is_foreign(dataset: Any) -> bool:
    """Say whether a data set is neither of this package's making nor a part of one."""
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    return dataset is not None and not hasattr(dataset, "stream")  # see `Examples`


def _equal(before: nn.Module, after: nn.Module) -> bool:
    """Say whether two copies of a backbone have the same weights and buffers."""
    states = before.state_dict().values(), after.state_dict().values()
    return all(
        torch.equal(one, other)
        for one, other in zip(*states, strict=True)
        if isinstance(one, torch.Tensor)
    )


class LoadedNet(AugmentedNet):
    """A net that refuses loaders with which it would silently learn or say less.

    Parameters
    ----------
    module, **params
        See `AugmentedNet`.
    """

    def _run(self, X, y, **fit_params):
        score_by_label(self.callbacks_)
        before = self.module_.backbone
        super()._run(X, y, **fit_params)
        after = self.module_.backbone  # another one where a state was loaded
        if self.module_.frozen and not (after is before or _equal(before, after)):
            raise ValueError(
                "A callback, such as skorch.callbacks.LoadInitState, loaded other "
                "weights of the backbone, but with tune='head' the head learns from "
                "embeddings that were computed before. Load first, then train on: "
                "initialize(), load_params(...), partial_fit(X, y)."
            )
        return self

    def get_iterator(self, dataset, training=False):
        """Return the loader of a data set's batches, see skorch."""
        if not training and self.get_params_for("iterator_valid").get("shuffle"):
            raise ParameterError(
                "iterator_valid__shuffle must be False, got True: predictions are "
                "those of the rows of X in their order. Leave it out; "
                "iterator_train__shuffle is for training."
            )
        loader = super().get_iterator(dataset, training=training)
        if training and self.module_.frozen:
            self._check_one_batch(loader)
        return loader

    def _check_one_batch(self, loader: Any) -> None:
        """Raise ValueError where a line search would fit but a part of the rows."""
        n_batches = len(loader) if hasattr(loader, "__len__") else 1
        drops = getattr(loader, "drop_last", False) and n_batches == 1
        if drops and loader.batch_size < len(loader.dataset):
            n_batches += 1  # one of all rows has none that it drops
        if n_batches > 1 and isinstance(self.optimizer_, torch.optim.LBFGS):
            raise ValueError(
                "L-BFGS fits a head to all rows at once, but the loader gives "
                f"{n_batches} batches, and it would learn one of them. Set "
                "batch_size=-1 and leave out iterator_train__batch_size, or give an "
                "optimizer that follows batches: optimizer=torch.optim.Adam, lr=0.01, "
                "max_epochs=100."
            )

    def get_split_datasets(self, X, y=None, **fit_params):
        """Split off validation data, see skorch.

        What `skorch.helper.predefined_split` was given holds labels; the loop takes
        column numbers.
        """
        train, valid = super().get_split_datasets(X, y, **fit_params)
        given = _given(valid)
        if given is not None:
            valid = self._labelled(*given)
        elif _is_foreign(valid):
            self._check_columns_are_labels(valid)
        return train, valid

    def _labelled(self, X: Any, y: Any) -> Examples:
        owner = type(self).__name__
        try:
            source = self._source(X)
            columns = columns_of(check_labels(y, source, owner), self.classes_, owner)
        except (TypeError, ValueError) as error:
            raise type(error)(f"train_split gave a data set: {error}") from error
        return self._example_set(source, columns)

    def _check_columns_are_labels(self, valid: Any) -> None:
        """Raise ValueError where targets of a data set would be taken for others."""
        classes = self.classes_.tolist()
        if classes != list(range(len(classes))):
            raise ValueError(
                f"train_split gave a data set of type {type(valid).__name__}, whose "
                f"targets are taken for column numbers, but classes_ are {classes}. "
                "Give skorch.dataset.Dataset(X, y), whose labels are looked up."
            )

    def forward_iter(self, X, training=False, device="cpu") -> Iterator[torch.Tensor]:
        """Yield the network's outputs batch by batch, always in the order of X."""
        self._check_trained()
        dataset, found = self.get_dataset(X), 0
        for batch in self.get_iterator(dataset, training=False):
            output = self.evaluation_step(batch, training=training)
            found += len(output[0] if isinstance(output, tuple) else output)
            yield to_device(output, device)
        if found != len(dataset):
            raise ValueError(
                f"iterator_valid gave {found} rows of {len(dataset)}: predictions need "
                "each of them once. Leave out what drops or draws rows, such as "
                "iterator_valid__drop_last or a sampler."
            )

    def _is_batch(self, X: Any) -> bool:
        """Say whether X comes from the loop, whose targets are column numbers."""
        inputs = isinstance(X, dict) and bool(self._inputs & X.keys())
        return inputs or targets_of(X) is not None
