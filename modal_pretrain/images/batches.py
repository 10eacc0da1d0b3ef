"""Batches of prepared pictures, loaded by threads a little ahead of who takes them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

import joblib
import numpy as np
import torch

from modal_pretrain.images.preprocessing import Preprocessing

if TYPE_CHECKING:
    from modal_pretrain.images.sources import ImageSource

T = TypeVar("T")

_MAX_THREADS = 8
# Batches decoded ahead of the consumer.
_AHEAD = 2


def load_batches(
    source: ImageSource,
    preprocessing: Preprocessing,
    batch_size: int,
    n_threads: int | None = None,
    pin_memory: bool = False,
) -> Iterator[torch.Tensor]:
    """Decode, resize and crop pictures, in order, a few batches ahead.

    Arrays whose pictures need no resizing are sliced, without threads. Everything else
    is prepared by threads while the consumer computes; at most two batches wait.

    Parameters
    ----------
    source : ImageSource
    preprocessing : Preprocessing
    batch_size : int
        At least 1; the last batch may be smaller.
    n_threads : int or None, default=None
        None means one per available CPU, at most 8.
    pin_memory : bool, default=False
        Whether batches lie in memory that a CUDA device copies from while it computes.

    Yields
    ------
    Tensor of uint8, shape (b, H, W, 3)
        On the CPU. It may share memory with X: do not write to it.

    Raises
    ------
    ImageLoadError
        When the batch with a missing or damaged file is reached.
    ValueError
        If `batch_size` or `n_threads` is less than 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
    if n_threads is None:
        n_threads = _n_threads()
    elif n_threads < 1:
        raise ValueError(f"n_threads must be at least 1, got {n_threads}.")
    size = source.uniform_size
    if size is not None and preprocessing.keeps(*size):
        return _sliced(source, batch_size, pin_memory)
    return _threaded(source, preprocessing, batch_size, n_threads, pin_memory)


def _sliced(
    source: ImageSource, batch_size: int, pin_memory: bool
) -> Iterator[torch.Tensor]:
    for start in range(0, len(source), batch_size):
        block = source.block(start, start + batch_size)
        assert block is not None  # a known size comes with blocks
        # PyTorch warns about read-only memory, and refuses strides below 0, which NumPy
        # takes for contiguous where there is one row.
        if not block.flags.writeable or min(block.strides) < 0:
            block = block.copy()
        batch = torch.from_numpy(block)
        yield batch.pin_memory() if pin_memory else batch


def _threaded(
    source: ImageSource,
    preprocessing: Preprocessing,
    batch_size: int,
    n_threads: int,
    pin_memory: bool,
) -> Iterator[torch.Tensor]:
    waiting: deque[tuple[torch.Tensor, list[Future[None]]]] = deque()
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="modal_pretrain")

    def fill(out: np.ndarray, start: int) -> None:
        for i in range(len(out)):
            out[i] = preprocessing.apply_uint8(
                source.load_for(start + i, preprocessing)
            )

    def submit(start: int) -> None:
        stop = min(start + batch_size, len(source))
        shape = (stop - start, *preprocessing.size, 3)
        batch = torch.empty(shape, dtype=torch.uint8, pin_memory=pin_memory)
        out = batch.numpy()
        # A few pieces per thread, so that none waits long for a slow picture.
        piece = max(1, math.ceil(len(out) / (2 * n_threads)))
        cuts = range(0, len(out), piece)
        jobs = [pool.submit(fill, out[cut : cut + piece], start + cut) for cut in cuts]
        waiting.append((batch, jobs))

    starts = iter(range(0, len(source), batch_size))
    try:
        for start in starts:
            submit(start)
            if len(waiting) > _AHEAD:
                yield _finish(*waiting.popleft())
        while waiting:
            yield _finish(*waiting.popleft())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def in_threads(function: Callable[[int], T], rows: Sequence[int]) -> list[T]:
    """Call a function of each row; the error of the first that fails is raised."""
    if len(rows) < 2:
        return [function(row) for row in rows]
    n_threads = _n_threads()
    # A few pieces per thread, so that none waits long for a slow picture.
    piece = max(1, math.ceil(len(rows) / (4 * n_threads)))
    pieces = [rows[start : start + piece] for start in range(0, len(rows), piece)]
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="modal_pretrain")
    try:
        parts = pool.map(lambda some: list(map(function, some)), pieces)
        return list(chain.from_iterable(parts))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _n_threads() -> int:
    return min(_MAX_THREADS, joblib.cpu_count())


def _finish(batch: torch.Tensor, jobs: list[Future[None]]) -> torch.Tensor:
    for job in jobs:
        job.result()
    return batch
