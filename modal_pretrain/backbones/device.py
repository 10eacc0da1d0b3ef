"""Where and in what a backbone computes: devices, precisions, seeded generators."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import threading
from collections.abc import Iterator
from operator import attrgetter

import torch

from modal_pretrain._fork import Lock, is_forked

# Whoever draws from PyTorch's generators holds it, and may take other locks then.
GENERATORS = Lock()
_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
PRECISIONS = ("auto", *_DTYPES)
# What PyTorch says where types do not fit each other.
_ABOUT_TYPES = re.compile("BFloat16|Half|same dtype|scalar type|type .* the same")


def resolve_device(device: str | torch.device) -> torch.device:
    """Return the device that "auto" stands for: cuda, then mps, then cpu.

    Whoever is about to compute asks, so that `one_thread_after_fork` is done here.
    """
    one_thread_after_fork()
    if str(device) != "auto":
        return _named_device(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def _named_device(device: str | torch.device) -> torch.device:
    try:
        named = torch.device(device)
    except (RuntimeError, TypeError, UnicodeError):
        raise ValueError(
            "device must be 'auto' or one of PyTorch's devices, such as 'cpu', "
            f"'cuda', 'cuda:1' or 'mps', got {device!r}."
        ) from None
    known = {"cuda": torch.cuda, "mps": torch.backends.mps}
    if named.type in known and not known[named.type].is_available():
        raise ValueError(
            f"device={device!r}, but PyTorch finds no such device here. device='auto' "
            "takes what there is."
        )
    _check_computes(named)
    return named


@functools.cache
def _check_computes(device: torch.device) -> None:
    # "meta" has no values; others need a build of PyTorch that has them.
    try:
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, NotImplementedError, AssertionError, ImportError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"device={str(device)!r}, but PyTorch can't compute there: {reason} "
            "device='auto' takes what there is."
        ) from None


def resolve_precision(
    precision: str, device: torch.device, *, training: bool = False
) -> torch.dtype:
    """Return the type that the backbone computes in.

    "auto" is bfloat16 where the hardware multiplies it natively (CUDA from compute
    capability 8.0, CPUs with AVX512-BF16 or AMX) and float32 elsewhere: emulated
    bfloat16 is slower than float32. A backbone that trains computes in float32 on
    CPUs, which gain nothing then from less (measured), and in place of float16, whose
    gradients would need scaling.
    """
    if training:
        dtype = resolve_precision(precision, device)
        plain = device.type == "cpu" or dtype == torch.float16
        return torch.float32 if plain else dtype
    if precision == "auto":
        if device.type == "cuda":
            native = torch.cuda.get_device_capability(device) >= (8, 0)
        elif device.type == "cpu":
            native = _cpu_has_bfloat16()
        else:
            native = False
        return torch.bfloat16 if native else torch.float32
    if precision not in _DTYPES:
        raise ValueError(
            f"precision must be 'auto', {', '.join(map(repr, _DTYPES))}, got "
            f"{precision!r}."
        )
    return _DTYPES[precision]


@contextlib.contextmanager
def in_type(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Have networks compute in `dtype`, and say so where one cannot.

    Some make numbers or tensors of float32 on their way, as DeBERTa does, and those of
    tutorials flatten by `view`, which takes no pictures that are channels last.
    """
    with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
        try:
            yield
        except RuntimeError as error:
            if "view size is not compatible" in str(error):
                raise ValueError(
                    "The backbone calls view() on what is channels last in memory, as "
                    "pictures are here. Write x.reshape(...) for x.view(...): it takes "
                    "the same arguments and gives the same values."
                ) from error
            if not _ABOUT_TYPES.search(str(error)):
                raise
            if dtype == torch.float32:
                raise ValueError(
                    "The backbone computes with numbers of several types, but gets "
                    f"float32: {error}. If its weights are of another type, as after "
                    "half() or with torch_dtype='auto', let the factory return "
                    "net.float(); `precision` says what it computes in."
                ) from error
            raise ValueError(
                f"The backbone cannot compute in {str(dtype).split('.')[-1]}: {error}. "
                "Give precision='float32'."
            ) from error


# Where a process says what float32 may be rounded to, and what counts as nothing said.
_ROUNDING: dict[str, dict[str, tuple[str, ...]]] = {
    "cpu": {"mkldnn.matmul": ("none", "ieee"), "mkldnn.conv": ("none", "ieee")},
    "cuda": {"cuda.matmul": ("none", "ieee"), "cudnn.conv": ("tf32",)},
}


def float32_rounding(device: torch.device) -> list[str]:
    """Name the settings by which PyTorch rounds float32 otherwise than it is shipped.

    It has two sets of names for them, and reading the older one is an error once the
    newer one was written to.
    """
    places = _ROUNDING.get(device.type, {})
    try:
        found = {n: attrgetter(f"{n}.fp32_precision")(torch.backends) for n in places}
    except AttributeError:  # before PyTorch 2.9
        precision = torch.get_float32_matmul_precision()
        named = [] if precision == "highest" else [f"matmul {precision}"]
        plain = device.type != "cuda" or torch.backends.cudnn.allow_tf32
        return named if plain else [*named, "cudnn.conv ieee"]
    return [f"{n} {value}" for n, value in found.items() if value not in places[n]]


def _cpu_has_bfloat16() -> bool:
    # Private in PyTorch; a version without them computes in float32.
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, probe, bool)() for probe in probes)


@contextlib.contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Seed PyTorch's generators (None: from entropy) and restore them afterwards.

    New tensors are float32 inside, whatever PyTorch's default type is: the same seed
    gives the same network, and it takes the same inputs.

    One thread at a time: generators and default type are the process's, and what
    another thread draws or restores meanwhile would change what this one draws.
    """
    # Named one by one: fork_rng warns where there are several and none is named.
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    with GENERATORS, torch.random.fork_rng(devices=devices):
        if seed is None:
            torch.seed()
        else:
            torch.manual_seed(seed)
        dtype = torch.get_default_dtype()
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)


def one_thread_after_fork() -> None:
    """Keep PyTorch to one thread in a forked process, as its data loader does.

    The threads that it had are gone there, and it would wait for them for ever. Whoever
    asks for more later is not hindered; where the parent had several, that waits.
    """
    if is_forked():
        _keep_to_one_thread(os.getpid(), threading.get_ident())


@functools.cache  # PyTorch's number is of a process, OpenMP's of a thread
def _keep_to_one_thread(process: int, thread: int) -> None:
    torch.set_num_threads(1)
