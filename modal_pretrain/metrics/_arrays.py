"""What the arguments of metrics must be."""

from __future__ import annotations

from typing import Any

import numpy as np


def as_columns(**arrays: Any) -> list[np.ndarray]:
    """Return the arguments as 1-D arrays of one length."""
    columns = {key: np.asarray(values) for key, values in arrays.items()}
    shapes = {column.shape for column in columns.values()}
    if len(shapes) != 1 or len(shapes.pop()) != 1:
        got = ", ".join(f"{key} {column.shape}" for key, column in columns.items())
        raise ValueError(f"need 1-D arrays of one length, got {got}")
    return list(columns.values())


def as_flags(values: np.ndarray, key: str) -> np.ndarray:
    """Boolean flags; 0 and 1 pass, row numbers given by mistake do not."""
    if values.ndim != 1 or not np.isin(values, (0, 1)).all():
        raise ValueError(f"{key} must be 1-D boolean flags")
    return values.astype(bool)
