"""Comparing backbones on the labels one has."""

import time

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline

from modal_pretrain import PretrainedClassifier, TimmEncoder
from modal_pretrain.backbones.packages import PACKAGED_WEIGHTS
from modal_pretrain.backbones.weights import BackboneWeightsError
from modal_pretrain.comparison import (
    Candidate,
    Comparison,
    _gain,
    compare,
    packaged_candidates,
)
from modal_pretrain.datasets import make_shapes


@pytest.fixture(scope="module")
def shapes():
    data = make_shapes(random_state=0).subset("train")
    # As many red circles as red squares: not to be told by the colour.
    rows = data.seed_set(40, atypical=10, random_state=0)
    return data.X[rows], data.y[rows], data.groups[rows]


@pytest.fixture(scope="module")
def found(shapes):
    X, y, groups = shapes
    candidates = {
        "trained": PretrainedClassifier(image_size=64),
        "random": PretrainedClassifier(image_size=64, pretrained=False, random_state=0),
    }
    return compare(X, y, candidates, groups=groups)


def test_accuracy_is_that_of_cross_validation(shapes, found):
    X, y, _ = shapes
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    scores = cross_val_score(PretrainedClassifier(image_size=64), X, y, cv=folds)
    best = found.candidates[0]
    assert best.name == "trained"
    assert best.accuracy == pytest.approx(scores.mean())
    low, high = best.interval
    assert low < best.accuracy <= high <= 1


def test_worse_is_said_to_be_worse(found):
    best, worst = found.candidates
    assert best.accuracy > worst.accuracy + 0.2
    assert best.behind == (0, 0)
    assert worst.behind[0] > 0
    assert not worst.as_good
    assert found.recommended is best
    assert found.advice == "Take trained: it is the most accurate."
    assert worst.worst_group <= worst.worst_class
    assert worst.seconds > 0


def test_of_equal_candidates_hardly_any_is_called_better():
    """Without Bonferroni 0.29 of the tables named one of five equal candidates."""
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(400):
        hits = rng.random((5, 200)) < 0.8
        best = hits.mean(axis=1).argmax()
        others = [i for i in range(5) if i != best]
        wrong += any(_gain(hits[best], hits[i], 10)[0] > 0 for i in others)
    assert wrong / 400 <= 0.07  # 0.05, and two standard errors of 400 draws


def test_the_gain_is_of_all_pairs_at_once(shapes):
    X, y, _ = shapes
    candidates = {f"{n} px": PretrainedClassifier(image_size=n) for n in (16, 32, 64)}
    found = compare(X, y, candidates)
    folds = list(StratifiedKFold(5, shuffle=True, random_state=0).split(y, y))
    right = {
        name: cross_val_predict(estimator, X, y, cv=folds) == y
        for name, estimator in candidates.items()
    }
    best, *others = found.candidates
    for other in others:
        gain = right[best.name].astype(float) - right[other.name]
        level = 1 - 0.05 / 3
        expected = stats.ttest_1samp(gain, 0).confidence_interval(level)
        np.testing.assert_allclose(other.behind, expected)


def test_the_table_names_all(found):
    text = str(found)
    lines = text.splitlines()
    assert "worst group" in lines[0]
    assert lines[1].startswith("trained")
    assert lines[2].startswith("random")
    assert f"{found.candidates[0].accuracy:.3f}" in lines[1]
    assert text.endswith(found.advice)


def candidate(name, accuracy, behind, seconds):
    return Candidate(name, accuracy, (0.0, 1.0), 0.5, None, behind, seconds)


def test_faster_of_equals_is_recommended():
    best = candidate("large", 0.9, (0.0, 0.0), 12.0)
    equal = candidate("small", 0.88, (-0.01, 0.05), 3.0)
    worse = candidate("tiny", 0.7, (0.1, 0.3), 1.0)
    advice = Comparison([best, equal, worse], 60).advice
    assert advice == (
        "Take small: 60 labels do not show that large is better (by 2.0%, 95 % "
        "interval -1.0% to 5.0%), and it is 4.0 times as fast."
    )
    slow = candidate("slow", 0.88, (-0.01, 0.05), 20.0)
    assert Comparison([best, slow], 60).advice == (
        "Take large: it is the most accurate and the fastest of those that the labels "
        "cannot tell apart."
    )


def test_candidates_are_those_that_are_installed(monkeypatch):
    names = packaged_candidates()
    assert "tf_efficientnet_lite0 at 96 px" in names
    assert names["tf_efficientnet_lite0 at its own size"].image_size is None
    assert all(not name.startswith("resnet") for name in names)
    for name in list(PACKAGED_WEIGHTS):
        if name != "tf_efficientnet_lite0":
            monkeypatch.delitem(PACKAGED_WEIGHTS, name)
    assert len(packaged_candidates()) == 2


def test_folds_are_the_same_without_a_seed(shapes):
    X, y, _ = shapes
    same = {name: PretrainedClassifier(image_size=32) for name in "abcd"}
    found = compare(X, y, same, random_state=None)
    assert {candidate.behind for candidate in found.candidates} == {(0, 0)}


def test_class_weights_may_name_all_classes(shapes):
    X, y, _ = shapes
    y = y.astype(object)
    y[::3] = "other"
    weight = dict.fromkeys(np.unique(y.astype(str)).tolist(), 2.0)
    candidates = {"a": PretrainedClassifier(image_size=32, class_weight=weight)}
    found = compare(X, y.astype(str), candidates, cv=2)
    assert found.candidates[0].seconds > 0


def test_estimators_are_left_as_they_are(shapes):
    X, y, _ = shapes
    mine = PretrainedClassifier(image_size=32, cache=None)
    compare(X[:20], y[:20], {"mine": mine})
    assert mine.cache is None
    assert not hasattr(mine, "classes_")


@pytest.mark.parametrize("name", ["y", "groups"])
def test_rows_that_come_in_another_order_are_refused(name):
    index = ["a", "b", "c", "d"]
    given = {key: pd.Series([0, 0, 1, 1], index) for key in ("y", "groups")}
    given[name] = given[name].iloc[::-1]
    X = pd.Series(["1.jpg", "2.jpg", "3.jpg", "4.jpg"], index)
    with pytest.raises(ValueError, match=rf"{name}\.loc\[X\.index\]"):
        compare(X, **given)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": ["a"] * 6}, r"at least two classes, got only \['a'\]"),
        ({"y": ["a"] * 5 + ["b"]}, r"single label of \['b'\]"),
        ({"y": ["a", "b"]}, r"each of the 6 rows of X, got shape \(2,\)"),
        ({"groups": ["a"]}, r"groups must hold one value for each of the 6"),
        ({"candidates": {}}, "candidates is empty"),
        ({"cv": 1}, "cv must be a whole number of at least 2, got 1"),
        ({"cv": True}, "cv must be a whole number of at least 2, got True"),
        ({"y": ["a", 1] * 3}, "y mixes kinds of labels"),
        ({"y": ["a", None] * 3}, "y contains missing labels"),
        ({"y": [0.0, np.nan] * 3}, r"y\[1\] is NaN"),
        ({"groups": ["a", None] * 3}, "groups contains missing labels"),
        ({"groups": [0.0, np.nan] * 3}, r"groups\[1\] is NaN"),
        ({"random_state": "a"}, "random_state must be"),
        ({"verbose": "a"}, "verbose must be"),
    ],
)
def test_bad_input(change, message):
    arguments = {"X": np.zeros((6, 8, 8, 3), np.uint8), "y": ["a", "b"] * 3} | change
    with pytest.raises(ValueError, match=message):
        compare(**arguments)


@pytest.mark.parametrize(
    "candidates",
    [
        [PretrainedClassifier()],
        PretrainedClassifier(),
        {"a": "resnet18"},
        {"a": PretrainedClassifier},
        {"a": make_pipeline(TimmEncoder(), LogisticRegression())},
    ],
)
def test_candidates_that_are_none(candidates):
    X, y = np.zeros((6, 8, 8, 3), np.uint8), ["a", "b"] * 3
    with pytest.raises(TypeError, match="candidates"):
        compare(X, y, candidates)


def test_all_candidates_are_checked_before_the_first_is_tried(monkeypatch):
    monkeypatch.setattr("modal_pretrain.comparison._seconds_per_thousand", None)
    candidates = {"good": PretrainedClassifier(), "bad": PretrainedClassifier("none")}
    with pytest.raises(ValueError, match="backbone='none' is not a timm model"):
        compare(["a.png"] * 4, [0, 0, 1, 1], candidates)


def test_weights_of_all_are_there_before_the_first_is_tried(monkeypatch, tmp_path):
    """They were looked for at their turn: what the others had taken was lost."""
    monkeypatch.setattr("modal_pretrain.comparison._seconds_per_thousand", None)
    (tmp_path / "bad.safetensors").write_bytes(b"none")
    bad = PretrainedClassifier(pretrained=str(tmp_path / "bad.safetensors"))
    candidates = {"good": PretrainedClassifier(), "bad": bad}
    with pytest.raises(BackboneWeightsError, match=r"bad\.safetensors"):
        compare(["a.png"] * 4, [0, 0, 1, 1], candidates)


def test_names_may_be_numbers(shapes):
    X, y, _ = shapes
    candidates = {size: PretrainedClassifier(image_size=size) for size in (32, 40)}
    found = compare(X[:20], y[:20], candidates)
    assert sorted(candidate.name for candidate in found.candidates) == ["32", "40"]
    assert "32" in str(found)


def test_the_candidate_named_first_does_not_pay_for_cold_files(monkeypatch):
    passes = []

    def embed(self, X):
        passes.append(len(X))
        if len(passes) == 1:
            time.sleep(1)  # as unread files on a slow disk
        return actual(self, X)

    actual = PretrainedClassifier.embed
    monkeypatch.setattr(PretrainedClassifier, "embed", embed)
    X = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), np.uint8)
    same = PretrainedClassifier(image_size=32)
    found = compare(X, ["a", "b"] * 6, {"first": same, "second": same})
    assert max(candidate.seconds for candidate in found.candidates) < 100
