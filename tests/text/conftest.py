"""Fixtures of this folder."""

import numpy as np
import pytest
import transformers

from modal_pretrain import PretrainedTextClassifier
from modal_pretrain.backbones.device import seeded
from tests.text.cases import (
    BAD,
    GOOD,
    PLAIN,
    SIZES,
    tiny_tokenizer,
)


@pytest.fixture(scope="module")
def texts(labels):
    """24 texts of 5 to 12 words; the even ones are bad, the odd ones good."""
    rng = np.random.default_rng(0)
    found = []
    for label in labels:
        words = rng.choice(PLAIN, rng.integers(3, 9)).tolist()
        words += rng.choice(GOOD if label else BAD, rng.integers(2, 4)).tolist()
        found.append(" ".join(rng.permutation(words)))
    return np.array(found, dtype=object)


@pytest.fixture(scope="module")
def names(labels):
    return np.array(["bad", "good"])[labels]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What save_pretrained writes of a small BERT with a masked-language head."""
    path = tmp_path_factory.mktemp("bert")
    with seeded(0):
        model = transformers.BertForMaskedLM(transformers.BertConfig(**SIZES))
    transformers.utils.logging.disable_progress_bar()
    model.save_pretrained(path)
    transformers.utils.logging.enable_progress_bar()
    tiny_tokenizer().save_pretrained(path)
    return path


@pytest.fixture
def text_classifier(folder, cache):
    """Build a small, exact, seeded classifier on the CPU, with its own cache."""

    def build(**params):
        defaults = {
            "backbone": str(folder),
            "precision": "float32",
            "device": "cpu",
            "cache": cache,
            "random_state": 0,
            "max_steps": 6,
        }
        return PretrainedTextClassifier(**{**defaults, **params})

    return build
