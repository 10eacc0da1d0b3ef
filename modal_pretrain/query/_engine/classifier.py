"""What a classifier is made of, and its class probabilities.

A classifier is a modAL learner, a modAL committee, a Pipeline or any estimator. It is
recognised by what it offers, so neither modAL nor torch is imported, and never changed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError

from modal_pretrain.query._engine.mapped import by_blocks


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
        If the probabilities have another number of rows, are negative or not finite.
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


def check_probabilities(raw: Any, n: int, name: str) -> NDArray[np.float64]:
    """Check that `raw` is a table of probabilities with n rows."""
    try:
        values = np.asarray(raw, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} did not return one array of numbers.") from error
    if values.ndim != 2:
        raise TypeError(
            f"{name} returned an array of shape {values.shape}; expected "
            "(n_samples, n_classes). Multi-label estimators are not supported."
        )
    if values.shape[0] != n or values.shape[1] == 0:
        raise ValueError(
            f"{name} returned shape {values.shape} for {n} rows; expected ({n}, "
            "n_classes)."
        )
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise ValueError(
            f"{name} returned a value that is not finite in row {row} "
            f"({values[row]}). Check the pool for NaN, and that training converged."
        )
    if values.min() < 0:
        raise ValueError(
            f"{name} returned {values.min():.3g}; probabilities can't be negative. "
            "It may be returning logits: apply a softmax."
        )
    return values
