"""Networks sampled by dropout: what is kept of it, other threads and processes."""

import threading
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
import skorch
import torch
from torch import nn

from modal_pretrain import EmbeddingCache, PretrainedClassifier
from modal_pretrain.backbones.fingerprint import fingerprint, is_portable
from modal_pretrain.query._engine.samples import probability_samples


def pool():
    return np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)


def backbone_with_dropout(pretrained):
    return nn.Sequential(
        nn.Conv2d(3, 4, 8, 8),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(64, 8),
    )


@pytest.mark.parametrize("folder", [None, "cache"])
def test_samples_of_a_frozen_backbone_are_not_kept(tmp_path, folder):
    X = np.random.default_rng(0).integers(0, 256, (24, 32, 32, 3), np.uint8)
    samples = []
    for cache in ("memory" if folder is None else tmp_path / folder, None):
        net = PretrainedClassifier(
            backbone_with_dropout,
            image_size=32,
            precision="float32",
            cache=cache,
            random_state=0,
        ).fit(X[:8], np.arange(8) % 2)
        before = net.predict_proba(X)
        for seed in (0, 1):
            rng = np.random.default_rng(seed)
            samples.append(probability_samples(net, X, 24, rng, n_samples=4)[0])
        np.testing.assert_array_equal(net.predict_proba(X), before)
    assert samples[0].std(axis=0).max() > 1e-3
    np.testing.assert_array_equal(samples[:2], samples[2:])


def test_other_threads_embed_without_dropout_meanwhile():
    """They share the frozen backbone, and the cache of what it computes."""
    cache = EmbeddingCache()
    X = np.random.default_rng(0).integers(0, 256, (24, 32, 32, 3), np.uint8)
    params = {"image_size": 32, "precision": "float32", "random_state": 0}
    plain = PretrainedClassifier(backbone_with_dropout, cache=None, **params)
    expected = plain.embed(X)
    net = PretrainedClassifier(backbone_with_dropout, cache=None, **params)
    net.fit(X[:8], np.arange(8) % 2)
    predict, seen = net.predict_proba, []

    def embed():
        other = PretrainedClassifier(backbone_with_dropout, cache=cache, **params)
        seen.append(other.embed(X))

    def meanwhile(rows):
        thread = threading.Thread(target=embed)
        thread.start()
        thread.join()
        return predict(rows)

    net.predict_proba = meanwhile
    samples, _ = probability_samples(net, X, 24, np.random.default_rng(0), n_samples=2)
    assert samples.std(axis=0).max() > 1e-3
    np.testing.assert_allclose(seen, [expected] * 2, rtol=1e-5, atol=1e-6)
    embed()
    np.testing.assert_allclose(seen[-1], expected, rtol=1e-5, atol=1e-6)
    # They find what was embedded before or meanwhile.
    assert (cache.info()["encoders"], cache.info()["misses"]) == (1, 24)


class Dropping(nn.Module):
    """The user's own class, which no other process knows by its name."""

    def __init__(self):
        super().__init__()
        self.layers = backbone_with_dropout(True)

    def forward(self, x):
        return self.layers(x)


def test_samples_are_not_spread_over_processes():
    X = np.random.default_rng(0).integers(0, 256, (24, 32, 32, 3), np.uint8)
    params = {"image_size": 32, "precision": "float32", "random_state": 0}
    net = PretrainedClassifier(lambda pretrained: Dropping(), cache=None, **params)
    net.fit(X[:8], np.arange(8) % 2)

    def samples():
        return probability_samples(net, X, 24, np.random.default_rng(0), n_samples=2)

    expected, _ = samples()
    with joblib.parallel_config("loky", n_jobs=2):
        spread, _ = samples()
    np.testing.assert_array_equal(spread, expected)


def network(*layers):
    return skorch.NeuralNetClassifier(
        nn.Sequential(*layers),
        criterion=nn.CrossEntropyLoss,
        train_split=None,
        verbose=0,
    ).initialize()


def test_samplers_in_threads_draw_what_they_draw_alone():
    X = pool()
    nets = [network(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 2)) for _ in "ab"]

    def samples(net):
        rng = np.random.default_rng(0)
        return probability_samples(net, X, 40, rng, n_samples=50).values

    alone = [samples(net) for net in nets]
    generator = torch.random.get_rng_state()
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(samples, nets * 4))
    np.testing.assert_array_equal(together, alone * 4)
    assert torch.equal(torch.random.get_rng_state(), generator)


def test_a_layer_keeps_its_own_forward():
    """As libraries put one there."""
    X = pool()
    net = network(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 2))
    layer = net.module_[1]
    plain = layer.forward
    layer.forward = lambda x: 2 * plain(x)
    before, own = net.predict_proba(X), layer.forward
    samples, _ = probability_samples(net, X, 40, np.random.default_rng(0))
    assert samples.std(axis=0).max() > 1e-3
    assert layer.forward is own
    np.testing.assert_array_equal(net.predict_proba(X), before)


def test_other_threads_see_a_layer_of_its_own_forward_as_it_is():
    """What they embed meanwhile was kept as that of the network without it."""
    net = network(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 2))
    net.embed_to = None  # as of this package's estimators, one thread samples
    layer = net.module_[1]
    plain = layer.forward
    layer.forward = lambda x: 2 * plain(x)
    predict, seen, about = net.predict_proba, [], (fingerprint, is_portable)

    def meanwhile(rows):
        with ThreadPoolExecutor(1) as thread:
            seen.extend(thread.map(lambda one: one(layer), about))
        return predict(rows)

    expected = [one(layer) for one in about]
    net.predict_proba = meanwhile
    probability_samples(net, pool(), 40, np.random.default_rng(0), n_samples=1)
    assert seen == expected
