"""What the tests of this folder share."""

import numpy as np
import safetensors.torch
import timm
import torch

from modal_pretrain.backbones.device import seeded

DEFAULT = "tf_efficientnet_lite0"

SMALL = "test_efficientnet"  # timm's own, 0.4 M weights

SMALL_VIT = "test_vit"


def states_equal(one, two):
    return one.keys() == two.keys() and all(
        torch.equal(one[key], two[key]) for key in one
    )


def pixels(size, n=2):
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.normal(size=(n, 3, size, size)).astype(np.float32))


def embed(backbone, size):
    with torch.inference_mode():
        return backbone(pixels(size))


def small(name=SMALL, seed=1, **params):
    with seeded(seed):
        return timm.create_model(name, **params).eval()


def save(state, path):
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path)
    return path
