"""Networks whose functions refer to themselves, and their copies."""

from collections import OrderedDict
from functools import partial
from types import MethodType

import numpy as np
import pytest
import torch
from torch import nn

from modal_pretrain import PretrainedClassifier
from modal_pretrain.backbones.copies import copy_of


def _net() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


def _assigned():
    net = _net()
    before = net.forward
    net.forward = lambda x: before(x)
    return net


def _over_list():
    net = _net()
    parts = [*net]

    def forward(x):
        for part in parts:
            x = part(x)
        return x

    net.forward = forward
    return net


def _method():
    net = _net()
    net.forward = MethodType(lambda self, x: net[3](net[2](net[1](net[0](x)))), net)
    return net


def _defaults():
    net = _net()
    for part in net:
        part.forward = lambda x, before=part.forward: before(x)
    net.forward = lambda x, *, parts=tuple(net): parts[3](
        parts[2](parts[1](parts[0](x)))
    )
    return net


class _Hooked(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = _net()
        self.found = {}
        self.net[2].register_forward_hook(
            lambda module, given, output: self.found.update(pooled=output)
        )

    def forward(self, x):
        self.net(x)
        return self.found["pooled"].flatten(1)


class _Lambda(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = _net()
        self.embed = lambda x: self.net(x)

    def forward(self, x):
        return self.embed(x)


class _Listed(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = _net()
        first = {"conv": lambda x: self.net[0](x)}
        self.steps = [first, (lambda x: self.net[1:](x),)]

    def forward(self, x):
        return self.steps[1][0](self.steps[0]["conv"](x))


def _list_of_a_closure():
    net = _net()
    net.steps = steps = [[lambda x: net[0](x)], {"rest": lambda x: net[1:](x)}]
    net.forward = lambda x: steps[1]["rest"](steps[0][0](x))
    return net


def _ordered():
    net = _net()
    parts = OrderedDict(net.named_children())

    def forward(x, first):
        x = parts[first](x)
        for part in [*parts.values()][1:]:
            x = part(x)
        return x

    net.forward = partial(forward, first="0")
    return net


def _partial():
    net = _net()
    run = partial(lambda network, x: network[1:](network[0](x)), net)
    net.forward = lambda x: run(x)
    return net


def _nonlocal():
    net, pooled = _net(), None
    before = net.forward

    def note(module, given, output):
        nonlocal pooled
        pooled = output

    def forward(x):
        before(x)
        return pooled.flatten(1)

    net[2].register_forward_hook(note)
    net.forward = forward
    return net


FACTORIES = [_assigned, _over_list, _method, _defaults, _Hooked, _Lambda]
FACTORIES += [_Listed, _list_of_a_closure, _ordered, _partial, _nonlocal]


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_copy_computes_with_its_own_weights(factory):
    net, x = factory(), torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        before = net(x).clone()
        other = copy_of(net)
        for parameter in other.parameters():
            parameter.mul_(2)
        assert not torch.allclose(other(x), before)
        torch.testing.assert_close(net(x), before)


def test_functions_that_know_nothing_of_the_network_stay_themselves():
    net, factor = _net(), 2
    net.scaled = lambda x: factor * x  # type: ignore[assignment]
    assert copy_of(net).scaled is net.scaled


def test_a_function_that_calls_itself_and_a_list_that_holds_itself():
    net = _net()
    parts: list = [net[0]]
    parts.append(parts)

    def count(n):
        return (parts[0] is net[0]) + (count(n - 1) if n else 0)

    net.count = count  # type: ignore[assignment]
    assert copy_of(net).count(2) == 3


@pytest.mark.parametrize("factory", [_net, *FACTORIES])
@pytest.mark.parametrize("embedded_before", [False, True])
def test_they_train_as_any_other(factory, embedded_before):
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (8, 16, 16, 3), dtype=np.uint8), [0, 1] * 4
    given = {"pretrained": False, "image_size": 16, "random_state": 0, "augment": False}
    if embedded_before:
        PretrainedClassifier(factory, **given).fit(X, y)
    given |= {"tune": "all", "max_epochs": 3, "lr": 0.01}
    found = PretrainedClassifier(factory, **given).fit(X, y).predict_proba(X)
    expected = PretrainedClassifier(_net, **given).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_hooks_on_gradients_are_the_copys_too():
    net = _net()
    net.register_buffer("mask", torch.zeros(4))
    net[0].bias.register_hook(lambda gradient: gradient * net.mask)
    net.requires_grad_(False)
    other = copy_of(net).requires_grad_(True)
    for mask in (0.0, 1.0):
        other.mask.fill_(mask)  # type: ignore[operator]
        other.zero_grad()
        other(torch.rand(2, 3, 16, 16)).sum().backward()
        assert bool(other[0].weight.grad.any())
        assert bool(other[0].bias.grad.any()) is bool(mask)
    assert not net.mask.any()  # type: ignore[operator]


def test_masked_weights_stay_as_they_were():
    initial = _net().state_dict()

    def factory():
        net = _net()
        net.load_state_dict(initial)
        net[0].bias.register_hook(torch.zeros_like)
        return net

    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (8, 16, 16, 3), dtype=np.uint8), [0, 1] * 4
    given = {"image_size": 16, "random_state": 0, "max_epochs": 2, "lr": 0.1}
    given |= {"optimizer": torch.optim.SGD, "augment": False, "tune": "all"}
    fitted = PretrainedClassifier(factory, pretrained=False, **given).fit(X, y)
    state = fitted.module_.backbone.state_dict()
    assert not torch.equal(state["0.weight"], initial["0.weight"])
    assert torch.equal(state["0.bias"], initial["0.bias"])
