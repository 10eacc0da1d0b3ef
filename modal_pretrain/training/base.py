"""What a pretrained classifier is, whatever its rows are: a `Modality` says that."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.exceptions import NotFittedError
from skorch.utils import is_dataset, to_numpy, to_tensor
from torch import nn

from modal_pretrain._checks import Rule, plain_whole
from modal_pretrain._decisive import DECISIVE
from modal_pretrain._inputs.frames import check_order
from modal_pretrain._inputs.weights import check_sample_weight
from modal_pretrain.backbones.device import in_type, resolve_precision
from modal_pretrain.backbones.shared import own
from modal_pretrain.cache.resolve import Cache
from modal_pretrain.embedding.encoder import Encoder
from modal_pretrain.embedding.parameters import EMBEDDING_RULES
from modal_pretrain.embedding.source import Source
from modal_pretrain.modality import Examples, FineTuning, Modality
from modal_pretrain.training.all_or_nothing import all_or_nothing
from modal_pretrain.training.examples import EmbeddedSet, one_thread_for_few
from modal_pretrain.training.gradients import QuickGradients
from modal_pretrain.training.labels import (
    all_classes,
    check_head,
    check_labels,
    columns_of,
    sorted_classes,
    true_labels,
)
from modal_pretrain.training.loaders import LoadedNet
from modal_pretrain.training.network import PretrainedNetwork, Tune
from modal_pretrain.training.parameters import HEAD_RULES, check_keywords
from modal_pretrain.training.staged import StagedEncoder, staged
from modal_pretrain.training.weights import check_criterion, merged, with_weight

# What a head has learnt on, next to the modality's own parameters.
_DECISIVE = (*DECISIVE, "tune", "classes")


class BaseClassifier(LoadedNet):
    """A pretrained backbone and a head, trained on labelled rows of any modality.

    With a frozen backbone every row is embedded once, and a fit is a regularised
    logistic regression on cached embeddings. Else rows are loaded and everything that
    trains sees them.

    Subclasses name their `modality` and add its parameters. Parameters and methods
    are described at `modal_pretrain.PretrainedClassifier`; those that are not named
    here go to `FewLabelsNet`.
    """

    modality: ClassVar[Modality]
    _inputs = frozenset({"inputs", "embedding", "features", "cut"})

    def __init__(
        self,
        backbone: Any,
        *,
        pretrained: bool | str | Path = True,
        tune: Tune = "head",
        C: float = 0.005,
        precision: str = "auto",
        cache: Cache = "memory",
        module=PretrainedNetwork,
        **params,
    ) -> None:
        super().__init__(module, **params)
        self.backbone = backbone
        self.pretrained = pretrained
        self.tune = tune
        self.C = C
        self.precision = precision
        self.cache = cache

    # From X and y to a trained head ---------------------------------------------------

    def fit(self, X, y, sample_weight=None, ignore=None, **fit_params):
        """Train from the initial weights; all or nothing."""
        self._check_parameters()
        warm = self.warm_start and self.__sklearn_is_fitted__()
        with all_or_nothing(self, trains_on=warm):
            data = self._check_training_data(
                X, y, sample_weight, ignore, reset=not warm
            )
            if not warm:
                self.initialize()
            return self._train(*data, **fit_params)

    def partial_fit(
        self, X, y=None, classes=None, sample_weight=None, ignore=None, **fit_params
    ):
        """Train on from the present weights; all or nothing."""
        self._check_parameters()
        first = not self.__sklearn_is_fitted__()
        with all_or_nothing(self, trains_on=self.initialized_):
            data = self._check_training_data(
                X, y, sample_weight, ignore, reset=first, classes=classes
            )
            if not self.initialized_:
                self.initialize()
            return self._train(*data, **fit_params)

    def _check_training_data(
        self, X, y, sample_weight, ignore, *, reset: bool, classes=None
    ) -> tuple[Source, np.ndarray, np.ndarray | None, np.ndarray | None]:
        source = self._source(X, reset=reset)
        check_order(X=X, y=y, sample_weight=sample_weight, ignore=ignore)
        owner = type(self).__name__
        y = check_labels(y, source, owner)
        before = None if reset else self.classes_
        known = all_classes(y, self.classes, classes, before)
        targets = columns_of(y, known, owner)
        weight = check_sample_weight(sample_weight, len(source))
        tags = self._tags_of(source, ignore)
        self.classes_inferred_ = known
        if weight is not None and self.train_split is None and not weight.all():
            # Not even batch normalisation sees what weighs nothing.
            rows = np.flatnonzero(weight)
            source, targets, weight = source.take(rows), targets[rows], weight[rows]
            tags = None if tags is None else tags[rows]
        return source, targets, weight, tags

    def _rules(self) -> Mapping[str, Rule]:
        shared = {**EMBEDDING_RULES, **super()._rules(), **HEAD_RULES}
        return {**shared, **self.modality.rules}

    def _decisive(self) -> dict[str, Any]:
        names = (*_DECISIVE, *self.modality.decisive)
        return {**super()._decisive(), **{n: getattr(self, n) for n in names}}

    def _train(
        self,
        source: Source,
        targets: np.ndarray,
        weight: np.ndarray | None,
        tags: np.ndarray | None,
        **fit_params,
    ):
        self._check_unchanged()
        check_keywords(type(self), fit_params, self.module_, self._inputs)
        dataset = self._example_set(source, targets)  # others may train meanwhile
        with self._seeded_call():
            if isinstance(dataset, EmbeddedSet) and self.train_split is None:
                given = weight, tags, self._weighs_rows()
                dataset, weight, tags = merged(dataset, *given)
            if self.module_.head is None:
                self._build_head(source, dataset, weight)
            else:
                self.module_.set_anchor()
                if isinstance(self.optimizer_, torch.optim.LBFGS):
                    # What it knows of the last objective's curvature misleads it on
                    # this one: it may not take a single step.
                    self._build_optimizer()
            weight = self._by_exceptions(source, dataset, weight, tags)
            weight = self._weight_of_rows(dataset.y, weight)
            return self._run(with_weight(dataset, weight), dataset.y, **fit_params)

    def _example_set(self, source: Source, y=None) -> Examples:
        encoder = self._encoder()
        if self.module_.frozen:
            return EmbeddedSet(encoder.encode(source), y)
        examples = self.modality.examples(source, encoder, y)
        thaws = any(not parameter.requires_grad for parameter in self._in_optimizer())
        if y is not None and (self._augments or thaws):
            # What frozen stages see changes from step to step, or they may train soon.
            return examples
        dtype = self._dtype(y is not None)
        return staged(examples, self.module_, dtype)

    def _build_head(
        self, source: Source, dataset: Examples, weight: np.ndarray | None
    ) -> None:
        device, network = self._device(), self.module_
        if network.frozen:
            embeddings = dataset.inputs(np.arange(len(dataset)))["embedding"]
        else:
            first = source.take(np.arange(1))
            embeddings = torch.from_numpy(self._encoder().encode(first))
        network.build_head(embeddings.shape[1], len(self.classes_), device)
        if network.frozen:
            network.fit_scale(embeddings, weight)
        self._build_optimizer()
        check_criterion(self.criterion, self.criterion_, len(self.classes_), device)

    def fit_loop(self, X, y=None, epochs=None, **kwargs):
        """Run skorch's loop for the epochs that "auto" stands for."""
        network = self.module_
        width = network.head.in_features if network.frozen else math.inf
        quick = not network.frozen and not self.compile
        with (
            one_thread_for_few(len(X) * width),
            QuickGradients() if quick else nullcontext(),
        ):
            return super().fit_loop(X, y, epochs=epochs, **kwargs)

    def check_data(self, X, y=None) -> None:
        """Do nothing: X and y were checked before the loop began."""

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Return the criterion's loss, plus the head's penalty if all else is frozen.

        Parameters
        ----------
        y_pred : torch.Tensor of shape (n, classes)
            Logits.
        y_true : torch.Tensor of shape (n,)
            Column numbers.
        X : mapping of str to torch.Tensor, or anything
            The batch; its ``sample_weight``, if it has one, weighs the rows.
        training : bool, default=False
            The penalty counts in training only.

        Returns
        -------
        torch.Tensor
            A scalar.
        """
        loss = super().get_loss(y_pred, y_true, X, training)
        if training and self.module_.frozen:
            loss = loss + self.module_.penalty(self.C * self.trained_weight_)
        return loss

    # From X to probabilities and embeddings -------------------------------------------

    def predict_proba(self, X) -> np.ndarray:
        """Return class probabilities, float64 (n, n_classes)."""
        self._check_trained()
        self._check_unchanged()
        nonlinearity = self._get_predict_nonlinearity()
        # In float64 confident rows keep an order where float32 would round to one.
        blocks = [
            to_numpy(nonlinearity((out[0] if isinstance(out, tuple) else out).double()))
            for out in self.forward_iter(X)
        ]
        return np.concatenate(blocks)

    def predict(self, X) -> np.ndarray:
        """Return the most probable label of each row."""
        columns = self.predict_proba(X).argmax(axis=1)
        # A callback scores the loop's own examples, whose targets are columns, too.
        return columns if self._is_batch(X) else self.classes_[columns]

    def score(self, X, y, sample_weight=None) -> float:
        """Return the accuracy; labels and weights are in the order of X's rows."""
        check_order(X=X, y=y, sample_weight=sample_weight)
        y = true_labels(y, getattr(self, "classes_", np.empty(0)))
        return super().score(X, y, sample_weight)

    def infer(self, x, **fit_params) -> torch.Tensor:
        """Return the network's logits, float32 (n, classes), for one batch.

        Of the loader, or X itself, as modAL passes it; `fit_params` are for forward.
        """
        self._check_trained()
        if not isinstance(x, Mapping):
            dataset = self._example_set(self._source(x))
            x = dataset.inputs(np.arange(len(dataset)))
        device = self._device()
        x = {name: part for name, part in x.items() if name != "sample_weight"}
        x = to_tensor(x, device=device)
        training = self.module_.training and torch.is_grad_enabled()
        dtype = torch.float32 if "embedding" in x else self._dtype(training)
        if "features" in x and dtype == torch.float32:  # of forward(training=True)
            x["features"] = x["features"].float()
        with in_type(device, dtype):
            return self.module_(**x, **fit_params).float()

    def _dtype(self, training: bool) -> torch.dtype:
        """Return what the backbone computes in."""
        return resolve_precision(self.precision, self._device(), training=training)

    def embed(self, X) -> np.ndarray:
        """Return the backbone's embeddings, float32 (n, d), before `fit` too."""
        self._check_parameters()
        return self._encoder().encode(self._source(X))

    def embed_to(self, X, path: str | Path) -> np.memmap:
        """Embed X into a .npy file and open that memory-mapped."""
        self._check_parameters()
        return self._encoder().encode_to(self._source(X), path)

    def _encoder(self) -> Encoder:
        if self.initialized_:
            self._check_unchanged((*DECISIVE, *self.modality.decisive))
        backbone = self.module_.backbone if self.initialized_ else self._initial()
        encoder = self._encoder_of(backbone)
        if self.initialized_ and not self.module_.frozen:
            return StagedEncoder(encoder, self.module_)
        if not self._is("tune", "head"):
            encoder.engine = "torch"  # as it is going to train
        return encoder

    def _encoder_of(self, backbone: nn.Module) -> Encoder:
        encoder = self.modality.encoder(backbone, self, self._device())
        encoder.batch_size = self._rows_without_gradients()
        return encoder

    def _initial(self) -> nn.Module:
        """Return the backbone with its initial weights, which all estimators share."""
        return self.modality.backbone(self, self._seed(), self._device())

    # Components of the loop -----------------------------------------------------------

    def get_dataset(self, X, y=None):
        """Return the examples of X as the loop takes them, see skorch."""
        return X if is_dataset(X) else self._example_set(self._source(X), y)

    def _rows_a_batch(self, training: bool) -> int:
        if not training:
            return 8192 if self.module_.frozen else self._rows_without_gradients()
        full = self.module_.frozen and self._is("optimizer", "auto")
        return -1 if full else self.batch_size

    def _rows_without_gradients(self) -> int:
        return 64 if self.batch_size == -1 else 2 * plain_whole(self.batch_size)

    def initialize_module(self):
        """Build the network; its head waits for the first labels."""
        backbone = self._initial()
        if not self._is("tune", "head"):
            backbone = own(backbone)
        params = {
            "tune": self.tune,
            # Without pretraining there are no statistics worth keeping.
            "train_batch_norm": self.pretrained is False,
            **self.get_params_for("module"),
        }
        self.module_ = self.module(backbone=backbone, **params)
        return self

    def get_all_learnable_params(self):
        """Yield names and parameters that train, once there is a head."""
        if self.module_.head is not None:
            yield from super().get_all_learnable_params()

    def _auto_optimizer(self) -> FineTuning:
        if not self.module_.frozen:
            return self.modality.fine_tuning
        # A line search cannot follow a loss that dropout makes random.
        if self.module_.dropout.p:
            return FineTuning(torch.optim.Adam, 0.01, {})
        newton = {"max_iter": 200, "line_search_fn": "strong_wolfe"}
        return FineTuning(torch.optim.LBFGS, 1.0, newton)

    def _auto_epochs(self) -> int:
        if not self.module_.frozen:
            return super()._auto_epochs()
        return 1 if isinstance(self.optimizer_, torch.optim.LBFGS) else 100

    def _has_schedule(self) -> bool:
        return super()._has_schedule() and not self._is("tune", "head")

    # State ----------------------------------------------------------------------------

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
        classes = sorted_classes(self.classes)
        assert classes is not None
        return classes

    def __sklearn_is_fitted__(self) -> bool:
        module = getattr(self, "module_", None)
        return module is not None and module.head is not None

    def _check_trained(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet. Call 'fit' "
                "with appropriate arguments before using this estimator."
            )

    def load_params(self, f_params=None, f_optimizer=None, **kwargs):
        """Load parameters saved by `save_params`, see skorch.

        Give a net that has never been fitted its `classes`: files hold no labels.
        Other estimators share a frozen backbone, so nothing may be loaded straight into
        ``module_.backbone``; ``module_.load_state_dict`` takes a copy, as this does.
        """
        if kwargs.get("checkpoint") is not None and not self.initialized_:
            self.initialize()
        with all_or_nothing(self, trains_on=self.initialized_):
            super().load_params(f_params, f_optimizer, **kwargs)
            check_head(self)
