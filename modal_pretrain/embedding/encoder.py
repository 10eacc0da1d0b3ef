"""Embeddings: a frozen backbone applied to any accepted X, at the hardware's speed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import PIL
import timm
import torch
import xxhash
from torch import nn

from modal_pretrain.backbones.device import float32_rounding, in_type, resolve_precision
from modal_pretrain.backbones.draws import is_sampled, warning_of_draws
from modal_pretrain.backbones.fingerprint import fingerprint, is_portable
from modal_pretrain.backbones.output import check_embedding, check_rows, check_width
from modal_pretrain.backbones.shared import recipe, share
from modal_pretrain.cache.base import RowCache
from modal_pretrain.cache.resolve import resolve_cache
from modal_pretrain.embedding import openvino
from modal_pretrain.embedding.batch_size import (
    CPU_BATCH_SIZE,
    check_batch_size,
    in_parts,
    measured_batch_size,
)
from modal_pretrain.embedding.engine import (
    Engine,
    check_engine,
    choose_engine,
    network_key,
    preparation,
)
from modal_pretrain.embedding.npy_file import write_rows
from modal_pretrain.embedding.parameters import EncoderParameters
from modal_pretrain.embedding.progress import Progress
from modal_pretrain.embedding.source import Preparation, Source, Traceable, steadily
from modal_pretrain.embedding.workers import n_workers, shard_rows, spread

if TYPE_CHECKING:
    from typing_extensions import Self

# Part of every fingerprint: others may compute something else from the same weights.
# The number goes up when this package's own decoding or preprocessing changes its
# results: tests/embedding/test_results.py keeps the two together.
_VERSIONS = f"3 timm {timm.__version__} torch {torch.__version__} {PIL.__version__}"


class Encoder:
    """A frozen backbone with its preprocessing, precision and cache.

    Parameters
    ----------
    backbone : torch.nn.Module
        On `device`; it is put in evaluation mode when it embeds.
    preprocessing : Preparation
        How the rows of a source become the backbone's input.
    device : torch.device
    dtype : torch.dtype
        What the backbone computes in; float32 is exact.
    cache : RowCache or None
        Such as an `EmbeddingCache` or a `DiskCache`.
    batch_size : int or "auto"
        "auto" is measured on CUDA, and 64 elsewhere.
    n_threads : int or None
        Threads that load rows, for sources that load with threads.
    compile : bool
        Whether `torch.compile` goes over the backbone.
    engine : {"auto", "torch", "openvino"}
        What computes a frozen backbone, see docs/speed.md.
    verbose : int
        From 1 on a progress bar shows for passes that take longer than 3 seconds.

    Notes
    -----
    A pickle is for computing elsewhere: it carries no cache, and in the place of a
    shared backbone how to `load` it. Others travel with their weights.
    """

    def __init__(
        self,
        backbone: nn.Module,
        preprocessing: Preparation,
        *,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        cache: RowCache | None = None,
        batch_size: int | Literal["auto"] = 64,
        n_threads: int | None = None,
        compile: bool = False,
        engine: str = "torch",
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
        self.engine = check_engine(engine, device, dtype, compile)
        self.verbose = verbose
        self._bar: Progress | None = None
        # Of the pass that goes on.
        self._chosen: Engine | None = None
        self._weights: str | None = None  # "" until somebody asks
        self._hashed: tuple[Source, list[bytes]] | None = None
        self._folder: Path | None = None

    @classmethod
    def of(
        cls,
        backbone: nn.Module,
        preprocessing: Preparation,
        params: EncoderParameters,
        device: torch.device,
        **settings: Any,
    ) -> Self:
        """Build the encoder that an estimator's parameters describe.

        Parameters
        ----------
        backbone, preprocessing, device
            See the class.
        params : EncoderParameters
            The estimator, say.
        **settings
            Further parameters of the class.

        Returns
        -------
        Encoder
        """
        return cls(
            backbone,
            preprocessing,
            device=device,
            dtype=resolve_precision(params.precision, device),
            cache=resolve_cache(params.cache),
            batch_size=params.batch_size,
            verbose=params.verbose,
            **settings,
        )

    def fingerprint(self) -> str:
        """Name everything that an embedding depends on beside the row itself."""
        return self.name(self._chosen or "torch")

    def name(self, engine: Engine) -> str:
        """Return the `fingerprint` of what an engine computes."""
        parts = [
            type(self.backbone).__qualname__,
            self._weights_fingerprint(),
            preparation(self, engine).fingerprint(),
            str(self.dtype),
            self.device.type,
            _VERSIONS,
        ]
        # Settings of the process that let PyTorch round what is called float32.
        if (engine, self.dtype) == ("torch", torch.float32):
            parts += float32_rounding(self.device)
        parts += ["compiled"] if self.compile else []
        parts += [openvino.version()] if engine == "openvino" else []
        return " ".join(parts)

    def _weights_fingerprint(self) -> str:
        """Return the backbone's fingerprint, hashed at most once a pass."""
        weights = self._weights or fingerprint(self.backbone)
        if self._weights is not None:
            self._weights = weights
        return weights

    def is_portable(self) -> bool:
        """Whether `fingerprint` means the same in every process.

        Another one may have other code under the name of a class of the user's.
        """
        return is_portable(self.backbone)

    def encode(self, source: Source) -> np.ndarray:
        """Return float32 embeddings (n, d), from the cache where it has them."""
        with self.one_pass(source) as cache, self._progress(len(source)):
            return self._encode(source, 0, cache)

    def encode_to(self, source: Source, path: str | Path) -> np.memmap:
        """Write float32 embeddings (n, d) to a .npy file; return it memory-mapped.

        Memory holds a block of rows at a time, next to what the cache keeps. See
        `modal_pretrain.embedding.npy_file.write_rows`.
        """

        def rows(start: int, stop: int) -> np.ndarray:
            return self._encode(source.take(np.arange(start, stop)), start, cache)

        with self.one_pass(source) as cache, self._progress(len(source)):
            identity = None
            if self.is_portable() and source.cacheable:
                digest = xxhash.xxh3_128(self.fingerprint().encode())
                digest.update(b"".join(self.row_keys(source)))
                identity = digest.hexdigest()
            return write_rows(path, len(source), rows, identity=identity)

    @contextmanager
    def one_pass(self, source: Source) -> Iterator[RowCache | None]:
        """Compute with one engine, chosen for these rows; yield where they are kept."""
        cache = self._row_cache(source)
        if self._chosen is not None:  # a worker's task is part of a pass that has
            yield cache
            return
        try:
            self._weights = ""
            self._chosen = choose_engine(self, source, cache)
            yield cache
        finally:
            self._chosen = self._weights = self._hashed = None

    def row_keys(self, source: Source) -> list[bytes]:
        """Return the keys of a source's rows, hashed once a pass."""
        if self._hashed is None or self._hashed[0] is not source:
            self._hashed = (source, source.row_keys())
        return self._hashed[1]

    def _row_cache(self, source: Source) -> RowCache | None:
        """Return where rows are looked up, if they are."""
        if self.cache is None or not source.cacheable or is_sampled(self.backbone):
            return None
        here = self.cache.in_process()
        return self.cache if self.cache is here or self.is_portable() else here

    def _encode(self, source: Source, first: int, cache: RowCache | None) -> np.ndarray:
        if cache is None:
            self._jump(first)
            return self._spread(source)

        def fresh_rows(missing: np.ndarray) -> np.ndarray:
            self._jump(first + missing)
            part = source if len(missing) == len(source) else source.take(missing)
            return steadily(self._spread, part, [keys[i] for i in missing])

        return cache.get(self.fingerprint(), keys := self.row_keys(source), fresh_rows)

    @contextmanager
    def _progress(self, n: int) -> Iterator[None]:
        """Show one bar for all that is embedded inside."""
        self._bar = Progress(n, shown=bool(self.verbose))
        try:
            yield
        finally:
            self._bar.close()
            self._bar = None

    def _jump(self, rows: int | np.ndarray) -> None:
        if self._bar is not None:
            self._bar.jump(rows)

    def _spread(self, source: Source) -> np.ndarray:
        """Compute embeddings here, or on the workers that joblib names."""
        here = not source.cacheable or is_sampled(self.backbone)  # by this thread
        if here or (workers := n_workers()) == 1:
            return self.compute(source)
        batch_size = check_batch_size(self.batch_size)
        if batch_size == "auto":
            batch_size = CPU_BATCH_SIZE
        size = shard_rows(len(source), workers, batch_size)
        return self._gather(spread(self, source, size), len(source))

    def compute(self, source: Source) -> np.ndarray:
        """Return float32 embeddings (n, d), computed here and now."""
        with self.one_pass(source):
            return self._gather(self._blocks(source), len(source))

    def _gather(self, blocks: Iterable[np.ndarray], n: int) -> np.ndarray:
        embeddings = np.empty((n, 0), np.float32)
        start = 0
        for block in blocks:
            if not start:
                embeddings = np.empty((n, block.shape[1]), np.float32)
            check_width(block.shape[1], embeddings.shape[1], self.backbone)
            embeddings[start : start + len(block)] = block[: n - start]
            start += len(block)
            if self._bar is not None:
                self._bar.advance(len(block))
        check_rows(start, n, self.backbone)
        return embeddings

    def _blocks(self, source: Source) -> Iterator[np.ndarray]:
        # Not earlier: modAL's dropout strategies set modes before they call `infer`.
        self.backbone.eval()
        batches = source.batches(
            preparation(self, self._chosen or "torch"),
            self._rows_a_batch(source),
            self.n_threads,
            pin_memory=self.device.type == "cuda",
        )
        with torch.no_grad():  # what a network keeps of a pass may train later
            if self._chosen == "openvino":
                for batch, block in self.network().blocks(batches):
                    yield self._finite(block, batch)
            else:
                yield from self._by_torch(batches)

    def _by_torch(self, batches: Iterator[torch.Tensor]) -> Iterator[np.ndarray]:
        waiting: tuple[torch.Tensor, torch.Tensor] | None = None
        parts = (in_parts(self.backbone, batch, self._launch) for batch in batches)
        for launched in warning_of_draws(parts, self._apply, self.dtype, self.backbone):
            # A device computes this one while the last one is fetched.
            if waiting is not None:
                yield self._fetch(*waiting)
            waiting = launched
        if waiting is not None:
            yield self._fetch(*waiting)

    def network(self) -> openvino.Network:
        """Return the backbone as OpenVINO computes it, see `openvino.network`."""
        self.backbone.eval()
        args = self.backbone, cast(Traceable, self.preprocessing), self.dtype
        return openvino.network(self.network_key(), *args, self._networks_folder())

    def network_key(self) -> str:
        """Name the backbone as OpenVINO computes it, in any precision."""
        inputs = self.preprocessing.fingerprint()
        return network_key(self._weights_fingerprint(), inputs, _VERSIONS)

    def _networks_folder(self) -> Path | None:
        if self.cache is not None and self.is_portable():
            return self.cache.folder
        return self._folder

    def _rows_a_batch(self, source: Source) -> int:
        size = check_batch_size(self.batch_size)
        if size != "auto":
            return size
        if self.device.type != "cuda":
            return CPU_BATCH_SIZE
        first = next(iter(source.take(np.arange(1)).batches(self.preprocessing, 1, 1)))

        def run(rows: int) -> None:
            self._launch(first.expand(rows, *first.shape[1:]))
            torch.cuda.synchronize(self.device)

        return measured_batch_size(self.backbone, first.shape, self.dtype, run)

    def prepare(self, batch: torch.Tensor) -> torch.Tensor:
        """Bring a loaded batch to the device and to the backbone's input range."""
        return self.preprocessing.prepare(batch.to(self.device, non_blocking=True))

    def _launch(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        inputs = self.prepare(batch)
        return inputs, self._apply(inputs, self.dtype)

    def _fetch(self, inputs: torch.Tensor, output: torch.Tensor) -> np.ndarray:
        return self._finite(output.float().cpu().numpy(), inputs, prepared=True)

    def _finite(
        self, block: np.ndarray, batch: torch.Tensor, *, prepared: bool = False
    ) -> np.ndarray:
        """Return a block of embeddings, computed again where it has overflowed."""
        if np.isfinite(block).all():
            return block
        if self.dtype != torch.float32:  # overflow of the reduced precision
            inputs = batch if prepared else self.prepare(batch)
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
        with in_type(self.device, dtype):
            return check_embedding(network(batch), self.backbone, len(batch))

    def _compiled(self) -> nn.Module:
        network, key = self.backbone, ("compiled", id(self.backbone))
        return share(key, lambda: cast(nn.Module, torch.compile(network)))

    def __getstate__(self) -> dict[str, Any]:
        # For workers. A shared backbone is loaded once in each of them.
        state = self.__dict__ | dict.fromkeys(("cache", "_bar", "_weights", "_hashed"))
        if "made_by" in state:  # pickled again before it was loaded
            return state
        state["_folder"] = self._networks_folder()
        made_by = recipe(self.backbone) if self.is_portable() else None
        if made_by is not None:
            state.update(backbone=None, made_by=made_by)
        return state

    def load(self) -> None:
        """Load what a pickle names: if reading it failed, dask would wait for ever."""
        if "made_by" in self.__dict__:
            make, args = self.__dict__.pop("made_by")
            self.backbone = make(*args)
