"""What skorch's classifier needs mended for few labels, with any module."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from copy import copy, deepcopy
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state
from skorch.callbacks import EpochScoring, EpochTimer, PassthroughScoring
from skorch.history import History
from skorch.utils import to_tensor
from torch import nn

from modal_pretrain._checks import ParameterError, plain_whole
from modal_pretrain._decisive import snapshots
from modal_pretrain.backbones.device import resolve_device, seeded
from modal_pretrain.modality import FineTuning
from modal_pretrain.training.all_or_nothing import all_or_nothing
from modal_pretrain.training.callbacks import (
    NO_VALIDATION,
    EpochLog,
    StopBelowLoss,
    WarmupDecay,
    encoded_accuracy,
)
from modal_pretrain.training.checked_net import CheckedNet
from modal_pretrain.training.examples import BatchLoader
from modal_pretrain.training.files import loading, saving
from modal_pretrain.training.interrupts import is_ctrl_c
from modal_pretrain.training.parameters import check_keywords
from modal_pretrain.training.steps import EpochsLater, n_batches
from modal_pretrain.training.trained import check_trained


class FewLabelsNet(CheckedNet):
    """skorch's classifier, mended for few labels and for scikit-learn.

    It takes any module and targets that are column numbers. What differs from skorch:

    - "auto" for device, optimizer, learning rate and number of epochs;
    - one seed for the life of the net: every fit starts from the same weights, and
      PyTorch's global generator stays as it was;
    - Ctrl-C is not swallowed; callbacks that end training still do;
    - a fit is all or nothing: if it raises, the net is what it was before;
    - parameters that do not exist are errors with a suggestion, at the first fit;
    - what `set_params` says to a trained net counts from the next fit on too;
    - no validation split, cross-entropy on logits, a log from ``verbose=2`` on.

    Parameters
    ----------
    module : torch.nn.Module or callable
        Returns logits (n, n_classes).
    max_steps : int, default=500
        Optimiser steps of a fit with "auto" `max_epochs`, rounded up to whole epochs.
    stop_loss : float or None, default=0.001
        Training stops once an epoch's loss is below this share of the first epoch's.
    random_state : int, RandomState or None, default=None
        Seed of initial weights, shuffling and dropout; None draws one at the first fit.
    criterion, optimizer, lr, max_epochs, batch_size, device, verbose, iterator_train, \
iterator_valid, train_split, **kwargs
        As in skorch, and "auto", see above.
    """

    fine_tuning: FineTuning = FineTuning()  # what "auto" stands for
    # What the module's forward gets from the batch: no keywords of fit.
    _inputs: frozenset[str] = frozenset()

    def __init__(
        self,
        module,
        *,
        criterion=nn.CrossEntropyLoss,
        optimizer="auto",
        lr="auto",
        max_epochs="auto",
        max_steps: int = 500,
        stop_loss: float | None = 0.001,
        batch_size: int = 32,
        device: str = "auto",
        random_state=None,
        verbose: int = 0,
        iterator_train=BatchLoader,
        iterator_valid=BatchLoader,
        train_split=None,
        **kwargs,
    ) -> None:
        super().__init__(
            module,
            criterion=criterion,
            optimizer=optimizer,
            lr=lr,
            max_epochs=max_epochs,
            batch_size=batch_size,
            device=device,
            verbose=verbose,
            iterator_train=iterator_train,
            iterator_valid=iterator_valid,
            train_split=train_split,
            **kwargs,
        )
        self.max_steps = max_steps
        self.stop_loss = stop_loss
        self.random_state = random_state

    # Training ------------------------------------------------------------------------

    def fit(self, X, y, **fit_params):
        """Train from the initial weights, see skorch.

        If it raises, the net is what it was before; Ctrl-C counts too.
        """
        self._check_parameters()
        warm = bool(self.warm_start) and self.initialized_
        with all_or_nothing(self, trains_on=warm):
            if not warm:
                self.initialize()
            self._check_unchanged()
            return self._train_on(X, y, **fit_params)

    def partial_fit(self, X, y=None, classes=None, **fit_params):
        """Train on from the present weights, see skorch; all or nothing, as `fit`."""
        self._check_parameters()
        with all_or_nothing(self, trains_on=self.initialized_):
            if not self.initialized_:
                self.initialize()
            self._check_unchanged()
            return self._train_on(X, y, **fit_params)

    def _train_on(self, X, y, **fit_params):
        check_keywords(type(self), fit_params, self.module_, self._inputs)
        with self._seeded_call():
            return self._run(X, y, **fit_params)

    def _seeded_call(self):
        # Each call has its own stream, so that calls of partial_fit differ.
        return seeded((self._seed() + len(self.history_)) % 2**63)

    def _run(self, X, y, **fit_params):
        began = self._in_optimizer()
        self.notify("on_train_begin", X=X, y=y)
        with contextlib.suppress(_EndTraining):
            self.fit_loop(X, y, **fit_params)
        check_trained(self, began, self._in_optimizer())
        self.notify("on_train_end", X=X, y=y)
        return self

    def _seed(self) -> int:
        # One seed for the life of the estimator: every fit starts from the same
        # initial weights, drawn at random or not.
        state = self.random_state
        if getattr(self, "seed_", None) is None or self.seeded_by_ is not state:
            rng = check_random_state(state)
            self.seed_: int = int(rng.randint(np.iinfo(np.int32).max))
            self.seeded_by_: Any = state
        return self.seed_

    def notify(self, method_name: str, **cb_kwargs) -> None:
        """Call the callbacks; those that end training do it as skorch's do."""
        try:
            with self._resolved_device():  # skorch's scoring callbacks read it
                super().notify(method_name, **cb_kwargs)
        except KeyboardInterrupt as error:
            # skorch's EarlyStopping ends training so. Ctrl-C must not.
            if method_name != "on_epoch_end" or is_ctrl_c(error):
                raise
            raise _EndTraining from None
        except KeyError as error:
            if self.train_split is None and "'valid_" in str(error):
                raise ValueError(NO_VALIDATION.format(*error.args)) from error
            raise

    def fit_loop(self, X, y=None, epochs=None, **kwargs):
        """Run skorch's loop for the epochs that "auto" stands for."""
        if epochs is None and self._is("max_epochs", "auto"):
            epochs = EpochsLater(self._auto_epochs)
        return super().fit_loop(X, y, epochs=epochs, **kwargs)

    def run_single_epoch(self, iterator, training, **kwargs):
        """Go through the batches of an epoch, see skorch."""
        if training:
            # All modules are set before the first step: what was frozen may train now.
            self._set_training(False)
        super().run_single_epoch(iterator, training=training, **kwargs)

    def _set_training(self, training=True):
        """Set the mode where it changes: to walk all modules is a tenth of a step."""
        if not (training and self.module_.training):
            super()._set_training(training)

    def _auto_epochs(self) -> int:
        return -(-plain_whole(self.max_steps) // self.n_batches_)  # rounded up

    def get_iterator(self, dataset, training=False):
        """Return the loader of a data set's batches, see skorch; it shuffles."""
        name = "iterator_train" if training else "iterator_valid"
        kwargs = self.get_params_for(name)
        if training:
            kwargs.setdefault("shuffle", True)
        size = plain_whole(kwargs.get("batch_size", self._rows_a_batch(training)))
        kwargs["batch_size"] = len(dataset) if size == -1 else size
        made = self._rules()[name].check(name, getattr(self, name))(dataset, **kwargs)
        if training:
            self.n_batches_ = n_batches(made, len(dataset), kwargs["batch_size"])
        return made

    def _rows_a_batch(self, training: bool) -> int:
        return self.batch_size

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
        if self._has_schedule():
            callbacks.insert(1, ("lr_schedule", WarmupDecay(None)))
        return callbacks

    def _has_schedule(self) -> bool:
        return self._is("optimizer", "auto")

    # Components ----------------------------------------------------------------------

    def initialize(self):
        """Build network, criterion and callbacks anew, from the initial weights."""
        self.initialized_ = False  # skorch announces every re-initialisation
        self.learnt_with_ = snapshots(self._decisive())
        return super().initialize()

    def initialize_module(self):
        """Build the network; what it draws comes from the net's seed."""
        with seeded(self._seed()):
            return super().initialize_module()

    def initialize_optimizer(self, triggered_directly=None):
        """Build the optimizer that "auto" stands for, or the one that was given."""
        parameters = list(self.get_all_learnable_params())
        if not parameters:
            # Nothing to optimise yet. With this stand-in skorch learns the name, and
            # with it that parameters may start with "optimizer__".
            stand_in = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.01)
            self.optimizer_: torch.optim.Optimizer = stand_in
            return self
        args, kwargs = self.get_params_for_optimizer("optimizer", parameters)
        chosen = auto = self._auto_optimizer()
        # L-BFGS by its name is the same: at another's rate it stops before the optimum.
        same = self.optimizer is auto.optimizer is torch.optim.LBFGS
        if not (same or self._is("optimizer", "auto")):
            chosen = FineTuning(self.optimizer, 0.01, {})
        if kwargs["lr"] == "auto":
            kwargs["lr"] = chosen.lr
        options = {**chosen.kwargs, **kwargs}
        try:
            self.optimizer_ = chosen.optimizer(*args, **options)
        except (TypeError, ValueError) as error:
            called = getattr(chosen.optimizer, "__name__", chosen.optimizer)
            raise ParameterError(
                f"optimizer: {called} cannot be made with {options}: {error}. Check "
                "the parameters that begin with optimizer__."
            ) from error
        return self

    def _auto_optimizer(self) -> FineTuning:
        return self.fine_tuning

    def _build_optimizer(self) -> None:
        self.initialized_ = False  # as in `initialize`: nothing to announce
        self._initialize_optimizer()
        self.initialized_ = True

    def get_all_learnable_params(self):
        """Yield names and parameters that train, frozen by a callback or not."""
        held = {id(parameter) for parameter in self._in_optimizer()}
        for name, parameter in super().get_all_learnable_params():
            if parameter.requires_grad or id(parameter) in held:
                yield name, parameter

    def _in_optimizer(self) -> list[torch.Tensor]:
        groups = self.optimizer_.param_groups if hasattr(self, "optimizer_") else []
        return [parameter for group in groups for parameter in group["params"]]

    def infer(self, x, **fit_params) -> torch.Tensor:
        """Return the network's output for one batch, see skorch."""
        with self._resolved_device():
            return super().infer(x, **fit_params)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Return the criterion's loss, see skorch."""
        return self.criterion_(y_pred, to_tensor(y_true, device=y_pred.device))

    def _get_predict_nonlinearity(self):
        # skorch knows what makes probabilities of logits for three criteria, and gives
        # the logits themselves for others.
        theirs = isinstance(self.criterion_, nn.BCEWithLogitsLoss | nn.BCELoss)
        if self._is("predict_nonlinearity", "auto") and not theirs:
            return partial(torch.softmax, dim=-1)
        return super()._get_predict_nonlinearity()

    # Devices and files ---------------------------------------------------------------

    def _device(self) -> torch.device:
        return resolve_device(self.device)

    @contextlib.contextmanager
    def _resolved_device(self) -> Iterator[None]:
        """Show skorch a device where it would read the parameter "auto"."""
        device = self._device()
        if not self._is("device", "auto"):
            yield
            return
        self.device = str(device)
        self._auto_device = True
        try:
            yield
        finally:
            self.device = "auto"
            del self._auto_device

    def _initialize_module(self, reason=None):
        with self._resolved_device():
            return super()._initialize_module(reason)

    def _initialize_criterion(self, reason=None):
        with self._resolved_device():
            return super()._initialize_criterion(reason)

    def load_params(self, f_params=None, f_optimizer=None, **kwargs):
        """Load parameters saved by `save_params`, see skorch.

        A module that has nothing to train before it loads gets its optimizer then.
        """
        given = {"f_params": f_params, "f_optimizer": f_optimizer, **kwargs}
        checkpoint = kwargs.get("checkpoint")
        files = _files(given)
        with self._resolved_device(), loading(files):
            if checkpoint is not None:
                if not self.initialized_:
                    self.initialize()
                if checkpoint.f_history is not None:
                    files["f_history"] = checkpoint.f_history_
                    self.history = History.from_file(checkpoint.f_history_)
                files.update(checkpoint.get_formatted_files(self))
            if self.initialized_ and not any(self.get_all_learnable_params()):
                if f_params is None and checkpoint is not None:
                    f_params = checkpoint.get_formatted_files(self)["f_params"]
                safetensors = kwargs.get("use_safetensors", False)
                super().load_params(f_params, use_safetensors=safetensors)
                f_params = None
                self._build_optimizer()
            super().load_params(f_params, f_optimizer, **kwargs)

    def save_params(self, f_params=None, f_optimizer=None, **kwargs):
        """Save parameters for `load_params`, see skorch."""
        given = {"f_params": f_params, "f_optimizer": f_optimizer, **kwargs}
        with saving(_files(given)):
            super().save_params(f_params, f_optimizer, **kwargs)

    def __getstate__(self):
        state = super().__getstate__()
        if state.pop("_auto_device", False):  # saved by a callback, say
            state["device"] = "auto"
        return state

    def __setstate__(self, state) -> None:
        if state["device"] != "auto":
            super().__setstate__(state)
            return
        super().__setstate__({**state, "device": str(resolve_device("auto"))})
        self.device = "auto"

    def __copy__(self):
        """Return a net that trains on by itself; parameters are shared."""
        other = object.__new__(type(self))
        other.__setstate__(self.__getstate__())
        # Training changes them in place; the network is in the state by value.
        other.history_ = deepcopy(self.history_)
        if self.initialized_:
            other.callbacks_ = [(name, copy(part)) for name, part in self.callbacks_]
        return other


def _files(given: dict[str, Any]) -> dict[str, Any]:
    """Return those of the arguments that are files."""
    return {name: value for name, value in given.items() if name.startswith("f_")}


class _EndTraining(Exception):
    """A callback ended training early."""
