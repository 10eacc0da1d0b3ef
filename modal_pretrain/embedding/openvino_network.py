"""A network that OpenVINO has compiled, its requests, and its threads after a fork."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import math
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch

from modal_pretrain._fork import Lock

INSTALL = 'pip install "modal_pretrain[openvino]"'
# Rows of one request, measured: what a core works on should stay in its cache.
ROWS = 4
PRECISIONS = {torch.float32: "f32", torch.bfloat16: "bf16"}
# OpenVINO has locks of its own while it compiles: a fork waits until they are free.
_COMPILING = Lock(waits=True)
# OpenVINO gives the threads of a network that is gone to the next one, also in a forked
# child, where they are missing: until then a small one has them. By their number.
_SPARE: dict[int, list[Any]] = {}


class Network:
    """A compiled network and its requests.

    Parameters
    ----------
    model : openvino.Model
    row_shape : tuple of int or None
    dtype : torch.dtype
    threads : int
        Each computes requests of its own, and one waits for its turn.
    """

    def __init__(
        self,
        model: Any,
        row_shape: tuple[int | None, ...],
        dtype: torch.dtype,
        threads: int,
    ) -> None:
        self._threads, self._process = threads, os.getpid()
        self._idle: list[Any] = []
        self._compiled: Any = None
        self.fixed = None not in row_shape
        if self.fixed:
            model = model.clone()
            model.reshape([ROWS, *row_shape])
        with _COMPILING:
            if _SPARE.get(threads):
                _SPARE[threads].pop()
            self._compiled = _compile(model, dtype, threads)

    def __del__(self) -> None:
        """Have its threads for the next network, and not for one of a forked child."""
        if os.getpid() != self._process:
            _never_free((self._compiled, self._idle))
            return
        if sys.is_finalizing():
            return
        with _COMPILING, contextlib.suppress(RuntimeError):  # which cannot compile
            self._compiled = None
            self._idle.clear()
            row = (opset := library().opset13).parameter([1], np.float32)
            smallest = library().Model([opset.relu(row)], [row], "smallest")
            spare = _compile(smallest, torch.float32, self._threads)
            _SPARE.setdefault(self._threads, []).append(spare)

    def blocks(
        self, batches: Iterable[torch.Tensor]
    ) -> Iterator[tuple[torch.Tensor, np.ndarray]]:
        """Compute batches, a few requests ahead of the consumer.

        Parameters
        ----------
        batches : iterable of torch.Tensor
            As a source loads them.

        Yields
        ------
        batch : torch.Tensor
        block : numpy.ndarray
            float32 (m, d), its embeddings.
        """
        running: deque[_Request] = deque()
        loaded: deque[_Batch] = deque()
        try:
            for rows in batches:
                batch = _Batch(rows, math.ceil(len(rows) / ROWS))
                loaded.append(batch)
                for start in range(0, len(rows), ROWS):
                    if len(running) >= 2 * self._threads:
                        self._finish(running)
                    running.append(self._start(batch, start))
                while loaded[0].is_complete():
                    yield loaded.popleft().result()
            while loaded:
                while not loaded[0].is_complete():
                    self._finish(running)
                yield loaded.popleft().result()
        finally:
            while running:  # after an error: nothing may write on
                running.popleft().infer.wait()

    def _start(self, batch: _Batch, start: int) -> _Request:
        try:
            infer = self._idle.pop()
        except IndexError:
            infer = self._compiled.create_infer_request()
        rows = batch.rows[start : start + ROWS].numpy()
        n = len(rows)
        if self.fixed and n < ROWS:
            rows = np.concatenate([rows, np.repeat(rows[-1:], ROWS - n, axis=0)])
        rows = np.ascontiguousarray(rows)
        infer.start_async({0: rows}, share_inputs=True)
        return _Request(infer, rows, n, batch)

    def _finish(self, running: deque[_Request]) -> None:
        infer, _, n, batch = running.popleft()
        infer.wait()
        batch.parts.append(infer.get_output_tensor(0).data[:n].copy())
        self._idle.append(infer)


class _Request(NamedTuple):
    """A running request; its input is not copied, so it is held here."""

    infer: Any
    rows: np.ndarray
    n: int
    batch: _Batch


class _Batch:
    """A loaded batch and the embeddings that are ready, in order."""

    def __init__(self, rows: torch.Tensor, n_parts: int) -> None:
        self.rows = rows
        self.n_parts = n_parts
        self.parts: list[np.ndarray] = []

    def is_complete(self) -> bool:
        return len(self.parts) == self.n_parts

    def result(self) -> tuple[torch.Tensor, np.ndarray]:
        return self.rows, np.concatenate(self.parts)


def _compile(model: Any, dtype: torch.dtype, threads: int) -> Any:
    settings = {
        "INFERENCE_PRECISION_HINT": PRECISIONS[dtype],
        "PERFORMANCE_HINT": "THROUGHPUT",
        "NUM_STREAMS": threads,
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,  # decoding threads use the same cores
    }
    return core().compile_model(model, "CPU", settings)


def _never_free(of_parent: Any) -> None:
    """Keep what would wait, to be freed, for threads that a forked child lacks.

    Not by a variable: at its end Python frees what these hold.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(of_parent))


def _after_fork() -> None:
    """Begin anew in a forked child, where OpenVINO's threads are missing."""
    if core.cache_info().currsize:
        _never_free((core(), *_SPARE.values()))
    _SPARE.clear()
    core.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@functools.cache
def core() -> Any:
    """Return the one `openvino.Core` of this process."""
    return library().Core()


def library() -> Any:
    """Import OpenVINO, without the part of it that reports its use over the network."""
    if "openvino" not in sys.modules:
        silent = "openvino_telemetry"
        hidden = silent not in sys.modules
        if hidden:
            sys.modules[silent] = None  # type: ignore[assignment]
        try:
            import openvino  # noqa: F401
        except ImportError as error:
            raise ImportError(
                f"engine='openvino' needs OpenVINO ({error}). Install it with "
                f"`{INSTALL}`, or take engine='auto'."
            ) from error
        finally:
            if hidden:
                del sys.modules[silent]
    return sys.modules["openvino"]
