"""How `query` reads the answer of a strategy: once, and bare indices as indices."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from modAL.models import ActiveLearner, CommitteeRegressor

from modal_pretrain import compat

compat.apply()

X = np.arange(12.0).reshape(6, 2)


class Strategy:
    """Gives a fixed answer, or raises it, and counts the calls."""

    def __init__(self, answer):
        self.answer = answer
        self.calls = 0
        self.options = None

    def __call__(self, model, X_pool, *args, **kwargs):
        self.calls += 1
        self.options = (*args, kwargs)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.fixture(params=["learner", "committee"])
def ask(request):
    """Query a learner or a committee with a given answer of its strategy."""

    def ask(answer, pool=X, **options):
        strategy = Strategy(answer)
        if request.param == "learner":
            model = ActiveLearner(None, query_strategy=strategy)
        else:
            model = CommitteeRegressor([], query_strategy=strategy)
        try:
            return model.query(pool, **options)
        finally:
            assert strategy.calls == 1

    return ask


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor, pd.Index])
@pytest.mark.parametrize("n_instances", [1, 2, 3])
def test_bare_indices(ask, n_instances, kind):
    chosen = [5, 0, 3][:n_instances]
    indices, rows = ask(kind(chosen))
    assert list(indices) == chosen
    np.testing.assert_array_equal(rows, X[chosen])


@pytest.mark.parametrize("pool", [pd.DataFrame(X), X.tolist(), torch.tensor(X)])
def test_two_bare_indices_in_any_pool(ask, pool):
    indices, rows = ask(np.array([5, 0]), pool)
    assert indices.tolist() == [5, 0]
    np.testing.assert_array_equal(rows, X[[5, 0]])


def test_one_scalar_index(ask):
    indices, rows = ask(np.int64(4))
    assert indices == 4
    np.testing.assert_array_equal(rows, X[4])


@pytest.mark.parametrize("n_instances", [1, 2, 3])
def test_pair(ask, n_instances):
    chosen, scores = np.arange(n_instances), np.ones(n_instances)
    assert ask((chosen, scores))[0] is chosen
    indices, rows, metrics = ask((chosen, scores), return_metrics=True)
    assert indices is chosen and metrics is scores
    np.testing.assert_array_equal(rows, X[chosen])


def test_pair_of_scalars_is_a_pair(ask):
    indices, rows, metric = ask((3, 0.5), return_metrics=True)
    assert (indices, metric) == (3, 0.5)
    np.testing.assert_array_equal(rows, X[3])


def test_tuple_of_one(ask):
    # What np.nonzero returns.
    _, rows = ask(np.nonzero(np.array([0, 1, 0, 1, 0, 0])))
    np.testing.assert_array_equal(rows, X[[1, 3]])


def test_longer_tuple_is_refused(ask):
    with pytest.raises(TypeError, match=r"tuple of 3.*pair"):
        ask((1, 2, 3))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "None"),
        ([0, 6], "row 6"),
        (np.array([-7]), "row -7"),
        ([1.0], r"\[1.0\]"),
        (["0"], "'0'"),
        (np.array([True, False]), "True"),
        ((np.array([9]), np.array([1.0])), "row 9"),
    ],
    ids=str,
)
def test_what_is_no_row_is_refused(ask, answer, said):
    # None gave the whole pool with an axis more, all others a datatype error.
    with pytest.raises(
        ValueError, match=f"Strategy must return.* 6,.*returned.*{said}"
    ):
        ask(answer)


@pytest.mark.parametrize("answer", [[-1], slice(5, 6), np.arange(6) == 5, []], ids=str)
def test_other_indices_are_rows(ask, answer):
    _, rows = ask(answer)
    np.testing.assert_array_equal(rows, X[5:6] if np.size(answer) else X[:0])


@pytest.mark.parametrize(
    "answer",
    [
        np.nonzero(np.arange(6) == 5),
        pd.Series([5], index=[3]),
        pd.Series(np.arange(6) == 5),
        pd.Series(np.arange(6) == 5, dtype="boolean"),
        [],
        np.array([]),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "pool",
    [
        X,
        pd.DataFrame(X, index=[7] * 6),
        pd.DataFrame(X, index=list("fedcba")),
        X.tolist(),
        list("abcdef"),
        torch.tensor(X),
        sp.csr_array(X),
        sp.coo_array(X),
    ],
    ids=lambda pool: type(pool).__name__,
)
def test_answers_of_every_form_in_every_pool(ask, pool, answer):
    _, rows = ask(answer, pool)
    last = "f" if isinstance(pool, list) and pool[0] == "a" else X[5]
    rows = rows.toarray() if sp.issparse(rows) else rows
    np.testing.assert_array_equal(rows, [last] if np.size(answer) else rows[:0])


def test_a_mask_with_the_labels_of_the_frame_goes_by_label(ask):
    pool = pd.DataFrame(X, index=list("fedcba"))
    _, rows = ask(pd.Series(np.arange(6) == 5, index=list("abcdef")), pool)
    np.testing.assert_array_equal(rows, X[:1])


@pytest.mark.parametrize("answer", [[1, 2], (np.array([1, 2]), None)])
def test_missing_metrics_warn(ask, answer):
    with pytest.warns(UserWarning, match="doesn't support return_metrics") as caught:
        indices, _, metrics = ask(answer, return_metrics=True)
    assert list(indices) == [1, 2] and metrics is None
    assert caught[0].filename == __file__


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt()])
def test_exceptions_come_through_once(ask, error):
    with pytest.raises(type(error)) as caught:
        ask(error)
    assert caught.value is error and error.__context__ is None


def test_arguments_reach_the_strategy():
    strategy = Strategy([0])
    ActiveLearner(None, query_strategy=strategy).query(X, 1, n_instances=2)
    assert strategy.options == (1, {"n_instances": 2})
    committee = CommitteeRegressor([], query_strategy=strategy)
    with pytest.warns(UserWarning, match="return_metrics"):
        assert len(committee.query(X, True, 1, n_instances=2)) == 3
    assert strategy.options == (1, {"n_instances": 2})
