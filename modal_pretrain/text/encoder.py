"""TextEncoder: a frozen encoder of text as a scikit-learn transformer.

This module needs the extra: ``pip install "modal_pretrain[text]"``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from modal_pretrain.cache.resolve import Cache
from modal_pretrain.text.backbone import TextModel
from modal_pretrain.text.hugging_face import DEFAULT_TEXT_BACKBONE
from modal_pretrain.text.modality import TEXTS
from modal_pretrain.transformer import BaseTransformer


class TextEncoder(BaseTransformer):
    """A frozen encoder of text as a scikit-learn transformer: texts to embeddings.

    Nothing is learnt in `fit`. Under modAL, put it first in a pipeline and give the
    learner ``on_transformed=True``: strategies then see the embeddings.

    Parameters
    ----------
    backbone : str, Path or callable, default="all-MiniLM-L6-v2"
        See `create_text_backbone`.
    pretrained : bool, str or Path, default=True
        See `create_text_backbone`.
    pooling : {"mean", "cls", "last"} or None, default=None
        The embedding of a text: the mean over its tokens, its first token's, or its
        last's. None takes what a model of sentence-transformers states, and "mean" for
        all others.
    max_length : int or None, default=None
        Tokens of a text that are read; None takes what the model was made for.
    precision : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        What the backbone computes in; "auto" is bfloat16 where the hardware has it.
    device : str, default="auto"
        A torch device; "auto" takes cuda, then mps, then cpu.
    engine : {"auto", "torch", "openvino"}, default="auto"
        What computes a frozen backbone. "auto" takes OpenVINO (extra `openvino`) on a
        CPU where the pass is long enough to pay for converting the network, and
        PyTorch otherwise. Nothing that one has computed is served as the other's.
    cache : "memory", directory, None, EmbeddingCache or DiskCache, default="memory"
        Where embeddings are kept, as in `TimmEncoder`.
    batch_size : int, default=64
        Texts per forward pass.
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
    >>> from modal_pretrain import TextEncoder
    >>> TextEncoder().fit_transform(["a wonderful film", "a dull film"]).shape
    (2, 384)
    """

    modality = TEXTS

    def __init__(
        self,
        backbone: TextModel = DEFAULT_TEXT_BACKBONE,
        *,
        pretrained: bool | str | Path = True,
        pooling: str | None = None,
        max_length: int | None = None,
        precision: str = "auto",
        device: str = "auto",
        engine: str = "auto",
        cache: Cache = "memory",
        batch_size: int = 64,
        random_state=None,
        verbose: int = 0,
    ) -> None:
        self.backbone = backbone
        self.pretrained = pretrained
        self.pooling = pooling
        self.max_length = max_length
        self.precision = precision
        self.device = device
        self.engine = engine
        self.cache = cache
        self.batch_size = batch_size
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X, y=None):
        """Load the backbone; check that X is readable.

        Parameters
        ----------
        X : texts, see `PretrainedTextClassifier`
        y : ignored

        Returns
        -------
        self
        """
        return super().fit(X, y)

    def transform(self, X) -> np.ndarray:
        """Embed X.

        Parameters
        ----------
        X : texts, see `PretrainedTextClassifier`

        Returns
        -------
        numpy.ndarray
            float32 (n, d).

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`, if ``pretrained=False``: `fit` draws the weights.
        ValueError
            If a parameter that embeddings depend on, or the weights (another file under
            the same path, say), are others than at the fit.
        """
        return super().transform(X)

    def embed_to(self, X, path: str | Path) -> np.memmap:
        """Embed X into a .npy file and open that memory-mapped, for reading.

        For pools whose embeddings do not fit into memory: learners and query strategies
        take the result as it is. A pass that was killed goes on after its last whole
        block of 8,192 rows if it is called again with the same X and settings (not for
        tables, and networks with code of your own). With ``cache=None`` the rows are
        kept nowhere else.

        Parameters
        ----------
        X : texts, see `PretrainedTextClassifier`
        path : str or Path
            Of the file; an array that is there is replaced. Until it is complete it has
            ".part" at the end of its name.

        Returns
        -------
        numpy.memmap
            float32 (n, d).

        Raises
        ------
        RuntimeError
            If another process is writing the same file.
        ValueError
            If `path` is that of a file of another kind, which would be lost.
        """
        return super().embed_to(X, path)
