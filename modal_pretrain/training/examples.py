"""Data sets and batches for skorch's loop."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Subset

from modal_pretrain._checks import Whole, plain_whole
from modal_pretrain.embedding.encoder import Encoder
from modal_pretrain.embedding.source import Source

Batch = tuple[dict[str, torch.Tensor], torch.Tensor]

# Labelled rows are loaded once and kept as long as they fit in this.
_KEEP_BYTES = 512 * 1024**2
# Embedded values, labels times features, from which a second thread pays.
_WORTH_THREADS = 2**22


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

    def stream(self, batch_size: int) -> Iterator[dict[str, torch.Tensor]]:
        """Yield the inputs of all examples, in order."""
        for start in range(0, len(self), batch_size):
            stop = min(start + batch_size, len(self))
            yield self.inputs(np.arange(start, stop))

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


class WeightedSet(ExampleSet):
    """Any examples with a weight for each, which the loss takes out of the batch.

    Parameters
    ----------
    examples : ExampleSet, or what has its methods
    weight : numpy.ndarray
        float64 (n,).
    """

    def __init__(self, examples: Any, weight: np.ndarray) -> None:
        super().__init__(len(examples), examples.y)
        self.examples = examples
        self.weight = weight
        self._tensor = torch.from_numpy(weight).float()

    def inputs(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        """Return the module's inputs and ``sample_weight``, float32 (m,)."""
        weight = self._tensor[torch.from_numpy(indices)]
        return {**self.examples.inputs(indices), "sample_weight": weight}

    def stream(self, batch_size: int) -> Iterator[dict[str, torch.Tensor]]:
        """Yield the inputs of all examples, in order."""
        weights = self._tensor.split(batch_size)
        for inputs, weight in zip(
            self.examples.stream(batch_size), weights, strict=True
        ):
            yield {**inputs, "sample_weight": weight}

    def __getitem__(self, index: int):
        inputs, target = self.examples[index]
        return {**inputs, "sample_weight": self._tensor[index]}, target


class RawSet(ExampleSet):
    """Examples whose backbone trains: rows of a source, prepared when asked for."""

    def __init__(
        self, source: Source, encoder: Encoder, y: np.ndarray | None = None
    ) -> None:
        super().__init__(len(source), y)
        self.source = source
        self.encoder = encoder
        self._loaded: torch.Tensor | None = None
        self._fits: bool | None = None

    def inputs(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        """Return ``{"inputs": tensor (m, ...)}``, as the backbone takes them."""
        return {"inputs": self.encoder.prepare(self.rows(indices))}

    def rows(self, indices: np.ndarray) -> torch.Tensor:
        """Return rows (m, ...) as they are loaded; they are kept where memory allows.

        They may share memory with X: do not write to them.
        """
        if self._fits is None:
            row = self._load(self.source.take(np.arange(1)))
            self._fits = row.nbytes * len(self) <= _KEEP_BYTES
        if self._fits and self._loaded is None:
            self._loaded = self._load(self.source)
        if self._loaded is not None:
            return self._loaded[torch.from_numpy(indices)]
        return self._load(self.source.take(indices))

    def stream(self, batch_size: int) -> Iterator[dict[str, torch.Tensor]]:
        """Yield the inputs of all examples in order, loading ahead of the consumer."""
        for batch in self._batches(self.source, batch_size):
            yield {"inputs": self.encoder.prepare(batch)}

    def _batches(self, source: Source, batch_size: int) -> Iterator[torch.Tensor]:
        encoder = self.encoder
        return source.batches(encoder.preprocessing, batch_size, encoder.n_threads)

    def _load(self, source: Source) -> torch.Tensor:
        return next(iter(self._batches(source, len(source))))


def targets_of(dataset: Any) -> np.ndarray | None:
    """Return the column numbers of an `ExampleSet` or a part of it; None of others."""
    if isinstance(dataset, Subset):
        whole = targets_of(dataset.dataset)
        rows = np.asarray(dataset.indices, dtype=np.int64)
        return None if whole is None else whole[rows]
    return dataset.y if isinstance(dataset, ExampleSet) else None


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
        Whole().check("batch_size", batch_size)
        self.batch_size = batch_size = plain_whole(batch_size)
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
        if in_order:
            targets = torch.from_numpy(self.examples.y).split(self.batch_size)
            yield from zip(self.examples.stream(self.batch_size), targets, strict=True)
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


@contextlib.contextmanager
def one_thread_for_few(n_values: float) -> Iterator[None]:
    """Keep a fit on few embedded values, labels times features, to one thread."""
    # The head's operations are too small to share. Where cores are busy, waiting for a
    # second thread made a fit of 200 labels 90 times slower (measured).
    n_threads = torch.get_num_threads()
    if n_values < _WORTH_THREADS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
