"""A backbone cut before what trains: its halves are the whole, or there is no cut."""

import random
import threading

import numpy as np
import pytest
import timm
import torch
from torch import nn

from modal_pretrain.backbones.split import split
from modal_pretrain.training.network import PretrainedNetwork

FAMILIES = {
    "tf_efficientnet_lite0": {},
    "mobilenetv2_100": {},
    "mobilenetv3_small_050": {},
    "resnet10t": {},
    "regnetx_002": {},
    "convnext_atto": {},
    "vit_tiny_patch16_224": {"img_size": 64},
    "swin_tiny_patch4_window7_224": {"img_size": 56, "depths": (1, 1, 1, 1)},
}


def network(name, tune, **params):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        backbone = timm.create_model(name, num_classes=0, **params).eval()
    return PretrainedNetwork(backbone, tune=tune)


def sample_of(size=64):
    return torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("tune", [1, 2])
@pytest.mark.parametrize("name", FAMILIES)
def test_the_halves_are_the_whole(name, tune):
    net = network(name, tune, **FAMILIES[name])
    sample = sample_of(FAMILIES[name].get("img_size", 64))
    cut = split(net.backbone, sample)
    X = torch.cat([sample, sample.flip(3), sample * 0.5])
    with torch.no_grad():
        features = cut.front(X)
        torch.testing.assert_close(
            cut.rest(features), net.backbone(X), rtol=1e-5, atol=1e-5
        )
    assert features.shape == (3, *cut.shape)
    assert cut.row_bytes == 4 * features[0].numel()
    # Exactly what trains lies behind the cut, and is the backbone's own.
    trained = {id(p) for p in net.backbone.parameters() if p.requires_grad}
    assert trained == {id(p) for p in cut.rest.parameters() if p.requires_grad}
    assert not any(p.requires_grad for p in cut.front.parameters())


def test_gradients_are_the_same():
    net = network("resnet10t", 1)
    X = torch.cat([sample_of(), sample_of().flip(2)])
    cut = split(net.backbone, sample_of())
    names = [n for n, p in net.backbone.named_parameters() if p.requires_grad]
    gradients = []
    for output in (net.backbone(X), cut.rest(cut.front(X).detach())):
        net.zero_grad()
        output.square().sum().backward()
        parameters = dict(net.backbone.named_parameters())
        gradients.append([parameters[name].grad.clone() for name in names])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_rows_come_back_as_they_were(layout):
    net = network("resnet10t", 1)
    net.backbone.to(memory_format=layout)
    sample = sample_of().to(memory_format=layout)
    cut = split(net.backbone, sample)
    with torch.no_grad():
        features = cut.front(sample)
        flat = features.flatten(1)
        assert torch.equal(cut.restored(flat, torch.float32), features)
        assert cut.restored(flat, torch.float32).stride() == features.stride()
        # Under reduced precision a convolution returns it, and it comes back so.
        restored = cut.restored(flat, torch.bfloat16)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert cut.front(sample).dtype == restored.dtype == torch.bfloat16


def test_the_network_itself_is_left_alone(monkeypatch):
    # Other threads may predict with it meanwhile.
    net = network("resnet10t", 1)
    inside = {id(module) for module in net.modules()}
    touched = []

    def noted(name):
        original = getattr(nn.Module, name)

        def call(self, *args, **kwargs):
            touched.extend([name] if id(self) in inside else [])
            return original(self, *args, **kwargs)

        return call

    for name in ("train", "eval"):
        monkeypatch.setattr(nn.Module, name, noted(name))
    cut = split(net.backbone, sample_of())
    assert cut is not None
    assert touched == []
    # The halves are made of its modules, so that modes set later count for them.
    assert {id(m) for m in cut.rest.layer4.modules()} <= inside


class Two(nn.Module):
    """Two layers; subclasses put something between them."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)
        self.b = nn.Linear(4, 4)

    def forward(self, x):
        return self.b(self.between(self.a(x)))

    def between(self, x):
        return x


class Branches(Two):
    """Takes a way that depends on the values."""

    def between(self, x):
        return x if x.sum() > 0 else -x


class Mode(Two):
    """Computes something else when it trains."""

    def between(self, x):
        return 2 * x if self.training else x


class Counts(Two):
    """Asks for the number of rows."""

    def between(self, x):
        return x / len(x)


class Scaled(Two):
    """Its rows depend on how many there are."""

    def between(self, x):
        return x / x.shape[0]


class Skips(Two):
    """Two tensors reach the part that trains."""

    def forward(self, x):
        y = self.a(x)
        return self.b(y) + y.relu()


class Around(Two):
    """The input itself reaches the part that trains."""

    def forward(self, x):
        return self.b(self.a(x)) + x


class Constant(Two):
    """Computes with a tensor that is no part of its state."""

    def between(self, x):
        return x + torch.arange(4.0)


class Dropping(Two):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.1)

    def between(self, x):
        return self.drop(x)


class Lucky(Two):
    """Leaves a layer out at random, which it seldom does."""

    draw = staticmethod(lambda: torch.rand([]).item())

    def between(self, x):
        return 2 * x if self.training and self.draw() < 1e-9 else x


class LuckyInPython(Lucky):
    draw = staticmethod(random.random)


class LuckyInNumpy(Lucky):
    draw = staticmethod(lambda: np.random.rand())  # noqa: NPY002


class Numpy(Two):
    """Computes with a number of NumPy's."""

    def between(self, x):
        return x / np.sqrt(4)


def two(kind):
    torch.manual_seed(0)
    module = kind()
    module.a.requires_grad_(False)
    return module.eval()


@pytest.mark.parametrize("kind", [Two, Numpy])
def test_the_smallest_network_is_cut(kind, capsys):
    module = two(kind)
    assert split(module, torch.ones(1, 4)).shape == (4,)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "kind",
    [
        Branches,
        Mode,
        Counts,
        Scaled,
        Around,
        Constant,
        Dropping,
        Lucky,
        LuckyInPython,
        LuckyInNumpy,
    ],
    ids=lambda k: k.__name__,
)
def test_what_cannot_be_cut_is_not(kind, capsys):
    assert split(two(kind), torch.ones(1, 4)) is None
    assert capsys.readouterr() == ("", "")


def test_a_tensor_used_twice_is_one_tensor():
    cut = split(two(Skips), torch.ones(1, 4))
    X = torch.randn(5, 4)
    module = two(Skips)
    torch.testing.assert_close(cut.rest(cut.front(X)), module(X))


def test_other_threads_compute_meanwhile():
    net, other = network("resnet10t", 1), network("resnet10t", "head")
    X, problems, done = sample_of(), [], threading.Event()
    with torch.no_grad():
        expected = other.backbone(X)

    def compute():
        try:
            while not done.is_set():
                with torch.no_grad():
                    assert torch.equal(other.backbone(X), expected)
        except Exception as error:
            problems.append(error)

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        for _ in range(3):
            assert split(net.backbone, X) is not None
    finally:
        done.set()
        thread.join()
    assert problems == []


@pytest.mark.parametrize("trains", [True, False])
def test_nothing_to_cut(trains):
    module = Two().requires_grad_(trains)
    assert split(module, torch.ones(1, 4)) is None


def test_hooks_keep_their_passes():
    module = two(Two)
    module.a.register_forward_hook(lambda *args: None)
    assert split(module, torch.ones(1, 4)) is None
