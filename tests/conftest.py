"""Common fixtures. No test reaches the network: the hub is switched off up here."""

import os
import signal

# Shells start what runs in the background without Ctrl-C, and so its children.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Read when huggingface_hub is imported, which timm does.
os.environ["HF_HUB_OFFLINE"] = "1"
# Of the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import numpy as np
import pytest
import torch
from PIL import Image

from modal_pretrain import EmbeddingCache, PretrainedClassifier
from tests import processes

# Batches here are tiny: threads would cost more than they give.
torch.set_num_threads(1)
processes.fork_joblib_workers()

# Times vary under load, and a failure in CI must come again at home.
hypothesis.settings.register_profile("suite", deadline=None, derandomize=True)
hypothesis.settings.load_profile("suite")

N, SIZE = 24, 32


def pytest_collection_modifyitems(items):
    """Long files first: where two processes share them, nobody waits for the last."""
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in long, "/studies/" not in item.nodeid))


@pytest.fixture(scope="session")
def labels():
    """0, 1, 0, 1, ..."""
    return np.arange(N) % 2


@pytest.fixture(scope="session")
def pictures(labels):
    """uint8 (24, 32, 32, 3); those of class 1 are brighter and coarser."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 160, (N, SIZE, SIZE, 3), dtype=np.uint8)
    for k in np.flatnonzero(labels):
        coarse = rng.integers(80, 256, (4, 4, 3), dtype=np.uint8)
        X[k] = np.kron(coarse, np.ones((SIZE // 4, SIZE // 4, 1), np.uint8))
    X.setflags(write=False)
    return X


@pytest.fixture
def paths(pictures, tmp_path):
    """The pictures as PNG files, an array of str."""
    files = [tmp_path / f"{k:02}.png" for k in range(N)]
    for file, picture in zip(files, pictures, strict=True):
        Image.fromarray(picture).save(file)
    return np.array(list(map(str, files)))


@pytest.fixture
def cache():
    """A cache that no other test has filled."""
    return EmbeddingCache()


@pytest.fixture
def make():
    """Build a small, exact, seeded classifier on the CPU."""

    def make(cls=PretrainedClassifier, **params):
        defaults = {
            "image_size": SIZE,
            "precision": "float32",
            "device": "cpu",
            "random_state": 0,
        }
        return cls(**{**defaults, **params})

    return make
