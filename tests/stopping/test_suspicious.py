"""Slips of the finger are found; labels that fit are left alone."""

import numpy as np
import pandas as pd
import pytest
import torch
from modAL.models import ActiveLearner, Committee
from scipy.sparse import csr_array
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from modal_pretrain.stopping import out_of_fold, suspicious_labels, worth_of_labels


@pytest.fixture
def labelled():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 4))
    y = np.array(["left", "middle", "right"])[np.digitize(X[:, 0], [-0.5, 0.5])]
    return X, y


def test_slips_come_first(labelled):
    X, y = labelled
    slips = np.flatnonzero(np.abs(X[:, 0]) > 1.2)[:5]
    wrong = y.copy()
    wrong[slips] = np.where(y[slips] == "left", "right", "left")
    found = suspicious_labels(out_of_fold(LogisticRegression(C=10), X, wrong), wrong)
    assert set(slips) <= set(found.rows[:8].tolist())
    assert (np.diff(found.scores) <= 0).all()
    first = dict(zip(found.rows.tolist(), found.suggested.tolist(), strict=True))
    assert all(first[row] == y[row] for row in slips)
    assert found.confident[:3].all() and not found.confident.all()


def test_out_of_fold_has_not_seen_the_row(labelled):
    # A classifier that remembers everything knows nothing of new rows.
    X, _ = labelled
    y = np.random.default_rng(1).integers(0, 2, len(X))
    found = out_of_fold(KNeighborsClassifier(1), X, y)
    right = np.mean(found.proba.argmax(axis=1) == y)
    assert right < 0.7


@pytest.mark.parametrize(
    "kind",
    [np.asarray, pd.DataFrame, csr_array, lambda X: [row.tolist() for row in X]],
)
def test_a_slip_that_was_given_twice_does_not_vouch_for_itself(labelled, kind):
    X, y = labelled
    slips = np.flatnonzero(np.abs(X[:, 0]) > 1.2)[:5]
    wrong = y.copy()
    wrong[slips] = np.where(y[slips] == "left", "right", "left")
    rows = np.append(np.arange(len(X)), slips)
    found = out_of_fold(KNeighborsClassifier(1), kind(X[rows]), wrong[rows])
    given = found.proba[slips, np.searchsorted(found.classes, wrong[slips])]
    assert given.sum() <= 1  # another slip may be the neighbour of one


def test_equal_rows_of_a_small_table_are_no_copies():
    X = np.repeat([[0.0], [1.0]], 20, axis=0)
    y = np.where(np.arange(40) % 10 == 0, 1 - X[:, 0], X[:, 0]).astype(int)
    found = suspicious_labels(out_of_fold(LogisticRegression(), X, y), y)
    assert sorted(found.rows) == [0, 10, 20, 30]


def test_a_row_that_is_often_there_is_no_slip(labelled):
    # Messages that all say "STOP", say: no other row tells their class.
    X, y = labelled
    X = np.concatenate([X, np.full((20, 4), 3.0), np.full((15, 4), -3.0)])
    y = np.concatenate([y, np.repeat(["stop"], 20), np.repeat(["left"], 15)])
    found = suspicious_labels(out_of_fold(KNeighborsClassifier(1), X, y), y)
    assert not (found.rows >= 90).any()


def test_tensors_that_share_a_border_are_no_copies(labelled):
    X, y = labelled
    pictures = torch.zeros(90, 1, 40, 40)
    pictures[:, 0, 20, 18:22] = torch.from_numpy(X).float()
    pictures[:75, 0, 0, 0] = torch.arange(75) / 1000
    flat = FunctionTransformer(lambda rows: np.stack([np.asarray(r) for r in rows]))
    flatter = FunctionTransformer(lambda rows: rows.reshape(len(rows), -1))
    model = make_pipeline(flat, flatter, KNeighborsClassifier(1))
    expected = out_of_fold(model, pictures.numpy(), y)
    found = out_of_fold(model, list(pictures), y)
    np.testing.assert_array_equal(found.proba, expected.proba)


def test_learner_is_left_alone(labelled):
    X, y = labelled
    learner = ActiveLearner(LogisticRegression(), X_training=X[:30], y_training=y[:30])
    before = learner.estimator.coef_.copy()
    out_of_fold(learner, X, y)
    np.testing.assert_array_equal(learner.estimator.coef_, before)


def test_a_class_of_one_row():
    X = np.array([[0.0], [0.1], [0.2], [5.0], [9.0], [9.1], [9.2], [9.3]])
    y = np.array(["a"] * 3 + ["b"] + ["c"] * 4)
    found = out_of_fold(LogisticRegression(), X, y)
    assert found.proba[3, 1] == 0  # nobody else is a "b"
    np.testing.assert_allclose(found.proba.sum(axis=1), 1)
    suspicious_labels(found, y)


def test_one_class_only():
    with pytest.raises(ValueError, match="there is nothing to contradict"):
        out_of_fold(LogisticRegression(), np.zeros((4, 1)), ["a"] * 4)


def test_bad_input(labelled):
    X, y = labelled
    with pytest.raises(ValueError, match="one label for each of the 90 rows"):
        out_of_fold(LogisticRegression(), X, y[1:])
    with pytest.raises(ValueError, match="label 'up', which the model does not know"):
        suspicious_labels(np.full((2, 2), 0.5), ["down", "up"], classes=["down", "x"])


def test_labels_that_are_missing():
    X = np.arange(8.0)[:, None]
    for function in (
        lambda y: out_of_fold(GaussianNB(), X, y),
        lambda y: worth_of_labels(GaussianNB(), X, y, [0, 1]),
    ):
        with pytest.raises(ValueError, match="y has None in row 0"):
            function([None, *"abababa"])
        with pytest.raises(ValueError, match="y has nan in row 2"):
            function([0, 1, np.nan, 0, 1, 0, 1, 0])


def test_a_committee_is_the_mean_of_its_members(labelled):
    X, y = labelled
    models = [LogisticRegression(), GaussianNB()]
    members = [ActiveLearner(m, X_training=X[:60], y_training=y[:60]) for m in models]
    committee = Committee(members)
    found = out_of_fold(committee, X, y)
    each = [out_of_fold(model, X, y).proba for model in models]
    np.testing.assert_allclose(found.proba, np.mean(each, axis=0))
    drawn = np.arange(90) % 2 == 0
    assert worth_of_labels(committee, X, y, drawn).n_random == 45


def test_columns_of_a_frame_are_the_classes():
    proba = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    frame = pd.DataFrame(proba, columns=[1, 0])
    found = suspicious_labels(frame, [1, 0, 0])
    assert found.rows.tolist() == [2] and found.suggested.tolist() == [1]
    with pytest.raises(ValueError, match=r"by its columns, the classes \[1, 0\]"):
        suspicious_labels(frame, [1, 0, 0], classes=[0, 1])
    plain = suspicious_labels(pd.DataFrame(proba), [0, 1, 1])
    assert plain.rows.tolist() == [2]
    # pandas makes a range of such names, as of those it gives itself.
    for columns in (range(1, 3), range(1, -1, -1)):
        first, second = columns
        found = suspicious_labels(
            pd.DataFrame(proba, columns=columns), [first, second, second]
        )
        assert found.rows.tolist() == [2] and found.suggested.tolist() == [first]


def test_labels_that_are_missing_or_of_no_class_are_named():
    proba = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    with pytest.raises(ValueError, match="y has nan in row 1; every row needs"):
        suspicious_labels(proba, [0, np.nan, 1])
    with pytest.raises(ValueError, match=r"classes are \[0, 1\]\.$"):
        suspicious_labels(proba, [0, 7, 1])  # it has no parameter unknown
    with pytest.raises(ValueError, match="classes must hold one different label"):
        suspicious_labels(proba, [0, 1, 1], classes=[None, "a"])


def test_labels_of_a_table_in_another_order():
    # They were judged by their places, as if all were slips.
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(40, 2)), index=range(100, 140))
    y = (X[0] > 0).astype(int)
    other, model = y.sample(frac=1, random_state=0), LogisticRegression()
    found = out_of_fold(model, X, y)
    proba = pd.DataFrame(found.proba, index=X.index, columns=found.classes)
    drawn = pd.Series(np.arange(40) < 20, index=X.index)
    with pytest.raises(ValueError, match="y has, by its index, the rows of X in"):
        out_of_fold(model, X, other)
    with pytest.raises(ValueError, match="y has, by its index, the rows of proba in"):
        suspicious_labels(proba, other)
    with pytest.raises(ValueError, match="y has, by its index, the rows of X in"):
        worth_of_labels(model, X, other, drawn)
    with pytest.raises(ValueError, match="random_rows has, by its index"):
        worth_of_labels(model, X, y, drawn.loc[other.index])
    assert len(suspicious_labels(proba, y).rows) < 10


def inverted(X):
    """Fail as quadratic discriminants do, whose classes need rows enough each."""
    return X @ np.linalg.inv(np.zeros((4, 4)))


@pytest.mark.parametrize(
    "classifier",
    [
        CalibratedClassifierCV(LogisticRegression()),
        make_pipeline(PCA(4), LogisticRegression()),
        KNeighborsClassifier(9),
        make_pipeline(FunctionTransformer(inverted), LogisticRegression()),
    ],
    ids=lambda classifier: type(classifier).__name__,
)
def test_copies_with_too_few_rows_say_how_many_they_had(labelled, classifier):
    X, y = labelled
    few = np.concatenate([np.flatnonzero(y == label)[:2] for label in np.unique(y)])
    with pytest.raises(ValueError, match=r"from [34] of the 6 labelled rows failed"):
        out_of_fold(classifier, X[few], y[few], n_folds=2)
    with pytest.raises(ValueError, match=r"label more rows of each class"):
        worth_of_labels(KNeighborsClassifier(9), X[:40], y[:40], np.arange(40) < 15)


def test_errors_of_copies_that_say_more_than_their_words_keep_their_kind(labelled):
    class Unread(ValueError):
        pass

    def fail(X):
        raise Unread("no picture")

    X, y = labelled
    broken = make_pipeline(FunctionTransformer(fail), LogisticRegression())
    with pytest.raises(Unread, match="no picture"):
        out_of_fold(broken, X, y)


@pytest.mark.parametrize("kind", [list, set])
def test_labels_that_are_lists_are_refused(kind):
    # As a column of lists: no class had a probability, which worth_of_labels took.
    X = np.arange(12.0).reshape(6, 2)
    y = pd.Series([kind([label]) for label in ["ant", "bee"] * 3])
    with pytest.raises(ValueError, match=r"y has .*'ant'.* in row 0, a .*Take it out"):
        out_of_fold(LogisticRegression(), X, y)


@pytest.mark.parametrize("label", ["ant", "bee"])
def test_what_is_found_is_true_where_there_is_any(label):
    # As a tuple of four arrays it was true with none, too.
    proba = np.array([[0.9, 0.1], [0.1, 0.9]])
    found = suspicious_labels(proba, [label, "bee"], classes=["ant", "bee"])
    assert bool(found) is (label == "bee")
    rows, suggested, *_ = found
    assert (rows.tolist(), suggested.tolist()) == (
        ([0], ["ant"]) if found else ([], [])
    )


def test_labels_before_probabilities():
    proba, y = np.tile([0.9, 0.1], (20, 1)), np.zeros(20, dtype=int)
    with pytest.raises(ValueError, match=r"they come first: suspicious_labels\(proba"):
        suspicious_labels(y, proba)
