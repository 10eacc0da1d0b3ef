"""What the tests of embedding share."""

import pytest

from modal_pretrain import TimmEncoder


@pytest.fixture
def make_encoder(cache):
    def make(*args, **params):
        defaults = {
            "image_size": 32,
            "precision": "float32",
            "device": "cpu",
            "cache": cache,
        }
        return TimmEncoder(*args, **{**defaults, **params})

    return make
