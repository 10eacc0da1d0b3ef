"""Temperature scaling of probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modal_pretrain._inputs.frames import check_order
from modal_pretrain.metrics import calibration_error
from modal_pretrain.query._engine.arguments import check_groups, n_rows
from modal_pretrain.query._engine.classifier import (
    check_probabilities,
    number_of_classes,
)

_TEMPERATURES = np.concatenate([np.arange(0.2, 1.0, 0.1), np.arange(1.0, 20.0, 0.1)])


def soften(proba: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Divide the logits behind some probabilities by a temperature.

    Parameters
    ----------
    proba : numpy.ndarray of shape (n, n_classes)
    temperature : float
        Above 0.

    Returns
    -------
    numpy.ndarray of shape (n, n_classes), float64
        Rows sum to 1.

    Examples
    --------
    >>> import numpy as np
    >>> soften(np.array([[0.8, 0.2]]), 2.0).round(3).tolist()
    [[0.667, 0.333]]
    """
    if temperature == 1.0:
        return proba
    with np.errstate(divide="ignore", over="ignore"):
        logits = np.log(proba)
        logits -= logits.max(axis=1, keepdims=True)
        logits /= temperature
    soft = np.exp(logits)
    return soft / soft.sum(axis=1, keepdims=True)


def fit_temperature(classifier: Any, X: Any, y: Any) -> float:
    """Find the temperature of the least expected calibration error on held-out rows.

    Parameters
    ----------
    classifier : modAL learner or committee, Pipeline or estimator
        Fitted.
    X : array-like or list, m rows
    y : array-like of shape (m,)
        Their labels, all known to the classifier.

    Returns
    -------
    float
        In [0.2, 20].

    Raises
    ------
    ValueError
        If there is no row, or not one label for each, or one that is none of the
        classes.
    """
    n = n_rows(X, "X_calibration")
    if n == 0:
        raise ValueError("X_calibration is empty; pass at least one row, or None.")
    check_order(X_calibration=X, y_calibration=y)
    labels = check_groups(y, "y_calibration", noun="label")
    if len(labels) != n:
        raise ValueError(
            f"y_calibration has {len(labels)} entries for the {n} rows of "
            "X_calibration; pass one label a row."
        )
    proba = check_probabilities(
        classifier.predict_proba(X), n, "classifier.predict_proba"
    )
    classes = getattr(classifier, "classes_", None)
    if classes is None:
        classes = getattr(getattr(classifier, "estimator", None), "classes_", None)
    if classes is None or number_of_classes(classifier) != proba.shape[1]:
        classes = np.unique(labels)
    known = {label: i for i, label in enumerate(np.asarray(classes).tolist())}
    try:
        truth = np.array([known[label] for label in labels.tolist()])
    except KeyError as error:
        raise ValueError(
            f"y_calibration has the label {error.args[0]!r}, which the classifier "
            f"does not know; its classes are {list(known)}."
        ) from None
    columns = np.arange(proba.shape[1])
    errors = [
        calibration_error(truth, soften(proba, t), columns, bins=15)
        for t in _TEMPERATURES
    ]
    return float(_TEMPERATURES[int(np.argmin(errors))])
