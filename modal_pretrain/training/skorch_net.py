"""The skorch side of the classifier: components, batches, loss and loop."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import NotFittedError
from sklearn.utils import (
    check_random_state,
)
from sklearn.utils.class_weight import compute_class_weight
from skorch import NeuralNetClassifier
from skorch.callbacks import EpochScoring, EpochTimer, PassthroughScoring
from skorch.history import History
from skorch.utils import is_dataset, to_device, to_tensor
from torch import nn

from modal_pretrain.backbones.shared import own_backbone, shared_backbone
from modal_pretrain.backbones.weights import seeded
from modal_pretrain.embedding.batches import Source, as_source
from modal_pretrain.embedding.encoder import Encoder, resolve_device, resolve_precision
from modal_pretrain.encoder import make_encoder
from modal_pretrain.training.examples import (
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


class PretrainedNet(NeuralNetClassifier):
    """A skorch net around a pretrained backbone, for `PretrainedClassifier`.

    It turns the classifier's parameters into skorch's components, feeds the loop with
    embeddings where the backbone is frozen and with pictures where it trains, and
    mends what does not suit few labels or scikit-learn. Parameters, validation and the
    public methods are the subclass's.
    """

    # What another kind of input replaces: its examples, the encoder, the optimizer
    # that "auto" stands for where the backbone trains, and how X is read.
    _raw_set: Any = PictureSet
    _make_encoder = staticmethod(make_encoder)
    _fine_tuning: tuple[Any, float, dict[str, Any]] = (
        torch.optim.SGD,
        0.003,
        {"momentum": 0.9},
    )

    def _source(self, X, *, reset: bool = False) -> Source:
        return as_source(X, self, reset=reset)

    def _train(self, source: Source, targets: np.ndarray, **fit_params):
        # Each call has its own stream, so that calls of partial_fit differ.
        seed = (self._seed() + len(self.history_)) % 2**63
        with seeded(seed):
            dataset = self._example_set(source, targets)
            if self.module_.head is None:
                self._build_head(dataset)
            else:
                self.module_.set_anchor()
                if isinstance(self.optimizer_, torch.optim.LBFGS):
                    # What it knows of the last objective's curvature misleads it on
                    # this one: it may not take a single step.
                    self._build_optimizer()
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
            assert isinstance(dataset, self._raw_set)
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
            dataset = self._example_set(self._source(x))
            x = dataset.inputs(np.arange(len(dataset)))
        device = self._device()
        x = to_tensor(x, device=device)
        dtype = resolve_precision(self.precision, device)
        # Measured: CPUs gain nothing from reduced precision when they train, and
        # float16 gradients would need scaling.
        training = self.module_.training and torch.is_grad_enabled()
        reduced = (
            "embedding" not in x
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

    def _example_set(self, source: Source, y=None) -> ExampleSet:
        encoder = self._encoder()
        if self.module_.frozen:
            return EmbeddedSet(encoder.encode(source), y)
        return self._raw_set(source, encoder, y)

    def _encoder(self) -> Encoder:
        device = self._device()
        if self.initialized_:
            backbone = self.module_.backbone
        else:
            backbone = self._initial_backbone(shared_backbone)
        encoder = self._make_encoder(backbone, self, device)
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
        return self._example_set(self._source(X), y)

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
            optimizer, lr, defaults = self._fine_tuning
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


class _EndTraining(Exception):
    """A callback ended training early."""
