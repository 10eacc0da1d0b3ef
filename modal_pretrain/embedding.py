"""Embeddings: a frozen backbone applied to any accepted X, at the hardware's speed."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import timm
import torch
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
from modal_pretrain.cache import RowCache, memory_cache
from modal_pretrain.disk_cache import disk_cache
from modal_pretrain.fingerprint import fingerprint, is_portable
from modal_pretrain.images import ImageSource, as_images
from modal_pretrain.preprocessing import Preprocessing, load_batches
from modal_pretrain.sharing import shared_backbone
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
    batch_size : int
    n_threads : int or None
        Threads that decode pictures; None for one per core, at most 8.
    verbose : int
        From 1 on a progress bar shows for passes that take longer than 3 seconds.
    """

    def __init__(
        self,
        backbone: nn.Module,
        preprocessing: Any,
        *,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        cache: RowCache | None = None,
        batch_size: int = 64,
        n_threads: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.backbone = backbone
        self.preprocessing = preprocessing
        self.device = device
        self.dtype = dtype
        self.cache = cache
        self.batch_size = batch_size
        self.n_threads = n_threads
        self.verbose = verbose

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
            ]
        )

    def encode(self, source: Source) -> np.ndarray:
        """Return float32 embeddings (n, d), from the cache where it has them."""
        if self.cache is None or isinstance(source, TableSource):
            return self._compute(source)  # a table's rows cost less than their hashes
        # Another process may have other code under the name of a class of the user's.
        portable = is_portable(self.backbone)
        cache = self.cache if portable else self.cache.in_process()
        return cache.get(
            self.fingerprint(),
            source.row_keys(),
            lambda missing: self._compute(
                source if len(missing) == len(source) else source.take(missing)
            ),
        )

    def _compute(self, source: Source) -> np.ndarray:
        # Not earlier: modAL's dropout strategies set modes before they call `infer`.
        self.backbone.eval()
        embeddings: np.ndarray | None = None
        progress = tqdm(
            total=len(source),
            desc="Embedding",
            unit=" rows",
            delay=_PROGRESS_AFTER,
            disable=not self.verbose,
            leave=False,
        )
        start = 0
        with progress, torch.inference_mode():
            for batch in iterate(
                source, self.preprocessing, self.batch_size, self.n_threads
            ):
                block = self._forward(self.prepare(batch))
                if embeddings is None:
                    embeddings = np.empty((len(source), block.shape[1]), np.float32)
                embeddings[start : start + len(block)] = block
                start += len(block)
                progress.update(len(block))
        assert embeddings is not None  # sources are never empty
        return embeddings

    def prepare(self, batch: torch.Tensor) -> torch.Tensor:
        """Bring a loaded batch to the device and to the backbone's input range."""
        batch = batch.to(self.device, non_blocking=True)
        if batch.dtype == torch.uint8:
            return self.preprocessing.normalise(batch)
        return batch

    def _forward(self, batch: torch.Tensor) -> np.ndarray:
        output = self._apply(batch, self.dtype)
        block = output.float().cpu().numpy()
        if np.isfinite(block).all():
            return block
        if self.dtype != torch.float32:  # overflow of the reduced precision
            block = self._apply(batch, torch.float32).float().cpu().numpy()
        if not np.isfinite(block).all():
            raise ValueError(
                f"The backbone {type(self.backbone).__name__} returned embeddings "
                "that are NaN or infinite, in float32 too. Are its weights damaged, "
                "or were they trained on another input range?"
            )
        return block

    def _apply(self, batch: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        reduced = dtype != torch.float32
        with torch.autocast(self.device.type, dtype=dtype, enabled=reduced):
            return check_embedding(self.backbone(batch), self.backbone)


def iterate(source: Source, preprocessing: Any, batch_size: int, n_threads):
    """Yield the source in batches: uint8 pictures, tokens or float32 table rows."""
    if isinstance(source, TextSource):
        return preprocessing.batches(source, batch_size)
    if isinstance(source, TableSource):
        return source.batches(batch_size)
    return load_batches(source, preprocessing, batch_size, n_threads=n_threads)


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
    batch_size : int, default=64
        Pictures per forward pass.
    n_threads : int or None, default=None
        Threads that decode pictures; None for one per core, at most 8.
    random_state : int, RandomState or None, default=None
        Seed of the random initialisation where ``pretrained=False``.
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
        batch_size: int = 64,
        n_threads: int | None = None,
        random_state=None,
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
        probe = self._encoder()._compute(source.take(np.arange(1)))
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
        verbose=params.verbose,
    )
