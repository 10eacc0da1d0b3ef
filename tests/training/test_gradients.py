"""Wide depthwise and small pointwise convolutions: PyTorch's results, otherwise."""

import numpy as np
import pytest
import torch
from torch import nn

from modal_pretrain import PretrainedClassifier
from modal_pretrain.training import base, gradients
from modal_pretrain.training.gradients import QuickGradients


@pytest.fixture
def used(monkeypatch):
    """Count what takes the other way."""
    calls = []
    for kind in (gradients._Depthwise, gradients._Pointwise):

        def counting(*args, plain=kind.apply):
            calls.append(args)
            return plain(*args)

        monkeypatch.setattr(kind, "apply", counting)
    return calls


def results(conv, x):
    x = x.clone().requires_grad_()
    out = conv(x)
    (out.sin().sum()).backward()
    found = [out.detach(), x.grad, *(p.grad for p in conv.parameters())]
    conv.zero_grad()
    return found


def same(found, expected):
    assert torch.equal(found[0], expected[0])
    for one, other in zip(found[1:], expected[1:], strict=True):
        assert one.shape == other.shape
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


CASES = [
    # kernel, stride, padding, height, width
    (5, 1, 2, 3, 3),
    (5, 2, 2, 9, 8),
    (5, 2, 0, 9, 9),
    (7, 1, 3, 12, 5),
    (4, 3, 1, 11, 13),
    ((3, 5), (2, 1), (1, 0), 8, 9),
    ((1, 9), 1, (0, 7), 4, 6),
    (7, 1, 3, 1, 1),
]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kernel, stride, padding, height, width", CASES)
def test_the_gradients_are_pytorchs(used, kernel, stride, padding, height, width, bias):
    torch.manual_seed(0)
    conv = nn.Conv2d(6, 6, kernel, stride, padding, groups=6, bias=bias)
    for memory_format in (torch.contiguous_format, torch.channels_last):
        x = torch.randn(3, 6, height, width).contiguous(memory_format=memory_format)
        expected = results(conv, x)
        assert not used
        with QuickGradients():
            found = results(conv, x)
        assert len(used) == 1
        used.clear()
        assert len(found) == (4 if bias else 3)
        same(found, expected)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("height, width", [(1, 1), (3, 3), (7, 7), (1, 49)])
def test_small_maps_by_one_position(used, height, width, bias):
    torch.manual_seed(0)
    conv = nn.Conv2d(6, 10, 1, bias=bias)
    for memory_format in (torch.contiguous_format, torch.channels_last):
        x = torch.randn(3, 6, height, width).contiguous(memory_format=memory_format)
        expected = results(conv, x)
        with QuickGradients():
            found = results(conv, x)
        assert len(used) == 1
        used.clear()
        same(found, expected)


@pytest.mark.parametrize(
    "conv, side",
    [
        (nn.Conv2d(4, 4, 3, groups=4), 6),
        (nn.Conv2d(4, 4, 5), 6),
        (nn.Conv2d(4, 8, 5, groups=4), 6),
        (nn.Conv2d(4, 4, 5, groups=2), 6),
        (nn.Conv2d(4, 4, 5, dilation=2, groups=4), 12),
        (nn.Conv2d(4, 4, 5, padding="same", groups=4), 6),
        (nn.Conv2d(4, 4, 5, groups=4).double(), 6),
        (nn.Conv2d(4, 4, 1), 8),
        (nn.Conv2d(4, 4, 1, stride=2), 6),
        (nn.Conv2d(4, 4, 1, padding=1), 6),
        (nn.Conv2d(4, 4, 1, groups=2), 6),
        (nn.Conv2d(4, 4, 1).double(), 6),
    ],
    ids=str,
)
def test_all_else_stays_with_pytorch(used, conv, side):
    x = torch.randn(2, 4, side, side, dtype=conv.weight.dtype)
    expected = results(conv, x)
    with QuickGradients():
        found = results(conv, x)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)
    assert not used


def test_what_does_not_train_and_single_pictures(used):
    conv = nn.Conv2d(4, 4, 5, groups=4)
    with QuickGradients():
        conv(torch.randn(4, 9, 9)).sum().backward()
        with torch.no_grad():
            assert not conv(torch.randn(1, 4, 9, 9)).requires_grad
        conv.requires_grad_(False)
        conv(torch.randn(1, 4, 9, 9, requires_grad=True)).sum().backward()
    assert not used


def test_a_fit_takes_it_and_learns_the_same(used, pictures, labels, monkeypatch):
    def fitted():
        classifier = PretrainedClassifier(
            tune=2, image_size=32, max_steps=4, precision="float32", random_state=0
        )
        return classifier.fit(pictures, labels).predict_proba(pictures)

    found = fitted()
    assert used
    used.clear()
    monkeypatch.setattr(base, "QuickGradients", base.nullcontext)
    expected = fitted()
    assert not used
    np.testing.assert_allclose(found, expected, atol=1e-5)
