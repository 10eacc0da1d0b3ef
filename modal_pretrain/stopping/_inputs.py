"""What comes in: probabilities, row numbers, labels; each checked in one place."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modal_pretrain._checks import did_you_mean, is_number
from modal_pretrain._inputs.alikes import warn_of_near_alikes
from modal_pretrain._inputs.frames import (
    check_order_of_rows,
    classes_of_columns,
    named_columns,
)
from modal_pretrain._inputs.numbers import of_tensor
from modal_pretrain.query._engine.arguments import is_missing, n_rows
from modal_pretrain.query._engine.classifier import (
    base_estimator,
    check_probabilities,
    is_committee,
)
from modal_pretrain.query._engine.mapped import by_blocks
from modal_pretrain.stopping._intervals import Estimate
from modal_pretrain.stopping._predictions import Predictions, with_names

_TOLERANCE = 4e-3  # bfloat16 leaves sums of 1 so far off


def predict_pool(classifier: Any, X: Any) -> Predictions:
    """Ask a classifier for the class probabilities of a pool.

    Parameters
    ----------
    classifier : modAL learner or committee, Pipeline or estimator
        Fitted, with `predict_proba`.
    X : array-like or list, n rows
        The pool.

    Returns
    -------
    Predictions
        ``(proba, classes)``, as `draw_audit` and the other functions take them.

    Raises
    ------
    TypeError
        If there is no `predict_proba`.
    ValueError
        If the probabilities are no distribution, or `classes_` does not fit them.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.naive_bayes import GaussianNB
    >>> model = GaussianNB().fit(np.array([[0.0], [1.0], [8.0], [9.0]]), list("aabb"))
    >>> proba, classes = predict_pool(model, np.array([[0.5], [8.5]]))
    >>> classes[proba.argmax(axis=1)].tolist()
    ['a', 'b']
    """
    owner = classifier if is_committee(classifier) else base_estimator(classifier)
    if not hasattr(owner, "predict_proba"):
        raise TypeError(
            f"classifier: {type(owner).__name__} has no predict_proba, which an audit "
            "needs. Use an estimator that has one, or wrap it in "
            "CalibratedClassifierCV."
        )
    raw = by_blocks(classifier.predict_proba, X)
    check_probabilities(raw, n_rows(X, "X"), "classifier.predict_proba")
    classes = getattr(classifier, "classes_", None)
    if classes is None:
        classes = getattr(owner, "classes_", None)
    if classes is not None:  # a frame of one's own classifier has its order
        named = later_classes(raw, None, known := np.asarray(classes))
        classes = known if named is None else named
    found = as_predictions(raw, classes, "classifier.predict_proba")
    return with_names(found, X)


def as_array(values: Any, name: str, dtype: Any = None) -> NDArray[Any]:
    """Return values as an array; raise ValueError, with the name, if that can't be."""
    if np.ma.is_masked(values):
        raise ValueError(
            f"{name} is masked in places, which would count as values. Leave those "
            "rows out."
        )
    try:
        return np.asarray(of_tensor(values, name), dtype=dtype)
    except (TypeError, ValueError) as error:
        kind = "numbers" if dtype is np.float64 else "values of one kind"
        raise ValueError(f"{name} must hold {kind}: {error}.") from error


def as_predictions(proba: Any, classes: Any = None, name: str = "proba") -> Predictions:
    """Check probabilities and their labels; without labels, the columns' numbers.

    Raises
    ------
    TypeError, ValueError
        If `proba` is no table of distributions, or there is not one class a column.
    """
    given = proba
    if isinstance(proba, Predictions):
        own = proba.classes.tolist()
        if classes is not None and np.asarray(classes).tolist() != own:
            raise ValueError(
                f"{name} has the classes {own}, as predict_pool found them, and "
                f"classes= says {np.asarray(classes).tolist()}. Leave out classes=."
            )
        proba, classes = proba
    if type(proba) is tuple and [getattr(p, "ndim", 0) for p in proba[:3]] == [2, 1]:
        raise TypeError(
            f"{name} is a pair, which looks like (proba, classes). Pass what "
            "predict_pool returns as it is, or the two as proba and classes=."
        )
    classes = classes_of_columns(proba, classes, name)
    shape = as_array(proba, name).shape
    values = check_probabilities(proba, shape[0] if shape else 0, name)
    if not len(values):
        raise ValueError(f"{name} has no rows: there is no pool to speak of.")
    sums = values.sum(axis=1)
    if np.abs(sums - 1).max() > _TOLERANCE:
        row = int(np.abs(sums - 1).argmax())
        raise ValueError(
            f"{name} must have rows that sum to one, but row {row} sums to "
            f"{sums[row]:.4g}. Pass all classes' columns, after a softmax."
        )
    labels = np.arange(values.shape[1]) if classes is None else np.asarray(classes)
    if (
        labels.shape != (values.shape[1],)
        or any(map(is_missing, labels.tolist()))
        or len(set(labels.tolist())) != len(labels)
    ):
        raise ValueError(
            f"classes must hold one different label for each of the "
            f"{values.shape[1]} columns of {name}, got {labels.tolist()!r}."
        )
    return with_names(Predictions(values, labels), given)


def later_classes(proba: Any, classes: Any, known: NDArray[Any]) -> Any:
    """Return the classes of a later model's columns where nobody says them.

    They are those that are known, in the order of a frame's names. A frame that names
    some of them and others has its own (None): its model has met or lost classes.
    Without probabilities there are no columns to name: other classes are an error.
    """
    if proba is None and classes is not None:
        given = np.asarray(classes).tolist()
        if given != known.tolist():
            raise ValueError(
                f"classes={given} name the columns of proba, which is not given; those "
                f"of the draw are {known.tolist()}. Pass proba, too, or give classes "
                "to draw_audit."
            )
    if classes is not None or isinstance(proba, Predictions):
        return classes
    own = [str(column) for column in named_columns(proba) or ()]
    place = {str(label): i for i, label in enumerate(known.tolist())}
    if sorted(own) == sorted(place):
        return known[[place[name] for name in own]]
    return known if place.keys().isdisjoint(own) else None


def as_rounds(values: Any, name: str) -> list[Any]:
    """Return a list with one entry a round; raise TypeError if it is none."""
    if hasattr(values, "iloc") and values.ndim > 1:
        raise TypeError(
            f"{name} must be a list with one entry a round, got a DataFrame, whose "
            f"entries are its columns' names. Write list({name}.to_numpy()), with a "
            "row a round."
        )
    if not isinstance(values, Iterable) or isinstance(values, str | Mapping | Set):
        raise TypeError(
            f"{name} must be a list with one entry a round, got {values!r} of type "
            f"{type(values).__name__}."
        )
    return list(values)


def check_rows(name: str, rows: Any, n: int) -> NDArray[np.intp]:
    """Return row numbers, given as numbers or as a mask; None is no rows.

    Raises
    ------
    ValueError
        If they are no row numbers of a pool of n rows, or one stands twice.
    """
    if isinstance(rows, Set | Mapping | Iterator):
        raise ValueError(
            f"{name} must be a list or an array of row numbers, or a mask of the {n} "
            f"rows, got a {type(rows).__name__}. Write list({name})."
        )
    found = as_array([] if rows is None else rows, name)
    if found.dtype == object:  # as pandas leaves a column of flags that was filled
        found = as_array(found.tolist(), name)
    if found.dtype == bool and found.shape == (n,):
        return np.flatnonzero(found)
    if found.size == 0:
        return np.zeros(0, dtype=np.intp)
    if found.ndim != 1 or not np.issubdtype(found.dtype, np.integer):
        raise ValueError(
            f"{name} must be row numbers or a mask of the {n} rows, got an array of "
            f"shape {found.shape} and type {found.dtype}."
        )
    if found.min() < 0 or found.max() >= n:
        raise ValueError(
            f"{name} must be row numbers from 0 to {n - 1}, got "
            f"{int(found.min())} to {int(found.max())}. All row numbers count in the "
            "same X, whose rows stay where they are."
        )
    if len(np.unique(found)) != len(found):
        mask = len(found) == n and set(found.tolist()) <= {0, 1}
        hint = " Give a mask as booleans: astype(bool)." if mask else ""
        raise ValueError(f"{name} has a row twice.{hint}")
    return found.astype(np.intp)


def number_of(rows: int | NDArray[np.intp], values: Any, name: str) -> int:
    """Return how many rows there are, given as their number or as row numbers.

    Raises
    ------
    ValueError
        If values from pandas are those of the same rows in another order.
    """
    if isinstance(rows, int):
        return rows
    check_order_of_rows(name, values, rows, "audit.rows")
    return len(rows)


def check_labels(
    y: Any,
    rows: int | NDArray[np.intp],
    classes: NDArray[Any],
    name: str = "y",
    *,
    unknown: str | None = None,
) -> NDArray[np.intp]:
    """Return the column of each label; -1 for one that no column stands for.

    `unknown` is the caller's parameter, None where it has none.

    Raises
    ------
    ValueError
        If there is not one label for each row (or that many), in their order, or one
        is unknown and `unknown` is "error".
    """
    n = number_of(rows, y, name)
    labels = as_array(y, name)
    if labels.dtype.kind == "U" and not hasattr(y, "__array__"):
        labels = as_array(y, name, object)  # numbers among strings stay numbers
    if labels.shape != (n,):
        raise ValueError(
            f"{name} must hold one label for each of the {n} rows, in their order, got "
            f"shape {labels.shape}."
        )
    missing = [row for row, label in enumerate(labels.tolist()) if is_missing(label)]
    if missing:
        raise ValueError(
            f"{name} has {labels[missing[0]]} in row {missing[0]}; every row needs a "
            "label."
        )
    if labels.dtype == bool and classes.dtype.kind in "iuf" and len(classes) > 2:
        raise ValueError(
            f"{name} holds truth values and the classes are numbers: pass the labels, "
            "not whether the model has them right."
        )
    where = {label: i for i, label in enumerate(classes.tolist())}
    columns = np.array([where.get(label, -1) for label in labels.tolist()], np.intp)
    strange = labels[columns < 0].tolist()
    spelt = {_spelling(known) for known in where}
    # One that differs from a class in its type is no new class, but a slip.
    slips = [label for label in strange if _spelling(label) in spelt]
    if slips or (unknown != "wrong" and strange):
        label = (slips or strange)[0]
        new = (
            " If it is a class that nobody has taught yet, pass unknown='wrong': the "
            "model is wrong there."
        )
        raise ValueError(
            f"{name} has the label {label!r}, which the model does not know; its "
            f"classes are {classes.tolist()}.{_hint(label, where)}"
            f"{new if unknown == 'error' and not slips else ''}"
        )
    warn_of_near_alikes(strange, where, name)
    return columns


def as_estimate(name: str, result: Any) -> Estimate:
    """Return the accuracy of an audit's result, or the estimate that was given.

    Raises
    ------
    TypeError
        If it is neither.
    """
    found = getattr(result, "accuracy", result)
    if not isinstance(found, Estimate):
        hint = ""
        if found is None:
            hint = (
                " A class's recall is None where no audited row is of the class: add "
                "rows with Audit.extend."
            )
        raise TypeError(
            f"{name} must be what Audit.estimate returns or one of its estimates, got "
            f"{result!r} of type {type(result).__name__}.{hint}"
        )
    return found


def check_bounds(bounds: Any) -> tuple[float, float]:
    """Return the least and the largest value of a metric."""
    fits = np.shape(bounds) == (2,) and is_number(bounds[0]) and is_number(bounds[1])
    if not fits or not bounds[0] < bounds[1]:
        raise ValueError(
            f"bounds must be finite numbers (low, high), low < high, got {bounds!r}."
        )
    return float(bounds[0]), float(bounds[1])


def _hint(label: Any, known: Mapping[Any, int]) -> str:
    for other in known:
        if _spelling(other) == _spelling(label):
            if type(other) is type(label):
                return f" It is {other!r} in another spelling."
            kinds = f"{type(label).__name__}, the class {type(other).__name__}"
            return f" The label is of type {kinds}."
    return did_you_mean(label, known)


def _spelling(label: Any) -> str:
    """Return a label as text, without what files change.

    1.0 for 1, spaces at ends, and accents, which macOS writes as letters of their own.
    """
    bare = label.decode(errors="replace") if isinstance(label, bytes) else str(label)
    text = " ".join(unicodedata.normalize("NFC", bare).split())
    whole, dot, rest = text.partition(".")
    return whole if dot and whole.isdecimal() and set(rest) == {"0"} else text


def in_bounds(
    values: Any, rows: int | NDArray[np.intp], low: float, high: float, name: str
) -> NDArray[np.float64]:
    """Return values as shares of the way from `low` to `high`.

    Raises
    ------
    ValueError
        If there is not a finite one for each row (or that many), in their order, or
        one is out of bounds.
    """
    n = number_of(rows, values, name)
    found = as_array(values, name, np.float64)
    if found.shape != (n,) or not np.isfinite(found).all():
        raise ValueError(
            f"{name} must hold one finite number for each of {n} rows, got shape "
            f"{found.shape}."
        )
    if found.min() < low or found.max() > high:
        raise ValueError(
            f"{name} must be within bounds=({low}, {high}), got {found.min():.4g} to "
            f"{found.max():.4g}. Pass the bounds that the metric has."
        )
    return (found - low) / (high - low)
