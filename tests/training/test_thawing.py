"""Stages that a callback freezes and thaws while the net trains."""

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, Freezer, Unfreezer
from torch import nn

from modal_pretrain.training.network import PretrainedNetwork


def tiny(pretrained=False):
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 4, stride=4), nn.ReLU(), nn.Dropout(0.1)),
        nn.Sequential(nn.Conv2d(4, 8, 2, stride=2), nn.ReLU(), nn.Dropout(0.1)),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 8)),
    )


class Watch(Callback):
    """Notes the weights after each epoch, and which modules are in training mode."""

    def initialize(self):
        self.weights, self.modes = [], []

    def on_epoch_end(self, net, **kwargs):
        weights = net.module_.named_parameters()
        self.weights.append({n: w.detach().clone() for n, w in weights})
        stages = net.module_.backbone
        self.modes.append([stage.training for stage in stages])

    def moved(self):
        """Name the stages that moved from each epoch to the next."""
        pairs = zip(self.weights, self.weights[1:], strict=False)
        return [
            {
                n.removeprefix("backbone.")[0]
                for n in a
                if n.startswith("backbone") and not torch.equal(a[n], b[n])
            }
            for a, b in pairs
        ]


def thawing(make, tune, at, **params):
    stages = ("thaw", Unfreezer("backbone.1*", at=at))
    callbacks = [("freeze", Freezer("backbone*", at=1)), stages, ("watch", Watch())]
    params = {"max_epochs": 4, "lr": 0.1, "stop_loss": None, **params}
    return make(
        backbone=tiny, pretrained=False, tune=tune, callbacks=callbacks, **params
    )


def watch(classifier):
    return dict(classifier.callbacks_)["watch"]


@pytest.mark.parametrize("tune", [2, "all"])
def test_what_is_thawed_trains(make, pictures, labels, tune):
    classifier = thawing(make, tune, at=3).fit(pictures, labels)
    assert watch(classifier).moved() == [set(), {"1"}, {"1"}]
    assert [modes[1] for modes in watch(classifier).modes] == [False, False, True, True]


@pytest.mark.parametrize("tune", [2, "all"])
def test_in_a_later_call_too(make, pictures, labels, tune):
    classifier = thawing(make, tune, at=6).fit(pictures, labels)
    before = classifier.predict_proba(pictures)
    classifier.partial_fit(pictures, labels)
    assert watch(classifier).moved() == [set()] * 4 + [{"1"}] * 3
    assert not np.array_equal(classifier.predict_proba(pictures), before)


class Fails(PretrainedNetwork):
    """As if memory ran out once something has thawed."""

    def forward(self, *args, **kwargs):
        thawed = next(self.backbone[1].parameters()).requires_grad
        if thawed and self.training and getattr(self, "armed", False):
            if self.steps == 1:
                raise MemoryError
            self.steps += 1
        return super().forward(*args, **kwargs)


def test_a_failure_after_a_thaw_leaves_the_net_as_it_was(make, pictures, labels):
    classifier = thawing(make, "all", at=6, module=Fails).fit(pictures, labels)
    before = {n: p.detach().clone() for n, p in classifier.module_.named_parameters()}
    trains = {n: p.requires_grad for n, p in classifier.module_.named_parameters()}
    classifier.module_.armed, classifier.module_.steps = True, 0
    with pytest.raises(MemoryError):
        classifier.partial_fit(pictures, labels)
    for name, parameter in classifier.module_.named_parameters():
        assert torch.equal(parameter, before[name])
        assert parameter.requires_grad == trains[name]


def steady(pretrained=False):
    """Without dropout, so that what stages that do not train give is kept."""
    stages = tiny()
    return nn.Sequential(stages[0][:2], stages[1][:2], stages[2])


class Adds(Callback):
    """Thaws a stage that `tune` leaves out, and gives it to the optimizer."""

    def __init__(self, at, fails=None):
        self.at, self.fails = at, fails

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == self.at:
            stage = net.module_.backbone[1].requires_grad_(True)
            net.optimizer_.add_param_group({"params": stage.parameters(), "lr": 0.1})
        if len(net.history) == self.fails:
            raise MemoryError


def adding(make, tune, at, fails=None, **params):
    callbacks = [("add", Adds(at, fails)), ("watch", Watch())]
    params = {"max_epochs": 4, "lr": 0.1, "stop_loss": None, **params}
    return make(
        backbone=steady, pretrained=False, tune=tune, callbacks=callbacks, **params
    )


@pytest.mark.parametrize("optimizer", ["auto", torch.optim.SGD])
def test_what_thaws_in_vain_is_said(make, pictures, labels, optimizer):
    classifier = adding(make, 1, at=3, optimizer=optimizer)
    with pytest.warns(UserWarning, match=r"such as backbone\.1\.0\.weight.*Freezer"):
        classifier.fit(pictures, labels)
    assert "1" not in set().union(*watch(classifier).moved())


def test_what_a_callback_adds_trains_where_all_stages_are_computed(
    make, pictures, labels
):
    classifier = adding(make, 1, at=3, augment=True)
    classifier.fit(pictures, labels)  # without a warning
    assert ["1" in moved for moved in watch(classifier).moved()] == [False, True, True]
    rates = [group["lr"] for group in classifier.optimizer_.param_groups]
    assert rates == [0.1] * len(rates)


def test_a_failure_after_a_group_was_added_is_told_as_it_is(make, pictures, labels):
    classifier = adding(make, 1, at=5, fails=6).fit(pictures, labels)
    groups = len(classifier.optimizer_.param_groups)
    trains = [parameter.requires_grad for parameter in classifier.module_.parameters()]
    with pytest.raises(MemoryError):
        classifier.partial_fit(pictures, labels)
    assert len(classifier.optimizer_.param_groups) == groups
    assert [p.requires_grad for p in classifier.module_.parameters()] == trains


def alike(pretrained=False):
    """Blocks that return what looks the same, as those of a transformer do."""
    blocks = [nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ELU()) for _ in range(3)]
    stem = nn.Conv2d(3, 8, 4, stride=4)
    end = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 8))
    return nn.Sequential(stem, *blocks, end)


class Predicts(Callback):
    """As who follows a score on pictures of their own."""

    def __init__(self, X):
        self.X = X

    def on_epoch_end(self, net, **kwargs):
        net.predict_proba(self.X)


class Whole(PretrainedNetwork):
    """With a forward of its own, so that nothing is computed once."""

    def forward(self, inputs):
        return super().forward(inputs)


@pytest.mark.parametrize("between", [False, True])
def test_the_cut_moves_with_what_is_frozen(make, pictures, labels, between):
    def journey(**params):
        callbacks = [
            ("freeze", Freezer("backbone.[12]*", at=2)),
            ("thaw", Unfreezer("backbone.[12]*", at=5)),
        ]
        if between:
            callbacks.append(("predicts", Predicts(pictures[::2])))
        params = {"max_epochs": 3, "lr": 0.1, "stop_loss": None, **params}
        classifier = make(
            backbone=alike,
            pretrained=False,
            tune=4,
            callbacks=callbacks,
            **params,
        ).fit(pictures, labels)
        yield classifier.predict_proba(pictures)
        classifier.partial_fit(pictures, labels)
        yield classifier.predict_proba(pictures)

    for found, expected in zip(journey(), journey(module=Whole), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


class Detached(nn.Module):
    """As in tutorials on linear probes."""

    def __init__(self):
        super().__init__()
        self.net = tiny()

    @torch.no_grad()
    def forward(self, x):
        return self.net(x)


@pytest.mark.parametrize("tune", [1, "all"])
def test_a_backbone_that_passes_no_gradient_on_is_warned_of(
    make, pictures, labels, tune
):
    classifier = make(backbone=Detached, pretrained=False, tune=tune, max_epochs=1)
    with pytest.warns(UserWarning, match="Detached nothing has trained: none of its 6"):
        classifier.fit(pictures, labels)
