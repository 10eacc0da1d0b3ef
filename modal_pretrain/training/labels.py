"""Labels: what y may be, which labels there are, and what each class weighs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.utils import (
    assert_all_finite,
    check_consistent_length,
    column_or_1d,
)
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from torch import nn


def check_labels(y: Any, source: Any, owner: str) -> np.ndarray:
    """Return y as an array of one label per row of a source, or raise."""
    if y is None:
        raise ValueError(
            f"This {owner} estimator requires y to be passed, but the target y is None."
        )
    y = column_or_1d(y, warn=True)
    check_consistent_length(source, y)
    if y.dtype.kind in "fc":
        assert_all_finite(y, input_name="y")
    elif pd.isna(y).any():
        raise ValueError(
            "y contains missing labels (None or NaN); expected one label per row of X."
        )
    check_classification_targets(y)
    return y


def sorted_classes(classes: Any) -> np.ndarray | None:
    """Return the labels of a parameter `classes`, sorted; None for None."""
    if classes is None:
        return None
    classes = np.unique(np.asarray(classes))
    if len(classes) == 0:
        raise ValueError("classes is empty; name all labels, or leave it None.")
    return classes


def columns_of(y: np.ndarray, classes: np.ndarray, owner: str) -> np.ndarray:
    """Return the column number of each label, int64 (n,), or raise for unknown ones."""
    known = set(classes.tolist())
    unknown = [label for label in np.unique(y).tolist() if label not in known]
    if unknown:
        raise ValueError(
            f"y has the labels {unknown}, which are not among the classifier's classes "
            f"{classes.tolist()}. Name all labels when you create it: "
            f"{owner}(classes=[...])."
        )
    return np.searchsorted(classes, y).astype(np.int64)


def class_weights(
    class_weight: Any, classes: np.ndarray, targets: np.ndarray, criterion: nn.Module
) -> torch.Tensor:
    """Return the weight of each column, float32 (n_classes,)."""
    if not hasattr(criterion, "weight"):
        raise ValueError(
            f"class_weight={class_weight!r} needs a criterion with weights like "
            f"CrossEntropyLoss, got {type(criterion).__name__}."
        )
    weights = np.ones(len(classes))
    present = np.unique(targets)
    weights[present] = compute_class_weight(
        class_weight, classes=classes[present], y=classes[targets]
    )
    return torch.tensor(weights, dtype=torch.float32)
