"""Fingerprints of backbones."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from modal_pretrain.backbones.fingerprint import fingerprint
from tests.backbones.cases import (
    SMALL_VIT,
    small,
)


class Scaled(nn.Module):
    def __init__(self, factor=1.0):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return x * self.factor


class Applied(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def constant(value, persistent=True):
    module = nn.Module()
    module.register_buffer("constant", torch.tensor(value), persistent=persistent)
    return module


def plain_tensor(value):
    module = nn.Module()
    module.tensor = torch.tensor(value)
    module.array = np.array(value)
    return module


@pytest.mark.parametrize("module", [small(), small(SMALL_VIT), Scaled(), nn.Identity()])
def test_copies_have_equal_fingerprints(module):
    expected = fingerprint(module)
    assert fingerprint(module) == expected
    assert fingerprint(copy.deepcopy(module)) == expected
    assert fingerprint(pickle.loads(pickle.dumps(module))) == expected
    assert fingerprint(copy.deepcopy(module).train()) == expected


@pytest.mark.parametrize(
    "one, two",
    [
        (Scaled(2.0), Scaled(3.0)),
        (Applied(torch.relu), Applied(torch.sigmoid)),
        (Applied(lambda x: x), Applied(lambda x: 2 * x)),
        (nn.ReLU(), nn.GELU()),
        (nn.GELU(), nn.GELU(approximate="tanh")),
        (nn.Sequential(nn.ReLU()), nn.Sequential(nn.ReLU(), nn.ReLU())),
        (constant([1.0]), constant([2.0])),
        (constant([1.0], persistent=False), constant([2.0], persistent=False)),
        (constant([1.0]), constant([1])),
        (constant([[1.0, 2.0]]), constant([1.0, 2.0])),
        (plain_tensor([1.0]), plain_tensor([2.0])),
        (
            small(num_classes=0, global_pool="avg"),
            small(num_classes=0, global_pool="max"),
        ),
    ],
)
def test_what_computes_something_else_has_another_fingerprint(one, two):
    assert fingerprint(one) != fingerprint(two)


def test_class_defined_anew_under_its_old_name():
    def define(factor):
        class Net(nn.Module):
            def forward(self, x):
                return factor * x

        return Net

    one, two = define(1), define(2)
    assert one.__qualname__ == two.__qualname__
    assert fingerprint(one()) == fingerprint(one())
    assert fingerprint(one()) != fingerprint(two())


@pytest.mark.parametrize("way", ["data", "load_state_dict", "optimizer", "buffer"])
def test_fingerprint_follows_the_weights_in_place(way):
    module = small(num_classes=0)
    before = fingerprint(module)
    if way == "data":
        module.conv_stem.weight.data.view(-1)[0] += 1e-6
    elif way == "load_state_dict":
        module.load_state_dict(small(num_classes=0, seed=2).state_dict())
    elif way == "optimizer":
        optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
        module(torch.ones(1, 3, 32, 32)).sum().backward()
        optimizer.step()
    else:
        module.bn1.running_mean[0] += 1
    assert fingerprint(module) != before


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_fingerprint_of_other_types(dtype):
    module = nn.Linear(3, 2)
    assert fingerprint(copy.deepcopy(module).to(dtype)) != fingerprint(module)


def test_compiling_changes_nothing():
    # Rows on disk would be computed again, and filed where nobody else looks.
    backbone = small()
    before = fingerprint(backbone)
    torch.compile(backbone)
    assert fingerprint(backbone) == before
