"""Frozen stages computed once: the same results, from fewer passes."""

import copy
import pickle
import warnings
from types import SimpleNamespace

import joblib
import numpy as np
import pytest
import torch
from modAL.models import ActiveLearner
from modAL.uncertainty import uncertainty_sampling
from skorch.callbacks import Callback
from skorch.dataset import ValidSplit
from torch import nn

from modal_pretrain import PretrainedClassifier
from modal_pretrain.cache.sqlite import CacheWarning
from modal_pretrain.embedding import engine as rule
from modal_pretrain.embedding import openvino
from modal_pretrain.embedding.engine import EngineWarning
from modal_pretrain.images.preprocessing import Preprocessing
from modal_pretrain.training import base, staged
from modal_pretrain.training.network import PretrainedNetwork
from modal_pretrain.training.staged import StagedSet

FIT = {"image_size": 32, "tune": 1, "max_steps": 4, "random_state": 0}
LITE = {**FIT, "backbone": "test_efficientnet", "pretrained": False}
pytestmark = pytest.mark.slow
needs_openvino = pytest.mark.skipif(
    not openvino.is_installed(), reason="OpenVINO is not installed"
)


@pytest.fixture(autouse=True)
def empty(monkeypatch):
    staged._ROWS.clear()
    monkeypatch.setattr(rule, "_SETTLED", {})


@pytest.fixture
def whole(monkeypatch):
    """Make what is called next go through the whole network, as without stages."""

    def switch(on=True):
        as_is = (lambda examples, *args, **kwargs: examples) if on else staged.staged
        monkeypatch.setattr(base, "staged", as_is)
        monkeypatch.setattr(staged, "_cut_of", (lambda *args: None) if on else _CUT_OF)

    return switch


_CUT_OF = staged._cut_of


def counting():
    """A backbone of two stages that counts rows; hooks would forbid the cut."""
    # Not on the class: what a class holds is part of a backbone's fingerprint.
    counted = SimpleNamespace(rows=0)

    class Counted(nn.Conv2d):
        def forward(self, x):
            counted.rows += len(x)
            return super().forward(x)

    class Net(nn.Sequential):
        pass

    def make():
        torch.manual_seed(0)
        return Net(
            Counted(3, 8, 4, stride=4),
            nn.BatchNorm2d(8),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(32, 6),
        )

    return make, counted


@pytest.mark.parametrize("tune", [1, 2])
@pytest.mark.parametrize("backbone", ["tf_efficientnet_lite0", "resnet10t"])
def test_the_same_in_float32(pictures, labels, whole, backbone, tune):
    params = {**FIT, "backbone": backbone, "tune": tune, "precision": "float32"}
    if backbone != "tf_efficientnet_lite0":
        params["pretrained"] = False
    whole()
    expected = PretrainedClassifier(**params).fit(pictures, labels)
    p, e = expected.predict_proba(pictures), expected.embed(pictures)
    losses = expected.history[:, "train_loss"]
    whole(False)
    found = PretrainedClassifier(**params).fit(pictures, labels)
    assert any(found.module_.cuts.values())
    np.testing.assert_allclose(found.history[:, "train_loss"], losses, rtol=1e-4)
    np.testing.assert_allclose(found.predict_proba(pictures), p, atol=1e-5)
    assert (found.predict(pictures) == expected.predict(pictures)).all()
    np.testing.assert_allclose(found.embed(pictures), e, rtol=1e-3, atol=1e-3)
    # The stages that are frozen have not moved, statistics included.
    state, other = found.module_.state_dict(), expected.module_.state_dict()
    for name, tensor in state.items():
        assert torch.allclose(tensor, other[name], atol=1e-4), name


def test_forward_in_training_mode_takes_rows_of_half_precision(pictures, labels):
    """They were computed as for a prediction; what trains takes float32 on CPUs."""
    classifier = PretrainedClassifier(**FIT, precision="bfloat16")
    classifier.fit(pictures, labels)
    assert any(classifier.module_.cuts.values())
    logits = classifier.forward(pictures, training=True)
    assert logits.dtype == torch.float32 and logits.requires_grad
    expected = classifier.forward(pictures)
    torch.testing.assert_close(logits.detach(), expected, rtol=0.05, atol=0.05)


def test_partial_fit_goes_on_in_the_same_way(pictures, labels, whole):
    def trained():
        classifier = PretrainedClassifier(**LITE, precision="float32")
        classifier.partial_fit(pictures[:12], labels[:12])
        classifier.partial_fit(pictures[12:], labels[12:])
        return classifier.predict_proba(pictures)

    whole()
    expected = trained()
    whole(False)
    np.testing.assert_allclose(trained(), expected, atol=1e-5)


def test_a_learner_asks_for_the_same(pictures, labels, whole):
    def asked():
        learner = ActiveLearner(
            PretrainedClassifier(**LITE, precision="float32"),
            uncertainty_sampling,
            X_training=pictures[:8],
            y_training=labels[:8],
        )
        pool, found = np.arange(8, 24), []
        for _ in range(2):
            rows, X = learner.query(pictures[pool], n_instances=3)
            found += pool[rows].tolist()
            learner.teach(X, labels[pool[rows]])
            pool = np.delete(pool, rows)
        return found

    whole()
    expected = asked()
    whole(False)
    assert asked() == expected


def test_rows_pass_the_frozen_stages_once(pictures, labels):
    make, counted = counting()
    params = {"backbone": make, "pretrained": False, "tune": 1, "max_steps": 6}
    classifier = PretrainedClassifier(**params, precision="float32", random_state=0)
    classifier.fit(pictures[:12], labels[:12])
    classifier.predict(pictures)
    fitted = counted.rows
    # 24 pictures, and a few passes of one or three that decide about the cut.
    assert fitted < 24 + 40
    before = counted.rows
    classifier.predict(pictures)
    classifier.predict_proba(pictures[5:])
    classifier.embed(pictures)
    assert counted.rows == before
    # The next round: only the cut is tried again, on the new copy of the network.
    classifier.fit(pictures[:18], labels[:18])
    classifier.predict(pictures)
    assert counted.rows - before < 30


def test_without_a_cache_nothing_is_kept(pictures, labels):
    classifier = PretrainedClassifier(**LITE, cache=None).fit(pictures, labels)
    p = classifier.predict_proba(pictures)
    assert staged._ROWS.info()["rows"] == 0
    kept = PretrainedClassifier(**LITE).fit(pictures, labels)
    assert staged._ROWS.info()["rows"] > 0
    np.testing.assert_allclose(kept.predict_proba(pictures), p, atol=0.02)


def test_reduced_precision_is_what_it_was(pictures, labels, whole):
    params = {**LITE, "precision": "bfloat16"}
    classifier = PretrainedClassifier(**params).fit(pictures, labels)
    found = classifier.predict_proba(pictures)
    whole()
    expected = classifier.predict_proba(pictures)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_pool_larger_than_the_limit(pictures, labels, whole, monkeypatch):
    classifier = PretrainedClassifier(**LITE, precision="float32", batch_size=2)
    classifier.fit(pictures, labels)
    (cut,) = classifier.module_.cuts.values()
    monkeypatch.setattr(staged, "MAX_BYTES", 20 * cut.row_bytes)
    staged._ROWS.clear()
    found = classifier.predict_proba(pictures)
    # Three quarters of 20 rows, in whole batches of four; the others pass as a whole.
    assert staged._ROWS.info()["rows"] == 12
    assert classifier.embed(pictures).shape == (24, 256)
    whole()
    np.testing.assert_allclose(found, classifier.predict_proba(pictures), atol=1e-5)


def test_more_labels_than_the_limit(pictures, labels, monkeypatch):
    monkeypatch.setattr(staged, "MAX_BYTES", 1000)
    classifier = PretrainedClassifier(**LITE).fit(pictures, labels)
    assert staged._ROWS.info()["rows"] == 0
    assert len(classifier.predict(pictures)) == 24


def test_a_validation_split(pictures, labels):
    split = ValidSplit(0.25, stratified=True, random_state=0)
    classifier = PretrainedClassifier(**LITE, train_split=split)
    classifier.fit(pictures, labels)
    assert np.isfinite(classifier.history[:, "valid_loss"]).all()


def test_a_dataloader(pictures, labels):
    loader = torch.utils.data.DataLoader
    classifier = PretrainedClassifier(**LITE, iterator_train=loader, batch_size=8)
    classifier.fit(pictures, labels)
    assert set(classifier.predict(pictures)) <= {0, 1}


def test_copies_and_pickles_cut_again(pictures, labels):
    classifier = PretrainedClassifier(**LITE, precision="float32")
    p = classifier.fit(pictures, labels).predict_proba(pictures)
    for other in (copy.deepcopy(classifier), pickle.loads(pickle.dumps(classifier))):
        assert other.module_.cuts == {}
        np.testing.assert_allclose(other.predict_proba(pictures), p, atol=1e-6)
        # Its own weights, not those of the net it was copied from.
        (cut,) = other.module_.cuts.values()
        own = {id(parameter) for parameter in other.module_.parameters()}
        assert {id(parameter) for parameter in cut.rest.parameters()} <= own


def test_workers_never_get_a_traced_network(pictures, labels, monkeypatch):
    classifier = PretrainedClassifier(**LITE, precision="float32")
    expected = classifier.fit(pictures, labels).embed(pictures)

    def refuse(*args):
        raise AssertionError("sent to a worker")

    monkeypatch.setattr("modal_pretrain.embedding.encoder.spread", refuse)
    staged._ROWS.clear()
    with joblib.parallel_config(backend="loky", n_jobs=2):
        found = classifier.embed(pictures)
        classifier.predict(pictures)
    np.testing.assert_allclose(found, expected, atol=1e-5)


class OwnForward(PretrainedNetwork):
    def forward(self, inputs=None, embedding=None):
        return super().forward(inputs, embedding)


@pytest.mark.parametrize(
    "params",
    [{"tune": "all"}, {"module": OwnForward}, {"tune": 6}],
    ids=str,
)
def test_where_everything_passes_the_whole_network(pictures, labels, params):
    classifier = PretrainedClassifier(**{**LITE, **params})
    classifier.fit(pictures, labels)
    assert not any(classifier.module_.cuts.values())
    assert not isinstance(classifier.get_dataset(pictures), StagedSet)
    assert len(classifier.predict(pictures)) == 24


def test_compiled_networks_stay_whole(pictures, labels):
    classifier = PretrainedClassifier(**LITE).fit(pictures, labels)
    raw = classifier.get_dataset(pictures).raw
    raw.encoder.compile = True
    dtype = torch.float32
    assert staged.staged(raw, classifier.module_, dtype) is raw


def test_weights_that_are_replaced_count(pictures, labels):
    classifier = PretrainedClassifier(**LITE, precision="float32")
    before = classifier.fit(pictures, labels).predict_proba(pictures)
    with torch.no_grad():
        for parameter in classifier.module_.backbone.conv_stem.parameters():
            parameter.mul_(0.5)
    assert np.abs(classifier.predict_proba(pictures) - before).max() > 1e-4


# The frozen stages by another engine --------------------------------------------------


@needs_openvino
@pytest.mark.parametrize("tune", [1, 2])
@pytest.mark.parametrize("backbone", ["tf_efficientnet_lite0", "resnet10t"])
def test_openvino_gives_the_same_in_float32(pictures, labels, backbone, tune):
    params = {**FIT, "backbone": backbone, "tune": tune, "precision": "float32"}
    if backbone != "tf_efficientnet_lite0":
        params["pretrained"] = False
    found = {}
    for engine in ("torch", "openvino"):
        classifier = PretrainedClassifier(**params, engine=engine)
        classifier.fit(pictures, labels)
        found[engine] = (
            classifier.predict_proba(pictures),
            classifier.embed(pictures),
        )
        names = [name for name in staged._ROWS._slabs if openvino.version() in name]
        assert bool(names) == (engine == "openvino")
    # Nothing of one engine was served as the other's.
    assert staged._ROWS.info()["encoders"] == 2
    for one, other in zip(found["torch"], found["openvino"], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)
    assert (found["torch"][0].argmax(1) == found["openvino"][0].argmax(1)).all()


@needs_openvino
def test_a_long_pool_takes_openvino_as_a_whole(pictures, labels, monkeypatch):
    # Looked up in blocks of eight, each of which would be short by itself.
    monkeypatch.setattr(staged, "_BLOCK", 8)
    monkeypatch.setattr(Preprocessing, "takes_long", lambda self, n: n >= 20)
    classifier = PretrainedClassifier(**LITE, precision="float32", batch_size=4)
    classifier.fit(pictures[:12], labels[:12]).predict(pictures)
    rows = {openvino.version() in n: s for n, s in staged._ROWS._slabs.items()}
    assert len(rows[False].keys) == 12 and len(rows[True].keys) == 24


@needs_openvino
def test_stages_that_openvino_cannot_compute_stay_with_pytorch(
    pictures, labels, monkeypatch
):
    expected = PretrainedClassifier(**LITE, engine="torch").fit(pictures, labels)

    def fails(*args):
        raise openvino.ConversionError("there is no rule for it")

    monkeypatch.setattr(openvino, "network", fails)
    classifier = PretrainedClassifier(**LITE, engine="openvino")
    with pytest.warns(EngineWarning, match="no rule for it") as seen:
        classifier.fit(pictures, labels)
        found = classifier.predict_proba(pictures)
    assert len(seen) == 1
    np.testing.assert_array_equal(found, expected.predict_proba(pictures))


@needs_openvino
def test_converted_stages_are_kept_in_the_folder(
    pictures, labels, tmp_path, monkeypatch
):
    def fitted():
        openvino._NETWORKS.clear()  # as in another process
        staged._ROWS.clear()
        params = {**LITE, "precision": "float32", "engine": "openvino"}
        return PretrainedClassifier(**params, cache=tmp_path).fit(pictures, labels)

    expected = fitted().predict_proba(pictures)
    (file,) = (tmp_path / "networks").iterdir()
    convert = openvino._convert
    monkeypatch.setattr(openvino, "_convert", None)
    with warnings.catch_warnings():
        warnings.simplefilter("error", CacheWarning)
        np.testing.assert_array_equal(fitted().predict_proba(pictures), expected)
    file.write_bytes(file.read_bytes()[:-9])
    monkeypatch.setattr(openvino, "_convert", convert)
    with pytest.warns(CacheWarning, match="damaged"):
        np.testing.assert_array_equal(fitted().predict_proba(pictures), expected)


class Tempered(nn.Module):
    """Two layers; what either returns is scaled by plain attributes and buffers."""

    def __init__(self):
        super().__init__()
        self.early = self.late = self.unused = 1.0
        self.config = SimpleNamespace(late=1.0)
        self.register_buffer("early_gain", torch.ones(()))
        self.register_buffer("late_gain", torch.ones(()))
        self.a = nn.Linear(48, 8)
        self.b = nn.Linear(8, 8)

    def forward(self, x):
        self.width = x.shape[-1]
        first = self.a(x.flatten(1)) * self.early * self.early_gain
        return self.b(first.relu()) * self.late * self.config.late * self.late_gain


@pytest.mark.parametrize(
    "setting", ["late", "config.late", "late_gain", "early", "early_gain", "unused"]
)
def test_settings_that_a_callback_changes(setting, monkeypatch):
    class Anneal(Callback):
        def on_epoch_begin(self, net, **kwargs):
            backbone = net.module_.backbone
            owner = backbone.config if "." in setting else backbone
            value = 1.0 + len(net.history)
            if "gain" in setting:
                value = torch.tensor(value)  # another buffer, none that was filled
            setattr(owner, setting.split(".")[-1], value)

    X = np.random.default_rng(0).integers(0, 256, (12, 4, 4, 3), dtype=np.uint8)
    y = np.arange(12) % 2

    def fitted():
        settings = {"pretrained": False, "image_size": 4, "random_state": 0, "tune": 1}
        more = {"max_epochs": 4, "batch_size": 4, "precision": "float32"}
        net = PretrainedClassifier(Tempered, callbacks=[Anneal], **settings, **more)
        return net.fit(X, y)

    if "early" in setting:
        with pytest.raises(ValueError, match=f"{setting} of the backbone T"):
            fitted()
        return
    found = fitted()
    assert any(found.module_.cuts.values())
    before = found.predict_proba(X)
    found.module_.backbone.early = 3.0
    after = found.predict_proba(X)
    monkeypatch.setattr(base, "staged", lambda examples, *args: examples)
    expected = fitted()
    np.testing.assert_allclose(before, expected.predict_proba(X), rtol=1e-5)
    expected.module_.backbone.early = 3.0
    np.testing.assert_allclose(after, expected.predict_proba(X), rtol=1e-5)
