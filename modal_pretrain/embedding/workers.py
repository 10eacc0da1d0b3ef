"""Embedding spread over the workers of joblib's backend: a cluster, or processes.

With no ``joblib.parallel_config`` around it nothing is spread. What that context names
counts: dask, Ray, or processes of this machine. Threads are not used, as PyTorch has
its own; and a task that a worker runs computes what it needs itself.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import joblib
import numpy as np
from joblib.parallel import get_active_backend

from modal_pretrain.backbones.device import one_thread_after_fork
from modal_pretrain.embedding.source import Source

if TYPE_CHECKING:
    from modal_pretrain.embedding.encoder import Encoder

# A task's results that are lost with a worker, and what one message carries.
_MOST_ROWS = 1024
_TASKS_PER_WORKER = 4


def n_workers() -> int:
    """Count the workers that embedding may be spread over; 1 means here."""
    backend, _ = get_active_backend()
    nested = bool(getattr(backend, "nesting_level", 0)) or _in_dask_task()
    if nested or getattr(backend, "supports_sharedmem", False):
        return 1
    return max(1, joblib.effective_n_jobs(None))


def _in_dask_task() -> bool:
    # joblib's dask backend does not count how deep it is.
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return False
    try:
        distributed.get_worker()
    except ValueError:
        return False
    return True


def shard_rows(n: int, workers: int, batch_size: int) -> int:
    """Choose the rows of a task: whole batches, a few tasks for each worker.

    With whole batches the results are those of one process.
    """
    rows = min(math.ceil(n / (_TASKS_PER_WORKER * workers)), _MOST_ROWS)
    return math.ceil(rows / batch_size) * batch_size


def spread(encoder: Encoder, source: Source, size: int) -> Iterator[np.ndarray]:
    """Embed a source in tasks of `size` rows; their results come in order.

    Parameters
    ----------
    encoder : Encoder
        It is pickled with every task; see there for what that costs.
    source : Source
        Its pickled shards carry their own rows only.
    size : int

    Yields
    ------
    numpy.ndarray
        float32 (m, d).

    Raises
    ------
    RuntimeError
        If a worker would compute something else than this process.
    """
    expected = encoder.fingerprint() if encoder.is_portable() else None
    backend, _ = get_active_backend()
    streams = getattr(backend, "supports_return_generator", False)
    parallel = joblib.Parallel(
        return_as="generator" if streams else "list", max_nbytes=None
    )
    yield from parallel(
        joblib.delayed(embed_shard)(
            encoder, source.take(slice(start, start + size)), expected
        )
        for start in range(0, len(source), size)
    )


def embed_shard(encoder: Encoder, source: Source, expected: str | None) -> np.ndarray:
    """Embed a shard in this worker, unless that would give something else.

    Parameters
    ----------
    encoder : Encoder
    source : Source
    expected : str or None
        Fingerprint of the caller's encoder; None where it means nothing elsewhere.

    Returns
    -------
    numpy.ndarray
        float32 (n, d).
    """
    one_thread_after_fork()
    encoder.load()
    if expected is not None and encoder.fingerprint() != expected:
        raise RuntimeError(
            "A worker would compute other embeddings than the process that asks for "
            "them: weights, versions of PyTorch, OpenVINO, timm, Pillow or "
            "transformers, or the kind of device differ. Install the same versions, "
            "and the same weights under the same path or name, everywhere. "
            f"Here: {encoder.fingerprint()}. There: {expected}."
        )
    if encoder.n_threads is None and encoder.device.type == "cpu":
        encoder.n_threads = 1  # a worker for every core is what clusters have
    return encoder.compute(source)
