"""Repairs of the learners: construction, bootstrap, queries, pipelines, maxima."""

import functools
import inspect
import warnings
from collections.abc import Sized
from typing import Any

import modAL.models.base as base
import modAL.models.learners as learners
import modAL.utils.data as data
import numpy as np
import pandas as pd
import torch
from modAL.models import ActiveLearner, BayesianOptimizer, DeepActiveLearner
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from ._inputs import Stub, read
from ._registry import repair, replace_method, works

_PANDAS = (pd.DataFrame, pd.Series)


class _StrictStub(Stub):
    """An estimator whose fit takes X and y and nothing more, for probes."""

    def fit(self, X: Sized, y: Sized) -> "Stub":
        return super().fit(X, y)

    def predict(self, X: Sized) -> Any:
        return np.zeros(len(X))


class _Weighted(Stub):
    """An estimator that keeps labels and weights, for probes."""

    def fit(self, X: Any, y: Any, sample_weight: Any) -> "_Weighted":
        self.weighted = y, sample_weight
        return self


def _n_rows(X: Any) -> int:
    """Count the rows of anything that modAL accepts."""
    if isinstance(X, dict) and not hasattr(X, "tocsr"):  # one form of sparse is
        X = next(iter(X.values()))
    return X.shape[0] if hasattr(X, "shape") else len(X)


def _by_row(value: Any, n_rows: int) -> bool:
    """Whether an argument of `fit` has a value for each row, as scikit-learn judges."""
    sized = hasattr(value, "__len__") and not isinstance(value, str | bytes | dict)
    return sized and np.ndim(value) > 0 and len(value) == n_rows


@repair
def constructor_options() -> bool:
    """Keep a learner's own options, for `repr` and `clone`, and out of `fit`.

    scikit-learn reads every constructor argument back from the object, but
    `ActiveLearner` does not keep `bootstrap_init`. And it passes its own option
    `force_all_finite` on to the estimator: "fit() got an unexpected keyword argument".
    """
    original = vars(ActiveLearner)["__init__"]
    X, y = np.zeros((1, 1)), np.zeros(1)

    def probe() -> str:
        return repr(ActiveLearner(_StrictStub(), force_all_finite=False)) and repr(
            ActiveLearner(
                _StrictStub(), X_training=X, y_training=y, force_all_finite=False
            )
        )

    if works(probe):
        return False
    signature = inspect.signature(original)

    def __init__(*args: Any, **kwargs: Any) -> None:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        self, X, y = given["self"], given["X_training"], given["y_training"]
        fit_kwargs = dict(given["fit_kwargs"])
        finite = {
            key: fit_kwargs.pop(key)
            for key in ["force_all_finite"]
            if key in fit_kwargs
        }
        # Without training data the original only stores what it is given.
        given.update(X_training=None, y_training=None, fit_kwargs=finite)
        original(*bound.args, **bound.kwargs)
        self.bootstrap_init = given["bootstrap_init"]
        self.X_training, self.y_training = X, y
        if X is not None:
            self._fit_to_known(bootstrap=self.bootstrap_init, **fit_kwargs)

    replace_method(ActiveLearner, "__init__", __init__)
    return True


@repair
def bootstrap_rows() -> bool:
    """Bootstrap data frames and lists (`bootstrap=True`, `rebag`).

    modAL indexes X and y by position with plain brackets, which reads columns of a
    frame and labels of a Series, and asks lists for their shape. `_fit_on_new` drops
    the arguments meant for the estimator's `fit`, and elsewhere those with a value for
    each row, such as `sample_weight`, are not drawn along and weigh other rows.
    """
    fit_known = vars(ActiveLearner)["_fit_to_known"]
    fit_new = vars(base.BaseLearner)["_fit_on_new"]
    teach_deep = vars(DeepActiveLearner)["teach"]
    frame = pd.DataFrame({"a": [1.0, 2.0]}, index=[7, 8])

    def probe() -> bool:
        ActiveLearner(
            _StrictStub(), X_training=frame, y_training=frame["a"], bootstrap_init=True
        )
        weighted = ActiveLearner(_Weighted())
        y = np.arange(9.0)
        weighted.fit(y[:, None], y, bootstrap=True, sample_weight=y)
        seen, weight = weighted.estimator.weighted
        return np.array_equal(seen, weight)

    if works(probe):
        return False

    def resample(X: Any, y: Any, fit_kwargs: dict[str, Any]) -> tuple[Any, Any, Any]:
        n_rows = _n_rows(X)
        rows = np.random.choice(range(n_rows), n_rows, replace=True)  # noqa: NPY002
        drawn = {
            name: data.retrieve_rows(value, rows) if _by_row(value, n_rows) else value
            for name, value in fit_kwargs.items()
        }
        return data.retrieve_rows(X, rows), data.retrieve_rows(y, rows), drawn

    def _fit_to_known(self: Any, bootstrap: bool = False, **fit_kwargs: Any) -> Any:
        if not bootstrap:
            return fit_known(self, **fit_kwargs)
        X, y, drawn = resample(self.X_training, self.y_training, fit_kwargs)
        self.estimator.fit(X, y, **drawn)
        return self

    def _fit_on_new(
        self: Any, X: Any, y: Any, bootstrap: bool = False, **fit_kwargs: Any
    ) -> Any:
        if bootstrap:
            X, y, fit_kwargs = resample(X, y, fit_kwargs)
        return fit_new(self, X, y, **fit_kwargs)

    def teach(
        self: Any,
        X: Any,
        y: Any,
        warm_start: bool = True,
        bootstrap: bool = False,
        **fit_kwargs: Any,
    ) -> None:
        if bootstrap:
            X, y, fit_kwargs = resample(X, y, fit_kwargs)
        teach_deep(self, X, y, warm_start=warm_start, **fit_kwargs)

    replace_method(ActiveLearner, "_fit_to_known", _fit_to_known)
    replace_method(base.BaseLearner, "_fit_on_new", _fit_on_new)
    replace_method(DeepActiveLearner, "teach", teach)
    return True


def _answer(model: Any, X_pool: Any, args: Any, kwargs: Any, metrics: bool) -> Any:
    """Ask the query strategy once and put the answer in modAL's form."""
    answer = model.query_strategy(model, X_pool, *args, **kwargs)
    scores = None
    if isinstance(answer, tuple):
        if len(answer) > 2:
            raise TypeError(
                f"the query strategy returned a tuple of {len(answer)}; it must return "
                f"indices (an array or a list), or the pair (indices, metrics)"
            )
        if len(answer) == 2:
            answer, scores = answer
    picked = _numbers(answer, X_pool)
    _check_picked(model.query_strategy, picked, _n_rows(X_pool))
    rows = data.retrieve_rows(X_pool, picked)
    if not metrics:
        return answer, rows
    if scores is None:
        warnings.warn(
            "The selected query strategy doesn't support return_metrics", stacklevel=3
        )
    return answer, rows, scores


def _numbers(answer: Any, X_pool: Any) -> Any:
    """Return indices or a mask in a form in which rows of every pool can be taken."""
    if isinstance(answer, tuple) and len(answer) == 1:
        answer = answer[0]
    if torch.is_tensor(answer):
        # NumPy takes a tensor of one index for a scalar, and would return a bare row.
        answer = answer.cpu().numpy()
    elif isinstance(answer, pd.Series) and pd.api.types.is_bool_dtype(answer.dtype):
        if isinstance(X_pool, _PANDAS) and _same_labels(answer.index, X_pool.index):
            answer = answer.reindex(X_pool.index)
        # A copy, since PyTorch warns of arrays that are read-only.
        answer = answer.to_numpy(dtype=bool, copy=True)
    elif isinstance(answer, pd.Series | pd.Index):
        answer = answer.to_numpy(copy=True)
    # An empty list is one of floats to NumPy.
    empty = isinstance(answer, list | np.ndarray) and np.size(answer) == 0
    return np.array([], dtype=int) if empty else answer


def _same_labels(one: pd.Index, other: pd.Index) -> bool:
    """Whether rows can be matched by their labels, in whatever order they are."""
    unique = one.is_unique and other.is_unique
    return unique and len(one) == len(other) and bool(one.isin(other).all())


def _check_picked(strategy: Any, picked: Any, n_rows: int) -> None:
    """Raise if a strategy returned what is no index of rows."""
    if isinstance(picked, slice | tuple):
        return
    array = np.asarray(picked, dtype=None if picked is None or np.size(picked) else int)
    said = f"{picked!r:.60}"
    if array.dtype.kind == "b" and array.shape == (n_rows,):
        return
    if array.dtype.kind in "iu":
        outside = array[(array < -n_rows) | (array >= n_rows)]
        if not outside.size:
            return
        said = f"row {outside.flat[0]}"
    name = getattr(strategy, "__qualname__", type(strategy).__name__)
    raise ValueError(
        f"The query strategy {name} must return numbers of rows of X_pool, which has "
        f"{n_rows}, or one truth value for each row; it returned {said}."
    )


@repair
def single_query() -> bool:
    """Call the query strategy once, and take bare indices for indices.

    `query` unpacks the answer as a pair inside ``try: ... except:`` and starts
    again on any exception, so that a strategy that returns bare indices or fails runs
    twice. Exactly two bare indices are taken for one index and its metric.
    """
    calls = []

    def bare(*args: Any) -> Any:
        calls.append(args)
        return np.array([0, 1])

    def probe(model: Any) -> bool:
        calls.clear()
        model.query_strategy = bare
        return len(model.query(np.zeros((2, 1)))[0]) == 2 and len(calls) == 1

    if works(
        lambda: probe(ActiveLearner(Stub())) and probe(learners.CommitteeRegressor([]))
    ):
        return False

    def query(
        self: Any,
        X_pool: Any,
        *query_args: Any,
        return_metrics: bool = False,
        **query_kwargs: Any,
    ) -> Any:
        return _answer(self, X_pool, query_args, query_kwargs, return_metrics)

    # A committee takes return_metrics by position, before what the strategy gets.
    def committee_query(
        self: Any,
        X_pool: Any,
        return_metrics: bool = False,
        *query_args: Any,
        **query_kwargs: Any,
    ) -> Any:
        return _answer(self, X_pool, query_args, query_kwargs, return_metrics)

    replace_method(base.BaseLearner, "query", query)
    replace_method(base.BaseCommittee, "query", committee_query)
    return True


class _Identity(BaseEstimator):
    """Last step of a pipeline that changes nothing and is always fitted."""

    def fit(self, X: Any, y: Any = None) -> "_Identity":
        return self

    def transform(self, X: Any) -> Any:
        return X

    def __sklearn_is_fitted__(self) -> bool:
        return True


class _Stateless(BaseEstimator):
    """A transformer that learns nothing, for probes."""

    def fit(self, X: Any, y: Any = None) -> "_Stateless":
        return self

    def transform(self, X: Any) -> Any:
        return X


@repair
def stateless_pipelines() -> bool:
    """Transform through pipelines whose last transformer learns nothing.

    modAL puts "passthrough" in the place of the final estimator. scikit-learn 1.8
    then judges by the last transformer whether the pipeline is fitted, and one
    without fitted attributes gives NotFittedError (1.6 and 1.7 warn).
    """
    pipeline = Pipeline([("nothing", _Stateless()), ("stub", _StrictStub())])

    def probe() -> Any:
        learner = ActiveLearner(pipeline)
        return learner.transform_without_estimating(np.ones((1, 1)))

    if works(probe):
        return False

    def transform_without_estimating(self: Any, X: Any) -> Any:
        several = isinstance(self.estimator, base._BaseHeterogeneousEnsemble)
        estimators = self.estimator.estimators_ if several else [self.estimator]
        blocks = [
            type(pipe)(steps=[*pipe.steps[:-1], ("identity", _Identity())]).transform(X)
            for pipe in estimators
            if isinstance(pipe, Pipeline)
        ]
        return data.data_hstack(blocks) if blocks else X

    replace_method(
        base.BaseLearner, "transform_without_estimating", transform_without_estimating
    )
    return True


@repair
def optimizer_maximum() -> bool:
    """Find the maximum of a Series by position in `BayesianOptimizer`, and after `fit`.

    It looks the position up as a label, which fails or, without a word, keeps another
    value as the maximum. `fit` forgets all rows but not their maximum, and notes none
    of the new ones: strategies then ask for the first row, whatever it is.
    """
    init = vars(BayesianOptimizer)["__init__"]
    set_max = vars(BayesianOptimizer)["_set_max"]
    frame = pd.DataFrame({"a": [1.0, 2.0]}, index=[1, 0])

    def probe() -> bool:
        optimizer = BayesianOptimizer(
            _StrictStub(), X_training=frame, y_training=frame["a"]
        )
        found = optimizer.y_max == 2.0 and optimizer.X_max["a"] == 2.0
        return found and optimizer.fit(frame[:1], frame["a"][:1]).y_max == 1.0

    if works(probe):
        return False
    signature = inspect.signature(init)

    def __init__(*args: Any, **kwargs: Any) -> None:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        self, y = bound.arguments["self"], bound.arguments["y_training"]
        if y is None or isinstance(y, np.ndarray):
            return init(*args, **kwargs)
        ActiveLearner.__init__(*bound.args, **bound.kwargs)
        self.X_max, self.y_max = None, -np.inf
        self._set_max(self.X_training, y)

    def _set_max(self: Any, X: Any, y: Any) -> None:
        values = y.to_numpy() if hasattr(y, "to_numpy") else np.asarray(read(y))
        set_max(self, X, values)

    def fit(self: Any, X: Any, y: Any, *args: Any, **kwargs: Any) -> Any:
        ActiveLearner.fit(self, X, y, *args, **kwargs)
        self.X_max, self.y_max = None, -np.inf
        self._set_max(X, y)
        return self

    BayesianOptimizer.fit = functools.update_wrapper(fit, ActiveLearner.fit)
    replace_method(BayesianOptimizer, "__init__", __init__)
    replace_method(BayesianOptimizer, "_set_max", _set_max)
    return True
