"""What the tests of this folder share."""

import numpy as np
import pytest
from torch import nn


def tiny(pretrained=False):
    """A backbone whose training takes no time, with batch normalisation."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 4, stride=4),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 16),
    )


DEFAULT = "tf_efficientnet_lite0"

TRAINED = {"backbone": tiny, "pretrained": False, "max_steps": 6}

KINDS = {
    "head": {},
    "dropout": {"module__dropout": 0.3, "max_epochs": 5},
    "all": {**TRAINED, "tune": "all"},
    "last": {**TRAINED, "tune": 1},
}

kinds = pytest.mark.parametrize("kind", KINDS)


def pixels_of(X):
    """The pictures as float32 (n, 3, h, w) in [0, 1]."""
    return X.transpose(0, 3, 1, 2) / np.float32(255)
