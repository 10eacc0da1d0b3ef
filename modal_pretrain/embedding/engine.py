"""Which engine a pass over a source computes with; docs/speed.md tells the rule."""

from __future__ import annotations

import threading
import warnings
from typing import TYPE_CHECKING, Literal, cast

import torch
import xxhash

from modal_pretrain._checks import OneOf
from modal_pretrain.backbones.draws import is_sampled
from modal_pretrain.cache.base import RowCache
from modal_pretrain.embedding import openvino
from modal_pretrain.embedding.openvino_network import INSTALL
from modal_pretrain.embedding.source import Preparation, Source, Traceable

if TYPE_CHECKING:
    from modal_pretrain.embedding.encoder import Encoder

Engine = Literal["torch", "openvino"]

ENGINE = OneOf(("auto", "torch", "openvino"))
# By network: what its passes have come to compute with in this process. A fit on a few
# rows of a pool so gets what the pool got, and nothing is converted in vain twice.
_SETTLED: dict[str, Engine] = {}
_RECOMMENDED = threading.Event()


class EngineWarning(UserWarning):
    """Embedding is slower than it could be, and why."""


def check_engine(
    engine: str, device: torch.device, dtype: torch.dtype, compile: bool
) -> str:
    """Return an engine that can compute what is asked for; raise otherwise.

    Parameters
    ----------
    engine : {"auto", "torch", "openvino"}
    device : torch.device
    dtype : torch.dtype
    compile : bool
        Whether `torch.compile` was asked for.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If there is no such engine, or OpenVINO was asked for what it cannot do.
    ImportError
        If OpenVINO was asked for and is not installed.
    """
    ENGINE.check("engine", engine)
    if engine != "openvino":
        return engine
    reason = _against_openvino(device, dtype, compile)
    if reason:
        raise ValueError(f"engine='openvino' {reason}, or take engine='auto'.")
    if not openvino.is_installed():
        raise ImportError(
            "engine='openvino' needs OpenVINO. Install it with "
            f"`{INSTALL}`, or take engine='auto'."
        )
    return engine


def _against_openvino(device: torch.device, dtype: torch.dtype, compile: bool) -> str:
    if device.type != "cpu":
        return f"computes on CPUs, but the device is {device}: pass device='cpu'"
    if not openvino.supports(dtype):
        name = str(dtype).removeprefix("torch.")
        return f"computes in float32 or bfloat16, got precision={name!r}: pass one"
    if compile:
        return "compiles networks itself, got compile=True: pass compile=False"
    return ""


def choose_engine(encoder: Encoder, source: Source, cache: RowCache | None) -> Engine:
    """Choose what a pass computes with.

    Parameters
    ----------
    encoder : Encoder
    source : Source
        All rows of the pass.
    cache : RowCache or None
        Where the pass looks its rows up.

    Returns
    -------
    {"torch", "openvino"}

    Warns
    -----
    EngineWarning
        If the backbone cannot be converted; or if OpenVINO would pay but is not
        installed; once in a process.
    """
    unfit = _against_openvino(encoder.device, encoder.dtype, encoder.compile)
    if encoder.engine == "torch" or unfit or not source.cacheable:
        return "torch"
    if not hasattr(encoder.preprocessing, "traced"):
        return "torch"
    if is_sampled(encoder.backbone):
        return "torch"
    preprocessing = cast(Traceable, encoder.preprocessing)
    n, auto = len(source), encoder.engine == "auto"
    if not openvino.is_installed():
        if preprocessing.takes_long(n) and not _RECOMMENDED.is_set():
            _RECOMMENDED.set()
            _warn(
                "OpenVINO would embed several times faster on this CPU: "
                f"`{INSTALL}`. (This is said once; engine='torch' never does.)"
            )
        return "torch"
    if auto and cache is None and not _SETTLED and not preprocessing.takes_long(n):
        return "torch"  # whatever the weights are, which take time to hash
    key = encoder.network_key()
    settled = _SETTLED.get(key)
    if settled is None:
        keys = encoder.row_keys(source) if cache is not None else []

        def missing(engine: Engine) -> int:
            return n - (cache.holds(encoder.name(engine), keys) if cache else 0)

        if missing("openvino") == 0:
            return "openvino"
        if auto and (not preprocessing.takes_long(n) or missing("torch") == 0):
            return "torch"
        settled = _convert(encoder, key)
    return settled


def preparation(encoder: Encoder, engine: Engine) -> Preparation:
    """Return how an engine's rows are loaded: where it rounds, so may they."""
    if engine == "openvino" and encoder.dtype != torch.float32:
        return cast(Traceable, encoder.preprocessing).quicker()
    return encoder.preprocessing


def choose_afresh() -> None:
    """Have later passes choose by their own rows, whatever was embedded before.

    What cannot be converted is not tried again.
    """
    for key, engine in list(_SETTLED.items()):
        if engine == "openvino":
            _SETTLED.pop(key, None)


def _convert(encoder: Encoder, key: str) -> Engine:
    """Convert a backbone, or say why it stays with PyTorch."""
    settled: Engine = "openvino"
    try:
        encoder.network()
    except openvino.ConversionError as error:
        settled = "torch"
        _warn(
            f"OpenVINO cannot compute the backbone {type(encoder.backbone).__name__}, "
            f"so PyTorch does: {error}. engine='torch' saves the attempt."
        )
    return _SETTLED.setdefault(key, settled)


def _warn(message: str) -> None:
    warnings.warn(message, EngineWarning, stacklevel=2)


def network_key(*parts: str) -> str:
    """Name a converted network by all that it depends on."""
    digest = xxhash.xxh3_128()
    for part in (*parts, openvino.version()):
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()
