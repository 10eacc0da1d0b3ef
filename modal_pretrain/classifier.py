"""PretrainedClassifier: a pretrained backbone as a scikit-learn classifier."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from copy import deepcopy
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils import (
    assert_all_finite,
    check_consistent_length,
    check_random_state,
    column_or_1d,
)
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from skorch import NeuralNetClassifier
from skorch.callbacks import EpochScoring, EpochTimer, PassthroughScoring
from skorch.dataset import Dataset
from skorch.history import History
from skorch.utils import is_dataset, to_device, to_numpy, to_tensor
from torch import nn

from modal_pretrain.backbones import (
    DEFAULT_BACKBONE,
    Backbone,
    own_backbone,
    seeded,
    shared_backbone,
)
from modal_pretrain.embedding import (
    Cache,
    Encoder,
    Source,
    as_source,
    make_encoder,
    resolve_device,
    resolve_precision,
)
from modal_pretrain.network import PretrainedNetwork, Tune
from modal_pretrain.training import (
    BatchLoader,
    EmbeddedSet,
    EpochLog,
    ExampleSet,
    PictureSet,
    StopBelowLoss,
    WarmupDecay,
    encoded_accuracy,
    is_mapping,
)

# Embedded values, labels times features, from which a second thread pays.
_WORTH_THREADS = 2**22


class PretrainedClassifier(NeuralNetClassifier):
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
        Inverse strength of the head's L2 penalty where the backbone is frozen:
        ``|W|^2 / 2 + C * sum of the cross-entropies``, as in scikit-learn's
        multinomial LogisticRegression. A binary problem has two columns here; its
        scikit-learn equivalent is twice this C.
    image_size : int, (int, int) or None, default=None
        Pixels (or height and width) that pictures are resized and cropped to. None
        takes what the backbone was trained with (224 for the default). Small sizes
        are much faster: on a CPU, try 96. Vision transformers are adapted.
    precision : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        What a backbone computes in when it embeds or predicts; "auto" is bfloat16
        where the hardware has it. CPUs train in float32.
    device : str, default="auto"
        A torch device; "auto" takes cuda, then mps, then cpu.
    cache : "memory", None or EmbeddingCache, default="memory"
        Where the embeddings of a frozen backbone are kept; "memory" is shared by
        all estimators of the process.
    random_state : int, RandomState or None, default=None
        Seed of the random initialisation, the shuffling and the dropout. Two fits on
        the same data agree if it is an int. None draws a seed at the first fit,
        which the later fits of this estimator use too.
    optimizer, lr, max_epochs : default="auto"
        As in skorch. "auto" is, for a frozen backbone, L-BFGS to convergence in one
        epoch (with ``module__dropout > 0``, which L-BFGS cannot follow: 100 epochs of
        Adam at 0.01), and else the paper's: SGD at 0.003 with momentum 0.9, warm-up and
        decay (`WarmupDecay`), for `max_steps`.
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
        As in skorch, with other defaults where skorch's do not fit few labels: no
        validation split, cross-entropy on logits.
    **kwargs
        skorch's double-underscore parameters: ``module__dropout``,
        ``optimizer__momentum``, ``callbacks__print_log``, ...

    Attributes
    ----------
    classes_ : numpy.ndarray of shape (n_classes,)
        Labels in the order of `predict_proba`'s columns.
    module_ : PretrainedNetwork
        The network, with ``backbone`` and ``head``.
    history_ : skorch.history.History
        Losses and times by epoch.
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

    def __init__(
        self,
        backbone: Backbone = DEFAULT_BACKBONE,
        *,
        pretrained: bool | str | Path = True,
        tune: Tune = "head",
        classes=None,
        class_weight=None,
        C: float = 0.005,
        image_size: int | tuple[int, int] | None = None,
        precision: str = "auto",
        device: str = "auto",
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
            module,
            criterion=criterion,
            optimizer=optimizer,
            lr=lr,
            max_epochs=max_epochs,
            batch_size=batch_size,
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
            classes=classes,
            verbose=verbose,
            device=device,
            **kwargs,
        )
        self.backbone = backbone
        self.pretrained = pretrained
        self.tune = tune
        self.class_weight = class_weight
        self.C = C
        self.image_size = image_size
        self.precision = precision
        self.cache = cache
        self.random_state = random_state
        self.max_steps = max_steps
        self.stop_loss = stop_loss
        self.n_threads = n_threads

    # --- training -----------------------------------------------------------------

    def fit(self, X, y, **fit_params):
        """Train from the initial weights.

        Parameters
        ----------
        X : pictures (or a table), length n, see the class
        y : array-like of shape (n,)
            Labels: integers, strings or booleans.
        **fit_params
            For the module's forward, as in skorch.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X or y is not readable, or y has labels that are not in `classes`.
        BackboneWeightsError
            If pretrained weights were asked for and cannot be had.
        """
        warm = self.warm_start and self.__sklearn_is_fitted__()
        source, targets = self._check_training_data(X, y, reset=not warm)
        if not warm:
            self.initialize()
        return self._train(source, targets, **fit_params)

    def partial_fit(self, X, y=None, classes=None, **fit_params):
        """Train on from the present weights.

        With a frozen backbone the L2 penalty pulls to the present head, not to zero,
        so what was learnt before is kept as far as the new labels allow.

        Parameters
        ----------
        X : pictures (or a table), length n, see the class
        y : array-like of shape (n,)
        classes : array-like or None
            All labels there are, for the first call where the parameter `classes` is
            None, as in scikit-learn.
        **fit_params
            For the module's forward, as in skorch.

        Returns
        -------
        self
        """
        first = not self.__sklearn_is_fitted__()
        source, targets = self._check_training_data(X, y, reset=first, classes=classes)
        if not self.initialized_:
            self.initialize()
        return self._train(source, targets, **fit_params)

    def _check_training_data(self, X, y, *, reset: bool, classes=None):
        self._check_numbers()
        source = as_source(X, self, reset=reset)
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but "
                "the target y is None."
            )
        y = column_or_1d(y, warn=True)
        check_consistent_length(source, y)
        if y.dtype.kind in "fc":
            assert_all_finite(y, input_name="y")
        elif pd.isna(y).any():
            raise ValueError(
                "y contains missing labels (None or NaN); expected one label per row "
                "of X."
            )
        check_classification_targets(y)
        known = self._all_classes(y, classes, reset=reset)
        columns = np.searchsorted(known, y).clip(max=len(known) - 1)
        unknown = np.unique(y[known[columns] != y])
        if len(unknown):
            raise ValueError(
                f"y has the labels {unknown.tolist()}, which are not among the "
                f"classifier's classes {known.tolist()}. Name all labels when you "
                "create it: PretrainedClassifier(classes=[...])."
            )
        self.classes_inferred_ = known
        return source, columns.astype(np.int64)

    def _check_numbers(self) -> None:
        if not isinstance(self.C, Real) or not self.C > 0:
            raise ValueError(f"C must be a positive number, got {self.C!r}.")
        size = self.batch_size
        if not isinstance(size, Integral) or not (size == -1 or size >= 1):
            raise ValueError(
                "batch_size must be a positive int, or -1 for all examples at once, "
                f"got {size!r}."
            )

    def _all_classes(self, y: np.ndarray, classes, *, reset: bool) -> np.ndarray:
        """Return the sorted labels there are, by parameter, argument or y."""
        given = None if classes is None else np.unique(np.asarray(classes))
        if not reset:
            if given is not None and not np.array_equal(given, self.classes_):
                raise ValueError(
                    f"classes={given.tolist()} differs from the first call's: "
                    f"{self.classes_.tolist()}."
                )
            return self.classes_
        if self.classes is not None:
            given = np.unique(np.asarray(self.classes))
        if given is not None and len(given) == 0:
            raise ValueError("classes is empty; name all labels, or leave it None.")
        return np.unique(y) if given is None else given

    def _train(self, source: Source, targets: np.ndarray, **fit_params):
        # Each call has its own stream, so that calls of partial_fit differ.
        seed = (self._seed() + len(self.history_)) % 2**63
        with seeded(seed):
            dataset = self._example_set(source, targets)
            if self.module_.head is None:
                self._build_head(dataset)
            else:
                self.module_.set_anchor()
            self.notify("on_train_begin", X=dataset, y=targets)
            with contextlib.suppress(_EndTraining), self._threads_for(dataset):
                self.fit_loop(dataset, targets, **fit_params)
            self.notify("on_train_end", X=dataset, y=targets)
        return self

    @contextlib.contextmanager
    def _threads_for(self, dataset: ExampleSet) -> Iterator[None]:
        # The head's operations are too small to share. Where cores are busy, waiting
        # for a second thread made a fit of 200 labels 90 times slower (measured).
        small = isinstance(dataset, EmbeddedSet) and (
            dataset.embeddings.numel() < _WORTH_THREADS
        )
        n_threads = torch.get_num_threads()
        if small:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(n_threads)

    def _build_head(self, dataset: ExampleSet) -> None:
        if isinstance(dataset, EmbeddedSet):
            embeddings = dataset.embeddings
        else:
            assert isinstance(dataset, PictureSet)
            encoder, first = dataset.encoder, dataset.source.take(np.arange(1))
            embeddings = torch.from_numpy(encoder.encode(first))
        n_features, n_classes = embeddings.shape[1], len(self.classes_)
        self.module_.build_head(n_features, n_classes, self._device())
        if self.module_.frozen:
            self.module_.fit_scale(embeddings)
        self._build_optimizer()
        if self.class_weight is not None:
            self.criterion_.weight = self._class_weights(dataset.y)

    def _build_optimizer(self) -> None:
        self.initialized_ = False  # as in `initialize`: nothing to announce
        self._initialize_optimizer()
        self.initialized_ = True

    def _class_weights(self, targets: np.ndarray) -> torch.Tensor:
        if not hasattr(self.criterion_, "weight"):
            raise ValueError(
                f"class_weight={self.class_weight!r} needs a criterion with weights "
                f"like CrossEntropyLoss, got {type(self.criterion_).__name__}."
            )
        labels = self.classes_[targets]
        weights = np.ones(len(self.classes_))
        present = np.unique(targets)
        weights[present] = compute_class_weight(
            self.class_weight, classes=self.classes_[present], y=labels
        )
        return torch.tensor(weights, dtype=torch.float32, device=self._device())

    def fit_loop(self, X, y=None, epochs=None, **kwargs):
        """Run skorch's loop for the epochs that "auto" stands for."""
        if epochs is None and self._is("max_epochs", "auto"):
            if self.module_.frozen:
                epochs = 1 if self._head_optimizer() is torch.optim.LBFGS else 100
            else:
                per_step = len(X) if self.batch_size == -1 else self.batch_size
                steps_per_epoch = math.ceil(len(X) / per_step)
                epochs = math.ceil(self.max_steps / steps_per_epoch)
        return super().fit_loop(X, y, epochs=epochs, **kwargs)

    def get_split_datasets(self, X, y=None, **fit_params):
        """Split off validation data, see skorch; weigh the penalty accordingly."""
        train, valid = super().get_split_datasets(X, y, **fit_params)
        # The criterion averages over this total weight.
        weight = getattr(self.criterion_, "weight", None)
        mean = 1.0 if weight is None or y is None else float(weight[y].mean())
        self.trained_weight_ = mean * len(train)
        return train, valid

    def check_data(self, X, y=None) -> None:
        """Do nothing: X and y were checked before the loop began."""

    def notify(self, method_name: str, **cb_kwargs) -> None:
        """Call the callbacks; those that end training do it as skorch's do."""
        try:
            super().notify(method_name, **cb_kwargs)
        except KeyboardInterrupt:
            # skorch's EarlyStopping ends training so. Ctrl-C elsewhere must not be
            # taken for it: an active-learning loop would go on half trained.
            if method_name != "on_epoch_end":
                raise
            raise _EndTraining from None

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Return the criterion's loss, plus the head's penalty if all else is frozen.

        Parameters
        ----------
        y_pred : torch.Tensor of shape (n, classes)
            Logits.
        y_true : torch.Tensor of shape (n,)
            Column numbers.
        X : ignored
        training : bool, default=False
            The penalty counts in training only.

        Returns
        -------
        torch.Tensor
            A scalar.
        """
        loss = self.criterion_(y_pred, to_tensor(y_true, device=y_pred.device))
        if training and self.module_.frozen:
            loss = loss + self.module_.penalty() / (self.C * self.trained_weight_)
        return loss

    # --- prediction ---------------------------------------------------------------

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
        """
        self._check_trained()
        nonlinearity = self._get_predict_nonlinearity()
        # In float64 confident rows keep an order where float32 would round to one.
        blocks = [
            to_numpy(nonlinearity((out[0] if isinstance(out, tuple) else out).double()))
            for out in self.forward_iter(X)
        ]
        return np.concatenate(blocks)

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
        columns = self.predict_proba(X).argmax(axis=1)
        return self.classes_[columns]

    def embed(self, X) -> np.ndarray:
        """Return the backbone's embeddings, from the cache where it is frozen.

        Works before `fit` too: the backbone then has its initial weights.

        Parameters
        ----------
        X : pictures (or a table), length n, see the class

        Returns
        -------
        numpy.ndarray
            float32 (n, d).
        """
        return self._encoder().encode(as_source(X, self))

    def infer(self, x, **fit_params) -> torch.Tensor:
        """Return the network's logits for one batch.

        Parameters
        ----------
        x : dict of torch.Tensor, or X
            A batch of the loader, or X itself, as modAL's dropout strategies pass it.
        **fit_params
            For the module's forward.

        Returns
        -------
        torch.Tensor
            float32 (n, classes).
        """
        self._check_trained()
        if not is_mapping(x):
            dataset = self._example_set(as_source(x, self))
            x = dataset.inputs(np.arange(len(dataset)))
        device = self._device()
        x = to_tensor(x, device=device)
        dtype = resolve_precision(self.precision, device)
        # Measured: CPUs gain nothing from reduced precision when they train, and
        # float16 gradients would need scaling.
        training = self.module_.training and torch.is_grad_enabled()
        reduced = (
            "pixels" in x
            and dtype != torch.float32
            and not (training and (device.type == "cpu" or dtype == torch.float16))
        )
        with torch.autocast(device.type, dtype=dtype, enabled=reduced):
            return self.module_(**x, **fit_params).float()

    def forward_iter(self, X, training=False, device="cpu") -> Iterator[torch.Tensor]:
        """Yield the network's outputs batch by batch, always in the order of X.

        Parameters
        ----------
        X : pictures (or a table), see the class
        training : bool, default=False
            Whether dropout is active.
        device : str, default="cpu"
            Where the outputs are put.

        Yields
        ------
        torch.Tensor
            float32 (m, classes).
        """
        for batch in self.get_iterator(self.get_dataset(X), training=False):
            yield to_device(self.evaluation_step(batch, training=training), device)

    # --- data ---------------------------------------------------------------------

    def _example_set(self, source: Source, y=None) -> ExampleSet:
        encoder = self._encoder()
        if self.module_.frozen:
            return EmbeddedSet(encoder.encode(source), y)
        return PictureSet(source, encoder, y)

    def _encoder(self) -> Encoder:
        device = self._device()
        if self.initialized_:
            backbone = self.module_.backbone
        else:
            backbone = self._initial_backbone(shared_backbone)
        encoder = make_encoder(backbone.eval(), self, device)
        encoder.batch_size = self._batch_size_without_gradients()
        if self.initialized_ and not self.module_.frozen:
            encoder.cache = None  # its weights move on
        return encoder

    def _batch_size_without_gradients(self) -> int:
        return 64 if self.batch_size == -1 else 2 * self.batch_size

    def _initial_backbone(self, make) -> nn.Module:
        return make(
            self.backbone,
            self.pretrained,
            self._seed(),
            self._device(),
            self.image_size,
        )

    def get_dataset(self, X, y=None):
        """Return the examples of X as the loop takes them, see skorch."""
        if is_dataset(X):
            return X
        return self._example_set(as_source(X, self), y)

    def get_iterator(self, dataset, training=False):
        """Return the loader of a data set's batches, see skorch."""
        name = "iterator_train" if training else "iterator_valid"
        kwargs = self.get_params_for(name)
        frozen = self.module_.frozen
        if training:
            kwargs.setdefault("shuffle", True)
            full_batch = frozen and self._is("optimizer", "auto")
            kwargs.setdefault("batch_size", -1 if full_batch else self.batch_size)
        else:
            size = 8192 if frozen else self._batch_size_without_gradients()
            kwargs.setdefault("batch_size", size)
        if kwargs["batch_size"] == -1:
            kwargs["batch_size"] = len(dataset)
        return getattr(self, name)(dataset, **kwargs)

    # --- components ---------------------------------------------------------------

    def initialize(self):
        """Build network, criterion and callbacks anew, from the initial weights."""
        # skorch announces every re-initialisation of an initialized net.
        self.initialized_ = False
        return super().initialize()

    def initialize_module(self):
        """Build the network; its head waits for the first labels."""
        shared = self._is("tune", "head")
        backbone = self._initial_backbone(shared_backbone if shared else own_backbone)
        params = {
            "tune": self.tune,
            # Without pretraining there are no statistics worth keeping.
            "train_batch_norm": self.pretrained is False,
            **self.get_params_for("module"),
        }
        self.module_ = self.module(backbone=backbone, **params)
        return self

    def initialize_optimizer(self, triggered_directly=None):
        """Build the optimizer that "auto" stands for, or the one that was given."""
        if self.module_.head is None:
            # Nothing to optimise yet. With this stand-in skorch learns the name, and
            # with it that parameters may start with "optimizer__".
            self.optimizer_ = torch.optim.SGD([torch.zeros(1)], lr=0.01)
            return self
        args, kwargs = self.get_params_for_optimizer(
            "optimizer", self.get_all_learnable_params()
        )
        optimizer, lr, defaults = self.optimizer, 0.01, {}
        auto = self._is("optimizer", "auto")
        if auto and self.module_.frozen:
            optimizer = self._head_optimizer()
            if optimizer is torch.optim.LBFGS:
                lr = 1.0
                defaults = {"max_iter": 200, "line_search_fn": "strong_wolfe"}
        elif auto:
            optimizer, lr, defaults = torch.optim.SGD, 0.003, {"momentum": 0.9}
        if kwargs["lr"] == "auto":
            kwargs["lr"] = lr
        self.optimizer_ = optimizer(*args, **{**defaults, **kwargs})
        return self

    def _head_optimizer(self):
        if not self._is("optimizer", "auto"):
            return self.optimizer
        # A line search cannot follow a loss that dropout makes random.
        return torch.optim.Adam if self.module_.dropout.p else torch.optim.LBFGS

    def get_all_learnable_params(self):
        """Yield names and parameters that train; what is frozen is left out."""
        for name, parameter in super().get_all_learnable_params():
            if parameter.requires_grad:
                yield name, parameter

    @property
    def _default_callbacks(self):
        callbacks = [
            ("epoch_timer", EpochTimer()),
            ("train_loss", PassthroughScoring(name="train_loss", on_train=True)),
            ("valid_loss", PassthroughScoring(name="valid_loss")),
            (
                "valid_acc",
                EpochScoring(encoded_accuracy, name="valid_acc", lower_is_better=False),
            ),
            ("stop_loss", StopBelowLoss(self.stop_loss)),
            ("print_log", EpochLog()),
        ]
        if self._is("optimizer", "auto") and not self._is("tune", "head"):
            callbacks.insert(1, ("lr_schedule", WarmupDecay(self.max_steps)))
        return callbacks

    # --- skorch and scikit-learn --------------------------------------------------

    @property
    def classes_(self) -> np.ndarray:
        """Labels in the order of `predict_proba`'s columns."""
        if "classes_inferred_" in vars(self):
            return self.classes_inferred_
        if self.classes is None:
            raise AttributeError(
                f"{type(self).__name__} has no classes_ before fit, unless they are "
                "given as classes=[...]."
            )
        return np.unique(np.asarray(self.classes))

    def __sklearn_is_fitted__(self) -> bool:
        module = getattr(self, "module_", None)
        return module is not None and module.head is not None

    def _check_trained(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet. Call 'fit' "
                "with appropriate arguments before using this estimator."
            )

    def _is(self, parameter: str, word: str) -> bool:
        # Parameters may be anything until fit, arrays too.
        value = getattr(self, parameter)
        return isinstance(value, str) and value == word

    def _device(self) -> torch.device:
        return resolve_device(self.device)

    def _seed(self) -> int:
        # One seed for the life of the estimator: every fit starts from the same
        # initial weights, drawn at random or not.
        state = self.random_state
        if getattr(self, "seed_", None) is None or self.seeded_by_ is not state:
            rng = check_random_state(state)
            self.seed_: int = int(rng.randint(np.iinfo(np.int32).max))
            self.seeded_by_: Any = state
        return self.seed_

    def _get_param_names(self):
        # skorch counts private attributes as parameters, which clone then passes.
        return sorted(
            name
            for name in self.__dict__
            if not name.startswith("_") and not name.endswith("_")
        )

    def set_params(self, **params):
        """Set parameters, see scikit-learn; callbacks count from the next fit."""
        if not self.initialized_:
            if "callbacks" in params:
                self.callbacks = params.pop("callbacks")
            return super().set_params(**params)
        of_optimizer = {
            name: value
            for name, value in params.items()
            if name == "lr" or name.split("__")[0] == "optimizer"
        }
        # skorch would tell the present optimizer only, which the next fit replaces.
        self.__dict__.update(of_optimizer)
        if "optimizer" not in params and not self._is("lr", "auto"):
            return super().set_params(**params)
        super().set_params(**{k: v for k, v in params.items() if k not in of_optimizer})
        if self.module_.head is not None:
            self._build_optimizer()
        return self

    def _initialize_module(self, reason=None):
        with self._resolved_device():
            return super()._initialize_module(reason)

    def _initialize_criterion(self, reason=None):
        with self._resolved_device():
            return super()._initialize_criterion(reason)

    def load_params(self, f_params=None, f_optimizer=None, **kwargs):
        """Load parameters saved by `save_params`, see skorch.

        Give a net that has never been fitted its `classes`: files hold no labels.
        """
        checkpoint = kwargs.get("checkpoint")
        with self._resolved_device():
            if checkpoint is not None:
                if not self.initialized_:
                    self.initialize()
                if checkpoint.f_history is not None:
                    self.history = History.from_file(checkpoint.f_history_)
            if self.initialized_ and self.module_.frozen:
                # Other estimators share it.
                self.module_.backbone = deepcopy(self.module_.backbone)
            if self.initialized_ and self.module_.head is None:
                # The head comes with the parameters, the optimizer after the head.
                if f_params is None and checkpoint is not None:
                    f_params = checkpoint.get_formatted_files(self)["f_params"]
                safetensors = kwargs.get("use_safetensors", False)
                super().load_params(f_params, use_safetensors=safetensors)
                f_params = None
                if self.module_.head is not None:
                    self._build_optimizer()
            super().load_params(f_params, f_optimizer, **kwargs)

    @contextlib.contextmanager
    def _resolved_device(self) -> Iterator[None]:
        """Show skorch a device where it would read the parameter "auto"."""
        device = self.device  # type: ignore[has-type]
        self.device = str(self._device())
        try:
            yield
        finally:
            self.device = device

    def __setstate__(self, state) -> None:
        if state["device"] != "auto":
            super().__setstate__(state)
            return
        super().__setstate__({**state, "device": str(resolve_device("auto"))})
        self.device = "auto"

    __repr__ = BaseEstimator.__repr__


class _EndTraining(Exception):
    """A callback ended training early."""
