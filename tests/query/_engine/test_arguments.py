"""The arguments that every strategy has, checked in one place."""

from collections import OrderedDict

import numpy as np
import pandas as pd
import pytest
from modAL.models import ActiveLearner
from scipy.sparse import csr_matrix, dok_array
from sklearn.linear_model import LogisticRegression

from modal_pretrain.query._engine.arguments import (
    as_generator,
    check_groups,
    check_request,
    n_rows,
)


def check(X=None, n_instances=1, random_state=0, classifier=None):
    X = np.zeros((40, 2)) if X is None else X
    return check_request(classifier, X, n_instances, random_state)


def test_a_request():
    n, k, rng = check(n_instances=np.int32(7))
    assert (n, k, type(k)) == (40, 7, int)
    assert rng.random() == np.random.default_rng(0).random()
    assert check(n_instances=40).k == 40
    assert check(n_instances=1).k == 1


@pytest.mark.parametrize("n_instances", [0, -1, 41])
def test_n_instances_out_of_range(n_instances):
    message = rf"n_instances={n_instances} is not between 1 and the 40 rows .* min\("
    with pytest.raises(ValueError, match=message):
        check(n_instances=n_instances)


@pytest.mark.parametrize("n_instances", [1.0, "3", None, True, np.True_, np.nan, [1]])
def test_n_instances_of_another_type(n_instances):
    with pytest.raises(TypeError, match="n_instances must be a whole number") as error:
        check(n_instances=n_instances)
    assert repr(n_instances) in str(error.value)
    assert ("Write 3 without quotes" in str(error.value)) == (n_instances == "3")


@pytest.mark.parametrize("X", [[], np.empty((0, 3)), {}, pd.DataFrame({"a": []})])
def test_empty_pool(X):
    with pytest.raises(ValueError, match="the pool is empty"):
        check(X)


@pytest.mark.parametrize(
    "X", [5, None, "abc", b"abc", np.float64(3), np.array(3.0), iter([1, 2])]
)
def test_pool_without_rows(X):
    with pytest.raises(TypeError, match=r"X must hold the pool's rows .*, got \w+"):
        check_request(None, X, 1, 0)


def test_rows_of_every_kind_of_pool():
    table = np.zeros((4, 2))
    assert n_rows(table, "X") == n_rows(table.tolist(), "X") == 4
    assert n_rows(pd.DataFrame(table), "X") == n_rows(csr_matrix(table), "X") == 4
    assert n_rows(["a", "b"], "X") == n_rows(np.array(["a", "b"]), "X") == 2
    assert n_rows(OrderedDict(ids=table, mask=[1, 2, 3, 4]), "X") == 4
    with pytest.raises(ValueError, match=r"parts of X .* \{'a': 4, 'b': 3\}"):
        n_rows({"a": table, "b": [1, 2, 3]}, "X")
    with pytest.raises(TypeError, match=r"X\['a'\] must hold"):
        n_rows({"a": 3}, "X")


@pytest.mark.parametrize(
    "classifier",
    [LogisticRegression, ActiveLearner],
)
def test_a_class_is_no_classifier(classifier):
    message = rf"got the class {classifier.__name__} itself. .*{classifier.__name__}\("
    with pytest.raises(TypeError, match=message):
        check(classifier=classifier)


def test_a_learner_of_a_class_is_none_either():
    learner = ActiveLearner(LogisticRegression())
    check(classifier=learner)
    learner.estimator = LogisticRegression
    with pytest.raises(TypeError, match="got the class LogisticRegression itself"):
        check(classifier=learner)


@pytest.mark.parametrize("random_state", ["1", 1.5, True, np.True_, [1], object()])
def test_bad_random_state(random_state):
    with pytest.raises(TypeError, match=r"random_state must be None, an int.*, got "):
        check(random_state=random_state)


@pytest.mark.parametrize("random_state", [-1, np.int64(-5)])
def test_negative_random_state(random_state):
    with pytest.raises(ValueError, match=f"must not be negative, got {random_state}"):
        check(random_state=random_state)


def test_generators():
    rng = np.random.default_rng(3)
    assert as_generator(rng) is rng
    first = np.random.default_rng(3).random()
    assert as_generator(3).random() == as_generator(np.int64(3)).random() == first
    assert as_generator(np.random.SeedSequence(3)).random() == first
    assert as_generator(0).random() == np.random.default_rng(0).random()
    old = np.random.RandomState(3)
    seeds = [as_generator(old).random() for _ in range(2)]
    assert seeds[0] != seeds[1]
    assert as_generator(np.random.RandomState(3)).random() == seeds[0]
    assert as_generator(None).random() != as_generator(None).random()


def test_groups():
    for values in (["a", "b"], np.array(["a", "b"]), pd.Series(["a", "b"], [5, 6])):
        assert check_groups(values, "groups", 2).tolist() == ["a", "b"]
    assert check_groups(pd.Categorical(["b", "a"]), "groups").dtype.kind == "U"
    assert check_groups([0, 1.5, True], "groups").tolist() == [0, 1.5, 1]
    assert check_groups([], "groups").shape == (0,)
    pairs = np.empty(2, dtype=object)
    pairs[:] = [("bird", "land"), ("bird", "water")]
    assert check_groups(pairs, "groups", 2).tolist() == pairs.tolist()


@pytest.mark.parametrize(
    "missing", [None, np.nan, np.float32("nan"), pd.NA, pd.NaT], ids=repr
)
def test_missing_groups(missing):
    with pytest.raises(ValueError, match=r"groups has .* in row 1; every row needs"):
        check_groups(["a", missing, "b"], "groups", 3)


def test_groups_of_two_kinds():
    with pytest.raises(TypeError, match="groups mixes numbers and text"):
        check_groups(["0", 1], "groups")


@pytest.mark.parametrize("values", ["abc", 3, [[0], [1], [2]], [0, 1]])
def test_groups_of_another_shape(values):
    with pytest.raises(ValueError, match=r"groups has shape .*of the 3 rows of X"):
        check_groups(values, "groups", 3)


def test_rows_of_a_sparse_matrix_that_is_a_dict():
    assert n_rows(dok_array((5, 2)), "X") == 5
