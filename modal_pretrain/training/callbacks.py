"""Callbacks of skorch's loop: the schedule, the stop rule, the log, the accuracy."""

from __future__ import annotations

import math
import warnings

import numpy as np
from skorch.callbacks import Callback, LRScheduler, PrintLog

from modal_pretrain._checks import plain_whole
from modal_pretrain.training.examples import targets_of

# Where a group of the optimizer has its rate before the schedule, and the one by it: a
# state that was saved amid a training, as by Checkpoint, starts the next one right.
_SCHEDULED = "warmup_decay"

_OTHER_RATE = (
    "A callback set the learning rate to {:g}, but the schedule of optimizer='auto' "
    "sets it anew in every step. Give the optimizer, optimizer=torch.optim.SGD and "
    "optimizer__momentum=0.9, say, which has no schedule, or take "
    "skorch.callbacks.LRScheduler."
)

_NO_LOSS = (
    "stop_loss needs the loss of every epoch, but there is none: iterator_train gave "
    "no batch (drop_last leaves out one that is not full: give a smaller batch_size), "
    "or the callback train_loss is off (set stop_loss=None)."
)

NO_VALIDATION = (
    "callbacks: one of them needs a score on validation data ({}), but "
    "train_split=None keeps all labels for training. Give it monitor='train_loss', or "
    "the classifier train_split=skorch.dataset.ValidSplit(5, stratified=True)."
)


class WarmupDecay(Callback):
    """The paper's learning rate: linear warm-up, then three divisions by ten.

    Warm-up lasts a fifth of `max_steps`; the divisions come after two, three and
    four fifths (100, 200, 300 and 400 of the paper's 500 steps). Where another schedule
    comes after it among the callbacks, as the user's do, that one sets the rates. What
    any other callback sets them to does not count, with a warning.

    Parameters
    ----------
    max_steps : int or None
        Length of the whole schedule in optimiser steps; None is that of the fit.
    """

    def __init__(self, max_steps: int | None = 500) -> None:
        self.max_steps = max_steps

    def on_train_begin(self, net, **kwargs) -> None:
        """Start the schedule from the optimizer's rates."""
        self.step_, self.told_ = 0, False
        self.steps_: int = self.max_steps or 0
        for group in net.optimizer_.param_groups:
            base, rate = group.pop(_SCHEDULED, (None, None))
            if rate == group["lr"]:  # nobody has given another since
                group["lr"] = base
        self.base_ = [group["lr"] for group in net.optimizer_.param_groups]
        callbacks = [callback for _, callback in net.callbacks_]
        after = callbacks[callbacks.index(self) + 1 :]
        self.stands_back_ = any(
            isinstance(callback, LRScheduler | WarmupDecay) for callback in after
        )

    def on_epoch_begin(self, net, **kwargs) -> None:
        """Lay the schedule over the fit, now that its loader is known."""
        if not self.steps_:
            auto = net._is("max_epochs", "auto")
            given = plain_whole(net.max_steps if auto else net.max_epochs)
            self.steps_ = given if auto else given * net.n_batches_

    def on_batch_begin(self, net, training=False, **kwargs) -> None:
        """Set the rates of the coming step."""
        if not training or self.stands_back_:
            return
        self.step_ += 1
        factor = warmup_decay_factor(self.step_, self.steps_)
        self._take_new_groups(net)
        for group, base in zip(net.optimizer_.param_groups, self.base_, strict=True):
            if group["lr"] != group.get(_SCHEDULED, (base, base))[1] and not self.told_:
                self.told_ = True
                warnings.warn(_OTHER_RATE.format(group["lr"]), stacklevel=2)
            group["lr"] = base * factor
            group[_SCHEDULED] = base, group["lr"]

    def on_train_end(self, net, **kwargs) -> None:
        """Restore the optimizer's rates, for a later partial_fit."""
        if self.stands_back_:
            return
        self._take_new_groups(net)
        for group, base in zip(net.optimizer_.param_groups, self.base_, strict=True):
            group["lr"] = base
            group.pop(_SCHEDULED, None)

    def _take_new_groups(self, net) -> None:
        """Follow the schedule with what a callback adds to the optimizer, too."""
        groups = net.optimizer_.param_groups[len(self.base_) :]
        self.base_ += [group["lr"] for group in groups]


def warmup_decay_factor(step: int, max_steps: int) -> float:
    """Return the learning rate of a step (from 1) as a share of the base rate."""
    fifth = max_steps / 5
    if step <= fifth:
        return step / fifth
    return 10.0 ** -max(0, math.floor((step - 1e-9) / fifth) - 1)


class StopBelowLoss(Callback):
    """Stop once an epoch's training loss falls below a share of the first one's.

    Parameters
    ----------
    ratio : float or None, default=0.001
        The share; None never stops. The paper uses 0.001.
    """

    def __init__(self, ratio: float | None = 0.001) -> None:
        self.ratio = ratio

    def on_train_begin(self, net, **kwargs) -> None:
        """Forget the last fit."""
        self.first_: float | None = None

    def on_epoch_end(self, net, **kwargs) -> None:
        """Compare the epoch's loss with the first one."""
        epoch = net.history[-1]
        loss = epoch.get("train_loss")
        if loss is None:
            if self.ratio is None and epoch.get("batches"):
                return
            raise ValueError(_NO_LOSS)
        if self.first_ is None:
            self.first_ = loss
        elif self.ratio is not None and loss < self.ratio * self.first_:
            # skorch's own way to end training early, see its EarlyStopping.
            raise KeyboardInterrupt


class EpochLog(PrintLog):
    """skorch's table of epochs, from ``verbose=2`` on."""

    def on_epoch_end(self, net, **kwargs) -> None:
        """Print the epoch's row if the net is that talkative."""
        if net.verbose >= 2:
            super().on_epoch_end(net, **kwargs)


def encoded_accuracy(net, X, y) -> float:
    """Accuracy on a validation split, whose targets are column numbers."""
    y = targets_of(X) if y is None else y  # as skorch has it without its cache
    return float(np.mean(net.predict_proba(X).argmax(axis=1) == np.asarray(y)))
