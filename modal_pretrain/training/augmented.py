"""Training on rows that are changed at random, anew each epoch; scoring as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import Subset

from modal_pretrain.training.examples import ExampleSet, RawSet, WeightedSet
from modal_pretrain.training.exceptions import ExceptionsNet

# How loaded rows are changed, given a seed for each.
Change = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class AugmentedSet(ExampleSet):
    """Examples whose backbone trains, changed at random before they are prepared.

    Every row has a seed of its own, so that it does not matter in which batch, and in
    which worker of a DataLoader, it is changed.

    Parameters
    ----------
    raw : RawSet
        The examples, loaded as the change takes them.
    change : callable
        Takes loaded rows and their seeds, int64 (m,); returns rows that the encoder of
        `raw` prepares.
    """

    def __init__(self, raw: RawSet, change: Change) -> None:
        super().__init__(len(raw), raw.y)
        self.raw, self.change = raw, change
        self.seeds = torch.zeros(len(raw), dtype=torch.int64)

    def draw(self) -> None:
        """Draw new seeds from PyTorch's global generator."""
        self.seeds.copy_(torch.randint(2**62, (len(self),)))

    def inputs(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        """Return ``{"inputs": tensor (m, ...)}``, as the backbone takes them."""
        seeds = self.seeds[torch.from_numpy(indices)]
        changed = self.change(self.raw.rows(indices), seeds)
        return {"inputs": self.raw.encoder.prepare(changed)}


class AugmentedNet(ExceptionsNet):
    """A net whose `augment`, if a subclass has one, changes the rows it trains on.

    Parameters
    ----------
    module, **params
        See `ExceptionsNet`.
    """

    # A parameter of those subclasses whose modality can do it.
    augment: Any = False

    @property
    def _augments(self) -> bool:
        return self.augment is not False

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self._augments and self._is("tune", "head"):
            raise ValueError(
                f"augment={self.augment!r} changes pictures while the backbone trains, "
                "but tune='head' freezes it and embeds every picture once. Set "
                "augment=False, or tune='all' or a number of stages."
            )

    def get_iterator(self, dataset, training=False):
        """Return the loader of a data set's batches, see skorch."""
        if not (training and self._augments):
            return super().get_iterator(dataset, training=training)
        if self.module_.frozen:  # whatever `tune` asks for: it was embedded once
            raise ValueError(
                f"augment={self.augment!r} changes pictures while the backbone trains, "
                f"but backbone={self.backbone!r} has no weights that could. Set "
                "augment=False."
            )
        changing, examples = _augmented(
            dataset, lambda raw: self.modality.augmented(raw, self.augment)
        )
        return _Epochs(super().get_iterator(examples, training=True), changing)


class _Epochs:
    """A loader whose examples are changed anew each time it is gone through."""

    def __init__(self, loader: Any, examples: AugmentedSet) -> None:
        self.loader, self.examples = loader, examples
        if getattr(loader, "persistent_workers", False):
            examples.seeds.share_memory_()  # workers keep their copy of all else

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        self.examples.draw()
        return iter(self.loader)


def _augmented(dataset: Any, change: Callable) -> tuple[AugmentedSet, Any]:
    """Return the changed examples, and them inside what splits and weighs them."""
    if isinstance(dataset, Subset):
        found, inner = _augmented(dataset.dataset, change)
        return found, Subset(inner, dataset.indices)
    if isinstance(dataset, WeightedSet):
        found, inner = _augmented(dataset.examples, change)
        return found, WeightedSet(inner, dataset.weight)
    found = change(dataset)
    return found, found
