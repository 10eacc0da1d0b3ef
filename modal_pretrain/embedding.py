"""Embeddings: a frozen backbone applied to any accepted X, at the hardware's speed."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path
from typing import Any, Literal
from weakref import WeakKeyDictionary

import numpy as np
import PIL
import timm
import torch
import xxhash
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn
from tqdm.auto import tqdm

from modal_pretrain.backbones import (
    DEFAULT_BACKBONE,
    Backbone,
    data_config,
)
from modal_pretrain.batch_size import CPU_BATCH_SIZE, best_batch_size, in_parts
from modal_pretrain.cache import RowCache, memory_cache
from modal_pretrain.disk_cache import disk_cache
from modal_pretrain.fingerprint import fingerprint, is_portable
from modal_pretrain.images import ImageSource, as_images
from modal_pretrain.preprocessing import Preprocessing, load_batches
from modal_pretrain.row_file import write_rows
from modal_pretrain.shards import n_workers, shard_rows, spread
from modal_pretrain.sharing import recipe, share, shared_backbone
from modal_pretrain.tables import TableSource, is_table
from modal_pretrain.texts import TextSource

Source = ImageSource | TableSource | TextSource
Cache = RowCache | str | Path | None

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


def as_source(X: Any, estimator: Any, *, reset: bool = False) -> Source:
    """Validate X: images for any backbone, 2-D tables for a factory's module.

    With `reset` the estimator remembers the columns of a table, else it checks them.
    """
    if callable(estimator.backbone) and is_table(X):
        return TableSource(validate_data(estimator, X, dtype=np.float32, reset=reset))
    return as_images(X)


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


def resolve_cache(cache: Cache) -> RowCache | None:
    """Return the cache that the parameter names; a directory's is shared."""
    if cache is None or isinstance(cache, RowCache):
        return cache
    if isinstance(cache, str) and cache == "memory":
        return memory_cache()
    problem = f"got {cache!r}"
    if isinstance(cache, str | os.PathLike) and str(cache):
        # A misspelt word must not become a directory.
        words = ["memory", "disk", "none"]
        near = difflib.get_close_matches(str(cache).lower(), words, cutoff=0.75)
        named = isinstance(cache, os.PathLike) or os.path.basename(cache) != cache
        if named or not near or os.path.isdir(cache):
            return disk_cache(cache)
        problem += f"; for a directory of that name, write './{cache}'"
    raise ValueError(
        "cache must be 'memory', None or an EmbeddingCache, or a directory for a cache "
        f"on disk, {problem}."
    )


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
        `modal_pretrain.row_file.write_rows`.
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


def iterate(
    source: Source,
    preprocessing: Any,
    batch_size: int,
    n_threads: int | None,
    *,
    pin_memory: bool = False,
) -> Iterator[torch.Tensor]:
    """Yield the source in batches: uint8 pictures, tokens or float32 table rows."""
    if isinstance(source, TextSource):
        return preprocessing.batches(source, batch_size)
    if isinstance(source, TableSource):
        return source.batches(batch_size)
    return load_batches(
        source, preprocessing, batch_size, n_threads, pin_memory=pin_memory
    )


def check_batch_size(value: Any) -> Any:
    """Return a batch size that is a positive int or "auto"; raise otherwise."""
    if isinstance(value, str) and value == "auto":
        return value
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(f"batch_size must be a positive int or 'auto', got {value!r}.")
    return int(value)


def check_embedding(output: Any, backbone: nn.Module) -> torch.Tensor:
    """Return the backbone's output if it is one vector a row, or say what it is."""
    if isinstance(output, torch.Tensor) and output.ndim == 2:
        return output
    came = (
        f"shape {tuple(output.shape)}"
        if isinstance(output, torch.Tensor)
        else f"type {type(output).__name__}"
    )
    raise ValueError(
        f"The backbone {type(backbone).__name__} must return embeddings of shape "
        f"(n, d), got {came}. Pool it to one vector a picture, e.g. with "
        "timm's global_pool='avg'."
    )


class TimmEncoder(TransformerMixin, BaseEstimator):
    """A frozen backbone as a scikit-learn transformer: pictures to embeddings.

    Nothing is learnt in `fit`. Under modAL, put it first in a pipeline and give the
    learner ``on_transformed=True``: strategies then see the embeddings.

    Parameters
    ----------
    backbone : str or callable, default="tf_efficientnet_lite0"
        See `create_backbone`.
    pretrained : bool, str or Path, default=True
        See `create_backbone`.
    image_size : int, (int, int) or None, default=None
        Pixels (or height and width) that pictures are resized and cropped to. None
        takes what the backbone was trained with. Vision transformers are adapted.
    precision : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        What the backbone computes in; "auto" is bfloat16 where the hardware has it.
    device : str, default="auto"
        A torch device; "auto" takes cuda, then mps, then cpu.
    cache : "memory", directory, None, EmbeddingCache or DiskCache, default="memory"
        Where embeddings are kept; "memory" is shared in the process. A directory (str
        or Path) keeps them on disk too, for other processes, see `DiskCache`.
    batch_size : int or "auto", default=64
        Pictures per forward pass. "auto" measures on CUDA what is fastest and fits, and
        is 64 elsewhere. What does not fit into a CUDA device is halved, with a warning.
    n_threads : int or None, default=None
        Threads that decode pictures; None for one per core, at most 8.
    random_state : int, RandomState or None, default=None
        Seed of the random initialisation where ``pretrained=False``.
    compile : bool, default=False
        Whether `torch.compile` goes over the backbone. It takes tens of seconds in
        every process before the first picture is embedded.
    verbose : int, default=0
        From 1 on a progress bar shows for passes longer than 3 seconds.

    Attributes
    ----------
    n_features_out_ : int
        Length d of an embedding.

    Examples
    --------
    >>> import numpy as np
    >>> from modal_pretrain import TimmEncoder
    >>> pictures = np.zeros((2, 64, 64, 3), dtype=np.uint8)
    >>> TimmEncoder(image_size=64).fit_transform(pictures).shape
    (2, 1280)
    """

    def __init__(
        self,
        backbone: Backbone = DEFAULT_BACKBONE,
        *,
        pretrained: bool | str | Path = True,
        image_size: int | tuple[int, int] | None = None,
        precision: str = "auto",
        device: str = "auto",
        cache: Cache = "memory",
        batch_size: int | Literal["auto"] = 64,
        n_threads: int | None = None,
        random_state=None,
        compile: bool = False,
        verbose: int = 0,
    ) -> None:
        self.backbone = backbone
        self.pretrained = pretrained
        self.image_size = image_size
        self.precision = precision
        self.device = device
        self.cache = cache
        self.batch_size = batch_size
        self.n_threads = n_threads
        self.random_state = random_state
        self.compile = compile
        self.verbose = verbose

    def fit(self, X, y=None):
        """Load the backbone; check that X is readable.

        Parameters
        ----------
        X : pictures, see `as_images`
        y : ignored

        Returns
        -------
        self
        """
        source = self._source(X, reset=True)
        rng = check_random_state(self.random_state)
        self.seed_ = int(rng.randint(np.iinfo(np.int32).max))
        probe = self._encoder().compute(source.take(np.arange(1)))
        self.n_features_out_ = probe.shape[1]
        return self

    def transform(self, X) -> np.ndarray:
        """Embed X.

        Parameters
        ----------
        X : pictures, see `as_images`

        Returns
        -------
        numpy.ndarray
            float32 (n, d).

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`, if ``pretrained=False``: `fit` draws the weights.
        """
        check_is_fitted(self)
        return self._encoder().encode(self._source(X))

    def embed_to(self, X, path: str | Path) -> np.memmap:
        """Embed X into a .npy file and open that memory-mapped, for reading.

        For pools whose embeddings do not fit into memory: learners and query strategies
        take the result as it is. A pass that was killed goes on where it ended if it is
        called again with the same X. With ``cache=None`` the rows are kept nowhere
        else.

        Parameters
        ----------
        X : pictures, see `as_images`
        path : str or Path
            Of the file, which is replaced if it exists. Until it is complete it has
            ".part" at the end of its name.

        Returns
        -------
        numpy.memmap
            float32 (n, d).

        Raises
        ------
        RuntimeError
            If another process is writing the same file.
        """
        check_is_fitted(self)
        return self._encoder().encode_to(self._source(X), path)

    def _source(self, X, *, reset: bool = False) -> Source:
        return as_source(X, self, reset=reset)

    def _encoder(self) -> Encoder:
        seed = getattr(self, "seed_", 0)
        device = resolve_device(self.device)
        backbone = shared_backbone(
            self.backbone, self.pretrained, seed, device, self.image_size
        )
        return make_encoder(backbone, self, device)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]  # all others become it
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        # Only a random initialisation is drawn in fit.
        return bool(self.pretrained) or hasattr(self, "seed_")


def make_encoder(backbone: nn.Module, params: Any, device: torch.device) -> Encoder:
    """Build the encoder that an estimator's parameters describe."""
    return Encoder(
        backbone,
        Preprocessing.from_data_config(data_config(backbone), params.image_size),
        device=device,
        dtype=resolve_precision(params.precision, device),
        cache=resolve_cache(params.cache),
        batch_size=params.batch_size,
        n_threads=params.n_threads,
        compile=params.compile,
        verbose=params.verbose,
    )
