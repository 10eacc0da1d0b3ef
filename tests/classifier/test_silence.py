"""Silence and side effects."""

import copy
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from torch import nn

from modal_pretrain import PretrainedClassifier
from modal_pretrain.backbones.fingerprint import fingerprint
from modal_pretrain.backbones.shared import shared_backbone
from tests.classifier.cases import (
    DEFAULT,
    KINDS,
    TRAINED,
    kinds,
)


@kinds
def test_nothing_is_printed(make, pictures, labels, kind, capfd):
    classifier = make(**KINDS[kind])
    classifier.fit(pictures, labels).fit(pictures, labels)
    classifier.partial_fit(pictures, labels).predict(pictures)
    classifier.set_params(lr=0.1).fit(pictures, labels)
    clone(classifier).fit(pictures, labels).embed(pictures)
    pickle.loads(pickle.dumps(classifier)).predict(pictures)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("verbose, rows", [(0, 0), (1, 0), (2, 3)])
def test_table_of_epochs(make, pictures, labels, verbose, rows, capsys):
    params = {"optimizer": torch.optim.Adam, "max_epochs": 3, "verbose": verbose}
    make(**params).fit(pictures, labels)
    out = capsys.readouterr().out
    assert ("train_loss" in out) == bool(rows)
    assert len([line for line in out.splitlines() if "0.6" in line]) == rows


@pytest.mark.parametrize(
    "params", [{"callbacks__print_log": None}, {"callbacks": "disable"}]
)
def test_log_switched_off(make, pictures, labels, params, capsys):
    make(**params, verbose=2).fit(pictures, labels)
    assert "train_loss" not in capsys.readouterr().out


@kinds
@pytest.mark.parametrize("pretrained", [True, False])
def test_global_generators_are_left_alone(make, pictures, labels, kind, pretrained):
    def states():
        return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()  # noqa: NPY002

    params = KINDS[kind]
    if "backbone" not in params:
        params = {**params, "pretrained": pretrained}
    before = states()
    classifier = make(**params).fit(pictures, labels)
    classifier.partial_fit(pictures, labels).predict(pictures)
    assert states() == before


@kinds
def test_prediction_changes_nothing(make, pictures, labels, kind):
    classifier = make(**KINDS[kind]).fit(pictures, labels)
    before = dict(vars(classifier))
    state = copy.deepcopy(classifier.module_.state_dict())
    classifier.predict(pictures)
    classifier.predict_proba(pictures)
    classifier.embed(pictures)
    after = vars(classifier)
    assert before.keys() == after.keys()
    assert all(before[key] is after[key] for key in before)
    now = classifier.module_.state_dict()
    assert all(torch.equal(state[key], now[key]) for key in state)


@kinds
def test_fit_leaves_parameters_and_data_alone(make, pictures, labels, kind):
    classifier = make(**KINDS[kind], classes=[1, 0])
    before = {key: repr(value) for key, value in vars(classifier).items()}
    X, y = pictures.copy(), labels.copy()
    classifier.fit(X, y).partial_fit(X, y)
    for name in before:
        if not name.startswith("_") and not name.endswith("_"):
            assert repr(getattr(classifier, name)) == before[name], name
    np.testing.assert_array_equal(X, pictures)
    np.testing.assert_array_equal(y, labels)


def test_shared_backbone_stays_as_it_is(make, pictures, labels):
    shared = shared_backbone(DEFAULT, True, 0)
    before = fingerprint(shared)
    make().fit(pictures, labels)
    make(tune="all", max_steps=2, lr=0.1).fit(pictures, labels)
    make(tune=2, max_steps=2, lr=0.1).fit(pictures, labels)
    make(module__dropout=0.5, max_epochs=2).fit(pictures, labels)
    assert fingerprint(shared) == before
    assert not any(module.training for module in shared.modules())
    assert not any(p.requires_grad for p in shared.parameters())


@pytest.mark.parametrize("pretrained, learns", [(True, False), (False, True)])
@pytest.mark.parametrize("tune", ["all", 1])
def test_batch_norm(make, pictures, labels, pretrained, learns, tune):
    params = {**TRAINED, "pretrained": pretrained, "tune": tune}
    classifier = make(**params).fit(pictures, labels)
    learnt = classifier.module_.backbone[1].running_mean.abs().sum() > 0
    assert learnt == (learns and tune == "all")
    classifier.set_params(module__train_batch_norm=not learns).fit(pictures, labels)
    learnt = classifier.module_.backbone[1].running_mean.abs().sum() > 0
    assert learnt == (not learns and tune == "all")


def test_grid_search(make, pictures, labels, cache):
    grid = {"C": [1e-4, 0.01], "module__dropout": [0.0, 0.2], "max_epochs": [3]}
    search = GridSearchCV(make(cache=cache), grid, cv=2).fit(pictures, labels)
    assert len(search.cv_results_["params"]) == 4
    assert search.best_score_ > 0.6
    assert cache.info()["misses"] == 24
    assert search.predict(pictures).shape == (24,)


def test_grid_search_over_tune(make, pictures, labels):
    grid = {"tune": ["head", 1, "all"]}
    search = GridSearchCV(make(**TRAINED), grid, cv=2, error_score="raise")
    assert search.fit(pictures, labels).best_params_["tune"] in grid["tune"]


def test_cross_validation_of_paths(make, paths, labels):
    y = np.array(["no", "yes"])[labels]
    scores = cross_val_score(make(), paths, y, cv=3, error_score="raise")
    assert scores.mean() > 0.8


def test_in_a_pipeline(make, pictures, labels):
    flip = FunctionTransformer(lambda X: X[:, :, ::-1])
    pipeline = make_pipeline(flip, make()).fit(pictures, labels)
    assert pipeline.score(pictures, labels) > 0.9
    expected = make().fit(pictures[:, :, ::-1], labels)
    np.testing.assert_array_equal(
        clone(pipeline).fit(pictures, labels).predict_proba(pictures),
        expected.predict_proba(pictures[:, :, ::-1]),
    )


def test_in_ensembles(make, paths, labels):
    y = np.array(["no", "yes"])[labels]
    vote = VotingClassifier(
        [("weak", make(C=1e-4)), ("strong", make(C=0.1))], voting="soft"
    ).fit(paths, y)
    assert vote.score(paths, y) > 0.9
    calibrated = CalibratedClassifierCV(make(), cv=2).fit(paths, y)
    assert calibrated.score(paths, y) > 0.8


def test_in_other_processes(make, pictures, labels):
    scores = cross_val_score(
        make(**KINDS["all"]), pictures, labels, cv=2, n_jobs=2, error_score="raise"
    )
    expected = cross_val_score(make(**KINDS["all"]), pictures, labels, cv=2)
    np.testing.assert_array_equal(scores, expected)


def test_repr(make):
    text = repr(make(C=0.3))
    assert "PretrainedClassifier" in text
    assert "C=0.3" in text
    assert "max_epochs" not in text


def test_a_named_table_that_comes_before_the_fit_is_not_warned_of(tmp_path):
    table = pd.DataFrame(
        np.random.default_rng(0).normal(size=(8, 2)), columns=["a", "b"]
    )
    classifier = PretrainedClassifier(
        lambda: nn.Linear(2, 3), pretrained=False, random_state=0, device="cpu"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing was "fitted without feature names"
        classifier.tag(table, ["u", "v"] * 4)
        classifier.embed(table)
        classifier.embed_to(table, tmp_path / "table.npy")
        classifier.fit(table, ["no", "yes"] * 4)
    with pytest.raises(ValueError, match="feature names should match"):
        classifier.predict(table[["b", "a"]])
