"""TimmEncoder: a frozen backbone as a scikit-learn transformer."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import nn

from modal_pretrain.backbones.create import (
    DEFAULT_BACKBONE,
    Backbone,
    data_config,
)
from modal_pretrain.backbones.shared import shared_backbone
from modal_pretrain.cache.disk import disk_cache
from modal_pretrain.cache.memory import RowCache, memory_cache
from modal_pretrain.embedding.batches import Source, as_source
from modal_pretrain.embedding.encoder import Encoder, resolve_device, resolve_precision
from modal_pretrain.images.preprocessing import Preprocessing

Cache = RowCache | str | Path | None


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
