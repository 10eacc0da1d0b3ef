"""PretrainedClassifier: a pretrained backbone as a scikit-learn classifier."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from skorch.dataset import Dataset
from torch import nn

from modal_pretrain.backbones.create import DEFAULT_BACKBONE, Backbone
from modal_pretrain.cache.resolve import Cache
from modal_pretrain.images.modality import PICTURES
from modal_pretrain.training.base import BaseClassifier
from modal_pretrain.training.examples import BatchLoader
from modal_pretrain.training.network import PretrainedNetwork, Tune


class PretrainedClassifier(BaseClassifier):
    """A pretrained (or randomly initialised) backbone as a classifier.

    It is a skorch net with a scikit-learn face: modAL's learners and query
    strategies drive it, and so do clone, pipelines, grid search, pickle and skorch's
    callbacks. With ``tune="head"`` the backbone is frozen, every picture is embedded
    once per process, and a fit is a regularised logistic regression on cached
    embeddings. With ``tune="all"`` all weights train, as in the paper [1]_.

    Parameters
    ----------
    backbone : str or callable, default="tf_efficientnet_lite0"
        A timm model name, "hf-hub:owner/model", or a factory that returns a module.
        The default's ImageNet weights come as a package, so no download is needed.
    pretrained : bool, str or Path, default=True
        True for pretrained weights, False for a random initialisation, or the path
        of a checkpoint. See `create_backbone`.
    tune : {"head", "all"} or int, default="head"
        What trains: the head on a frozen backbone, everything, or the head and that
        many last stages of the backbone.
    classes : array-like or None, default=None
        All labels there are, so that a training set may lack some. None takes those
        of the training set. Kept in sorted order.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes in the loss, as in scikit-learn.
    C : float, default=0.005
        Inverse strength of a frozen backbone's head's L2 penalty, as in scikit-learn's
        LogisticRegression: ``|W|^2 / 2 + C * sum of the cross-entropies``. Two classes
        have two columns: scikit-learn's equivalent is twice this C. Embeddings are
        centred and divided by ``sqrt((n * var + 10 * var.mean()) / (n + 10))`` first.
    error_weighting : float, default=0.0
        How much more a labelled row weighs that heads trained on the others get wrong:
        ``exp(-error_weighting * p)``, with p the out-of-fold probability of its label,
        and all classes of equal mass (AFR [2]_; try 2). So the head learns from the
        exceptions that selection found instead of drowning them among the typical rows.
        See `modal_pretrain.reweighting.error_weights`. 0 is off; with tags it means 2.
    group_balance : float, default=1.0
        How far tags (``ignore``) move what rows weigh: 0 is the head without tags, 1
        best for the worst group, between them accuracy on all rows counts as well.
    augment : bool, "crop-flip" or callable, default=False
        What training does to pictures at random where the backbone trains; scoring
        never does. "crop-flip", or True, is the paper's: resized with a margin (to
        16/15 of the size), cropped at a random place, and half of them flipped
        horizontally. A callable gets one picture as the backbone would see it, a uint8
        tensor (3, h, w), and returns one like it, as torchvision's v2 transforms do;
        what it draws from PyTorch's generator depends on `random_state` alone.
    image_size : int, (int, int) or None, default=None
        Pixels (or height and width) that pictures are resized to cover and cropped to,
        without a margin. None is the backbone's own way: the size it was trained with
        (224 for the default) and its crop. Small sizes are much faster and see less:
        `modal_pretrain.comparison.compare` measures both. Transformers are adapted.
    scaled_decoding : bool, default=True
        Whether JPEG files of 256 KiB or more are decoded at a half, a quarter or an
        eighth of their size, down to three times what they are resized to. Large
        photographs load several times faster; embeddings change by at most about as
        much as bfloat16 changes them. False decodes all files whole.
    precision : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        What a backbone computes in when it embeds or predicts; "auto" is bfloat16
        where the hardware has it. CPUs train in float32.
    device : str, default="auto"
        A torch device; "auto" takes cuda, then mps, then cpu.
    engine : {"auto", "torch", "openvino"}, default="auto"
        What computes a frozen backbone. "auto" takes OpenVINO (extra `openvino`) on a
        CPU where the pass is long enough to pay for converting the network, and
        PyTorch otherwise. Nothing that one has computed is served as the other's.
        Of a backbone that trains, it is the engine of the frozen stages; the others
        stay with PyTorch.
    cache : "memory", directory, None, EmbeddingCache or DiskCache, default="memory"
        Where the embeddings of a frozen backbone are kept; "memory" is shared by
        all estimators of the process. A directory (str or Path) keeps them on disk
        too, for other processes, see `DiskCache`.
    random_state : int, RandomState or None, default=None
        Seed of the random initialisation, the shuffling and the dropout. Two fits on
        the same data agree if it is an int. None draws a seed at the first fit,
        which the later fits of this estimator use too. It changes nothing where
        nothing is random: a head without dropout on a pretrained, frozen backbone has
        one solution, so a committee needs other differences, such as bootstraps.
    optimizer, lr, max_epochs : default="auto"
        As in skorch. "auto" is, for a frozen backbone, L-BFGS to convergence in one
        epoch (with ``module__dropout > 0``, which L-BFGS cannot follow: 100 epochs of
        Adam at 0.01), else the paper's: SGD at 0.003 with momentum 0.9, `WarmupDecay`
        (or an LRScheduler of `callbacks`), for `max_steps`, or over given `max_epochs`.
    max_steps : int, default=500
        Optimiser steps of a fit with "auto" `max_epochs` where the backbone trains,
        rounded up to whole epochs.
    stop_loss : float or None, default=0.001
        Training stops once an epoch's loss is below this share of the first epoch's.
    batch_size : int, default=32
        Pictures per training step, -1 for all at once. Embedding uses twice as many.
    n_threads : int or None, default=None
        Threads that decode pictures; None for one per core, at most 8.
    verbose : int, default=0
        1 shows a progress bar where embedding takes more than 3 seconds; 2 also
        skorch's table of epochs.
    module, criterion, iterator_train, iterator_valid, dataset, train_split, \
callbacks, predict_nonlinearity, warm_start, compile, use_caching, torch_load_kwargs
        As in skorch (a warm start is a `partial_fit`) but with defaults for few labels:
        no validation split, cross-entropy on logits, softmax for any criterion's.
    **kwargs
        skorch's: ``module__dropout``, ``optimizer__momentum``, and so on.

    Attributes
    ----------
    classes_ : numpy.ndarray of shape (n_classes,)
        Labels in the order of `predict_proba`'s columns.
    module_ : PretrainedNetwork
        The network: ``backbone``, then ``(embedding - mean) * scale``, then ``head``.
        Change a ``copy.deepcopy`` of it: estimators share a frozen backbone.
    history_ : skorch.history.History
        Losses and times by epoch.
    weighting_ : str
        What labelled rows were weighed by beside ``sample_weight`` and `class_weight`:
        "nothing", "errors" or "tags and errors".
    n_features_in_ : int
        Columns of X, where X is a table.

    Notes
    -----
    X may be a uint8 array (n, h, w, 3); a float array (n, 3, h, w) in [0, 1]; an array
    or list of image paths; a list of PIL images; tensors of the same kinds; and, where
    the backbone is a factory of a network for tables, an array (n, features).

    References
    ----------
    .. [1] Tamkin et al., "Active Learning Helps Pretrained Models Learn the Intended
       Task", NeurIPS 2022, arXiv:2204.08491.
    .. [2] Qiu et al., "Simple and fast group robustness by automatic feature
       reweighting", ICML 2023, arXiv:2306.11074.

    Examples
    --------
    >>> import numpy as np
    >>> from modal_pretrain import PretrainedClassifier
    >>> rng = np.random.default_rng(0)
    >>> dark = rng.integers(0, 99, (4, 64, 64, 3), dtype=np.uint8)
    >>> X = np.concatenate([dark, 255 - dark])
    >>> y = ["night"] * 4 + ["day"] * 4
    >>> classifier = PretrainedClassifier(image_size=64).fit(X, y)
    >>> classifier.predict(X[[0, -1]])
    array(['night', 'day'], dtype='<U5')
    """

    modality = PICTURES

    def __init__(
        self,
        backbone: Backbone = DEFAULT_BACKBONE,
        *,
        pretrained: bool | str | Path = True,
        tune: Tune = "head",
        classes=None,
        class_weight=None,
        C: float = 0.005,
        error_weighting: float = 0.0,
        group_balance: float = 1.0,
        augment: bool | str | Callable = False,
        image_size: int | tuple[int, int] | None = None,
        scaled_decoding: bool = True,
        precision: str = "auto",
        device: str = "auto",
        engine: str = "auto",
        cache: Cache = "memory",
        random_state=None,
        optimizer="auto",
        lr="auto",
        max_epochs="auto",
        max_steps: int = 500,
        stop_loss: float | None = 0.001,
        batch_size: int = 32,
        n_threads: int | None = None,
        verbose: int = 0,
        module=PretrainedNetwork,
        criterion=nn.CrossEntropyLoss,
        iterator_train=BatchLoader,
        iterator_valid=BatchLoader,
        dataset=Dataset,
        train_split=None,
        callbacks=None,
        predict_nonlinearity="auto",
        warm_start: bool = False,
        compile: bool = False,
        use_caching="auto",
        torch_load_kwargs=None,
        **kwargs,
    ) -> None:
        super().__init__(
            backbone,
            pretrained=pretrained,
            tune=tune,
            classes=classes,
            class_weight=class_weight,
            C=C,
            error_weighting=error_weighting,
            group_balance=group_balance,
            precision=precision,
            device=device,
            cache=cache,
            random_state=random_state,
            optimizer=optimizer,
            lr=lr,
            max_epochs=max_epochs,
            max_steps=max_steps,
            stop_loss=stop_loss,
            batch_size=batch_size,
            verbose=verbose,
            module=module,
            criterion=criterion,
            iterator_train=iterator_train,
            iterator_valid=iterator_valid,
            dataset=dataset,
            train_split=train_split,
            callbacks=callbacks,
            predict_nonlinearity=predict_nonlinearity,
            warm_start=warm_start,
            compile=compile,
            use_caching=use_caching,
            torch_load_kwargs=torch_load_kwargs,
            **kwargs,
        )
        self.augment = augment
        self.image_size = image_size
        self.scaled_decoding = scaled_decoding
        self.n_threads = n_threads
        self.engine = engine

    def fit(self, X, y, sample_weight=None, ignore=None, **fit_params):
        """Train from the initial weights.

        A fit is all or nothing: if it raises (Ctrl-C counts), the estimator is what it
        was before, unfitted or predicting as it did.

        Parameters
        ----------
        X : pictures (or a table), length n, see the class
        y : array-like of shape (n,)
            Labels in the order of X: integers, strings or booleans.
        sample_weight : array-like of shape (n,), number or None
            What each row weighs in the loss, finite and at least 0, as in scikit-learn.
            With a frozen backbone a row of weight k is k copies (tags count by rows).
        ignore : array-like of shape (n,) or (n, k), or None
            Tags: the value of an attribute that has nothing to do with the class (the
            place, the hospital), or of several, for each row. Strings, whole numbers
            or truth values; None or NaN where nobody said. Where they mislead about
            the class, classes weigh alike, in each its tags, rows of a tag by errors
            (by 2 if `error_weighting` is 0), and the head of a frozen backbone, no
            other, has a stronger penalty. See `modal_pretrain.reweighting.tag_weights`.
        **fit_params
            For the module's forward, as in skorch.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If a parameter does not exist or fit, if X, y or the weights are not
            readable, or y has labels that are not in `classes`.
        BackboneWeightsError
            If pretrained weights were asked for and cannot be had.
        """
        return super().fit(X, y, sample_weight, ignore, **fit_params)

    def partial_fit(
        self, X, y=None, classes=None, sample_weight=None, ignore=None, **fit_params
    ):
        """Train on from the present weights; all or nothing, as `fit`.

        With a frozen backbone the L2 penalty pulls to the present head, not to zero,
        so what was learnt before is kept as far as the new labels allow.

        Parameters
        ----------
        X : pictures (or a table), length n, see the class
        y : array-like of shape (n,)
        classes : array-like or None
            All labels there are, for the first call where the parameter `classes` is
            None, as in scikit-learn.
        sample_weight, ignore
            See `fit`.
        **fit_params
            For the module's forward, as in skorch.

        Returns
        -------
        self
        """
        return super().partial_fit(X, y, classes, sample_weight, ignore, **fit_params)

    def tag(self, X, ignore):
        """Remember what may be ignored about rows, for every later fit that has them.

        The tags stay with the rows' content (of files, too, which may be moved or
        touched), whatever fit gets them in which order: under modAL
        ``learner.estimator.tag(X, ignore)``, then ``learner.teach(X, y)``. What `fit`
        gets as ``ignore`` goes first; of equal rows the last tag counts. Clones start
        without.

        Parameters
        ----------
        X : pictures (or a table), length n, see the class
        ignore : array-like of shape (n,) or (n, k)
            See `fit`. None forgets the tag of a row.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If lengths differ, tags of an attribute are of several kinds, or of another
            number of attributes than before.
        """
        return super().tag(X, ignore)

    def predict_proba(self, X) -> np.ndarray:
        """Return class probabilities.

        Parameters
        ----------
        X : pictures (or a table), length n, see the class

        Returns
        -------
        numpy.ndarray
            float64 (n, n_classes), rows sum to one, columns as in `classes_`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before the first fit.
        ValueError
            If a parameter that the fit depends on is another now.
        """
        return super().predict_proba(X)

    def predict(self, X) -> np.ndarray:
        """Return the most probable label of each row.

        Parameters
        ----------
        X : pictures (or a table), length n, see the class

        Returns
        -------
        numpy.ndarray
            (n,), of the type of the labels.
        """
        return super().predict(X)

    def embed(self, X) -> np.ndarray:
        """Return the backbone's embeddings, from the cache where it is frozen.

        Before `fit` too, with the initial weights; not if its parameters changed since.

        Parameters
        ----------
        X : pictures (or a table), length n, see the class

        Returns
        -------
        numpy.ndarray
            float32 (n, d).
        """
        return super().embed(X)

    def embed_to(self, X, path: str | Path) -> np.memmap:
        """Embed X into a .npy file, for pools that do not fit into memory.

        Parameters
        ----------
        X : pictures (or a table), length n, see the class
        path : str or Path

        Returns
        -------
        numpy.memmap
            float32 (n, d), opened for reading; see `TimmEncoder.embed_to`.
        """
        return super().embed_to(X, path)
