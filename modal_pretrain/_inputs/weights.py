"""What rows may weigh."""

from __future__ import annotations

from typing import Any

import numpy as np

from modal_pretrain._inputs.numbers import as_numbers

# Beyond it, and below its inverse, the solver's squares leave float32's range.
LARGEST = 1e9


def check_sample_weight(sample_weight: Any, n: int) -> np.ndarray | None:
    """Return the weights of n rows, float64 (n,), or raise ValueError.

    Parameters
    ----------
    sample_weight : array-like of shape (n,), number or None
        None, and weights that all are one, stand for no weights.
    n : int

    Returns
    -------
    numpy.ndarray or None
    """
    if sample_weight is None:
        return None
    weight = as_numbers(sample_weight, "sample_weight").astype(np.float64)  # a copy
    if weight.ndim == 0:
        weight = np.full(n, weight)
    if weight.shape != (n,):
        raise ValueError(
            f"sample_weight must have shape ({n},), one weight for each row of X, got "
            f"{weight.shape}. (Sample weights must be 1D array or scalar.)"
        )
    for wrong, what in (
        (weight < 0, "negative"),
        (weight > LARGEST, f"above {LARGEST:g}"),
    ):
        if wrong.any():
            row = int(wrong.argmax())
            raise ValueError(
                f"sample_weight[{row}] is {what} ({weight[row]}); weights must be from "
                f"0, which leaves a row out, to {LARGEST:g}."
            )
    if weight.max(initial=0) < 1 / LARGEST:
        raise ValueError(
            "sample_weight is zero, or below 1e-9, for all rows; at least one must "
            "weigh something."
        )
    return None if (weight == 1).all() else weight
