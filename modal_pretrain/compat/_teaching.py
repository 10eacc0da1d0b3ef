"""Repairs of teaching: what fails changes nothing; what is joined stays what it is."""

import inspect
from collections.abc import Iterator
from contextvars import ContextVar
from itertools import product
from typing import Any

import modAL.models.base as base
import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from modAL.models import ActiveLearner, BayesianOptimizer, Committee

from ._inputs import Stub, read
from ._registry import repair, replace_method, works


class _Refusing(Stub):
    """An estimator that learns the label 0 and no other, for probes."""

    def fit(self, X: Any, y: Any) -> "_Refusing":
        self.seen = X
        if any(label != 0 for label in y):
            raise ValueError("no")
        return self


def _refused(learner: ActiveLearner, X: Any, y: Any) -> bool:
    """Whether a learner refuses to be taught and knows no more than before."""
    before = dict(vars(learner.estimator))
    try:
        learner.teach(X, y)
    except ValueError:
        known = len(learner.X_training) == len(learner.y_training) == 1
        now = vars(learner.estimator)
        same = all(now[name] is before.get(name, X) for name in now)
        return known and same
    return False


def _attributes(model: Any) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Note what a learner or committee and its parts are, to be put back."""
    learners = getattr(model, "learner_list", [])
    parts: dict[int, Any] = {id(part): part for part in (model, *learners)}
    for learner in learners or [model]:
        _collect(learner.estimator, parts)
    return [
        (vars(part), dict(vars(part)))
        for part in parts.values()
        if hasattr(part, "__dict__")
    ]


def _collect(value: Any, parts: dict[int, Any]) -> None:
    """Add an estimator and those that it holds, such as the steps of a pipeline."""
    if type(value) in (list, tuple):
        for item in value:
            _collect(item, parts)
    elif not isinstance(value, type) and hasattr(value, "fit"):
        if id(value) in parts:
            return
        parts[id(value)] = value
        for item in vars(value).values() if hasattr(value, "__dict__") else ():
            _collect(item, parts)


@repair
def failed_teaching() -> bool:
    """Leave a learner as it was if it cannot be taught.

    `fit` and `teach` keep the new rows before the estimator has seen them: after one
    label that it refuses, every later call fails on it. Of a committee, the first
    learners have learnt what the last one refuses.
    """

    def probe() -> bool:
        learner = ActiveLearner(
            _Refusing(), X_training=np.zeros((1, 1)), y_training=np.zeros(1)
        )
        return _refused(learner, np.ones((1, 1)), [1])

    if works(probe):
        return False

    def whole(method: Any) -> Any:
        def all_or_nothing(self: Any, X: Any, y: Any, *args: Any, **kwargs: Any) -> Any:
            before = _attributes(self)
            try:
                return method(self, X, y, *args, **kwargs)
            except BaseException:
                # What was set is put back; what `fit` changed in place is not.
                for now, then in before:
                    for name in now.keys() - then.keys():
                        del now[name]
                    now.update(then)
                raise

        return all_or_nothing

    for cls in (ActiveLearner, BayesianOptimizer, base.BaseCommittee):
        for name in ("fit", "teach"):
            if name in vars(cls):
                replace_method(cls, name, whole(vars(cls)[name]))
    return True


def _kind(labels: Any) -> str:
    if isinstance(labels, torch.Tensor):
        return "numbers"
    array = np.asarray(labels)
    first = array.flat[0] if array.dtype.kind == "O" and array.size else None
    if array.dtype.kind in "UT" or isinstance(first, str):
        return "strings"
    if array.dtype.kind == "S" or isinstance(first, bytes):
        return "bytes"
    return "numbers" if array.dtype.kind in "biuf" else ""


def _each(values: Any) -> list[Any]:
    """All labels as objects of Python, which compares integers and floats exactly."""
    if sp.issparse(values):
        return values.toarray().ravel().tolist()
    return np.asarray(read(values)).ravel().tolist()


def _check_forms(**given: Any) -> None:
    """Raise for what cannot be rows, by name."""
    for name, value in given.items():
        kind = type(value).__name__
        if isinstance(value, Iterator | set | frozenset):
            raise TypeError(
                f"{name} is of type {kind}, which has no order or can be read but once."
                f" Write list({name})."
            )
        sized = hasattr(value, "__len__") or hasattr(value, "shape")
        matrix = sp.issparse(value)  # one form of them is a dict
        single = not sized or (isinstance(value, str | bytes | dict) and not matrix)
        if single or getattr(value, "ndim", 1) == 0:
            raise TypeError(
                f"{name} must have one entry for each row, got {value!r:.60} of type "
                f"{kind}. Write [{name}] for a single row."
            )
        if np.ma.is_masked(value):
            raise ValueError(
                f"{name} is masked in places, and its mask would be lost. Leave those "
                "rows out."
            )


def _check_columns(known: Any, new: Any) -> None:
    """Raise if frames have other columns: joined, both would have NaN."""
    if isinstance(known, pd.DataFrame) and isinstance(new, pd.Series):
        raise ValueError(
            "X is a Series, but the rows so far are a DataFrame: joined, it would be a "
            "column. Write X.to_frame().T if it is one row."
        )
    if not all(isinstance(X, pd.DataFrame) for X in (known, new)):
        return
    lacks, more = (
        known.columns.difference(new.columns),
        new.columns.difference(known.columns),
    )
    if len(lacks) or len(more):
        raise ValueError(
            f"X has other columns than the rows so far: it lacks {lacks.tolist()}, and "
            f"has {more.tolist()} more. Joined, rows would be NaN there. Give both the "
            "same columns."
        )


def _pixel_types(X: Any) -> set[str]:
    """Name what the values of pictures are: an array's, or those in a list."""
    if hasattr(X, "mode"):  # of Pillow
        X = np.asarray(X)
    dtype = getattr(X, "dtype", None)
    if dtype is not None and dtype is not np.dtype(object):
        return {getattr(dtype, "name", str(dtype)).removeprefix("torch.")}
    rows = X if isinstance(X, list | tuple | np.ndarray) else []
    return {t for row in rows if hasattr(row, "__array__") for t in _pixel_types(row)}


def _check_pictures(known: Any, new: Any) -> None:
    """Raise if arrays of pictures have values of different meaning."""
    if getattr(known, "ndim", 0) <= 2:
        return
    for one, other in product(_pixel_types(known), sorted(_pixel_types(new))):
        if one != other and {one, other} & {"uint8", "uint16"}:
            raise ValueError(
                f"X has dtype {other}, but the rows so far have {one}: joined, some "
                "would be pictures of another brightness. Use one dtype for all."
            )


def _check_values(before: Any, joined: Any) -> None:
    """Raise if rows are others now that they are joined; floats may be rounded."""
    # Not "==", by which NumPy takes None for float64.
    if joined.dtype == object or joined.dtype is getattr(before, "dtype", None):
        return
    old, new = np.asarray(read(before)), np.asarray(read(joined))
    kinds = old.dtype.kind, new.dtype.kind
    if set("".join(kinds)) <= set("biuf") and old.shape == new.shape:
        with np.errstate(invalid="ignore"):
            other = ~np.isclose(new, old, rtol=0.01, atol=1e-6, equal_nan=True)
    else:
        changes = kinds[1] in "US" and kinds[0] not in (kinds[1], "T")
        other = np.full(old.shape, changes)
    if other.any():
        at = tuple(np.argwhere(other)[0])
        raise ValueError(
            f"X joined to the rows so far would make {new[at]!r} of {old[at]!r}. Use "
            "one type for all rows that holds each of them."
        )


@repair
def exact_joins() -> bool:
    """Refuse rows that would change when they are joined to those that are known.

    NumPy makes the label "1" of 1 among strings and rounds large integers among
    floats, PyTorch cuts 0.5 off to 0 among integers, masks are dropped, and 8-bit
    pictures become black among 16-bit ones. Frames of other columns have NaN where one
    lacks what the other has.
    """
    X, pictures = np.zeros((1, 1)), np.zeros((1, 2, 2), np.uint8)

    def probe() -> bool:
        words = ActiveLearner(Stub(), X_training=X, y_training=np.array(["a"]))
        tensor = ActiveLearner(Stub(), X_training=X, y_training=torch.tensor([0]))
        framed = ActiveLearner(
            Stub(), X_training=pd.DataFrame({"a": [1.0]}), y_training=np.zeros(1)
        )
        deep = ActiveLearner(Stub(), X_training=pictures, y_training=np.zeros(1))
        return (
            _refused(words, X, [1])
            and _refused(tensor, X, np.array([0.5]))
            and _refused(deep, pictures.astype(np.uint16), np.zeros(1))
            and _refused(words, X, np.ma.array(["b"], mask=True))
            and _refused(framed, pd.DataFrame({"b": [1.0]}), np.zeros(1))
        )

    if works(probe):
        return False
    add = vars(ActiveLearner)["_add_training_data"]

    def _add_training_data(self: Any, X: Any, y: Any) -> None:
        _check_forms(X=X, y=y)
        known = self.y_training
        if known is not None:
            kinds = [_kind(known), _kind(y)]
            if all(kinds) and kinds[0] != kinds[1]:
                first = np.asarray(y).ravel()[0]
                raise ValueError(
                    f"y holds {kinds[1]}, such as {first!r}, but the labels so far are "
                    f"{kinds[0]}: joined, all would be strings. Use one kind for all."
                )
            _check_pictures(self.X_training, X)
            _check_columns(self.X_training, X)
        before = self.X_training
        add(self, X, y)
        if known is None:
            return
        joined = self.X_training
        if isinstance(joined, np.ndarray | torch.Tensor) and joined.ndim:
            _check_values(before, joined[: len(before)])
            _check_values(X, joined[len(before) :])
        n_known = len(_each(known))
        joined = _each(self.y_training)
        for labels, part in ((known, joined[:n_known]), (y, joined[n_known:])):
            for old, new in zip(_each(labels), part, strict=True):
                if old is not new and old == old and bool(old != new):
                    raise ValueError(
                        f"y joined to the labels so far would make {new!r} of {old!r}. "
                        "Use one type for all labels that holds each of them."
                    )

    set_classes = vars(Committee)["_set_classes"]

    def _set_classes(self: Any) -> None:
        estimators = [learner.estimator for learner in self.learner_list]
        known = [_kind(e.classes_) for e in estimators if hasattr(e, "classes_")]
        if len(set(known)) > 1:
            raise ValueError(
                f"Of learner_list, one has labels that are {known[0]}, another "
                f"{next(kind for kind in known if kind != known[0]) or 'objects'}: "
                "joined, all would be strings. Use one kind for all."
            )
        set_classes(self)

    replace_method(ActiveLearner, "_add_training_data", _add_training_data)
    replace_method(Committee, "_set_classes", _set_classes)
    return True


# While scikit-learn makes a learner of the parameters of another.
_CLONING = ContextVar("_CLONING", default=False)


def _own(value: Any) -> Any:
    """Return a list or frame as one of the learner's own, holding the same values."""
    if isinstance(value, pd.DataFrame | pd.Series):
        return value.copy(deep=False)
    return list(value) if type(value) is list else value


@repair
def own_lists() -> bool:
    """Keep lists and frames of rows and labels as they were when the learner got them.

    `teach` makes a new list of rows that are known and new, but a learner's first rows
    are the caller's own list: one that grows, because the caller notes what is
    labelled, counts its next rows twice, and one that is emptied takes rows away. So it
    is with frames of pandas (``frame.loc[new] = row``, ``inplace=True``).
    """

    def probe() -> bool:
        rows = [[0.0]]
        learners = [
            ActiveLearner(Stub(), X_training=rows, y_training=[0]),
            ActiveLearner(Stub()).fit(rows, [0]),
            ActiveLearner(Stub()),
        ]
        learners[2].teach(rows, [0])
        rows.append([1.0])
        frame = pd.DataFrame({"a": [0.0]})
        learners.append(ActiveLearner(Stub()).fit(frame, frame["a"]))
        frame.loc[1] = 1.0
        return all(len(learner.X_training) == 1 for learner in learners)

    if works(probe):
        return False
    init, fit = vars(ActiveLearner)["__init__"], vars(ActiveLearner)["fit"]
    add = vars(ActiveLearner)["_add_training_data"]
    signature = inspect.signature(init)

    def __init__(*args: Any, **kwargs: Any) -> None:
        given = signature.bind(*args, **kwargs)
        for name in ("X_training", "y_training"):
            if name in given.arguments and not _CLONING.get():
                given.arguments[name] = _own(given.arguments[name])
        init(*given.args, **given.kwargs)

    def own_fit(self: Any, X: Any, y: Any, *args: Any, **kwargs: Any) -> Any:
        return fit(self, _own(X), _own(y), *args, **kwargs)

    def _add_training_data(self: Any, X: Any, y: Any) -> None:
        add(self, _own(X), _own(y))

    def __sklearn_clone__(self: Any) -> Any:
        # It gives the constructor lists of the clone's own, and refuses one that does
        # not keep the very objects it got.
        token = _CLONING.set(True)
        try:
            return super(ActiveLearner, self).__sklearn_clone__()
        finally:
            _CLONING.reset(token)

    replace_method(ActiveLearner, "__init__", __init__)
    replace_method(ActiveLearner, "fit", own_fit)
    replace_method(ActiveLearner, "_add_training_data", _add_training_data)
    ActiveLearner.__sklearn_clone__ = __sklearn_clone__
    return True
