"""TimmEncoder: a frozen backbone as a scikit-learn transformer."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from modal_pretrain.backbones.create import DEFAULT_BACKBONE, Backbone
from modal_pretrain.cache.resolve import Cache
from modal_pretrain.images.modality import PICTURES
from modal_pretrain.transformer import BaseTransformer


class TimmEncoder(BaseTransformer):
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
        Pixels (or height and width) that pictures are resized to cover and cropped to,
        without a margin. None is the backbone's own way: the size it was trained with
        and its crop. Vision transformers are adapted.
    scaled_decoding : bool, default=True
        Whether JPEG files of 256 KiB or more are decoded at a half, a quarter or an
        eighth of their size, down to three times what they are resized to. Large
        photographs load several times faster; embeddings change by at most about as
        much as bfloat16 changes them. False decodes all files whole.
    precision : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        What the backbone computes in; "auto" is bfloat16 where the hardware has it.
    device : str, default="auto"
        A torch device; "auto" takes cuda, then mps, then cpu.
    engine : {"auto", "torch", "openvino"}, default="auto"
        What computes a frozen backbone. "auto" takes OpenVINO (extra `openvino`) on a
        CPU where the pass is long enough to pay for converting the network, and
        PyTorch otherwise. Nothing that one has computed is served as the other's.
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

    modality = PICTURES

    def __init__(
        self,
        backbone: Backbone = DEFAULT_BACKBONE,
        *,
        pretrained: bool | str | Path = True,
        image_size: int | tuple[int, int] | None = None,
        scaled_decoding: bool = True,
        precision: str = "auto",
        device: str = "auto",
        engine: str = "auto",
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
        self.scaled_decoding = scaled_decoding
        self.precision = precision
        self.device = device
        self.engine = engine
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
        X : pictures (or a table), see `PretrainedClassifier`
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
        X : pictures (or a table), see `PretrainedClassifier`

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
        X : pictures (or a table), see `PretrainedClassifier`
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
