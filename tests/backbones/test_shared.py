"""One copy of a backbone per process."""

import os
import time
from copy import deepcopy
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from modal_pretrain.backbones.shared import own, shared_backbone
from tests.backbones.cases import (
    SMALL,
    SMALL_VIT,
    save,
    small,
    states_equal,
)


def test_one_copy_for_all():
    one = shared_backbone(SMALL, False, 0)
    assert shared_backbone(SMALL, False, 0) is one
    assert shared_backbone(SMALL, False, 1) is not one
    assert not any(p.requires_grad for p in one.parameters())
    # A convolutional network serves every size, a ViT has a copy for each.
    assert shared_backbone(SMALL, False, 0, image_size=64) is one
    vit = shared_backbone(SMALL_VIT, False, 0)
    assert shared_backbone(SMALL_VIT, False, 0, image_size=64) is not vit
    assert shared_backbone(SMALL_VIT, False, 0, image_size=64) is shared_backbone(
        SMALL_VIT, False, 0, image_size=(64, 64)
    )
    assert vit(torch.zeros(1, 3, 160, 160)).ndim == 2


def test_own_copy_starts_from_the_shared_state():
    shared = shared_backbone(SMALL, False, 0)
    mine = own(shared)
    assert states_equal(mine.state_dict(), shared.state_dict())
    assert all(p.requires_grad for p in mine.parameters())
    with torch.no_grad():
        mine.conv_stem.weight.zero_()
    assert shared.conv_stem.weight.any()


@pytest.mark.parametrize("other", ["w.pth", "new.pth"])
def test_replaced_checkpoint_is_read_again(tmp_path, other):
    path = save(small(seed=1).state_dict(), tmp_path / "w.pth")
    os.utime(path, ns=(1, 1))
    one = shared_backbone(SMALL, path, 0)
    time.sleep(0.05)  # more than a tick of the file system's clock
    save(small(seed=2).state_dict(), tmp_path / other)
    os.utime(tmp_path / other, ns=(1, 1))  # as archives do
    os.replace(tmp_path / other, path)
    two = shared_backbone(SMALL, path, 0)
    assert not torch.equal(one.conv_stem.weight, two.conv_stem.weight)


def test_seed_reaches_what_a_factory_draws_beside_its_pretrained_weights():
    def factory(pretrained=False):
        return nn.Linear(3, 3)

    one, two = (shared_backbone(factory, True, seed) for seed in (0, 1))
    assert not torch.equal(one.weight, two.weight)


def test_code_of_a_factory_that_changes_in_place():  # as IPython's %autoreload does it
    def factory():
        return nn.Conv2d(3, 4, 3)

    def edited():
        return nn.Conv2d(3, 5, 3)

    before = shared_backbone(factory, pretrained=False, seed=0)
    assert shared_backbone(factory, pretrained=False, seed=0) is before
    part = partial(factory)
    assert shared_backbone(part, pretrained=False, seed=0).out_channels == 4
    factory.__code__ = edited.__code__
    for made_by in (factory, part):
        assert shared_backbone(made_by, pretrained=False, seed=0).out_channels == 5


CHECKPOINT = "first.pth"


def reads_a_global():
    layer = nn.Linear(3, 2)
    layer.load_state_dict(torch.load(CHECKPOINT))
    return layer


class Maker:
    def __init__(self, layer):
        self.layer = layer

    def make(self):
        return deepcopy(self.layer)

    def __call__(self):
        return self.make()


def makers(layer, path):
    """Factories that copy a network, or read it from a file."""

    def copies():
        return deepcopy(layer)

    def calls():
        return copies()

    def reads(path):
        made = nn.Linear(3, 2)
        made.load_state_dict(torch.load(path))
        return made

    def names():
        return reads("layer.pth")

    options = SimpleNamespace(checkpoint=path)
    state = {"layer": layer.state_dict()}

    def loads():
        made = nn.Linear(3, 2)
        made.load_state_dict(state["layer"])
        return made

    return {
        "closure": copies,
        "called": calls,
        "lambda": lambda: (lambda: deepcopy(layer))(),
        "partial": partial(deepcopy, layer),
        "keyword": partial(reads, path=path),
        "constant": names,
        "options": lambda: reads(options.checkpoint),
        "state": loads,
        "method": Maker(layer).make,
        "object": Maker(layer),
    }


@pytest.mark.parametrize("kind", makers(nn.Linear(3, 2), ""))
def test_values_of_a_factory_that_change(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a training goes on, and writes its checkpoint anew
    layer, path = nn.Linear(3, 2), tmp_path / "layer.pth"
    torch.save(layer.state_dict(), path)
    factory = makers(layer, str(path))[kind]
    before = shared_backbone(factory, pretrained=False, seed=0)
    assert shared_backbone(factory, pretrained=False, seed=0) is before
    time.sleep(0.05)  # more than a tick of the file system's clock
    with torch.no_grad():
        layer.weight.add_(1)
    torch.save(layer.state_dict(), path)
    after = shared_backbone(factory, pretrained=False, seed=0)
    assert torch.equal(after.weight, layer.weight)
    assert not torch.equal(after.weight, before.weight)


def test_a_setting_of_a_network_that_a_factory_copies():
    network = nn.Sequential(nn.Linear(3, 2), nn.LeakyReLU(0.1))
    factory = partial(deepcopy, network)
    assert shared_backbone(factory, pretrained=False, seed=0)[1].negative_slope == 0.1
    network[1].negative_slope = 0.2
    assert shared_backbone(factory, pretrained=False, seed=0)[1].negative_slope == 0.2


def test_a_global_name_of_a_checkpoint_that_a_factory_reads(tmp_path, monkeypatch):
    for name in ("first.pth", "second.pth"):
        torch.save(nn.Linear(3, 2).state_dict(), tmp_path / name)
    monkeypatch.chdir(tmp_path)
    one = shared_backbone(reads_a_global, pretrained=False, seed=0)
    monkeypatch.setitem(globals(), "CHECKPOINT", "second.pth")
    two = shared_backbone(reads_a_global, pretrained=False, seed=0)
    assert torch.equal(two.weight, torch.load("second.pth")["weight"])
    assert not torch.equal(one.weight, two.weight)


def test_what_a_factory_notes_itself_changes_nothing():
    n, log = 0, []

    def factory():
        nonlocal n
        n += 1
        log.append("called")
        return nn.Linear(3, 2)

    one = shared_backbone(factory, pretrained=False, seed=0)
    assert shared_backbone(factory, pretrained=False, seed=0) is one
    assert (n, log) == (1, ["called"])


WIDTHS, ACTIVATION, BLOCKS = [4, 2], nn.ReLU, {"first": partial(nn.Linear, 3)}


def made_of_settings(more=[]):  # noqa: B006 - as notebooks have them
    linear = BLOCKS["first"](WIDTHS[0])
    return nn.Sequential(linear, ACTIVATION(), *(nn.Linear(4, n) for n in more))


def test_lists_classes_and_partials_that_a_factory_finds(monkeypatch):
    def now():
        return shared_backbone(made_of_settings, pretrained=False, seed=0)

    monkeypatch.setitem(globals(), "WIDTHS", [4, 2])
    first = now()
    assert now() is first
    monkeypatch.setitem(globals(), "ACTIVATION", nn.GELU)
    assert isinstance(now()[1], nn.GELU)
    monkeypatch.setitem(BLOCKS, "first", partial(nn.Linear, 3, bias=False))
    assert now()[0].bias is None
    WIDTHS[0] = 5
    assert now()[0].out_features == 5
    monkeypatch.setitem(globals(), "WIDTHS", [np.int64(4), 2])
    assert now()[0].out_features == 4
    monkeypatch.setattr(made_of_settings, "__defaults__", ([7],))
    assert now()[2].out_features == 7
