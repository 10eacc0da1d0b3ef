"""What `teach` joins stays what it is, and what can't is refused by name."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from modAL.acquisition import max_EI
from modAL.models import ActiveLearner, BayesianOptimizer
from PIL import Image
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.tree import DecisionTreeClassifier

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)
WORDS = BYTES.astype(np.uint16) * 257
X = RNG.normal(size=(8, 3)).round(3)


class Keeper(BaseEstimator):
    """Keeps what it is fitted with."""

    def fit(self, X, y):
        self.seen_ = X
        return self


def taught(known, new):
    def labels(X):
        return np.zeros(X.shape[0] if hasattr(X, "shape") else len(X), dtype=int)

    learner = ActiveLearner(Keeper(), X_training=known, y_training=labels(known))
    learner.teach(new, labels(new))
    return learner.X_training


def column(rows):
    array = np.empty(len(rows), dtype=object)
    for i, row in enumerate(rows):
        array[i] = row
    return array


RAGGED = [BYTES[0], BYTES[1, :2], BYTES[2, :, :3]]


@pytest.mark.parametrize(
    "new",
    [
        list(WORDS),
        [torch.from_numpy(x) for x in WORDS],
        list(BYTES / 255),
    ],
    ids=["arrays", "tensors", "floats"],
)
@pytest.mark.parametrize("form", [np.asarray, torch.from_numpy])
def test_pictures_in_a_list_keep_their_brightness(new, form):
    with pytest.raises(ValueError, match=r"X has dtype \w+, but .* brightness"):
        taught(form(BYTES), new)


def test_pictures_of_one_kind_in_another_container():
    for known in (BYTES, torch.from_numpy(BYTES)):
        for new in (
            list(BYTES),
            [torch.from_numpy(x) for x in BYTES],
            [Image.fromarray(x) for x in BYTES],
        ):
            joined = taught(known, new)
            np.testing.assert_array_equal(np.asarray(joined[3:]), BYTES)
    objects = BYTES.astype(object)
    np.testing.assert_array_equal(taught(objects, objects)[3:], BYTES)
    joined = taught(WORDS, WORDS.astype(">u2"))
    np.testing.assert_array_equal(joined[3:], WORDS)


@pytest.mark.parametrize(
    "known, new, message",
    [
        (
            torch.zeros(2, 2, dtype=torch.int64),
            [[0.5, 1.0]],
            "would make .*0.* of .*0.5",
        ),
        (torch.zeros(2, 2, dtype=torch.uint8), np.array([[3, 300]]), "44.* of .*300"),
        (torch.zeros(2, 2), np.array([[0.0, 1e300]]), "inf.* of .*1e.300"),
        (np.array(["a.png"]), np.array([5]), "would make .*'5'.* of .*5"),
        (np.array(["a.png"]), np.array([b"b.png"]), "of .*b'b.png'"),
        (pd.DataFrame({"a": [1.0], "b": [2.0]}), pd.Series([1.0, 2.0]), "is a Series"),
    ],
)
def test_rows_that_would_change_are_refused(known, new, message):
    learner = ActiveLearner(Keeper(), X_training=known, y_training=[0] * len(known))
    with pytest.raises(ValueError, match=message):
        learner.teach(new, [1] * len(new))
    assert type(learner.X_training) is type(known)
    np.testing.assert_array_equal(learner.X_training, known)


@pytest.mark.parametrize(
    "known, new",
    [
        (torch.zeros(2, 2), np.full((1, 2), 0.1)),
        (torch.zeros(2, 2, dtype=torch.bfloat16), np.full((1, 2), 0.1)),
        (np.zeros((2, 2), np.int8), np.full((1, 2), 300.5)),
        (torch.zeros(2, 2), torch.ones(1, 2, requires_grad=True)),
        (np.array(["a"]), np.array(["longer"])),
        (np.array(["a"]), ["longer"]),
    ],
)
def test_rows_that_stay_what_they_are(known, new):
    joined = taught(known, new)
    assert len(joined) == len(known) + len(new)


def test_lists_of_texts_keep_what_they_hold():
    assert taught(["a\0"], [5, None]) == ["a\0", 5, None]
    assert taught([["a", 1]], [["b", 2.5]]) == [["a", 1], ["b", 2.5]]
    learner = ActiveLearner(Keeper(), lambda model, X: [1], ["a"], [0])
    assert learner.query(["a", 5]) == ([1], [5])


@pytest.mark.parametrize("known", [column(RAGGED), RAGGED, pd.Series(RAGGED)])
@pytest.mark.parametrize("new", [column(RAGGED), RAGGED])
def test_columns_of_arrays(known, new):
    joined = list(taught(known, new))
    assert all(x is y for x, y in zip(joined, RAGGED * 2, strict=True))


@pytest.mark.parametrize("form", ["bsr", "coo", "csc", "csr", "dia", "lil"])
@pytest.mark.parametrize("kind", ["array", "matrix"])
def test_all_sparse_forms(form, kind):
    X = getattr(sp, f"{form}_{kind}")(np.eye(4))
    learner = ActiveLearner(LogisticRegression(), X_training=X, y_training=[0, 1] * 2)
    learner.teach(X, [0, 1] * 2)
    rows, picked = learner.query(X, n_instances=2)
    np.testing.assert_array_equal(picked.toarray(), np.eye(4)[rows])
    frame = taught(pd.DataFrame(np.eye(4)), X)
    np.testing.assert_array_equal(frame, np.tile(np.eye(4), (2, 1)))


def test_ranges_and_memoryviews():
    X = memoryview(np.eye(3))
    learner = ActiveLearner(LogisticRegression(), X_training=X, y_training=range(3))
    learner.teach(X, range(3))
    assert learner.y_training == [0, 1, 2] * 2
    assert len(learner.query(X)[1]) == 1
    tensor = taught(pd.DataFrame(np.eye(2)), torch.eye(2))
    np.testing.assert_array_equal(tensor, np.tile(np.eye(2), (2, 1)))


@pytest.mark.parametrize("form", [np.asarray, torch.from_numpy, pd.Series, list])
def test_the_maximum_is_that_of_the_rows_that_fit_got(form):
    X, y = np.linspace(0, 1, 9)[:, None], np.arange(9.0)
    model = GaussianProcessRegressor(optimizer=None)
    optimizer = BayesianOptimizer(model, max_EI)
    optimizer.fit(X[4:7], form(y[4:7]))
    assert optimizer.get_max() == (X[6], 6)
    assert optimizer.query(X)[0] == [8]
    optimizer.fit(X[:2], form(y[:2]))
    assert optimizer.get_max() == (X[1], 1)


def frame(values, columns="abc"):
    return pd.DataFrame(values, columns=list(columns))


@pytest.mark.parametrize("columns", ["abd", "ab", "abcd"])
def test_frames_of_other_columns_are_refused(columns):
    learner = ActiveLearner(
        DecisionTreeClassifier(), X_training=frame(X[:6]), y_training=[0, 1] * 3
    )
    new = frame(np.ones((2, len(columns))), columns)
    with pytest.raises(
        ValueError, match="other columns than the rows so far: it lacks"
    ):
        learner.teach(new, [0, 1])
    assert learner.X_training.shape == (6, 3)
    learner.teach(frame(X[6:8, ::-1], "cba"), [0, 1])
    np.testing.assert_array_equal(learner.X_training[-2:], X[6:8])


@pytest.mark.parametrize("names", [[1, 2, 3], ["a", "b", "c"]])
@pytest.mark.parametrize("form", ["category", None, "array"])
def test_categorical_columns_stay_so(names, form):
    # pandas makes numbers of categories that are numbers, and the trees took their
    # order for one.
    frame = pd.DataFrame({"a": names[:2] * 20}).astype("category")
    labels = np.array([0, 1] * 20)
    learner = ActiveLearner(
        HistGradientBoostingClassifier(categorical_features="from_dtype"),
        X_training=frame,
        y_training=labels,
    )
    new = pd.DataFrame({"a": names[1:]})
    if form == "array":
        new = new.to_numpy()
    elif form:
        new = new.astype(form)
    learner.teach(new, labels[:2])
    dtype = learner.X_training["a"].dtype
    assert dtype.categories.tolist() == names
    assert learner.X_training["a"].tolist() == names[:2] * 20 + names[1:]
    assert learner.estimator.is_categorical_.all()


@pytest.mark.parametrize("form", [np.asarray, np.ndarray.tolist])
def test_an_array_after_a_frame(form):
    learner = ActiveLearner(
        DecisionTreeClassifier(), X_training=frame(X[:6]), y_training=[0, 1] * 3
    )
    learner.teach(form(X[6:8]), [0, 1])
    pd.testing.assert_frame_equal(
        learner.X_training.reset_index(drop=True), frame(X[:8])
    )


def test_values_in_another_column_than_pandas():
    class Column:  # as a series of polars, which takes no integers of NumPy
        def __init__(self, values):
            self.values = np.array(values)

        def __len__(self):
            return len(self.values)

        def __getitem__(self, i):
            assert type(i) is int
            return self.values[i]

        def __array__(self, dtype=None, copy=None):
            return self.values

        to_numpy = __array__

    learner = BayesianOptimizer(Ridge(), X_training=X[:5], y_training=X[:5, 0])
    learner.teach(X[5:7], Column([9.0, 1.0]))
    assert learner.get_max()[1] == 9.0


def test_a_frame_after_a_list_brings_its_rows():
    frame = pd.DataFrame({"text": ["fine"]}, index=[7])
    assert taught(["good", "bad"], frame) == ["good", "bad", "fine"]
    frame = pd.DataFrame({"text": ["poor", "awful"]})
    assert taught(["good"], frame) == ["good", "poor", "awful"]
    frame = pd.DataFrame({"text": ["fine"], "stars": [2]})
    assert taught([["good", 1]], frame) == [["good", 1], ["fine", 2]]
