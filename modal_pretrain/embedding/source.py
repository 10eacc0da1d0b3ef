"""What an encoder needs of its input: rows, and how they become a network's input."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch

Rows = slice | Sequence[int] | np.ndarray


class Source(Protocol):
    """A checked X: rows that load when they are asked for.

    A modality's `read` makes it. Its pickle should carry its own rows only, since it
    travels to workers in parts.
    """

    @property
    def cacheable(self) -> bool:
        """Whether embedding a row costs more than to look it up or to send it."""

    def __len__(self) -> int:
        """Return the number of rows, at least 1."""

    def take(self, indices: Rows) -> Source:
        """Select rows without loading any."""

    def row_keys(self) -> list[bytes]:
        """Hash the content of each row, the same in every process."""

    def batches(
        self,
        preprocessing: Any,
        batch_size: int,
        n_threads: int | None = None,
        *,
        pin_memory: bool = False,
    ) -> Iterator[torch.Tensor]:
        """Yield the rows in order, on the CPU, rows along the first axis.

        Parameters
        ----------
        preprocessing : Preparation
            That of the same modality, which may do a part of the work here.
        batch_size : int
            At least 1; the last batch may be smaller.
        n_threads : int or None, default=None
            For those that load with threads.
        pin_memory : bool, default=False
            Whether a CUDA device is going to copy the batches.
        """


class Preparation(Protocol):
    """How a loaded batch becomes what the backbone takes."""

    def fingerprint(self) -> str:
        """Name everything that the input depends on beside the row itself."""

    def prepare(self, batch: torch.Tensor) -> torch.Tensor:
        """Finish a batch of a source, on the device it lies on."""


class Traceable(Preparation, Protocol):
    """What other engines than PyTorch need; without it they are not used."""

    @property
    def row_shape(self) -> tuple[int | None, ...]:
        """Shape of a loaded row; None for sides that differ from row to row."""

    def examples(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return two small batches, as a source loads them: to trace and to check.

        Sides that differ from row to row differ between the two.
        """

    def traced(self, batch: torch.Tensor) -> torch.Tensor:
        """Do what `prepare` does, in operations that can be traced and translated."""

    def quicker(self) -> Preparation:
        """Return how rows are loaded for a network that rounds, or itself.

        What it changes must be far below what bfloat16 changes; its fingerprint says
        that it is another.
        """

    def takes_long(self, n: int) -> bool:
        """Say whether n rows take a usual backbone longer than its conversion."""


def steadily(
    compute: Callable[[Source], np.ndarray], source: Source, keys: list[bytes]
) -> np.ndarray:
    """Compute rows that a cache keeps by what was in them before.

    What lies in memory may be changed by another thread meanwhile. The old rows,
    wherever they come from later, would be served what was computed of the new ones.

    Parameters
    ----------
    compute : callable
    source : Source
        Whether its rows are such is said by ``in_memory``, if it has that.
    keys : list of bytes
        Of its rows, before.

    Returns
    -------
    numpy.ndarray

    Raises
    ------
    RuntimeError
        If rows have changed meanwhile.
    """
    rows = compute(source)
    if getattr(source, "in_memory", False) and (now := source.row_keys()) != keys:
        n = sum(new != old for new, old in zip(now, keys, strict=True))
        raise RuntimeError(
            f"X was changed in place while it was embedded ({n} of {len(keys)} rows). "
            "Nothing of them is kept. Change a copy (X.copy()), or wait until X is "
            "embedded, and call again."
        )
    return rows
