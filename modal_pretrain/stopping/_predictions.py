"""Class probabilities of a pool, which know the names of its rows, if it has some."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modal_pretrain._inputs.frames import check_order_of_rows, is_default


class Predictions(NamedTuple):
    """A model's class probabilities of a pool.

    Parameters
    ----------
    proba : numpy.ndarray of shape (n, n_classes), float64
        Rows sum to one.
    classes : numpy.ndarray of shape (n_classes,)
        The label of each column.
    """

    proba: NDArray[np.float64]
    classes: NDArray[Any]

    @property
    def error(self) -> NDArray[np.float64]:
        """The probability that a prediction is wrong, as the model sees it: (n,)."""
        return 1 - self.proba.max(axis=1)

    @property
    def column(self) -> NDArray[np.intp]:
        """The column of the predicted class: (n,)."""
        return self.proba.argmax(axis=1)


class NamedPredictions(Predictions):
    """Predictions of rows from pandas; two values as any others.

    Attributes
    ----------
    index : pandas.Index of shape (n,)
    """

    index: Any


def with_names(predictions: Predictions, rows: Any) -> Predictions:
    """Return predictions that know the index of their rows, if these have one."""
    if not (hasattr(rows, "iloc") or isinstance(rows, NamedPredictions)):
        return predictions
    index = rows.index
    if is_default(index) or len(index) != len(predictions.proba):
        return predictions
    found = NamedPredictions(*predictions)
    found.index = index
    return found


def check_names(
    name: str, values: Any, predictions: Predictions, rows: NDArray[Any] | None = None
) -> None:
    """Check that values from pandas are, by their index, in the order of the rows.

    Parameters
    ----------
    name : str
        What to call them in errors.
    values : array-like or Predictions
        Of each of the rows, or of every row.
    predictions : Predictions
    rows : numpy.ndarray of int, optional
        Row numbers.

    Raises
    ------
    ValueError
        If they are those of the same rows in another order.
    """
    if not isinstance(predictions, NamedPredictions):
        return
    index, called = predictions.index, "X.index"
    if rows is not None:
        index, called = index[rows], "X.index[audit.rows]"
    if isinstance(values, NamedPredictions):
        values = values.index.to_series()
    check_order_of_rows(name, values, index, called)
