"""Networks that differ in a setting do not share the rows that a cache keeps."""

import functools

import numpy as np
import pytest
from torch import nn

from modal_pretrain import PretrainedClassifier
from modal_pretrain.backbones.fingerprint import fingerprint


class Scaled(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, X):
        return X * self.factor


def test_factories_that_differ_in_a_number_of_numpy_do_not_share_rows():
    X = np.full((2, 4, 4, 3), 9, np.uint8)
    settings = {"pretrained": False, "image_size": 4, "precision": "float32"}

    def rows(factor):
        def backbone():
            return nn.Sequential(nn.Flatten(), Scaled(np.float32(factor)))

        return PretrainedClassifier(backbone, **settings).embed(X)

    np.testing.assert_allclose(rows(3), 3 * rows(1), rtol=1e-6)


def test_layers_that_differ_in_a_number_of_numpy_do_not_share_rows():
    X = np.random.default_rng(0).integers(0, 256, (2, 12, 12, 3), dtype=np.uint8)

    def backbone(size):
        return nn.Sequential(nn.MaxPool2d(size), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def rows(size):  # in a loop over np.arange(2, 4)
        factory = functools.partial(backbone, size)
        settings = {"pretrained": False, "image_size": 12, "precision": "float32"}
        return PretrainedClassifier(factory, **settings).embed(X)

    assert np.array_equal(rows(np.int64(2)), rows(2))
    assert np.array_equal(rows(np.int64(3)), rows(3))


def test_layers_that_a_configuration_counts():
    transformers = pytest.importorskip("transformers")

    class Wrapped(nn.Module):
        def __init__(self, n_layers):
            super().__init__()
            config = transformers.AlbertConfig(  # all of its layers are one
                vocab_size=9,
                embedding_size=8,
                hidden_size=8,
                num_attention_heads=1,
                intermediate_size=8,
                num_hidden_layers=n_layers,
            )
            self.model = transformers.AlbertModel(config)

        def forward(self, X):
            rows = X.flatten(1).unflatten(1, (-1, 8))
            return self.model(inputs_embeds=rows).pooler_output

    X = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
    settings = {"pretrained": False, "image_size": 4, "random_state": 0}

    def rows(n_layers, **others):
        factory = functools.partial(Wrapped, n_layers)
        return PretrainedClassifier(factory, **settings, **others).embed(X)

    first = rows(1)
    assert np.array_equal(rows(4), rows(4, cache=None))
    assert not np.array_equal(rows(4), first)


def test_where_a_model_was_loaded_from_does_not_count(tmp_path):
    transformers = pytest.importorskip("transformers")
    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = transformers.BertConfig(vocab_size=9, intermediate_size=8, **small)
    transformers.BertModel(config).save_pretrained(tmp_path / "here")
    first = transformers.BertModel.from_pretrained(tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    moved = transformers.BertModel.from_pretrained(tmp_path / "there")
    assert fingerprint(moved) == fingerprint(first)
