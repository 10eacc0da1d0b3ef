"""What encoders of all modalities have as scikit-learn's transformers."""

import os
import pickle
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.exceptions import NotFittedError

from modal_pretrain import TextEncoder, TimmEncoder
from modal_pretrain.backbones.create import create_backbone
from modal_pretrain.backbones.remembered import RememberedWeights
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


@pytest.fixture
def replaceable(case, tmp_path, monkeypatch):
    """An encoder whose weights lie under a relative path, X, and their file."""
    encoder, X, _ = case
    if isinstance(encoder, TextEncoder):
        shutil.copytree(encoder.backbone, tmp_path / "model")
        monkeypatch.chdir(tmp_path)
        return (
            encoder.set_params(backbone="./model"),
            X,
            Path("model/model.safetensors"),
        )
    monkeypatch.chdir(tmp_path)
    state = create_backbone(encoder.backbone, pretrained=False).state_dict()
    save_file(state, "weights.safetensors")
    encoder.set_params(pretrained="weights.safetensors")
    return encoder, X, Path("weights.safetensors")


@pytest.mark.parametrize("copied", [False, True], ids=["same", "pickled"])
def test_weights_replaced_since_the_fit(replaceable, copied, tmp_path):
    encoder, X, file = replaceable
    expected = encoder.fit_transform(X)
    before = file.read_bytes()
    state = load_file(file)
    name = max(state, key=lambda name: state[name].numel())
    other = {**state, name: state[name] + 0.01}
    save_file(other, file, {"format": "pt"})
    used = pickle.loads(pickle.dumps(encoder)) if copied else encoder
    for call in (used.transform, partial(used.embed_to, path="embeddings.npy")):
        with pytest.raises(ValueError, match="has other weights now"):
            call(X)
    # The same values in another file, as on another machine, are the same weights.
    file.write_bytes(before)
    os.utime(file)
    np.testing.assert_array_equal(used.transform(X), expected)
    save_file(other, file, {"format": "pt"})
    assert not np.array_equal(used.fit(X).transform(X), expected)


def test_a_fit_that_noted_nothing_but_weights_goes_on():
    encoder = TimmEncoder("test_vit", pretrained=False, image_size=32, random_state=0)
    X = np.zeros((2, 32, 32, 3), np.uint8)
    expected = encoder.set_params(cache=None, device="cpu").fit(X).transform(X)
    # As pickles have it from before the preprocessing of pictures was noted.
    encoder.weights_._stated = {}
    np.testing.assert_array_equal(encoder.transform(X), expected)


def test_weights_that_are_rounded_otherwise_are_the_same():
    network = create_backbone("test_vit", pretrained=False, random_state=0)
    known = RememberedWeights(network)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(1 + 1e-7)
    assert not known.what_differs(network)
    with torch.no_grad():
        next(network.parameters()).mul_(1.001)
    assert known.what_differs(network) == "other weights now"


class Counting(torch.nn.Module):
    """A network that counts its batches, with a buffer of 8 bits."""

    num_features = 3

    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))
        self.register_buffer("scale", torch.ones(3).to(torch.float8_e4m3fn))

    def forward(self, x):
        self.seen += 1
        return x.mean((2, 3)) * self.scale.float()


def test_what_a_pass_changes_is_no_weight():
    X = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    encoder = TimmEncoder(Counting, pretrained=False, device="cpu")
    expected = encoder.fit_transform(X)
    for used in (encoder, pickle.loads(pickle.dumps(encoder))):
        np.testing.assert_array_equal(used.transform(X), expected)


class Caching(torch.nn.Module):
    """A network that keeps what it works out in its first pass."""

    num_features = 3

    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.ones(3))
        self.register_buffer("known", None)

    def forward(self, x):
        if self.known is None:
            self.known = torch.full((3,), 2.0)
        return x.mean((2, 3)) * self.scale * self.known


def test_what_a_pass_adds_is_no_weight():
    known, network = RememberedWeights(Caching()), Caching()
    network(torch.zeros(1, 3, 4, 4))
    known.leave_out_changed(network)
    # As in a process that loads a pickle: before its first pass, and after.
    assert not known.what_differs(Caching())
    assert not known.what_differs(network)
    network.scale *= 2
    assert known.what_differs(network) == "other weights now"


def test_weights_in_a_pickle_of_an_earlier_state():
    network = torch.nn.Linear(3, 2)
    known = RememberedWeights(network)
    known.__dict__ = {"_fingerprint": "older", "_norms": known._norms}
    assert not known.what_differs(network)
    known.__dict__ = {"_fingerprint": "older", "_norms": 2 * known._norms}
    assert known.what_differs(network) == "other weights now"
