"""What a classifier is taken for, and the probabilities it gives."""

import numpy as np
import pytest
from modAL.models import ActiveLearner, Committee
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from modal_pretrain.query._engine.classifier import (
    base_estimator,
    check_members,
    check_probabilities,
    class_probabilities,
    is_committee,
    is_learner,
    is_unfitted,
    number_of_classes,
)
from tests.query.query_cases import forest, make, pool, seed_set

X = pool()


class Told:
    """Answers what it was told to."""

    classes_ = np.array([0, 1])

    def __init__(self, answer):
        self.answer = answer

    def predict_proba(self, X):
        return self.answer


def test_what_it_is():
    learner, committee = make("learner"), make("committee")
    plain = make("bare")
    assert [is_learner(c) for c in (learner, committee, plain)] == [True, False, False]
    assert [is_committee(c) for c in (learner, committee, plain)] == [0, 1, 0]
    assert base_estimator(learner) is learner.estimator
    assert base_estimator(plain) is plain
    # Meta-estimators have an estimator too, and no strategy.
    assert not is_learner(ActiveLearner.__new__(ActiveLearner))


def test_number_of_classes():
    assert number_of_classes(make("bare", 2)) == 2
    assert number_of_classes(make("learner", 3)) == 3
    assert number_of_classes(forest(), ["a", "b", "a"]) == 2
    assert number_of_classes(make("bare", 3), ["a"]) == 3
    assert number_of_classes(forest()) is None


def test_probabilities():
    for kind in ("bare", "learner", "pipeline", "committee"):
        classifier = make(kind)
        found = class_probabilities(classifier, X, 40)
        assert found.fitted
        np.testing.assert_array_equal(found.values, classifier.predict_proba(X))
        assert found.values.dtype == np.float64


@pytest.mark.parametrize(
    "classifier",
    [
        forest(),
        ActiveLearner(forest()),
        make_pipeline(StandardScaler(), forest()),
        Committee([ActiveLearner(forest()), ActiveLearner(forest())]),
    ],
    ids=["bare", "learner", "pipeline", "committee"],
)
def test_the_unfitted_know_nothing(classifier):
    values, fitted = class_probabilities(classifier, X, 40)
    assert not fitted
    assert values.shape == (40, 2)
    assert (values == 0.5).all()


def test_what_says_that_nothing_is_fitted():
    class NotInitializedError(Exception):
        pass

    class Child(NotInitializedError):
        pass

    assert is_unfitted(NotFittedError())
    assert is_unfitted(Child())  # as skorch raises
    assert not is_unfitted(ValueError())


def test_other_errors_of_a_classifier_pass():
    class Angry(Told):
        def predict_proba(self, X):
            raise ValueError("no such feature")

    with pytest.raises(ValueError, match="no such feature"):
        class_probabilities(Angry(None), X, 40)


@pytest.mark.parametrize("wrap", [lambda model: model, ActiveLearner])
def test_no_predict_proba(wrap):
    model = LinearSVC().fit(*seed_set(2))
    message = "LinearSVC has no predict_proba.*CalibratedClassifierCV.*core_set_samp"
    with pytest.raises(TypeError, match=message):
        class_probabilities(wrap(model), X, 40)


def wrong(row, value):
    proba = np.full((40, 2), 0.5)
    proba[row] = value
    return proba


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (wrong(7, [0.5, np.nan]), ValueError, r"not finite in row 7 \(\[0.5 nan\]\)"),
        (wrong(7, [np.inf, 0]), ValueError, "not finite in row 7"),
        (wrong(7, [np.inf, -np.inf]), ValueError, "not finite in row 7"),
        (wrong(7, [-0.2, 1.2]), ValueError, "-0.2; .*negative.*softmax"),
        (wrong(7, [-1e-9, 1.0]), ValueError, "negative"),
        (wrong(7, [0.5, 0.52]), ValueError, "row 7 sums to 1.02; .*Divide each row"),
        (wrong(7, [0.5, 0.48]), ValueError, "row 7 sums to 0.98"),
        (wrong(slice(None), [3.0, 4.0]), ValueError, "row 0 sums to 7"),
        (wrong(0, 0)[:-1], ValueError, r"shape \(39, 2\); expected \(40, n_classes\)"),
        (np.empty((40, 0)), ValueError, r"shape \(40, 0\)"),
        (np.full(40, 0.5), TypeError, r"shape \(40,\); expected \(n_samples, n_cl"),
        ([wrong(0, 0.5)] * 2, TypeError, r"shape \(2, 40, 2\).*[Mm]ulti-label"),
        ([["a", "b"]] * 40, TypeError, "not one array of numbers"),
        ([[0.5, 0.5], [1.0]], TypeError, "not one array of numbers"),
    ],
)
def test_what_are_no_probabilities(answer, error, message):
    with pytest.raises(error, match=message) as raised:
        class_probabilities(Told(answer), X, 40)
    assert str(raised.value).startswith("classifier.predict_proba")


def test_the_faults_of_16_bits_are_let_pass():
    proba = np.random.default_rng(0).dirichlet(np.ones(300), 40).astype(np.float16)
    found = class_probabilities(Told(proba), X, 40).values
    np.testing.assert_array_equal(found, proba.astype(np.float64))
    assert (np.abs(found.sum(axis=1) - 1) > 1e-6).any()


def test_rows_need_not_be_counted():
    assert check_probabilities([[1.0]], None, "proba").shape == (1, 1)
    assert check_probabilities(np.empty((0, 2)), None, "proba").shape == (0, 2)
    assert check_probabilities(np.empty((0, 2)), 0, "proba").shape == (0, 2)


def test_members():
    good = np.full((3, 5, 2), 0.5)
    assert check_members(good.tolist(), 5, "votes").shape == (3, 5, 2)
    for bad in (good[0], good[:0], good[:, :, :0]):
        with pytest.raises(ValueError, match=r"votes has shape .* one member"):
            check_members(bad, 5, "votes")
    with pytest.raises(ValueError, match=r"votes: shape \(5, 2\); expected \(4, "):
        check_members(good, 4, "votes")
    good[2, 3] = [0.5, 0.9]
    with pytest.raises(ValueError, match=r"votes: row 3 sums to 1.4"):
        check_members(good, 5, "votes")


def test_a_logistic_regression_as_it_is():
    model = LogisticRegression().fit(*seed_set(3))
    values, fitted = class_probabilities(model, X, 40)
    assert fitted and values.shape == (40, 3)


@pytest.mark.parametrize(
    "given", [np.array([0, 2, 1]), np.array(["cat", "dog", "cat"]), np.full(3, 0.7)]
)
def test_labels_in_the_place_of_probabilities(given):
    with pytest.raises(TypeError, match=r"what predict_proba gives") as raised:
        check_probabilities(given, 3, "proba")
    assert "ulti-label" not in str(raised.value)
