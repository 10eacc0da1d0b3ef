"""Labels, classes and class weights."""

import enum
import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from modAL.models import ActiveLearner
from sklearn.ensemble import VotingClassifier
from sklearn.model_selection import cross_val_predict, cross_val_score
from torch import nn

from tests.classifier.cases import (
    KINDS,
    kinds,
)


@pytest.mark.parametrize(
    "names",
    [
        ["no", "yes"],
        np.array(["no", "yes"], dtype=object),
        [False, True],
        [-3, 7],
        [0.0, 1.0],
        [5.0, 2.0],
        ["a much longer label", "b"],
        np.array([3, 200], dtype=np.uint8),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["head", "all"])
def test_kinds_of_labels(make, pictures, labels, names, kind):
    y = np.asarray(names)[labels]
    classifier = make(**KINDS[kind]).fit(pictures, y)
    assert classifier.classes_.tolist() == sorted(set(y.tolist()))
    predicted = classifier.predict(pictures)
    assert predicted.dtype == y.dtype
    proba = classifier.predict_proba(pictures)
    np.testing.assert_array_equal(predicted, classifier.classes_[proba.argmax(1)])
    if kind == "head":
        assert (predicted == y).mean() > 0.9


@pytest.mark.parametrize(
    "wrap",
    [list, tuple, pd.Series, torch.tensor, partial(pd.Series, index=range(50, 74))],
)
def test_containers_of_labels(make, pictures, labels, wrap):
    classifier = make().fit(pictures, wrap(labels.tolist()))
    expected = make().fit(pictures, labels)
    np.testing.assert_array_equal(
        classifier.predict_proba(pictures), expected.predict_proba(pictures)
    )


@pytest.mark.parametrize("dtype", ["category", None])
def test_pandas_labels(make, pictures, labels, dtype):
    y = pd.Series(np.array(["no", "yes"])[labels], dtype=dtype)
    predicted = make().fit(pictures, y).predict(pictures)
    assert (predicted == y.to_numpy()).mean() > 0.9


def test_column_of_labels_warns(make, pictures, labels):
    with pytest.warns(Warning, match="A column-vector y was passed"):
        make().fit(pictures, labels[:, None])


@pytest.mark.parametrize("kind", ["head", "all"])
def test_classes_missing_from_the_seed_set(make, pictures, labels, kind):
    y = np.array(["b", "d"])[labels]
    classifier = make(**KINDS[kind], classes=["d", "c", "b", "a"])
    assert classifier.classes_.tolist() == list("abcd")
    classifier.fit(pictures, y)
    proba = classifier.predict_proba(pictures)
    assert proba.shape == (24, 4)
    assert (proba > 0).all()
    if kind == "head":
        assert set(classifier.predict(pictures)) == {"b", "d"}
        assert (proba[:, [0, 2]].max(axis=1) < proba[:, [1, 3]].max(axis=1)).all()
        np.testing.assert_allclose(proba[:, 0], proba[:, 2], rtol=1e-3)


@pytest.mark.parametrize(
    "classes, y, unseen",
    [
        ([0, 1], [0, 1, 2, 2], r"\[2\].*\[0, 1\]"),
        (["a", "b"], ["a", "z", "b", "y"], r"\['y', 'z'\].*\['a', 'b'\]"),
        ([0, 1], ["a", "b", "a", "b"], r"\['a', 'b'\].*\[0, 1\]"),
        (["a", "b"], [0, 1, 0, 1], r"\[0, 1\].*\['a', 'b'\]"),
        ([1, 2], [0, 1, 2, 1], r"\[0\].*\[1, 2\]"),
    ],
)
def test_labels_that_are_no_classes(make, pictures, classes, y, unseen):
    with pytest.raises(ValueError, match=rf"labels {unseen}\. Name all labels"):
        make(classes=classes).fit(pictures[:4], y)


@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_numbers_that_scikit_learn_made_of_labels(make, pictures, labels, method):
    y = np.array(["no", "yes"])[labels]
    named = make(classes=["yes", "no"])

    def predict(classifier):
        return cross_val_predict(classifier, pictures, y, cv=2, method=method)

    if method == "predict_proba":
        with pytest.raises(ValueError, match=r"\[0, 1\].*leave classes out there"):
            predict(named)
        named = make()
    assert len(predict(named)) == len(y)
    with pytest.raises(ValueError, match=r"\(classes=\[\.\.\.\]\)\.$"):
        named.set_params(classes=["no", "yes"]).fit(pictures, labels + 1)


def test_no_classes_at_all(make, pictures, labels):
    with pytest.raises(ValueError, match="classes is empty"):
        make(classes=[]).fit(pictures, labels)


def test_classes_before_fit(make):
    assert not hasattr(make(), "classes_")
    assert make(classes=["z", "a"]).classes_.tolist() == ["a", "z"]


def test_classes_set_anew_count_from_the_next_fit(make, pictures, labels):
    classifier = make().fit(pictures, labels)
    classifier.set_params(classes=[0, 1, 2])
    assert classifier.classes_.tolist() == [0, 1]
    with pytest.raises(ValueError, match=r"classes is \[0, 1, 2\] now.*fit again"):
        classifier.predict_proba(pictures)
    classifier.fit(pictures, labels)
    assert classifier.predict_proba(pictures).shape == (24, 3)


@kinds
def test_seed_set_of_one_class(make, pictures, kind):
    one = make(**KINDS[kind]).fit(pictures[:4], ["x"] * 4)
    assert one.predict_proba(pictures).tolist() == [[1.0]] * 24
    assert set(one.predict(pictures)) == {"x"}
    classes = ["w", "x", "y"]
    known = make(**KINDS[kind], classes=classes).fit(pictures[:4], ["x"] * 4)
    assert known.predict_proba(pictures[:4]).shape == (4, 3)
    assert (known.predict(pictures[:4]) == "x").mean() > 0.5


@pytest.mark.parametrize("kind", ["head", "all", "last"])
@pytest.mark.parametrize("n", [1, 2])
def test_very_few_labels(make, pictures, labels, kind, n):
    classifier = make(**KINDS[kind], classes=[0, 1]).fit(pictures[:n], labels[:n])
    assert np.isfinite(classifier.predict_proba(pictures)).all()


def test_class_weight(make, pictures):
    y = (np.arange(24) >= 20).astype(int)
    shares = [
        make(class_weight=weight).fit(pictures, y).predict_proba(pictures)[:, 1].mean()
        for weight in (None, "balanced", {0: 1, 1: 100})
    ]
    assert shares[0] < shares[1] - 0.05 < shares[2]


def test_class_weight_of_a_class_that_is_missing(make, pictures, labels):
    weights = {0: 1.0, 1: 2.0, 2: 5.0}
    classifier = make(classes=[0, 1, 2], class_weight=weights).fit(pictures, labels)
    assert classifier.predict_proba(pictures).shape == (24, 3)


@pytest.mark.parametrize(
    "class_weight, match",
    [
        ("heavy", "class_weight"),
        ({5: 1.0}, "class_weight"),
        ({0: 1e300}, r"class_weight\[0\] must be a finite number from 0 to 1e\+09"),
        ({0: 1e-300, 1: 1e-300}, "leaves no row any weight"),
    ],
)
def test_bad_class_weight(make, pictures, labels, class_weight, match):
    with pytest.raises(ValueError, match=match):
        make(class_weight=class_weight).fit(pictures, labels)


def test_class_weight_by_names_where_labels_come_as_numbers(make, pictures):
    names = np.array(["cat", "dog"] * (len(pictures) // 2))
    weighted = make(class_weight={"cat": 1.0, "dog": 3.0})
    voting = VotingClassifier([("weighted", weighted)], voting="soft")
    with pytest.raises(ValueError, match=r"'cat'.*\[0, 1\].*VotingClassifier.*sorted"):
        voting.fit(pictures, names)
    named = VotingClassifier([("weighted", make(class_weight={0: 1.0, 1: 3.0}))])
    expected = weighted.fit(pictures, names).predict_proba(pictures)
    found = named.set_params(voting="soft").fit(pictures, names).predict_proba(pictures)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    with pytest.raises(ValueError, match=r"among the classes \['cat', 'dog'\]\.$"):
        make(class_weight={"Cat": 1.0}).fit(pictures, names)


def test_class_weight_needs_a_criterion_with_weights(make, pictures, labels):
    class Plain(nn.Module):
        def forward(self, logits, y):
            return nn.functional.cross_entropy(logits, y)

    with pytest.raises(ValueError, match="needs a criterion with a loss for each row"):
        make(criterion=Plain, class_weight="balanced").fit(pictures, labels)


@pytest.mark.parametrize(
    "series, kind",
    [
        (pd.Series([3, 7] * 12, dtype="Int64"), "i"),
        (pd.Series([3, 7] * 12, dtype="UInt8"), "u"),
        (pd.Series([True, False] * 12, dtype="boolean"), "b"),
        (pd.Series([0.5, 1.5] * 12, dtype="Float64").round(), "f"),
        (pd.Series(["no", "yes"] * 12, dtype="string"), "O"),
        (pd.Series([3, 7] * 12, dtype="category"), "i"),
        (pd.Series([True, False] * 12, dtype="category"), "b"),
        (pd.Series(pd.array([3, 7] * 12, dtype="Int64"), dtype="category"), "i"),
        (pd.DataFrame({"y": [3, 7] * 12}, dtype="Int64"), "i"),
        (pd.array([3, 7] * 12, dtype="Int64"), "i"),
        (pd.Categorical(["no", "yes"] * 12), "OUT"),
    ],
    ids=lambda value: str(getattr(value, "dtype", value)),
)
@pytest.mark.filterwarnings("ignore:A column-vector y")
def test_pandas_labels_keep_their_kind(make, pictures, series, kind):
    classifier = make().fit(pictures, series)
    predicted = classifier.predict(pictures)
    assert predicted.dtype.kind in kind
    expected = series.iloc[:, 0] if hasattr(series, "columns") else series
    assert (predicted == np.asarray(expected)).mean() > 0.9
    assert set(classifier.classes_.tolist()) == set(expected)
    # As names of all classes, too.
    named = make(classes=list(pd.unique(expected))).fit(pictures, series)
    np.testing.assert_array_equal(named.classes_, classifier.classes_)


@pytest.mark.parametrize(
    "y, message",
    [
        (pd.Series([1, None] * 12, dtype="Int64"), "y contains missing labels"),
        (pd.Series([True, None] * 12, dtype="boolean"), "y contains missing labels"),
        (pd.Series(["a", None] * 12, dtype="category"), "y contains missing labels"),
        (["a", None] * 12, "y contains missing labels"),
        (["a", float("nan")] * 12, r"y contains missing labels \(y\[1\] is NaN\)"),
        (np.ma.masked_array([0, 1] * 12, mask=[False, True] * 12), "missing.*masked"),
        ([0, "a"] * 12, r"mixes kinds of labels: y\[0\]=0 is a number, y\[1\]='a'"),
        ([True, 2] * 12, r"mixes kinds .* truth value"),
        (np.array([0, "a"] * 12, dtype=object), "mixes kinds"),
        (["a", b"b"] * 12, "mixes kinds"),
        ({0, 1}, "got a set, which has no order"),
        (np.zeros((24, 2, 2, 3), np.uint8), r"y .*shape \(24, 2, 2, 3\).*X given as y"),
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_labels_that_are_missing_or_mixed(make, pictures, y, message, method):
    with pytest.raises(ValueError, match=message):
        getattr(make(), method)(pictures, y)


def test_numbers_of_several_kinds_are_one_kind(make, pictures):
    y = [np.int64(0), 1.0, 0, np.float32(1)] * 6
    assert make().fit(pictures, y).classes_.tolist() == [0.0, 1.0]


class Answer(str, enum.Enum):
    NO = "no"
    YES = "yes"


def test_enumerations_of_strings(make, pictures, labels):
    """NumPy cut what they print, "Answer.NO", to the width of "yes": one class."""
    y = [list(Answer)[label] for label in labels]
    classifier = make().fit(pictures, y)
    assert classifier.classes_.tolist() == ["no", "yes"]
    right = classifier.predict(pictures) == np.array(["no", "yes"])[labels]
    assert right.mean() > 0.9


@pytest.mark.parametrize(
    "y_of",
    [
        lambda labels: [list(Answer)[label] for label in labels],
        lambda labels: np.array(labels == 1, dtype=object),
        lambda labels: np.array([[3, 5][label] for label in labels], dtype=object),
    ],
    ids=["enumeration", "truth values as objects", "numbers as objects"],
)
def test_score_reads_the_labels_that_fit_reads(make, pictures, labels, y_of):
    y = y_of(labels)
    classifier = make().fit(pictures, y)
    right = classifier.classes_[labels] == classifier.predict(pictures)
    assert right.mean() > 0.9
    assert classifier.score(pictures, y) == right.mean()
    assert cross_val_score(make(), pictures, y, cv=2, error_score="raise").min() > 0.5


def test_a_measured_value_is_no_label(make, pictures, labels):
    with pytest.raises(ValueError, match=r"y\[\d+\]=0.5 is no whole number.*pandas"):
        make().fit(pictures, labels / 2)


def test_one_label_for_each_row(make, pictures, labels):
    with pytest.raises(ValueError, match="y has 23 labels for 24 rows of X"):
        make().fit(pictures, labels[1:])


@pytest.mark.parametrize("name", ["y", "sample_weight", "ignore"])
def test_rows_that_come_in_another_order_are_refused(make, paths, labels, name):
    X = pd.Series(paths, index=[f"id{i}" for i in range(len(paths))])
    given = {"y": pd.Series(labels, index=X.index)}
    given |= {name: pd.Series(labels, index=X.index)}
    good = make().fit(X, **given)
    late = given | {name: given[name].iloc[::-1]}
    with pytest.raises(ValueError, match=rf"{name}\.loc\[X\.index\]"):
        make().fit(X, **late)
    learner = ActiveLearner(make(), X_training=X, y_training=given["y"])
    with pytest.raises(ValueError, match="another order"):
        learner.fit(X, **late)
    again = make().fit(X, **late | {name: late[name].loc[X.index]})
    np.testing.assert_array_equal(again.predict_proba(X), good.predict_proba(X))
    with pytest.raises(ValueError, match="ignore has"):
        make().tag(X, given["y"].iloc[::-1])
    if name != "ignore":
        late.pop("ignore", None)
        with pytest.raises(ValueError, match=rf"{name}\.loc\[X\.index\]"):
            good.score(X, **late)


@pytest.mark.parametrize(
    "index",
    [
        lambda index: pd.RangeIndex(len(index)),
        lambda index: ["same"] * len(index),
        lambda index: index[::-1] + 1,
        lambda index: pd.Index(index, dtype="Int64"),
    ],
    ids=["made by pandas", "repeated", "of other rows", "of another type"],
)
def test_any_other_index_says_nothing_about_the_order(make, paths, labels, index):
    order = np.random.default_rng(0).permutation(len(paths))
    X = pd.Series(np.asarray(paths)[order], index=order)
    y = pd.Series(np.asarray(labels)[order], index=index(order))
    found = make().fit(X, y).predict_proba(X)
    expected = make().fit(X.to_numpy(), y.to_numpy()).predict_proba(X)
    np.testing.assert_array_equal(found, expected)


def test_score_warns_of_a_label_that_is_a_class_but_for_how_it_is_typed(make, paths):
    y = np.array(["cat", "dog"])[np.arange(len(paths)) % 2]
    classifier = make().fit(paths, y)
    with pytest.warns(UserWarning, match=f"y has the label 'Cat' {len(y[::2])} times"):
        score = classifier.score(paths, np.where(y == "cat", "Cat", y))
    assert score == (classifier.predict(paths)[1::2] == "dog").sum() / len(y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classifier.score(paths, y)
        classifier.score(paths, np.where(y == "cat", "lynx", y))  # another class
