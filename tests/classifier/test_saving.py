"""Pickles, copies and clones."""

import copy
import io
import os
import pickle
import threading

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from skorch.callbacks import Callback, Checkpoint, LoadInitState
from torch import nn

from modal_pretrain import BackboneWeightsError, EmbeddingCache, PretrainedClassifier
from tests.classifier.cases import (
    KINDS,
    kinds,
)


@kinds
@pytest.mark.parametrize("way", ["pickle", "joblib", "deepcopy", "copy"])
def test_round_trip(make, pictures, labels, kind, way, tmp_path):
    classifier = make(**KINDS[kind]).fit(pictures, labels)
    expected = classifier.predict_proba(pictures)
    if way == "pickle":
        restored = pickle.loads(pickle.dumps(classifier))
    elif way == "joblib":
        joblib.dump(classifier, tmp_path / "classifier.joblib")
        restored = joblib.load(tmp_path / "classifier.joblib")
    else:
        restored = getattr(copy, way)(classifier)
    np.testing.assert_array_equal(restored.predict_proba(pictures), expected)
    assert restored.get_params().keys() == classifier.get_params().keys()
    continued = restored.partial_fit(pictures[:5], labels[:5]).predict_proba(pictures)
    classifier.partial_fit(pictures[:5], labels[:5])
    np.testing.assert_array_equal(classifier.predict_proba(pictures), continued)
    assert (continued != expected).any()
    restored.fit(pictures, labels)
    np.testing.assert_array_equal(restored.predict_proba(pictures), expected)
    np.testing.assert_array_equal(classifier.predict_proba(pictures), continued)


class Locked(Callback):
    """What can be neither pickled nor copied in depth."""

    def __init__(self):
        self.lock = threading.Lock()


def test_a_copy_shares_no_state_of_callbacks(make, pictures, labels):
    classifier = make(callbacks=[Locked]).fit(pictures, labels)
    copied = copy.copy(classifier)
    pairs = zip(classifier.callbacks_, copied.callbacks_, strict=True)
    assert all(one[1] is not other[1] for one, other in pairs)
    assert copy.copy(make()).fit(pictures, labels).score(pictures, labels) > 0.5


def test_unfitted_round_trip(make, pictures, labels):
    for classifier in (make(), make().initialize()):
        restored = pickle.loads(pickle.dumps(classifier))
        restored.fit(pictures, labels)
        np.testing.assert_array_equal(
            restored.predict_proba(pictures),
            make().fit(pictures, labels).predict_proba(pictures),
        )


def test_device_auto_survives_a_pickle(make, pictures, labels):
    classifier = make(device="auto").fit(pictures, labels)
    restored = pickle.loads(pickle.dumps(classifier))
    assert restored.device == "auto"
    assert restored.predict(pictures).shape == (24,)


def test_cache_of_the_users_in_a_pickle(make, pictures, labels):
    classifier = make(cache=EmbeddingCache(12_345_678)).fit(pictures, labels)
    restored = pickle.loads(pickle.dumps(classifier))
    assert restored.cache.info()["rows"] == 0
    assert restored.cache.max_bytes == 12_345_678
    assert clone(classifier).cache is classifier.cache


@pytest.mark.parametrize("into", ["fitted", "initialized"])
@pytest.mark.parametrize("safe", [False, True])
@kinds
def test_save_and_load_params(make, pictures, labels, kind, into, safe, tmp_path):
    classifier = make(**KINDS[kind]).fit(pictures, labels)
    files = {"f_params": tmp_path / "params"}
    if not safe:
        files |= {"f_optimizer": tmp_path / "opt", "f_history": tmp_path / "history"}
    classifier.save_params(**files, use_safetensors=safe)
    other = make(**KINDS[kind], classes=[0, 1])
    if into == "fitted":
        other.fit(pictures[:4], labels[:4])
    else:
        other.initialize()
    other.load_params(**files, use_safetensors=safe)
    np.testing.assert_array_equal(
        other.predict_proba(pictures), classifier.predict_proba(pictures)
    )
    if not safe:
        assert len(other.history) == len(classifier.history)
    other.partial_fit(pictures, labels)
    assert np.isfinite(other.predict_proba(pictures)).all()


def test_loading_leaves_other_estimators_alone(make, pictures, labels):
    trained = make(tune="all", max_steps=2, lr=0.05).fit(pictures, labels)
    buffer = io.BytesIO()
    trained.save_params(f_params=buffer)
    one, two = make().fit(pictures, labels), make().fit(pictures, labels)
    expected = two.predict_proba(pictures)
    buffer.seek(0)
    one.load_params(f_params=buffer)
    np.testing.assert_array_equal(
        one.predict_proba(pictures), trained.predict_proba(pictures)
    )
    np.testing.assert_array_equal(two.predict_proba(pictures), expected)
    np.testing.assert_array_equal(
        make().fit(pictures, labels).predict_proba(pictures), expected
    )


def test_loading_into_an_uninitialized_net(make, tmp_path):
    with pytest.raises(Exception, match=r"(?i)initialize"):
        make().load_params(f_params=tmp_path / "params")


def test_checkpoint(make, pictures, labels, tmp_path):
    params = {"optimizer": torch.optim.Adam, "max_epochs": 3, "classes": [0, 1]}
    checkpoint = Checkpoint(dirname=tmp_path, monitor="train_loss_best")
    classifier = make(**params, callbacks=[checkpoint]).fit(pictures, labels)
    for other in (make(**params), make(**params).initialize()):
        other.load_params(checkpoint=Checkpoint(dirname=tmp_path))
        np.testing.assert_array_equal(
            other.predict_proba(pictures), classifier.predict_proba(pictures)
        )
        assert len(other.history) == 3


def test_parameters_of_other_classes(make, pictures, labels, tmp_path):
    three = np.arange(24) % 3
    two = make().fit(pictures, labels)
    expected = two.predict_proba(pictures)
    two.save_params(f_params=tmp_path / "two")
    make().fit(pictures, three).save_params(f_params=tmp_path / "three")
    other = make(classes=[0, 1, 2]).initialize()
    with pytest.raises(ValueError, match=r"tell 2 classes apart.*has 3: \[0, 1, 2\]"):
        other.load_params(f_params=tmp_path / "two")
    with pytest.raises(NotFittedError):
        other.predict(pictures)
    with pytest.raises(RuntimeError, match="size mismatch"):
        two.load_params(f_params=tmp_path / "three")
    np.testing.assert_array_equal(two.predict_proba(pictures), expected)


@pytest.fixture(scope="module")
def data(pictures, labels):
    """A fitted classifier, and what it was fitted with."""
    classifier = PretrainedClassifier(image_size=32, device="cpu", precision="float32")
    return classifier.fit(pictures, labels), pictures


def damaged(content, file):
    """Do to a saved file what disks, editors and people do."""
    state = torch.load(io.BytesIO(content))
    changed = {
        "nan": {k: v * torch.nan if v.ndim else v for k, v in state.items()},
        "complex": {k: v + 1j if v.ndim else v for k, v in state.items()},
        "list": [1],
    }
    if file in changed:
        buffer = io.BytesIO()
        torch.save(changed[file], buffer)
        return buffer.getvalue()
    return {"empty": b"", "text": b"hello", "half": content[:5000]}[file]


@pytest.mark.parametrize("file", ["params.pt", "history.json"])
def test_damaged_files_of_a_checkpoint_are_named(
    make, pictures, labels, tmp_path, file
):
    saved = Checkpoint(monitor=None, dirname=str(tmp_path))
    make(callbacks=[saved]).fit(pictures, labels)
    (tmp_path / file).write_bytes(b"x")
    with pytest.raises(BackboneWeightsError, match=file):
        make(classes=[0, 1]).load_params(checkpoint=saved)


@pytest.mark.parametrize("file", ["empty", "text", "half", "list", "nan", "complex"])
def test_damaged_parameters_are_named_and_change_nothing(data, file, tmp_path):
    classifier, pictures = data
    expected = classifier.predict_proba(pictures)
    buffer = io.BytesIO()
    classifier.save_params(f_params=buffer)
    (tmp_path / "p.pt").write_bytes(damaged(buffer.getvalue(), file))
    with pytest.raises(BackboneWeightsError, match=r"f_params=.*p\.pt.* can't be"):
        classifier.load_params(f_params=tmp_path / "p.pt")
    np.testing.assert_array_equal(classifier.predict_proba(pictures), expected)


def test_files_that_are_none(data, tmp_path):
    classifier, _ = data
    os.mkfifo(tmp_path / "fifo")  # which kept its reader waiting for ever
    with pytest.raises(OSError, match="FIFO"):
        classifier.load_params(f_params=tmp_path / "fifo")
    (tmp_path / "history.json").write_text("[")
    with pytest.raises(BackboneWeightsError, match=r"f_history=.*can't be loaded"):
        classifier.load_params(f_history=tmp_path / "history.json")
    with pytest.raises(BackboneWeightsError, match=r"f_params=.*can't be saved"):
        classifier.save_params(f_params=tmp_path)


def small_network(pretrained=False):
    return nn.Sequential(
        nn.Conv2d(3, 4, 4, stride=4), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


def test_a_head_of_many_classes_comes_back(make, pictures, tmp_path):
    """Where it began are zeros, a good part of such a network."""
    given = {"backbone": small_network, "pretrained": False, "tune": "all"}
    labels = np.arange(len(pictures)) // 2
    nets = [make(max_epochs=n, **given).fit(pictures, labels) for n in (2, 1)]
    nets[0].save_params(tmp_path / "net.pt")
    nets[1].load_params(tmp_path / "net.pt")
    probabilities = [classifier.predict_proba(pictures) for classifier in nets]
    np.testing.assert_array_equal(*probabilities)


def test_a_heads_fit_refuses_another_backbone(make, pictures, labels, tmp_path):
    """LoadInitState comes after the embeddings; a head would fit those before it."""
    tuned = make(tune="all", max_steps=2).fit(pictures, labels)
    parts = {"monitor": None, "f_optimizer": None, "f_criterion": None}
    saved = Checkpoint(dirname=str(tmp_path), **parts)
    make(callbacks=[saved]).fit(pictures, labels)  # its history and criterion
    again = make(callbacks=[LoadInitState(Checkpoint(dirname=str(tmp_path), **parts))])
    again.fit(pictures, labels)  # the same backbone: it goes on
    expected = again.embed(pictures)
    tuned.save_params(tmp_path / "params.pt")
    for classifier in (make(), again):
        load = LoadInitState(Checkpoint(dirname=str(tmp_path), **parts))
        classifier.set_params(callbacks=[load])
        with pytest.raises(ValueError, match="loaded other weights of the backbone"):
            classifier.fit(pictures, labels)
        np.testing.assert_array_equal(make().embed(pictures), expected)
    np.testing.assert_array_equal(again.embed(pictures), expected)


def test_a_state_of_the_network_is_loaded_into_a_backbone_of_its_own(
    make, pictures, labels
):
    """As PyTorch's users load it: other estimators share a frozen backbone."""
    state = make(tune="all", max_steps=2).fit(pictures, labels).module_.state_dict()

    class Load(Callback):
        def on_train_begin(self, net, **kwargs):
            net.module_.load_state_dict(state)

    other, one = (make().fit(pictures, labels) for _ in range(2))
    expected = other.predict_proba(pictures), other.embed(pictures)
    one.module_.load_state_dict(state)
    with pytest.raises(ValueError, match="loaded other weights of the backbone"):
        make(callbacks=[Load()]).fit(pictures, labels)
    assert np.abs(one.embed(pictures) - expected[1]).max() > 0
    np.testing.assert_array_equal(other.predict_proba(pictures), expected[0])
    np.testing.assert_array_equal(make().embed(pictures), expected[1])


@pytest.mark.parametrize("compiled", [False, True])
def test_a_net_that_compiles_says_why_files_of_others_do_not_fit(tmp_path, compiled):
    net = PretrainedClassifier("test_vit", pretrained=False, image_size=64)
    saved = net.set_params(compile=compiled).initialize()
    saved.save_params(f_params=tmp_path / "params.pt")
    other = clone(saved).set_params(compile=not compiled).initialize()
    with pytest.raises(BackboneWeightsError, match=f"compile={compiled}"):
        other.load_params(f_params=tmp_path / "params.pt")


def test_a_compiled_net_is_loaded_into_a_new_one_with_its_head(tmp_path):
    params = {"pretrained": False, "image_size": 64, "compile": True}
    saved = PretrainedClassifier("test_vit", classes=[0, 1], **params).initialize()
    saved.module_.build_head(64, 2)
    nn.init.normal_(saved.module_.head.weight)
    saved.save_params(f_params=tmp_path / "params.pt")
    other = clone(saved).initialize()
    other.load_params(f_params=tmp_path / "params.pt")
    assert torch.equal(other.module_.head.weight, saved.module_.head.weight)
