"""What the arguments of metrics must be."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from modal_pretrain._inputs.alikes import frames_of_ours, warn_of_spelling
from modal_pretrain._inputs.frames import check_order
from modal_pretrain._inputs.labels import as_labels, comparable
from modal_pretrain._inputs.numbers import as_numbers


def as_columns(**arrays: Any) -> list[np.ndarray]:
    """Return labels as 1-D arrays of one length and order; none is missing."""
    check_order(**arrays)
    columns = {key: _labels(values, key) for key, values in arrays.items()}
    shapes = {column.shape for column in columns.values()}
    if len(shapes) != 1 or len(shapes.pop()) != 1:
        got = ", ".join(f"{key} {column.shape}" for key, column in columns.items())
        raise ValueError(f"need 1-D arrays of one length, got {got}.{_remedy(columns)}")
    return list(columns.values())


def _remedy(columns: dict[str, np.ndarray]) -> str:
    """Say how to make the first table among the columns a column."""
    for key, column in columns.items():
        if column.ndim == 2 and column.shape[1] == 1:
            return f" Write np.ravel({key})."
        if column.ndim == 2 and key == "groups":
            return (
                " A group of several parts needs one name: write groups = "
                "['/'.join(map(str, parts)) for parts in np.asarray(groups)]."
            )
    return ""


def check_comparable(**arrays: np.ndarray) -> None:
    """Raise if labels of two arrays can never be equal, such as 1 and "1"."""
    (one, first), (other, second) = arrays.items()
    if not comparable(first, second):
        raise ValueError(
            f"{one} and {other} hold labels of different kinds, such as "
            f"{first.flat[0]!r} and {second.flat[0]!r}: no two would be equal. Use one "
            "kind for both."
        )


def check_predicted(y_true: np.ndarray, y_pred: np.ndarray) -> None:
    """Raise if predictions can never equal labels, or are probabilities or scores.

    Raises
    ------
    ValueError
        If one holds text and the other numbers, or most of `y_pred` are decimals where
        `y_true` holds whole numbers.

    Warns
    -----
    UserWarning
        If a label is never predicted, and one that is differs in how it is typed only;
        or if both hold several labels, and none in common.
    """
    check_comparable(y_true=y_true, y_pred=y_pred)
    if y_true.dtype.kind not in "biufc":
        warn_of_spelling(y_true.tolist(), set(y_pred.tolist()), "y_true")
    numbers = y_pred.dtype.kind == "f" and y_true.dtype.kind in "biuf"
    decimals = y_pred[y_pred % 1 != 0] if numbers else y_pred[:0]
    # A class 2.5 may be predicted where none is true; most rows are not of such.
    if 0 < y_pred.size < 2 * decimals.size and not (y_true % 1 != 0).any():
        raise ValueError(
            f"y_pred holds decimals, such as {decimals[0]:.4g}, where y_true holds "
            "whole numbers: they look like probabilities or scores. Pass predicted "
            "labels, such as (y_pred > 0.5).astype(int)."
        )
    _warn_of_strangers(y_true, y_pred)


def _warn_of_strangers(y_true: np.ndarray, y_pred: np.ndarray) -> None:
    """Warn where no label is in both, as where groups stand in the place of labels.

    One label may be all that is true, or predicted; of several, one is met by chance.
    """
    true, predicted = y_true.tolist(), y_pred.tolist()
    several = len(set(true)) > 1 < len(set(predicted))
    if several and set(true).isdisjoint(predicted):
        warnings.warn(
            f"no label is in both y_true ({true[0]!r}, ...) and y_pred "
            f"({predicted[0]!r}, ...), so every prediction counts as wrong. The "
            "arguments are y_true, y_pred, and then the groups or flags.",
            UserWarning,
            stacklevel=frames_of_ours() + 1,
        )


def as_flags(values: Any, key: str) -> np.ndarray:
    """Boolean flags; 0 and 1 pass, row numbers given by mistake do not."""
    flags = _labels(values, key)
    if flags.ndim != 1 or not np.isin(flags, (0, 1)).all():
        raise ValueError(
            f"{key} must be 1-D boolean flags, True where an example counts; got "
            f"{flags.dtype} of shape {flags.shape}"
        )
    return flags.astype(bool)


def _labels(values: Any, key: str) -> np.ndarray:
    labels = as_labels(values, key)
    return as_numbers(labels, key) if labels.dtype.kind in "fc" else labels
