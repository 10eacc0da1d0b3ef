"""One copy of a backbone per process."""

import os
import time
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from modal_pretrain import PretrainedClassifier
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


def test_layers_whose_weights_hooks_compute_train_too():
    def factory():
        layer = nn.Linear(4, 3)
        return prune.random_unstructured(layer, "weight", 0.5)

    X = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    settings = {
        "pretrained": False,
        "tune": "all",
        "random_state": 0,
        "precision": "float32",
    }
    net = PretrainedClassifier(factory, max_steps=4, **settings)
    net.fit(X, X[:, 0] > 0)
    layer = net.module_.backbone
    weight = layer.weight_orig * layer.weight_mask
    expected = X @ weight.detach().numpy().T + layer.bias.detach().numpy()
    np.testing.assert_allclose(net.embed(X), expected, rtol=1e-5, atol=1e-6)
