"""Embeddings: a frozen backbone applied to any accepted X, at the hardware's speed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from weakref import WeakKeyDictionary

import numpy as np
import PIL
import timm
import torch
import xxhash
from torch import nn
from tqdm.auto import tqdm

from modal_pretrain.backbones.fingerprint import fingerprint, is_portable
from modal_pretrain.backbones.shared import recipe, share
from modal_pretrain.cache.memory import RowCache
from modal_pretrain.embedding.batch_size import (
    CPU_BATCH_SIZE,
    best_batch_size,
    in_parts,
)
from modal_pretrain.embedding.batches import (
    Source,
    check_batch_size,
    check_embedding,
    iterate,
)
from modal_pretrain.embedding.npy_file import write_rows
from modal_pretrain.embedding.table import TableSource
from modal_pretrain.embedding.workers import n_workers, shard_rows, spread

# Part of every fingerprint: others may compute something else from the same weights.
# The number goes up when this package's own preprocessing changes its results.
_VERSIONS = f"1 timm {timm.__version__} torch {torch.__version__} {PIL.__version__}"

_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
_PROGRESS_AFTER = 3.0  # seconds
# What "auto" has measured: batch size by shape of the input and precision.
_BATCH_SIZES: WeakKeyDictionary[nn.Module, dict] = WeakKeyDictionary()


def resolve_device(device: str | torch.device) -> torch.device:
    """Return the device that "auto" stands for: cuda, then mps, then cpu."""
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
    except (RuntimeError, TypeError):
        raise ValueError(
            "device must be 'auto' or one of PyTorch's devices, such as 'cpu', "
            f"'cuda', 'cuda:1' or 'mps', got {device!r}."
        ) from None
    missing = {
        "cuda": not torch.cuda.is_available(),
        "mps": not torch.backends.mps.is_available(),
    }
    if missing.get(named.type, False):
        raise ValueError(
            f"device={device!r}, but PyTorch finds no such device here. device='auto' "
            "takes what there is."
        )
    return named


def resolve_precision(precision: str, device: torch.device) -> torch.dtype:
    """Return the type that the backbone computes in.

    "auto" is bfloat16 where the hardware multiplies it natively (CUDA from compute
    capability 8.0, CPUs with AVX512-BF16 or AMX) and float32 elsewhere: emulated
    bfloat16 is slower than float32.
    """
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


def _cpu_has_bfloat16() -> bool:
    # Private in PyTorch; a version without them computes in float32.
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, probe, bool)() for probe in probes)


class Encoder:
    """A frozen backbone with its preprocessing, precision and cache.

    Parameters
    ----------
    backbone : torch.nn.Module
        On `device`; it is put in evaluation mode when it embeds.
    preprocessing : Preprocessing or Tokenization
        How pictures or texts become the backbone's input.
    device : torch.device
    dtype : torch.dtype
        What the backbone computes in; float32 is exact.
    cache : RowCache or None
        Such as an `EmbeddingCache` or a `DiskCache`.
    batch_size : int or "auto"
        "auto" is measured on CUDA, and 64 elsewhere.
    n_threads : int or None
        Threads that decode pictures; None for one per core, at most 8.
    compile : bool
        Whether `torch.compile` goes over the backbone.
    verbose : int
        From 1 on a progress bar shows for passes that take longer than 3 seconds.

    Notes
    -----
    A pickle is for computing elsewhere: it carries no cache, and in the place of a
    shared backbone how to load it. Others travel with their weights.
    """

    def __init__(
        self,
        backbone: nn.Module,
        preprocessing: Any,
        *,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        cache: RowCache | None = None,
        batch_size: int | Literal["auto"] = 64,
        n_threads: int | None = None,
        compile: bool = False,
        verbose: int = 0,
    ) -> None:
        self.backbone = backbone
        self.preprocessing = preprocessing
        self.device = device
        self.dtype = dtype
        self.cache = cache
        self.batch_size = batch_size
        self.n_threads = n_threads
        self.compile = compile
        self.verbose = verbose
        self._bar: Any = None

    def fingerprint(self) -> str:
        """Name everything that an embedding depends on beside the row itself."""
        return " ".join(
            [
                type(self.backbone).__qualname__,
                fingerprint(self.backbone),
                self.preprocessing.fingerprint(),
                str(self.dtype),
                self.device.type,
                _VERSIONS,
                *(["compiled"] if self.compile else []),
            ]
        )

    def is_portable(self) -> bool:
        """Whether `fingerprint` means the same in every process.

        Another one may have other code under the name of a class of the user's.
        """
        return is_portable(self.backbone)

    def encode(self, source: Source) -> np.ndarray:
        """Return float32 embeddings (n, d), from the cache where it has them."""
        with self._progress(len(source)):
            return self._encode(source, 0)

    def encode_to(self, source: Source, path: str | Path) -> np.memmap:
        """Write float32 embeddings (n, d) to a .npy file; return it memory-mapped.

        Memory holds a block of rows at a time, next to what the cache keeps. See
        `modal_pretrain.embedding.npy_file.write_rows`.
        """
        identity = None
        if self.is_portable() and not isinstance(source, TableSource):
            digest = xxhash.xxh3_128(self.fingerprint().encode())
            digest.update(b"".join(source.row_keys()))
            identity = digest.hexdigest()

        def rows(start: int, stop: int) -> np.ndarray:
            return self._encode(source.take(np.arange(start, stop)), start)

        with self._progress(len(source)):
            return write_rows(path, len(source), rows, identity=identity)

    def _encode(self, source: Source, first: int) -> np.ndarray:
        if self.cache is None or isinstance(source, TableSource):
            self._jump(first)
            return self._spread(source)  # a table's rows cost less than their hashes
        cache = self.cache if self.is_portable() else self.cache.in_process()

        def missing_rows(missing: np.ndarray) -> np.ndarray:
            self._jump(first + int(missing[0]))
            every = len(missing) == len(source)
            return self._spread(source if every else source.take(missing))

        return cache.get(self.fingerprint(), source.row_keys(), missing_rows)

    @contextmanager
    def _progress(self, n: int) -> Iterator[None]:
        """Show one bar for all that is embedded inside."""
        self._bar = tqdm(
            total=n,
            desc="Embedding",
            unit=" rows",
            delay=_PROGRESS_AFTER,
            disable=not self.verbose,
            leave=False,
        )
        try:
            yield
        finally:
            self._bar.close()
            self._bar = None

    def _jump(self, row: int) -> None:
        """Pass over rows that were found, which say nothing about the speed."""
        if self._bar is not None and not self._bar.disable and row > self._bar.n:
            self._bar.initial += row - self._bar.n
            self._bar.update(row - self._bar.n)

    def _spread(self, source: Source) -> np.ndarray:
        """Compute embeddings here, or on the workers that joblib names."""
        workers = 1 if isinstance(source, TableSource) else n_workers()
        if workers == 1:
            return self.compute(source)
        batch_size = check_batch_size(self.batch_size)
        if batch_size == "auto":
            batch_size = CPU_BATCH_SIZE
        size = shard_rows(len(source), workers, batch_size)
        return self._gather(spread(self, source, size), len(source))

    def compute(self, source: Source) -> np.ndarray:
        """Return float32 embeddings (n, d), computed here and now."""
        return self._gather(self._blocks(source), len(source))

    def _gather(self, blocks: Iterable[np.ndarray], n: int) -> np.ndarray:
        embeddings: np.ndarray | None = None
        start = 0
        for block in blocks:
            if embeddings is None:
                embeddings = np.empty((n, block.shape[1]), np.float32)
            embeddings[start : start + len(block)] = block
            start += len(block)
            if self._bar is not None:
                self._bar.update(len(block))
        assert embeddings is not None  # sources are never empty
        return embeddings

    def _blocks(self, source: Source) -> Iterator[np.ndarray]:
        # Not earlier: modAL's dropout strategies set modes before they call `infer`.
        self.backbone.eval()
        with torch.inference_mode():
            batches = iterate(
                source,
                self.preprocessing,
                self._rows_a_batch(source),
                self.n_threads,
                pin_memory=self.device.type == "cuda",
            )
            waiting: tuple[torch.Tensor, torch.Tensor] | None = None
            for batch in batches:
                for launched in in_parts(self.backbone, batch, self._launch):
                    # A device computes this one while the last one is fetched.
                    if waiting is not None:
                        yield self._fetch(*waiting)
                    waiting = launched
            if waiting is not None:
                yield self._fetch(*waiting)

    def _rows_a_batch(self, source: Source) -> int:
        size = check_batch_size(self.batch_size)
        if size != "auto":
            return size
        if self.device.type != "cuda":
            return CPU_BATCH_SIZE
        first = next(iter(iterate(source.take(np.arange(1)), self.preprocessing, 1, 1)))
        key = (tuple(first.shape), self.dtype)
        known = _BATCH_SIZES.setdefault(self.backbone, {})
        if key not in known:

            def run(rows: int) -> None:
                repeated = first.expand(rows, *first.shape[1:])
                self._launch(repeated)
                torch.cuda.synchronize(self.device)

            known[key] = best_batch_size(run)
        return known[key]

    def prepare(self, batch: torch.Tensor) -> torch.Tensor:
        """Bring a loaded batch to the device and to the backbone's input range."""
        batch = batch.to(self.device, non_blocking=True)
        if batch.dtype == torch.uint8:
            return self.preprocessing.normalise(batch)
        return batch

    def _launch(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        inputs = self.prepare(batch)
        return inputs, self._apply(inputs, self.dtype)

    def _fetch(self, inputs: torch.Tensor, output: torch.Tensor) -> np.ndarray:
        block = output.float().cpu().numpy()
        if np.isfinite(block).all():
            return block
        if self.dtype != torch.float32:  # overflow of the reduced precision
            block = self._apply(inputs, torch.float32).float().cpu().numpy()
        if not np.isfinite(block).all():
            raise ValueError(
                f"The backbone {type(self.backbone).__name__} returned embeddings "
                "that are NaN or infinite, in float32 too. Are its weights damaged, "
                "or were they trained on another input range?"
            )
        return block

    def _apply(self, batch: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        network = self._compiled() if self.compile else self.backbone
        reduced = dtype != torch.float32
        with torch.autocast(self.device.type, dtype=dtype, enabled=reduced):
            return check_embedding(network(batch), self.backbone)

    def _compiled(self) -> nn.Module:
        def make() -> Any:
            return torch.compile(self.backbone)

        return share(("compiled", id(self.backbone)), make)

    def __getstate__(self) -> dict[str, Any]:
        # For workers. A shared backbone is loaded once in each of them.
        state = {**self.__dict__, "cache": None, "_bar": None}
        made_by = recipe(self.backbone) if self.is_portable() else None
        if made_by is not None:
            state.update(backbone=None, made_by=made_by)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        made_by = state.pop("made_by", None)
        self.__dict__.update(state)
        if made_by is not None:
            make, args = made_by
            self.backbone = make(*args)
