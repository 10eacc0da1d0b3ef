"""The schedule, the stop rule and the log."""

import types

import pytest
import torch
from skorch.callbacks import Callback, PrintLog
from torch import nn

from modal_pretrain.training.callbacks import (
    EpochLog,
    StopBelowLoss,
    WarmupDecay,
    warmup_decay_factor,
)

# The schedule -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "step, factor",
    [
        (1, 0.01),
        (50, 0.5),
        (100, 1),
        (101, 1),
        (200, 1),
        (201, 0.1),
        (300, 0.1),
        (301, 0.01),
        (400, 0.01),
        (401, 0.001),
        (500, 0.001),
        (501, 0.0001),
    ],
)
def test_the_papers_schedule(step, factor):
    assert warmup_decay_factor(step, 500) == pytest.approx(factor)


@pytest.mark.parametrize("max_steps", [1, 2, 3, 7, 50])
def test_short_schedules(max_steps):
    factors = [warmup_decay_factor(k, max_steps) for k in range(1, max_steps + 1)]
    assert all(0 < f <= 1 for f in factors)
    assert max_steps < 5 or max(factors) == 1


def optimizer(*rates):
    return torch.optim.SGD(
        [{"params": [nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates]
    )


def test_schedule_sets_and_restores_every_group():
    schedule = WarmupDecay(max_steps=10)
    net = types.SimpleNamespace(
        optimizer_=optimizer(1.0, 10.0), callbacks_=[("lr_schedule", schedule)]
    )

    def rates():
        return [group["lr"] for group in net.optimizer_.param_groups]

    for _ in range(2):  # a second fit starts over
        schedule.on_train_begin(net)
        seen = []
        for _ in range(10):
            schedule.on_batch_begin(net, training=True)
            seen.append(rates()[0])
            schedule.on_batch_begin(net, training=False)
            assert rates() == [seen[-1], 10 * seen[-1]]
        assert seen == pytest.approx([0.5, 1, 1, 1, 0.1, 0.1, 0.01, 0.01, 1e-3, 1e-3])
        schedule.on_train_end(net)
        assert rates() == [1.0, 10.0]


# The stop rule ------------------------------------------------------------------------


def stopped_after(losses, ratio):
    rule = StopBelowLoss(ratio)
    net = types.SimpleNamespace(history=[])
    rule.on_train_begin(net)
    for loss in losses:
        net.history.append({"train_loss": loss})
        try:
            rule.on_epoch_end(net)
        except KeyboardInterrupt:
            break
    return len(net.history)


@pytest.mark.parametrize(
    "ratio, expected", [(0.1, 4), (0.001, 5), (0.5, 3), (2.0, 2), (None, 5), (0, 5)]
)
def test_stop_rule(ratio, expected):
    assert stopped_after([2.0, 1.5, 0.9, 0.1, 0.01], ratio) == expected


def test_stop_rule_forgets_the_last_fit():
    rule = StopBelowLoss(0.5)
    for first in (100.0, 1.0):
        net = types.SimpleNamespace(history=[{"train_loss": first}])
        rule.on_train_begin(net)
        rule.on_epoch_end(net)
        net.history.append({"train_loss": 0.6 * first})
        rule.on_epoch_end(net)


def test_stop_rule_without_a_loss():
    net = types.SimpleNamespace(history=[{"batches": [{}]}])
    StopBelowLoss(None).on_epoch_end(net)
    with pytest.raises(ValueError, match=r"stop_loss needs.*set stop_loss=None"):
        StopBelowLoss(0.1).on_epoch_end(net)
    net.history.append({"batches": []})
    with pytest.raises(ValueError, match=r"iterator_train gave no batch.*batch_size"):
        StopBelowLoss(None).on_epoch_end(net)


# The log ------------------------------------------------------------------------------


@pytest.mark.parametrize("verbose", [0, 1, 2, 3])
def test_log_from_verbose_2(monkeypatch, verbose):
    rows = []
    monkeypatch.setattr(
        PrintLog, "on_epoch_end", lambda self, net, **kwargs: rows.append(net)
    )
    EpochLog().on_epoch_end(types.SimpleNamespace(verbose=verbose))
    assert bool(rows) == (verbose >= 2)


class OwnRate(Callback):
    def on_epoch_begin(self, net, **kwargs):
        for group in net.optimizer_.param_groups:
            group["lr"] = 0.5


def test_a_rate_that_the_schedule_overrides(make, pictures, labels):
    params = {"tune": 1, "max_epochs": 2, "callbacks": [OwnRate()]}
    with pytest.warns(UserWarning, match="set the learning rate to 0.5, but the") as w:
        make(**params).fit(pictures, labels)
    assert len(w) == 1
    given = make(**params, optimizer=torch.optim.SGD).fit(pictures, labels)
    assert given.optimizer_.param_groups[0]["lr"] == 0.5
