"""Predictions that are older than the labels they come with."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray


def warn_of_older_model(
    proba: Any, taught: Any, now: NDArray[np.intp], then: NDArray[np.intp]
) -> None:
    """Warn where what was taught is new, and the predictions are those of the draw."""
    if (
        proba is None
        and taught is not None
        and not np.array_equal(np.sort(now), np.sort(then))
    ):
        warnings.warn(
            "taught differs from what it was at the audit's last draw, and without "
            "proba= this measures the model of that draw. For the present one pass "
            "proba=predict_pool(learner, X); for that of the draw leave out taught.",
            UserWarning,
            stacklevel=3,
        )
