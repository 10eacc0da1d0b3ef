"""Networks of the user's that draw random numbers in evaluation mode."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from modal_pretrain import PretrainedClassifier


class Draws(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 8)

    def forward(self, x):
        return nn.functional.dropout(self.layer(x), 0.5)


class DrawsByNumPy(Draws):
    def forward(self, x):
        out = self.layer(x)
        return out + torch.from_numpy(np.random.randn(*out.shape)).float()  # noqa: NPY002


class SeedsItself(Draws):
    def forward(self, x):
        torch.manual_seed(0)
        return super().forward(x)


class DrawsInVain(Draws):
    def forward(self, x):
        torch.rand(3)
        return self.layer(x)


def classifier(backbone, **params):
    return PretrainedClassifier(
        backbone, pretrained=False, device="cpu", random_state=0, **params
    )


@pytest.fixture
def rows():
    return np.random.default_rng(0).normal(size=(12, 6))


@pytest.mark.parametrize("params", [{}, {"cache": None}, {"tune": "all"}])
def test_random_embeddings_are_warned_of(rows, params):
    params = {**params, "max_steps": 2} if "tune" in params else params
    with pytest.warns(UserWarning, match="Draws draws random numbers in evaluation"):
        classifier(Draws, **params).fit(rows, np.arange(12) % 2)


@pytest.mark.parametrize("backbone", [SeedsItself, DrawsInVain])
def test_what_is_the_same_each_time_is_not(rows, backbone):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert classifier(backbone, cache=None).embed(rows).shape == (12, 8)


@pytest.mark.parametrize("backbone", [DrawsByNumPy, DrawsInVain])
def test_any_generator_of_numpy_may_be_set(rows, backbone):
    usual = np.random.get_bit_generator()
    np.random.set_bit_generator(np.random.PCG64(0))
    try:
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            classifier(backbone, cache=None).embed(rows)
    finally:
        np.random.set_bit_generator(usual)
    warned = [w for w in found if "draws random numbers" in str(w.message)]
    assert len(warned) == (backbone is DrawsByNumPy)
