"""One case for each repair of modAL: what it must do, and does not without the repair.

This module imports neither pytest nor modal_pretrain, so that the same cases can be
run on an untouched modAL: ``python compat_cases.py`` prints, as JSON, the error of
every case that fails there (null for one that passes).
"""

import contextlib
import functools
import importlib
import json
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from modAL import acquisition, batch, disagreement, dropout, multilabel, uncertainty
from modAL.models import (
    ActiveLearner,
    BayesianOptimizer,
    Committee,
    CommitteeRegressor,
    DeepActiveLearner,
)
from modAL.utils import data
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import BayesianRidge, LinearRegression, LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

X = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 3.0], [3.0, 2.0]])
y = np.array([0, 0, 1, 1])
# Labels that are neither positions nor unique, as frames have them in practice.
FRAME = pd.DataFrame(X, index=[2, 2, 0, 9])


class Recorder(BaseEstimator):
    """Keeps what it is fitted with, and nothing else."""

    def fit(self, X, y, weight=None):
        self.seen_ = (X, y, weight)
        return self

    def predict(self, X):
        return np.zeros(len(X))


class Stateless(BaseEstimator):
    """A transformer without fitted attributes."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return 2 * X


def expected_error():
    """Import the module even where that repair is missing: other cases need it."""
    if hasattr(np, "float") or "modAL.expected_error" in sys.modules:
        return importlib.import_module("modAL.expected_error")
    vars(np)["float"] = float
    try:
        return importlib.import_module("modAL.expected_error")
    finally:
        del vars(np)["float"]


def fails(function, *args):
    try:
        function(*args)
    except TypeError:
        return True
    return False


def expected_error_import():
    module = importlib.import_module("modAL.expected_error")
    assert callable(module.expected_error_reduction)


def cluster_import():
    assert importlib.import_module("modAL.cluster").HierarchicalClustering


def stack_frames():
    stacked = data.data_vstack((FRAME, FRAME))
    np.testing.assert_array_equal(stacked, np.vstack((X, X)))
    labels = pd.Series(["a", "b"], name="label")
    for more in (pd.Series(["c"]), np.array(["c"]), ["c"]):
        stacked = data.data_vstack((labels, more))
        assert stacked.tolist() == ["a", "b", "c"] and stacked.name == "label"


def join_frames():
    shifted = FRAME.set_axis([7, 7, 8, 9])
    np.testing.assert_array_equal(data.data_hstack([FRAME, shifted]), np.hstack([X, X]))
    np.testing.assert_array_equal(data.data_hstack([FRAME, X]), np.hstack([X, X]))
    assert fails(data.data_hstack, ["a", "b"])


def frame_rows():
    np.testing.assert_array_equal(data.retrieve_rows(FRAME, [2, 0]), X[[2, 0]])
    np.testing.assert_array_equal(data.retrieve_rows(FRAME, 1), X[1])
    assert data.retrieve_rows(FRAME[0], [3, 0]).tolist() == [3.0, 0.0]
    np.testing.assert_array_equal(data.drop_rows(FRAME, 0), X[1:])
    assert data.drop_rows(FRAME[0], [0, 1]).tolist() == [2.0, 3.0]
    mixed = pd.DataFrame({"n": [2**60 + 1], "f": [0.5], "s": ["a"]}, index=[5])
    [(position, row)] = data.enumerate_data(mixed)
    assert position == 0 and row.tolist() == [2**60 + 1, 0.5, "a"]
    assert list(data.enumerate_data(FRAME[0])) == [
        (0, 0.0),
        (1, 1.0),
        (2, 2.0),
        (3, 3.0),
    ]


def append_row():
    mixed = pd.DataFrame({"n": [1, 2], "s": ["a", "b"]})
    mixed["c"] = pd.Categorical(["u", "v"])
    _, row = next(iter(data.enumerate_data(mixed)))
    longer = data.add_row(mixed, row)
    assert longer.iloc[2].tolist() == [1, "a", "u"]
    assert list(longer.dtypes) == list(mixed.dtypes)
    # A category of the pool that the training data lacks is kept.
    row["c"] = "w"
    assert data.add_row(mixed, row)["c"].tolist() == ["u", "v", "w"]
    images = np.ones((2, 4, 4, 3))
    assert data.add_row(images, images[0]).shape == (3, 4, 4, 3)
    assert data.add_row(np.array(["a", "b"]), "c").tolist() == ["a", "b", "c"]
    assert data.add_row(["a", "b"], "c") == ["a", "b", "c"]


def tensor_rows():
    table = torch.tensor(X)
    for rows in (1, [1], np.array([1])):
        assert torch.equal(data.drop_rows(table, rows), table[[0, 2, 3]])
    assert [i for i, _ in data.enumerate_data(table)] == [0, 1, 2, 3]
    assert torch.equal(data.add_row(table, table[0]), table[[0, 1, 2, 3, 0]])
    labels = data.data_vstack((torch.tensor([1, 0]), np.array([2])))
    assert labels.tolist() == [1, 0, 2] and labels.dtype == torch.int64


def object_lists():
    images = [np.zeros((2, 3)), np.zeros((3, 2)), np.zeros((4, 4))]
    for rows in ([2, 0], np.array([2, 0]), np.array([True, False, True])):
        picked = data.retrieve_rows(images, rows)
        assert {id(x) for x in picked} == {id(images[0]), id(images[2])}
    assert data.drop_rows(images, 1)[1] is images[2]
    assert data.add_row(images, images[0])[3] is images[0]
    assert data.data_shape(images)[0] == 3
    same_size = [images[0], images[0]]
    assert data.data_vstack((same_size, same_size))[3] is images[0]
    learner = ActiveLearner(Recorder())
    learner.teach(images[:2], [0, 1])
    learner.teach(images[2:], [1])
    seen = learner.estimator.seen_[0]
    assert len(seen) == 3 and all(a is b for a, b in zip(seen, images, strict=True))


def finite_keyword():
    learner = ActiveLearner(Recorder()).fit(X, y)
    learner.teach(X, y)
    learner.teach(X[:1], y[:1], only_new=True)
    assert len(learner.X_training) == 8 and len(learner.estimator.seen_[0]) == 1
    learner.force_all_finite = False
    learner.teach(np.full_like(X, np.nan), y)
    learner.force_all_finite = True
    try:
        learner.teach(np.full_like(X, np.nan), y)
    except ValueError:
        return
    raise AssertionError("nan went through")


class Unfitted:
    y_max = 0.0

    def __len__(self):
        return 1

    def predict(self, *args, **kwargs):
        raise NotFittedError

    predict_proba = vote = vote_proba = predict


def mixed_frames():
    frame = pd.DataFrame({"a": ["x", None, "y", "x"], "b": [True, False, True, True]})
    for kind, numbers in (("category", "bool"), ("string", "Int64")):
        rows = frame.astype({"a": kind, "b": numbers})
        learner = ActiveLearner(Recorder(), force_all_finite=False)
        learner.teach(rows, y)
        learner.teach(rows, y)
        seen = learner.estimator.seen_[0]
        pd.testing.assert_frame_equal(seen, pd.concat([rows, rows]))
        with contextlib.suppress(ValueError):  # None is there
            ActiveLearner(Recorder()).teach(rows, y)
            raise AssertionError
        ActiveLearner(Recorder()).teach(rows.iloc[2:], y[2:])


def list_pools():
    paths = ["a.png", "b.png"]
    for measure in (
        uncertainty.classifier_uncertainty,
        uncertainty.classifier_margin,
        uncertainty.classifier_entropy,
        disagreement.vote_entropy,
        disagreement.consensus_entropy,
        disagreement.KL_max_disagreement,
        *(
            getattr(importlib.import_module("modAL.acquisition"), "optimizer_" + name)
            for name in ("PI", "EI", "UCB")
        ),
    ):
        assert len(measure(Unfitted(), paths)) == len(measure(Unfitted(), X=paths)) == 2
    learners = [ActiveLearner(LinearRegression(), X_training=X, y_training=y)]
    indices, rows = CommitteeRegressor(learners).query(X.tolist())
    assert rows == X[indices].tolist()


def constructor_options():
    learner = ActiveLearner(
        HistGradientBoostingClassifier(max_iter=1),
        X_training=np.where(X == 1, np.nan, X),
        y_training=y,
        bootstrap_init=True,
        force_all_finite=False,
    )
    assert learner.force_all_finite is False and learner.bootstrap_init is True
    learner = ActiveLearner(Recorder(), X_training=X, y_training=y, weight=3)
    assert learner.estimator.seen_[2] == 3
    assert repr(learner).startswith("ActiveLearner(")
    assert clone(learner).X_training.shape == X.shape


def bootstrap_rows():
    for frame, labels in ((FRAME, FRAME[0]), (X.tolist(), X[:, 0].tolist())):
        learner = ActiveLearner(
            Recorder(), X_training=frame, y_training=labels, bootstrap_init=True
        )
        for step in ("first", "new", "known"):
            if step == "new":
                learner._fit_on_new(frame, labels, bootstrap=True, weight=2)
                assert learner.estimator.seen_[2] == 2
            if step == "known":
                learner._fit_to_known(bootstrap=True)
            rows, first_column, _ = learner.estimator.seen_
            np.testing.assert_array_equal(np.asarray(rows)[:, 0], first_column)
    numbers = np.arange(9.0)
    learner = ActiveLearner(Recorder(), X_training=numbers[:, None], y_training=numbers)
    for only_new in (False, True):
        weight = np.arange(9.0 if only_new else 18.0) % 9
        learner.teach(
            numbers[:, None], numbers, bootstrap=True, only_new=only_new, weight=weight
        )
        _, labels, weights = learner.estimator.seen_
        np.testing.assert_array_equal(labels, weights)
    deep = Recorder()
    deep.initialize = lambda: None
    deep.partial_fit = deep.fit
    DeepActiveLearner(deep).teach(FRAME, FRAME[0], bootstrap=True)
    np.testing.assert_array_equal(deep.seen_[0][0], deep.seen_[1])


class Refusing(Recorder):
    """Learns the labels 0 and 1, and notices too late that there are others."""

    def fit(self, X, y, weight=None):
        super().fit(X, y, weight)
        if set(y) - {0, 1}:
            raise ValueError("no")
        return self


def failed_teaching():
    def learner():
        return ActiveLearner(LogisticRegression(), X_training=X, y_training=y)

    late = ActiveLearner(Refusing(), X_training=X, y_training=y)
    for model in (learner(), Committee([learner(), learner()]), late):
        for method in (model.teach, model.fit):
            with contextlib.suppress(ValueError):
                method(X[:1], [np.nan])
                raise AssertionError("taught")
            for each in getattr(model, "learner_list", [model]):
                assert len(each.X_training) == len(each.y_training) == 4
        model.teach(X[:1], [1])
        assert model.predict(X).shape == (4,)
    seen = late.estimator.seen_
    with contextlib.suppress(ValueError):
        late.teach(X[:1], [2])
    assert late.estimator.seen_ is seen
    # The first learner of a committee has learnt when the second one refuses.
    first = ActiveLearner(Recorder(), X_training=X, y_training=y)
    committee = CommitteeRegressor([first, late])
    seen = first.estimator.seen_
    with contextlib.suppress(ValueError):
        committee.teach(X[:1], [2])
    assert first.estimator.seen_ is seen and len(first.X_training) == 4
    maxima = BayesianOptimizer(LinearRegression(), X_training=X, y_training=X[:, 0])
    with contextlib.suppress(ValueError):
        maxima.teach(X[:1], ["far"])
        raise AssertionError("taught")
    assert len(maxima.X_training) == 4


def exact_joins():
    def refused(labels, new, rows=X, row=None, words=""):
        learner = ActiveLearner(Recorder(), X_training=rows, y_training=labels)
        try:
            learner.teach(rows[: len(new)] if row is None else row, new)
        except (ValueError, TypeError) as error:
            assert words in str(error), error
            assert len(learner.X_training) == len(learner.y_training) == 4
            return
        raise AssertionError(f"{learner.y_training} of {new}")

    words = np.array(["a", "b", "a", "b"])
    refused(words, [1], words="y holds numbers")
    refused(words, pd.Series([1], index=[7]), words="y holds numbers")
    refused(words, np.array([b"a"]), words="y holds bytes")
    refused(y, ["1"], words="y holds strings")
    refused(torch.tensor(y), np.array([0.5]), words="make 0 of 0.5")
    refused(torch.tensor(y, dtype=torch.uint8), [256], words="make 0 of 256")
    refused(y / 1, [2**53 + 1], words="of 9007199254740993")
    refused(y, np.ma.array([1], mask=[True]), words="y is masked")
    refused(y, {0: 1}, words="Write [y] for a single row")
    refused(y, [1], row="a.png", words="Write [X] for a single row")
    refused(y, [1], row=iter([X[0]]), words="Write list(X)")
    pictures = np.zeros((4, 3, 3), np.uint8)
    for rows in (pictures, torch.tensor(pictures)):
        other = pictures[:1].astype(np.uint16)
        refused(y, [1], rows=rows, row=other, words="X has dtype uint16")
    refused(y, [1], rows=pictures / 255, row=pictures[:1], words="another brightness")
    mended = ActiveLearner(Recorder(), X_training=X, y_training=words)
    mended.teach(X[:1], ["longer"])
    assert mended.y_training.tolist() == ["a", "b", "a", "b", "longer"]
    series = ActiveLearner(Recorder(), X_training=X, y_training=pd.Series(words))
    series.teach(X[:1], ["c"])
    assert series.y_training.tolist() == ["a", "b", "a", "b", "c"]
    several = ActiveLearner(Recorder(), X_training=X, y_training=X)
    several.teach(X[:1], np.array([[0.5, 2]]))
    assert several.y_training.shape == (5, 2)
    numbers = ActiveLearner(LogisticRegression(), X_training=X, y_training=y)
    strings = ActiveLearner(LogisticRegression(), X_training=X, y_training=words)
    with contextlib.suppress(ValueError):
        Committee([numbers, strings])
        raise AssertionError("labels became strings")


def own_lists():
    def begun(how, rows, labels):
        if how == "init":
            return ActiveLearner(Recorder(), X_training=rows, y_training=labels)
        learner = ActiveLearner(Recorder())
        getattr(learner, how)(rows, labels)
        return learner

    for how in ("init", "fit", "teach"):
        rows, labels = ["a.png", "b.png"], ["cat", "dog"]
        learner = begun(how, rows, labels)
        # The caller's own notes of what is labelled.
        rows.append("c.png")
        labels.append("cat")
        learner.teach(["c.png"], ["cat"])
        assert learner.X_training == ["a.png", "b.png", "c.png"], how
        batch, answers = ["a.png"], ["cat"]
        learner = begun(how, batch, answers)
        batch[0], answers[0] = "b.png", "dog"
        learner.teach(batch, answers)
        assert learner.X_training == ["a.png", "b.png"], how
        assert learner.y_training == ["cat", "dog"], how
        again = clone(learner)
        assert again.estimator.seen_[0] == again.X_training == ["a.png", "b.png"]
        frame, column = pd.DataFrame({"a": [1.0, 2.0]}), pd.Series([0, 1])
        learner = begun(how, frame, column)
        frame.loc[2], column.loc[2] = 3.0, 0
        frame["note"] = "mine"
        learner.teach(frame[["a"]].iloc[[2]], column.iloc[[2]])
        assert learner.X_training["a"].tolist() == [1.0, 2.0, 3.0], how
        assert learner.y_training.tolist() == [0, 1, 0], how
        clone(learner)


def other_sequences():
    rows, labels = ("a", "b", "c"), pd.Categorical(["x", "y", "x"])
    learner = ActiveLearner(
        Recorder(),
        query_strategy=lambda learner, pool: [2],
        X_training=rows,
        y_training=labels,
    )
    learner.teach(rows, labels)
    assert list(learner.X_training) == [*rows, *rows]
    assert list(learner.y_training) == [*labels, *labels]
    learner.teach(rows, labels, bootstrap=True)
    assert set(learner.estimator.seen_[0]) <= set(rows)
    assert learner.query(rows)[1] == ["c"]
    assert uncertainty.classifier_uncertainty(Unfitted(), rows).shape == (3,)
    texts = np.array(rows, dtype=np.dtypes.StringDType())
    learner = ActiveLearner(Recorder(), X_training=texts, y_training=pd.Index(rows))
    learner.teach(texts, pd.Index(rows))
    assert list(learner.X_training) == list(learner.y_training) == [*rows, *rows]


def single_query():
    calls = []

    def strategy(model, X_pool):
        calls.append(model)
        return np.array([2, 0])

    for model in (
        ActiveLearner(Recorder(), query_strategy=strategy),
        CommitteeRegressor([], query_strategy=strategy),
    ):
        calls.clear()
        indices, rows = model.query(X)
        assert indices.tolist() == [2, 0] and len(calls) == 1
        np.testing.assert_array_equal(rows, X[[2, 0]])


def stateless_pipelines():
    learner = ActiveLearner(
        make_pipeline(Stateless(), LogisticRegression()), X_training=X, y_training=y
    )
    np.testing.assert_array_equal(learner.transform_without_estimating(X), 2 * X)


def optimizer_maximum():
    values = pd.Series([1.0, 5.0, 3.0, 2.0], index=[3, 0, 1, 2])
    optimizer = BayesianOptimizer(Recorder(), X_training=FRAME, y_training=values)
    assert optimizer.y_max == 5.0
    np.testing.assert_array_equal(optimizer.X_max, X[1])
    optimizer.teach(FRAME, values.replace(2.0, 11.0))
    assert optimizer.y_max == 11.0
    np.testing.assert_array_equal(optimizer.X_max, X[3])


def committee_classes():
    learners = [
        ActiveLearner(
            LogisticRegression(), X_training=X, y_training=np.array(names, "O")
        )
        for names in (["b", "b", "a", "a"], ["b", "b", "c", "c"])
    ]
    committee = Committee(learners)
    assert committee.classes_.tolist() == ["a", "b", "c"] and committee.n_classes_ == 3
    assert Committee([ActiveLearner(LogisticRegression())]).classes_ is None


def committee_votes():
    names = np.array(["cat", "cat", "dolphin", "dolphin"])
    learners = [
        ActiveLearner(LogisticRegression(), X_training=X, y_training=names),
        ActiveLearner(LogisticRegression(), X_training=X, y_training=names[::-1]),
    ]
    votes = Committee(learners).vote(X.tolist())
    assert votes[:, 0].tolist() == names.tolist()
    assert votes[:, 1].tolist() == names[::-1].tolist()
    committee = Committee(learners)
    assert committee.vote_proba(X.tolist()).shape == (4, 2, 2)
    # One learner meets a class on its own, as when each has an annotator.
    learners[0].teach(X[:1], np.array(["cow"]))
    assert np.allclose(committee.vote_proba(X).sum(axis=2), 1)
    assert committee.classes_.tolist() == ["cat", "cow", "dolphin"]
    # And in a bootstrap all of them may lose one.
    for learner in learners:
        learner.fit(X, names)
    assert committee.predict_proba(X).shape == (4, 2)


def negative_requests():
    labels = [0, 0, 1, 1]
    learner = ActiveLearner(LogisticRegression(), X_training=X, y_training=labels)
    shuffled = functools.partial(
        uncertainty.uncertainty_sampling, random_tie_break=True
    )
    for strategy in (
        uncertainty.uncertainty_sampling,
        shuffled,
        importlib.import_module("modAL.expected_error").expected_error_reduction,
        batch.uncertainty_batch_sampling,
    ):
        indices, scores = strategy(learner, X, n_instances=0)
        assert len(indices) == len(scores) == 0
        taken = False
        with contextlib.suppress(ValueError):
            strategy(learner, X, n_instances=-1)
            taken = True
        assert not taken


def ranked_batch():
    labels = [0, 0, 1, 1]
    ranked = []
    for pool in (X, FRAME):
        learner = ActiveLearner(
            LogisticRegression(), X_training=pool, y_training=labels
        )
        indices, _ = batch.uncertainty_batch_sampling(learner, pool, n_instances=3)
        ranked.append(indices.tolist())
        # A committee has no training data to its name: cold start.
        committee = Committee([learner])
        indices, scores = batch.uncertainty_batch_sampling(
            committee, pool, n_instances=9
        )
        assert sorted(indices) == [0, 1, 2, 3] and np.isfinite(scores).all()
        only, _ = batch.uncertainty_batch_sampling(committee, pool, n_instances=1)
        assert only.tolist() == indices[:1].tolist()
    assert ranked[0] == ranked[1]
    # Once row 1 is the start, two of the three rows are unlabelled: a weight of 2/3
    # for the distance, with which row 0 is worth 0.62 and row 2 is worth 0.6.
    line = np.array([[0.0], [4.0], [13.0]])
    start = SimpleNamespace(on_transformed=False, X_training=None)
    scores = np.array([0.25, 0.0, 0.0])
    indices, _ = batch.ranked_batch(start, line, scores, 2, "euclidean", None)
    assert indices.tolist() == [1, 0]

    for form in (sp.csr_array, sp.csc_array, sp.coo_array):
        learner = ActiveLearner(
            LogisticRegression(), X_training=form(X), y_training=labels
        )
        indices, _ = batch.uncertainty_batch_sampling(
            Committee([learner]), form(X), n_instances=3
        )
        assert len(set(indices)) == 3


def unfitted_optimizer():
    for strategy in (acquisition.max_PI, acquisition.max_EI, acquisition.max_UCB):
        optimizer = BayesianOptimizer(BayesianRidge(), query_strategy=strategy)
        for pool in (X, FRAME, sp.csr_matrix(X)):
            indices, rows = optimizer.query(pool, n_instances=2)
            assert indices.shape == (2,) and rows.shape == (2, 2)


class FixedProba(BaseEstimator):
    """Knows three classes, of which the training data may hold fewer."""

    classes_ = np.array(["a", "b", "c"])

    def fit(self, X, y):
        return self

    def predict_proba(self, X):
        return np.tile([0.5, 0.3, 0.2], (len(X), 1))


def expected_error_classes():
    reduction = expected_error().expected_error_reduction
    labels = np.array(["b", "c", "b", "c"])
    learner = ActiveLearner(FixedProba(), X_training=X, y_training=labels)
    for read in ("binary", np.str_("binary"), "".join(["bin", "ary"])):
        _, error = reduction(learner, X, loss=read)
        # Three examples with an error of 0.5 each, once for "b" and once for "c".
        np.testing.assert_allclose(error, 3 * 0.5 * (0.3 + 0.2))
    labels[0] = "unknown to the estimator"
    learner = ActiveLearner(FixedProba(), X_training=X, y_training=labels)
    np.testing.assert_allclose(reduction(learner, X)[1], 0.75)


class Net:
    def __init__(self):
        self.estimator = self
        self.module_ = torch.nn.Dropout()

    def infer(self, samples):
        return samples.clone()


def dropout_softmax():
    logits = torch.tensor([[0.0, 1.0, torch.nan], [500.0, -500.0, 3.0], [-9.0, 0, 1]])
    padded = torch.where(logits.isnan(), -torch.inf, logits)
    for size in (1, 2, 1000):
        [proba] = dropout.get_predictions(
            Net(), logits, num_predictions=1, sample_per_forward_pass=size
        )
        np.testing.assert_allclose(np.nan_to_num(proba), padded.softmax(-1), atol=1e-6)
        assert np.isnan(proba[0, 2])


def svm_loss_learner():
    labels = np.array([[1, 0], [1, 1], [0, 1], [0, 1]])
    classifier = OneVsRestClassifier(LinearSVC()).fit(X, labels)
    classifier.predict_proba = classifier.decision_function
    learner = ActiveLearner(classifier)
    for strategy in (multilabel.max_loss, multilabel.mean_max_loss):
        learner.query_strategy = strategy
        indices, _ = learner.query(X)
        assert indices == strategy(classifier, X)[0]


CASES = {
    name: case
    for name, case in list(globals().items())
    if callable(case)
    and getattr(case, "__module__", None) == __name__
    and not isinstance(case, type)
    and name not in ("expected_error", "fails")
}


def error_of(case):
    try:
        case()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


if __name__ == "__main__":
    json.dump({name: error_of(case) for name, case in CASES.items()}, sys.stdout)
