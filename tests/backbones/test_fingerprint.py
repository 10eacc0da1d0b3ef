"""Fingerprints of backbones."""

import copy
import functools
import logging
import pickle
import time
from collections import deque
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
import xxhash
from torch import nn

from modal_pretrain.backbones import fingerprint as implementation
from modal_pretrain.backbones.fingerprint import fingerprint, is_portable
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


class Thing:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return self.factor * x


@dataclass
class Recipe:
    factor: int

    def __call__(self, x):
        return self.factor * x


class Slotted:
    __slots__ = ("factor",)

    def __init__(self, factor):
        self.factor = factor


class Words(list):
    def __init__(self, factor):
        super().__init__(["a"])
        self.factor = factor


HELD = {
    "an object with slots": Slotted,
    "a list with more to it": Words,
    "a masked array": lambda n: np.ma.array([1, 2], mask=[n == 1, n == 2]),
    "an array of swapped bytes": lambda n: np.array([n], ">f4"),
    "numbers of 16 bytes": lambda n: np.array([n], np.longdouble),
    "conjugate numbers": lambda n: torch.tensor([1j * n]).conj(),
    "negated numbers": lambda n: torch.tensor([1j * n]).conj().imag,
    "a sparse tensor": lambda n: (n * torch.eye(2)).to_sparse_csr(),
    "rows of several lengths": lambda n: torch.nested.nested_tensor(
        [torch.ones(1), torch.full((2,), float(n))], layout=torch.jagged
    ),
    "an object of PyTorch's": lambda n: torch.distributions.Normal(0.0, float(n)),
    "a module of Python": lambda n: [np, torch.nn.functional][n - 1],
    "a generator": np.random.RandomState,
    "what a table holds": lambda n: pd.DataFrame({"a": [n]}),
    "a number of NumPy": np.float32,
    "a complex number": complex,
    "bytes": lambda n: bytes([n]),
    "a set": lambda n: {n},
    "a slice": slice,
    "tensors in a list": lambda n: [torch.tensor(float(n))],
    "arrays in a dict": lambda n: {"a": np.full(2, n)},
    "words in an array": lambda n: np.array([str(n)]),
    "functions in a list": lambda n: [[abs, round][n - 1]],
    "an object": Thing,
    "an object in a deque": lambda n: deque([Thing(n)]),
    "what has no hash": Recipe,
    "a function of NumPy": lambda n: [np.exp, np.log][n - 1],
    "itself": lambda n: (lambda held: held.append(held) or held)([n]),
    "modules in a list": lambda n: [nn.Identity(), Scaled(n)],
    "its root": lambda n: (lambda root: [root] * n)(nn.Identity()),
}


@pytest.mark.filterwarnings("ignore:Sparse CSR")
@pytest.mark.parametrize("held", HELD)
def test_what_a_module_of_the_users_holds(held):
    one, two = Scaled(HELD[held](1)), Scaled(HELD[held](2))
    assert fingerprint(one) == fingerprint(one)
    assert fingerprint(one) != fingerprint(two)


def test_a_module_that_holds_its_own_root():
    inner = Scaled()
    root = nn.Sequential(inner, nn.Linear(2, 2))
    inner.factor = [root]
    before = fingerprint(root)
    root[1].weight.data += 1
    assert fingerprint(root) != before


def test_the_object_of_a_method_changes():
    thing = Thing(1)
    module = Scaled(thing.__call__)
    before = fingerprint(module)
    assert fingerprint(module) == before
    thing.factor = 2
    assert fingerprint(module) != before


def test_what_others_do_to_a_shared_object_does_not_matter():
    module = Scaled(logging.getLogger("a"))
    before = fingerprint(module)
    logging.getLogger("a.b").setLevel(10)
    assert fingerprint(module) == before


@pytest.mark.parametrize("held", [list, lambda parts: {"a": parts[0], "b": parts[1]}])
def test_what_is_nested_deeply_takes_no_time(held):
    value = 1
    for _ in range(2000):
        value = held([value, value])
    start = time.perf_counter()
    fingerprint(Scaled(value))
    assert time.perf_counter() - start < 5


class Stray(nn.Module):
    """A module that saves weights that nobody else sees, as quantised ones do."""

    def __init__(self, weight):
        super().__init__()
        self.packed = torch.device("cpu"), weight

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        destination[f"{prefix}weight"] = torch.tensor(self.packed[1])


Stray.__module__ = "torch.nn.stray"


def test_weights_that_a_layer_keeps_to_itself():
    one, two = nn.Sequential(Stray(1.0)), nn.Sequential(Stray(2.0))
    assert fingerprint(one) != fingerprint(two)
    assert not is_portable(one)


class Composed(nn.Module):
    """As torchvision's Compose, which registers no module."""

    def __init__(self, *transforms):
        super().__init__()
        self.transforms = list(transforms)


Composed.__module__ = "torchvision.transforms.v2"


def test_modules_that_are_not_registered():
    pytest.importorskip("torchvision")
    one, two = Composed(nn.Dropout(0.1)), Composed(nn.Dropout(0.2))
    assert fingerprint(one) != fingerprint(two)
    assert not is_portable(one)


def test_a_module_that_is_used_again():
    one, two, act = nn.Linear(2, 2), nn.Linear(2, 2), nn.ReLU()
    networks = [
        nn.Sequential(one, act, two),
        nn.Sequential(one, act, two, act),
        nn.Sequential(one, act, two, one),
        nn.Sequential(one, act, two, two),
    ]
    assert len({*map(fingerprint, networks)}) == 4


def test_weights_that_are_tied_to_others():
    one, two = nn.Linear(2, 2), nn.Linear(2, 2)

    def tied(to):
        third = nn.Linear(2, 2)
        third.weight, third.bias = to.weight, to.bias
        return nn.Sequential(one, two, third)

    assert fingerprint(tied(one)) == fingerprint(tied(one))
    assert fingerprint(tied(one)) != fingerprint(tied(two))


@pytest.mark.parametrize("norm", ["weight_norm", "spectral_norm", "orthogonal"])
def test_layers_of_the_users_that_are_parametrised(norm):
    def build(function):  # a class whose code was edited
        class Layer(nn.Linear):
            def forward(self, x):
                return function(super().forward(x))

        torch.manual_seed(0)
        return parametrised(Layer(4, 4))

    parametrised = getattr(nn.utils.parametrizations, norm)
    one, two = build(torch.relu), build(torch.tanh)
    assert fingerprint(one) != fingerprint(two)
    assert fingerprint(copy.deepcopy(one)) == fingerprint(one)
    assert not is_portable(one)
    assert is_portable(parametrised(nn.Linear(4, 4)))


def test_code_of_torchscript():
    # A file of TorchScript has code of its own under classes that are all PyTorch's.
    inputs = torch.ones(1, 2)
    one, two = (
        nn.Sequential(torch.jit.trace(f, inputs)) for f in (nn.ReLU(), nn.ELU())
    )
    assert fingerprint(one) == fingerprint(one)
    assert fingerprint(one) != fingerprint(two)
    assert not is_portable(one)


def test_settings_that_are_members_of_an_enumeration():
    transforms = pytest.importorskip("torchvision.transforms.v2")
    one, two = (transforms.Resize(8, interpolation=number) for number in (0, 2))
    assert fingerprint(one) != fingerprint(two)
    assert fingerprint(transforms.ToDtype(torch.float32)) != fingerprint(
        transforms.ToDtype(torch.float16)
    )


def test_functions_of_the_libraries_with_settings():
    def build(eps):  # as torchvision's vision transformers
        module = nn.Identity()
        module.norm = functools.partial(nn.LayerNorm, eps=eps)
        return module

    assert fingerprint(build(1e-6)) == fingerprint(build(1e-6))
    assert fingerprint(build(1e-6)) != fingerprint(build(1e-5))
    assert is_portable(build(1e-6))
    module = build(1e-6)
    module.norm = functools.partial(Scaled, 2)
    assert not is_portable(module)


def test_an_object_that_changes():
    module = Scaled(Thing(1))
    before = fingerprint(module)
    module.factor.factor = 2
    assert fingerprint(module) != before


@pytest.mark.parametrize("by", ["hook", "forward"])
@pytest.mark.parametrize(
    "held, change",
    [
        ({1}, lambda held: held.add(2)),
        ({"shift": torch.zeros(2)}, lambda held: held["shift"].add_(1)),
    ],
)
def test_what_own_code_may_read_of_a_layer_of_the_libraries(by, held, change):
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    held = net[0].held = copy.deepcopy(held)
    if by == "hook":
        net[1].register_forward_hook(lambda module, inputs, output: output)
    else:
        net.forward = lambda x: net[1](net[0](x))
    before = fingerprint(net)
    assert fingerprint(net) == before
    change(held)
    assert fingerprint(net) != before


@pytest.mark.parametrize("when", ["register_forward_hook", "register_forward_pre_hook"])
def test_hooks(when):
    module = small(num_classes=0)
    before = fingerprint(module)
    handle = getattr(module, when)(lambda *_: None)
    assert fingerprint(module) != before
    assert not is_portable(module)
    handle.remove()
    assert fingerprint(module) == before
    assert is_portable(module)


@pytest.mark.parametrize(
    "module",
    [small(), small(SMALL_VIT), Scaled(), Scaled(Thing(2)), nn.Identity()],
)
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
        (nn.LeakyReLU(np.float32(0.1)), nn.LeakyReLU(np.float32(0.2))),
        (nn.MaxPool2d(np.int64(2)), nn.MaxPool2d(np.int64(3))),
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


class Odd(nn.Module):
    """Everything that a module may hold, some of it twice."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        self.half = nn.Linear(4, 4).to(torch.bfloat16)
        self.norm = nn.BatchNorm2d(4)
        self.again = self.first
        self.tied = nn.Linear(4, 4)
        self.tied.weight = nn.Parameter(torch.rand(4, 8)[:, ::2])
        self.other = nn.Linear(4, 4)
        self.other.weight = self.tied.weight
        self.register_buffer("none", None)
        self.register_buffer("empty", torch.zeros(0, 3))
        self.register_buffer("doubles", torch.zeros(2, dtype=torch.float64))
        self.register_parameter("missing", None)
        self.tensor, self.array = torch.arange(3), np.arange(4.0)
        self.settings = {"sizes": [1, (2, 3)], "name": None}
        self.act = torch.relu


Odd.__module__ = "torch.nn.odd"  # rows of modules of the user's are not on disk


@pytest.mark.parametrize("module", [small(), small(SMALL_VIT), Odd()])
def test_fingerprints_are_those_that_caches_on_disk_hold(module):
    # The rule, walked as PyTorch does: whoever makes it faster must not change it.
    digest = xxhash.xxh3_128()

    def add(name, tensor):
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        flat = tensor.detach().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy().tobytes())

    first = {part: name for name, part in module.named_modules()}
    for name, part in module.named_modules():
        digest.update(f"{name}:{implementation._identity(type(part))}".encode())
        for key, child in part._modules.items():
            prefix = f"{name}.{key}" if name else key
            if first[child] != prefix:
                digest.update(f"{prefix} is {first[child]}".encode())
        for key, value in vars(part).items():
            if key in implementation.NO_SETTINGS:
                continue
            if isinstance(value, torch.Tensor):
                add(f"{name}.{key}", value)
            elif isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
                add(f"{name}.{key}", torch.tensor(value))
            elif implementation.is_plain(value):
                digest.update(f"{name}.{key}={value!r}".encode())
            elif callable(value):
                named = implementation._identity(value)
                digest.update(f"{name}.{key}={named}".encode())
    for list_of in (nn.Module.named_parameters, nn.Module.named_buffers):
        seen = {}
        for name, part in module.named_modules():
            again = {"recurse": False, "remove_duplicate": False}
            for key, tensor in list_of(part, name, **again):
                if seen.setdefault(tensor, key) == key:
                    add(key, tensor)
                else:
                    digest.update(f"{key} is {seen[tensor]}".encode())
    assert fingerprint(module) == digest.hexdigest()


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
