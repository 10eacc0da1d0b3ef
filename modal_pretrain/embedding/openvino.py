"""Frozen backbones in OpenVINO, which computes on CPUs several times faster.

This module needs the extra: ``pip install "modal_pretrain[openvino]"``. OpenVINO is
imported when the first network is loaded.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import re
import sys
import tempfile
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from modal_pretrain._fork import Lock
from modal_pretrain.backbones.copies import copy_of
from modal_pretrain.backbones.output import check_embedding
from modal_pretrain.embedding.kept_model import model_file, read_model, write_model
from modal_pretrain.embedding.openvino_network import PRECISIONS, Network, core, library
from modal_pretrain.embedding.source import Traceable

# Largest difference to PyTorch in float32, of the largest value, of a good conversion.
_TOLERANCE = 1e-3
_MOST_KEPT = 4  # as many as there are shared backbones
_LOCK = Lock()
_NETWORKS: OrderedDict[tuple, Network] = OrderedDict()


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
    return dtype in PRECISIONS


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
            if "KeyboardInterrupt" in str(error):  # which came while it asked Python
                raise KeyboardInterrupt from error
            raise ConversionError(_reason(error)) from error
        parts = _serialised(model)
        if file is not None:
            write_model(file, parts)
    # Always as it was written: a network that was never written rounds otherwise.
    structure, weights = parts
    tensor = library().Tensor(np.frombuffer(weights, np.uint8))
    return core().read_model(structure, tensor)


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


def _traced(prepared: nn.Module, example: torch.Tensor) -> Any:
    """Trace as `torch.jit.trace` does a function, whose weights are constants.

    That one keeps all that was ever traced, hence the weights, until the process ends.
    """

    def function(batch: torch.Tensor) -> torch.Tensor:
        return prepared(batch)

    try:
        graph, _ = torch._C._create_graph_by_tracing(
            function, (example,), lambda _: "", True, False
        )
        return torch._C._create_function_from_graph("forward", graph)
    except (AttributeError, TypeError):  # in another version; both are its own
        return torch.jit.trace(function, example, check_trace=False)


def _convert(backbone: nn.Module, preprocessing: Traceable) -> Any:
    """Trace a backbone and translate it; weights stay float32."""
    ov = library()
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    example, _ = preprocessing.examples()
    prepared = _Prepared(_constant(backbone), preprocessing).eval()
    with torch.inference_mode(), warnings.catch_warnings():
        # What a trace would fix to the example's values is found by the check.
        warnings.simplefilter("ignore")
        decoder = TorchScriptPythonDecoder(_traced(prepared, example))
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
            library().serialize(model, str(structure), str(weights))
            return structure.read_bytes(), weights.read_bytes()
    except (OSError, RuntimeError) as error:
        raise ConversionError(
            f"it can't be written to a temporary folder ({_reason(error)}); TMPDIR may "
            "name one that has room for its weights"
        ) from error


if hasattr(os, "register_at_fork"):  # those of the parent lack their threads
    os.register_at_fork(after_in_child=lambda: _NETWORKS.clear())
