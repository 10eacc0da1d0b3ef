"""Training: data sets and batches for skorch's loop, the schedule, the stop rule."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback, PrintLog
from torch.utils.data import DataLoader, Dataset, Subset

from modal_pretrain.embedding.batches import Source, iterate
from modal_pretrain.embedding.encoder import Encoder
from modal_pretrain.text.accept import TextSource

Batch = tuple[dict[str, torch.Tensor], torch.Tensor]

# Labelled pictures are decoded once and kept as long as they fit in this.
_KEEP_DECODED_BYTES = 512 * 1024**2


class ExampleSet(Dataset):
    """Examples as skorch's loop takes them: a dict of module inputs and a target.

    Parameters
    ----------
    y : numpy.ndarray or None
        int64 (n,) column numbers; None for prediction, where targets are zeros.
    """

    def __init__(self, n: int, y: np.ndarray | None) -> None:
        self.y = np.zeros(n, dtype=np.int64) if y is None else y

    def __len__(self) -> int:
        return len(self.y)

    def inputs(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        """Return the module's inputs for the examples at `indices`."""
        raise NotImplementedError

    def __getitem__(self, index: int):
        inputs = self.inputs(np.array([index]))
        return {key: value[0] for key, value in inputs.items()}, self.y[index]


class EmbeddedSet(ExampleSet):
    """Examples of a frozen backbone: their embeddings, float32 (n, d)."""

    def __init__(self, embeddings: np.ndarray, y: np.ndarray | None = None) -> None:
        super().__init__(len(embeddings), y)
        self.embeddings = torch.from_numpy(embeddings)

    def inputs(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        """Return ``{"embedding": float32 (m, d)}``."""
        return {"embedding": self.embeddings[torch.from_numpy(indices)]}


class PictureSet(ExampleSet):
    """Examples whose backbone trains: pictures, prepared when asked for."""

    def __init__(
        self, source: Source, encoder: Encoder, y: np.ndarray | None = None
    ) -> None:
        super().__init__(len(source), y)
        self.source = source
        self.encoder = encoder
        self._decoded: torch.Tensor | None = None

    def inputs(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        """Return ``{"pixels": float32 (m, 3, height, width)}``, normalised."""
        if self._decoded is None and self._fits():
            self._decoded = self._load(self.source)
        if self._decoded is not None:
            batch = self._decoded[torch.from_numpy(indices)]
        else:
            batch = self._load(self.source.take(indices))
        return {"pixels": self.encoder.prepare(batch)}

    def stream(self, batch_size: int) -> Iterator[dict[str, torch.Tensor]]:
        """Yield the inputs in order, decoding ahead of the consumer."""
        for batch in self._batches(self.source, batch_size):
            yield {"pixels": self.encoder.prepare(batch)}

    def _batches(self, source: Source, batch_size: int) -> Iterator[torch.Tensor]:
        encoder = self.encoder
        return iterate(source, encoder.preprocessing, batch_size, encoder.n_threads)

    def _load(self, source: Source) -> torch.Tensor:
        return next(iter(self._batches(source, len(source))))

    def _fits(self) -> bool:
        height, width = self.encoder.preprocessing.size
        return len(self) * height * width * 3 <= _KEEP_DECODED_BYTES


class TextSet(ExampleSet):
    """Examples whose backbone trains: texts, tokenised once."""

    def __init__(
        self, source: TextSource, encoder: Encoder, y: np.ndarray | None = None
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
        """Return ``{"tokens": int64 (m, 2, length)}``: numbers and mask, padded."""
        rows = [self._tokens[i] for i in indices]
        return {"tokens": self.encoder.preprocessing.pad(rows)}

    def __getitem__(self, index: int):
        # A DataLoader stacks what it gets: all of one length.
        rows, width = [self._tokens[index]], max(map(len, self._tokens))
        tokens = self.encoder.preprocessing.pad(rows, width)[0]
        return {"tokens": tokens}, self.y[index]


class BatchLoader:
    """Batches of an `ExampleSet` by slicing, without a call per example.

    It stands where skorch expects a DataLoader; other data sets get a DataLoader.

    Parameters
    ----------
    dataset : ExampleSet, Subset of one, or any torch Dataset
    batch_size : int, default=64
    shuffle : bool, default=False
        In a new order every epoch, drawn from PyTorch's global generator. A last
        batch of one example joins the batch before it: batch normalisation cannot
        train on one.
    **kwargs
        For the DataLoader; an ExampleSet accepts none.
    """

    def __init__(
        self, dataset, batch_size: int = 64, shuffle: bool = False, **kwargs: Any
    ) -> None:
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.dataset = dataset
        self.indices = np.arange(len(dataset))
        self.fallback: DataLoader | None = None
        examples = dataset
        while isinstance(examples, Subset):
            parent = np.asarray(examples.indices, dtype=np.int64)
            self.indices = parent[self.indices]
            examples = examples.dataset
        if not isinstance(examples, ExampleSet):
            self.fallback = DataLoader(
                dataset, batch_size=batch_size, shuffle=shuffle, **kwargs
            )
        elif kwargs:
            raise TypeError(
                f"BatchLoader takes no argument {', '.join(map(repr, kwargs))}. Pass "
                "iterator_train=torch.utils.data.DataLoader (or iterator_valid=...) "
                "to use DataLoader's."
            )
        self.examples = examples

    def __len__(self) -> int:
        if self.fallback is not None:
            return len(self.fallback)
        return len(self._bounds())

    def _bounds(self) -> list[tuple[int, int]]:
        n = len(self.indices)
        starts = list(range(0, n, self.batch_size))
        if self.shuffle and len(starts) > 1 and n - starts[-1] == 1:
            starts.pop()
        return list(itertools.pairwise([*starts, n]))

    def __iter__(self) -> Iterator[Batch]:
        if self.fallback is not None:
            yield from self.fallback
            return
        everything = np.arange(len(self.examples))
        in_order = not self.shuffle and np.array_equal(self.indices, everything)
        if in_order and isinstance(self.examples, PictureSet):
            start = 0
            for inputs in self.examples.stream(self.batch_size):
                stop = start + len(inputs["pixels"])
                yield inputs, torch.from_numpy(self.examples.y[start:stop])
                start = stop
            return
        indices = self.indices
        if self.shuffle:
            indices = indices[torch.randperm(len(indices)).numpy()]
        for start, stop in self._bounds():
            chosen = indices[start:stop]
            yield (
                self.examples.inputs(chosen),
                torch.from_numpy(self.examples.y[chosen]),
            )


class WarmupDecay(Callback):
    """The paper's learning rate: linear warm-up, then three divisions by ten.

    Warm-up lasts a fifth of `max_steps`; the divisions come after two, three and
    four fifths (100, 200, 300 and 400 of the paper's 500 steps).

    Parameters
    ----------
    max_steps : int
        Length of the whole schedule in optimiser steps.
    """

    def __init__(self, max_steps: int = 500) -> None:
        self.max_steps = max_steps

    def on_train_begin(self, net, **kwargs) -> None:
        """Start the schedule from the optimizer's rates."""
        self.step_ = 0
        self.base_ = [group["lr"] for group in net.optimizer_.param_groups]

    def on_batch_begin(self, net, training=False, **kwargs) -> None:
        """Set the rates of the coming step."""
        if not training:
            return
        self.step_ += 1
        factor = warmup_decay_factor(self.step_, self.max_steps)
        for group, base in zip(net.optimizer_.param_groups, self.base_, strict=True):
            group["lr"] = base * factor

    def on_train_end(self, net, **kwargs) -> None:
        """Restore the optimizer's rates, for a later partial_fit."""
        for group, base in zip(net.optimizer_.param_groups, self.base_, strict=True):
            group["lr"] = base


def warmup_decay_factor(step: int, max_steps: int) -> float:
    """Return the learning rate of a step (from 1) as a share of the base rate."""
    fifth = max_steps / 5
    if step <= fifth:
        return step / fifth
    return 10.0 ** -max(0, math.floor((step - 1e-9) / fifth) - 1)


class StopBelowLoss(Callback):
    """Stop once an epoch's training loss falls below a share of the first one's.

    Parameters
    ----------
    ratio : float or None, default=0.001
        The share; None never stops. The paper uses 0.001.
    """

    def __init__(self, ratio: float | None = 0.001) -> None:
        self.ratio = ratio

    def on_train_begin(self, net, **kwargs) -> None:
        """Forget the last fit."""
        self.first_: float | None = None

    def on_epoch_end(self, net, **kwargs) -> None:
        """Compare the epoch's loss with the first one."""
        loss = net.history[-1]["train_loss"]
        if self.first_ is None:
            self.first_ = loss
        elif self.ratio is not None and loss < self.ratio * self.first_:
            # skorch's own way to end training early, see its EarlyStopping.
            raise KeyboardInterrupt


class EpochLog(PrintLog):
    """skorch's table of epochs, from ``verbose=2`` on."""

    def on_epoch_end(self, net, **kwargs) -> None:
        """Print the epoch's row if the net is that talkative."""
        if net.verbose >= 2:
            super().on_epoch_end(net, **kwargs)


def encoded_accuracy(net, X, y) -> float:
    """Accuracy on a validation split, whose targets are column numbers."""
    return float(np.mean(net.predict_proba(X).argmax(axis=1) == np.asarray(y)))


def is_mapping(x: Any) -> bool:
    """Say whether a batch already holds the module's inputs by name."""
    return isinstance(x, Mapping)
