"""Frozen backbones in OpenVINO, which computes on CPUs several times faster.

This module needs the extra: ``pip install "modal_pretrain[openvino]"``. OpenVINO is
imported when the first network is loaded.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.metadata
import importlib.util
import math
import os
import re
import sys
import tempfile
import warnings
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from modal_pretrain._fork import Lock
from modal_pretrain.backbones.copies import copy_of
from modal_pretrain.backbones.output import check_embedding
from modal_pretrain.embedding.kept_model import model_file, read_model, write_model
from modal_pretrain.embedding.source import Traceable

INSTALL = 'pip install "modal_pretrain[openvino]"'
# Rows of one request, measured: what a core works on should stay in its cache.
ROWS = 4
# Largest difference to PyTorch in float32, of the largest value, of a good conversion.
_TOLERANCE = 1e-3
_PRECISIONS = {torch.float32: "f32", torch.bfloat16: "bf16"}
_MOST_KEPT = 4  # as many as there are shared backbones
_LOCK = Lock()
# OpenVINO has locks of its own while it compiles: a fork waits until they are free.
_COMPILING = Lock(waits=True)
_NETWORKS: OrderedDict[tuple, Network] = OrderedDict()
# OpenVINO gives the threads of a network that is gone to the next one, also in a forked
# child, where they are missing: until then a small one has them. By their number.
_SPARE: dict[int, list[Any]] = {}


class ConversionError(RuntimeError):
    """A backbone that OpenVINO cannot compute, or computes wrongly."""


@functools.cache
def is_installed() -> bool:
    """Whether OpenVINO can be imported; asked once, and not imported to find out."""
    return "openvino" in sys.modules or importlib.util.find_spec("openvino") is not None


@functools.cache
def version() -> str:
    """Name the engine, for fingerprints."""
    try:
        return f"openvino {importlib.metadata.version('openvino')}"
    except importlib.metadata.PackageNotFoundError:  # on a worker
        return "openvino is not installed"


def supports(dtype: torch.dtype) -> bool:
    """Whether it computes in a precision."""
    return dtype in _PRECISIONS


def network(
    key: str,
    backbone: nn.Module,
    preprocessing: Traceable,
    dtype: torch.dtype,
    folder: Path | None = None,
) -> Network:
    """Return a backbone compiled for this machine: kept, read, or converted.

    Parameters
    ----------
    key : str
        Names backbone, preprocessing and versions.
    backbone : torch.nn.Module
        In evaluation mode, on the CPU.
    preprocessing : Traceable
    dtype : torch.dtype
        torch.float32 or torch.bfloat16.
    folder : Path or None, default=None
        Where the converted network is kept for other processes.

    Returns
    -------
    Network

    Raises
    ------
    ConversionError
        If the backbone cannot be converted or compiled, or gives other embeddings then.
    """
    threads = torch.get_num_threads()
    with _LOCK:
        made = (key, dtype, threads)
        if made not in _NETWORKS:
            model = _model(key, backbone, preprocessing, folder, threads)
            try:
                fresh = Network(model, preprocessing.row_shape, dtype, threads)
            except RuntimeError as error:  # such as instructions that are masked
                raise ConversionError(f"it does not compile ({error})") from error
            _NETWORKS[made] = fresh
        _NETWORKS.move_to_end(made)
        while len(_NETWORKS) > _MOST_KEPT:
            _NETWORKS.popitem(last=False)
        return _NETWORKS[made]


def _model(
    key: str, backbone: nn.Module, preprocessing: Traceable, folder, threads: int
) -> Any:
    file = None if folder is None else model_file(folder, key)
    parts = None if file is None else read_model(file)
    if parts is None:
        try:
            model = _convert(backbone, preprocessing)
            _check(model, backbone, preprocessing, threads)
        except ConversionError:
            raise
        except Exception as error:  # tracing runs any code, OpenVINO has its own
            raise ConversionError(_reason(error)) from error
        parts = _serialised(model)
        if file is not None:
            write_model(file, parts)
    # Always as it was written: a network that was never written rounds otherwise.
    structure, weights = parts
    tensor = _openvino().Tensor(np.frombuffer(weights, np.uint8))
    return _core().read_model(structure, tensor)


def _reason(error: Exception) -> str:
    """Return the line of an error that says most: it may name an operation."""
    lines = [line.strip("- ") for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if re.search(r"(failed for|rule found for)", line)]
    return [*named, *lines, type(error).__name__][0].rstrip(".")


class _Prepared(nn.Module):
    """A backbone with the preparation of its input."""

    def __init__(self, backbone: nn.Module, preprocessing: Traceable) -> None:
        super().__init__()
        self.backbone = backbone
        self.preprocessing = preprocessing

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        output = self.backbone(self.preprocessing.traced(batch))
        return check_embedding(output, self.backbone).float()


def _constant(backbone: nn.Module) -> nn.Module:
    """Return a backbone whose weights can be constants: they require no gradient."""
    trains = {id(p): p.detach() for p in backbone.parameters() if p.requires_grad}
    return copy_of(backbone, trains) if trains else backbone


def _convert(backbone: nn.Module, preprocessing: Traceable) -> Any:
    """Trace a backbone and translate it; weights stay float32."""
    ov = _openvino()
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    example, _ = preprocessing.examples()
    prepared = _Prepared(_constant(backbone), preprocessing).eval()
    with torch.inference_mode(), warnings.catch_warnings():
        # What a trace would fix to the example's values is found by the check.
        warnings.simplefilter("ignore")
        # A function's trace holds weights as constants: half the time of a module's.
        traced = torch.jit.trace(lambda x: prepared(x), example, check_trace=False)
        decoder = TorchScriptPythonDecoder(traced)
    translate = ov.frontend.FrontEndManager().load_by_framework("pytorch")
    model = translate.convert(translate.load(decoder))
    kind = {torch.uint8: ov.Type.u8, torch.int64: ov.Type.i64}
    model.inputs[0].get_node().set_element_type(kind.get(example.dtype, ov.Type.f32))
    rows = [-1, *(-1 if side is None else side for side in preprocessing.row_shape)]
    model.reshape(rows)
    return model


def _check(
    model: Any, backbone: nn.Module, preprocessing: Traceable, threads: int
) -> None:
    """Raise unless a converted backbone gives what PyTorch gives."""
    # With the threads of the network that is kept, which takes them over.
    exact = Network(model, preprocessing.row_shape, torch.float32, threads)
    for example in preprocessing.examples():
        ((_, found),) = exact.blocks([example])
        with torch.inference_mode():
            expected = backbone(preprocessing.prepare(example)).float().numpy()
        if len(found) != len(example):
            raise ConversionError(
                f"converted, it returns {len(found)} rows of {len(example)}"
            )
        difference = np.abs(found - expected).max(initial=0)
        if not difference <= _TOLERANCE * np.abs(expected).max(initial=0):
            raise ConversionError(
                f"converted, it gives other embeddings (largest difference "
                f"{difference:.3g})"
            )


def _serialised(model: Any) -> tuple[bytes, bytes]:
    try:
        with tempfile.TemporaryDirectory() as folder:
            structure, weights = Path(folder, "model.xml"), Path(folder, "model.bin")
            _openvino().serialize(model, str(structure), str(weights))
            return structure.read_bytes(), weights.read_bytes()
    except (OSError, RuntimeError) as error:
        raise ConversionError(
            f"it can't be written to a temporary folder ({_reason(error)}); TMPDIR may "
            "name one that has room for its weights"
        ) from error


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
            row = (opset := _openvino().opset13).parameter([1], np.float32)
            smallest = _openvino().Model([opset.relu(row)], [row], "smallest")
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
        "INFERENCE_PRECISION_HINT": _PRECISIONS[dtype],
        "PERFORMANCE_HINT": "THROUGHPUT",
        "NUM_STREAMS": threads,
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,  # decoding threads use the same cores
    }
    return _core().compile_model(model, "CPU", settings)


def _never_free(of_parent: Any) -> None:
    """Keep what would wait, to be freed, for threads that a forked child lacks.

    Not by a variable: at its end Python frees what these hold.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(of_parent))


def _after_fork() -> None:
    """Begin anew in a forked child, where OpenVINO's threads are missing."""
    if _core.cache_info().currsize:
        _never_free((_core(), *_NETWORKS.values(), *_SPARE.values()))
    _NETWORKS.clear()
    _SPARE.clear()
    _core.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@functools.cache
def _core() -> Any:
    return _openvino().Core()


def _openvino() -> Any:
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
