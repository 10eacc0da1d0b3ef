"""What encoders of all modalities have as scikit-learn's transformers."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from modal_pretrain import TextEncoder, TimmEncoder
from modal_pretrain.embedding.encoder import Encoder
from modal_pretrain.text.modality import TokenEncoder
from tests.text.conftest import folder, texts

__all__ = ["folder", "texts"]  # fixtures


@pytest.fixture(params=["pictures", "texts"])
def case(request):
    """An encoder, what it embeds, and parameters that embeddings depend on."""
    X = request.getfixturevalue(request.param)
    params = {"device": "cpu", "precision": "float32", "random_state": 0}
    if request.param == "pictures":
        encoder = TimmEncoder("test_efficientnet", pretrained=False, image_size=32)
        others = {"image_size": 40, "engine": "torch", "scaled_decoding": False}
    else:
        encoder = TextEncoder(str(request.getfixturevalue("folder")))
        others = {"pooling": "cls", "max_length": 16, "pretrained": False}
    return encoder.set_params(**params), X, {**others, "precision": "bfloat16"}


def test_other_parameters_than_those_of_the_fit(case, tmp_path):
    encoder, X, others = case
    expected = encoder.fit_transform(X)
    for name, value in others.items():
        was = encoder.get_params()[name]
        encoder.set_params(**{name: value})
        for call in (
            lambda: encoder.transform(X),
            lambda: encoder.embed_to(X, tmp_path / "embeddings.npy"),
        ):
            with pytest.raises(ValueError, match=f"{name} is {value!r} now, .*fit aga"):
                call()
        encoder.set_params(**{name: was}, batch_size=5, verbose=1)
        np.testing.assert_allclose(encoder.transform(X), expected, atol=1e-5)
    encoder.set_params(**others).fit(X[:1]).transform(X)


def test_a_failed_fit_changes_nothing(case, monkeypatch):
    encoder, X, _ = case
    # Each fit draws weights.
    expected = encoder.set_params(pretrained=False, random_state=None).fit_transform(X)

    def interrupted(self, source):
        raise KeyboardInterrupt

    monkeypatch.setattr(Encoder, "compute", interrupted)
    monkeypatch.setattr(TokenEncoder, "compute", interrupted)
    with pytest.raises(KeyboardInterrupt):
        encoder.fit(X)
    monkeypatch.undo()
    np.testing.assert_array_equal(encoder.transform(X), expected)


def test_names_of_features(case):
    encoder, X, _ = case
    with pytest.raises(NotFittedError):
        encoder.get_feature_names_out()
    expected = encoder.fit_transform(X)
    names = encoder.get_feature_names_out().tolist()
    assert len(names) == expected.shape[1]
    assert names[:2] == [f"{type(encoder).__name__.lower()}{k}" for k in (0, 1)]
    frame = encoder.set_output(transform="pandas").transform(X)
    assert frame.columns.tolist() == names
    np.testing.assert_array_equal(frame.to_numpy(), expected)
