"""Small settings and data for the benchmark's tests."""

import numpy as np
import pytest

from modal_pretrain.benchmark import BenchmarkConfig
from modal_pretrain.datasets import GroupedDataset


@pytest.fixture
def tabular():
    """Two features, one for the class and one for the attribute; 60 + 20 rows."""
    rng = np.random.default_rng(0)
    y = np.tile([0, 1], 40)
    attribute = y.copy()
    attribute[::10] = 1 - attribute[::10]
    X = np.column_stack([y, attribute]) + 0.05 * rng.normal(size=(80, 2))
    split = np.array(["train"] * 60 + ["test"] * 20)
    return GroupedDataset(X=X, y=y, attribute=attribute, split=split)


@pytest.fixture
def small():
    """Make the configuration of a benchmark that takes a second."""

    def make(**changes):
        settings = {
            "dataset_params": {"n_train": 60, "n_test": 40, "image_size": 32},
            "estimator_params": {"image_size": 32, "device": "cpu"},
            "seeds": (0, 1),
            "seed_set": 4,
            "batch": 4,
            "rounds": 2,
            "references": (),
        }
        return BenchmarkConfig(**{**settings, **changes})

    return make
