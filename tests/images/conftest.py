"""Fixtures of this folder."""

import numpy as np
import pytest

from tests.images.cases import (
    KINDS,
    H,
    N,
    W,
)


@pytest.fixture
def X():
    return np.random.default_rng(0).integers(0, 256, (N, H, W, 3), dtype=np.uint8)


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param
