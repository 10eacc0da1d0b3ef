"""What a classifier is made of, and its class probabilities.

A classifier is a modAL learner, a modAL committee, a Pipeline or any estimator. It is
recognised by what it offers, so neither modAL nor torch is imported, and never changed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError

from modal_pretrain._checks import ParameterError
from modal_pretrain._inputs.numbers import of_tensor
from modal_pretrain.query._engine.mapped import by_blocks

_OFF = 0.01  # from 1, of the sum of a row: networks answer in 16 bits
_A_TABLE = (
    " Pass what predict_proba gives, a column for each class; predicted labels, or "
    "the probability of one class alone, do not tell enough."
)


def is_committee(classifier: Any) -> bool:
    """Tell whether this is a modAL committee."""
    return hasattr(classifier, "learner_list")


def is_learner(classifier: Any) -> bool:
    """Tell whether this is a modAL learner (meta-estimators have no strategy)."""
    return hasattr(classifier, "estimator") and hasattr(classifier, "query_strategy")


def base_estimator(classifier: Any) -> Any:
    """Give the estimator inside a modAL learner, or the estimator itself."""
    return classifier.estimator if is_learner(classifier) else classifier


def is_unfitted(error: BaseException) -> bool:
    """Tell whether an exception says that an estimator has not been fitted.

    skorch raises an error of its own, known here by its name.
    """
    names = {cls.__name__ for cls in type(error).__mro__}
    return isinstance(error, NotFittedError) or "NotInitializedError" in names


def number_of_classes(classifier: Any, y_labelled: Any = None) -> int | None:
    """Count the classes the classifier, or else the labels, know of."""
    known = getattr(classifier, "classes_", None)
    if known is None:
        known = getattr(base_estimator(classifier), "classes_", None)
    if known is None and y_labelled is not None:
        known = np.unique(np.asarray(y_labelled))
    return None if known is None else len(known)


class Probabilities(NamedTuple):
    """Class probabilities of the pool, and whether a fitted classifier gave them."""

    values: NDArray[np.float64]
    fitted: bool


def class_probabilities(classifier: Any, X: Any, n: int) -> Probabilities:
    """Get the class probabilities of the pool.

    Parameters
    ----------
    classifier : modAL learner or committee, Pipeline or estimator
    X : the pool, n rows

    Returns
    -------
    Probabilities
        float64, shape (n, n_classes). A classifier that has not been fitted knows
        nothing: two equally likely classes, and `fitted` is False.

    Raises
    ------
    TypeError
        If there is no `predict_proba`, or it does not return one 2-D array.
    ValueError
        As in `check_probabilities`.
    """
    owner = classifier if is_committee(classifier) else base_estimator(classifier)
    if not hasattr(owner, "predict_proba"):
        raise TypeError(
            f"classifier: {type(owner).__name__} has no predict_proba, which this "
            "strategy needs. Use an estimator that has one (SVC(probability=True), "
            "CalibratedClassifierCV(...)), or a strategy that asks for embeddings "
            "only, such as core_set_sampling or typiclust_sampling."
        )
    try:
        raw = by_blocks(classifier.predict_proba, X)
    except Exception as error:
        if not is_unfitted(error):
            raise
        return Probabilities(np.full((n, 2), 0.5), fitted=False)
    return Probabilities(check_probabilities(raw, n, "classifier.predict_proba"), True)


def check_probabilities(raw: Any, n: int | None, name: str) -> NDArray[np.float64]:
    """Check that `raw` is a table of probabilities, with n rows if n is given.

    Raises
    ------
    TypeError
        If it is not one table of numbers.
    ValueError
        If it has another number of rows, or a row is not finite, negative, or does not
        sum to 1.
    """
    values = _numbers(raw, name, _A_TABLE)
    if values.ndim != 2:
        # One number a row: what predict gives, or one column of predict_proba.
        several = "Multi-label estimators are not supported."
        raise TypeError(
            f"{name}: shape {values.shape}; expected (n_samples, n_classes). "
            f"{_A_TABLE.strip() if values.ndim < 2 else several}"
        )
    if values.shape[1] == 0 or (n is not None and len(values) != n):
        rows = "n_samples" if n is None else n
        raise ValueError(f"{name}: shape {values.shape}; expected ({rows}, n_classes).")
    return _check_rows(values, name)


def check_members(raw: Any, n: int | None, name: str) -> NDArray[np.float64]:
    """Check that `raw` holds a table of probabilities by each of several members.

    Raises
    ------
    TypeError
        If it is not one block of numbers.
    ValueError
        As in `check_probabilities`, or if there is no member.
    """
    values = _numbers(raw, name)
    if values.ndim != 3 or 0 in values.shape[::2]:
        raise ValueError(
            f"{name} has shape {values.shape}; expected (n_members, n_samples, "
            "n_classes) with at least one member."
        )
    for member in values:
        check_probabilities(member, n, name)
    return values


def _numbers(raw: Any, name: str, hint: str = "") -> NDArray[np.float64]:
    if np.ma.is_masked(raw):
        raise ParameterError(
            f"{name} is masked in places, which would count as numbers. Leave those "
            "rows out."
        )
    raw = of_tensor(raw, name)
    try:
        return np.asarray(raw, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} is not one array of numbers.{hint}") from error


def _check_rows(values: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        total = np.einsum("ij->i", values)  # quicker than sum for few classes
    # NaN and infinity are unequal to everything, so they are caught here, too.
    wrong = ~(np.abs(total - 1) <= _OFF)
    rows = np.flatnonzero(wrong)
    for row in rows[~np.isfinite(values[rows]).all(axis=1)][:1]:
        raise ValueError(
            f"{name}: a value that is not finite in row {row} ({values[row]}). "
            "Check the pool for NaN, and that training converged."
        )
    if values.min(initial=0) < 0:
        raise ValueError(
            f"{name}: {values.min():.3g}; probabilities can't be negative. "
            "It may be logits: apply a softmax."
        )
    for row in rows[:1]:
        raise ValueError(
            f"{name}: row {row} sums to {total[row]:.4g}; probabilities sum to 1. "
            "Divide each row by its sum, or apply a softmax to logits."
        )
    return values


def one_hot(classifier: Any, y: Any, n_classes: int) -> NDArray[np.float64]:
    """Give labels as rows of 0 and 1 in the order of the classifier's classes.

    Parameters
    ----------
    classifier : modAL learner or committee, Pipeline or estimator
    y : array-like of shape (m,) or (m, 1), or None
    n_classes : int

    Returns
    -------
    numpy.ndarray of shape (m, n_classes), float64
        A row of zeros for a label that is no class of the classifier; no rows where
        labels or classes are not known.

    Raises
    ------
    ValueError
        If there are labels, and none is a class of the classifier.
    """
    owner = classifier if is_committee(classifier) else base_estimator(classifier)
    classes = getattr(owner, "classes_", None)
    if y is None or classes is None or len(classes) != n_classes:
        return np.zeros((0, n_classes))
    labels, known = np.ravel(y), np.asarray(classes)
    if (labels.dtype.kind in "US") != (known.dtype.kind in "US"):
        labels = labels.astype(object)  # NumPy 1.24 does not compare texts and numbers
    same: NDArray[np.bool_] = labels[:, None] == known
    if same.size and not same.any():
        raise ValueError(
            f"y_labelled holds {np.unique(y).tolist()!r:.80}, none of which is a class "
            f"of the classifier: {np.asarray(classes).tolist()!r:.80}. Give the labels "
            "that it was fitted on."
        )
    return same.astype(np.float64)
