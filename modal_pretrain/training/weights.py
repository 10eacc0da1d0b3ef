"""What rows and classes weigh in the loss."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import nn
from xxhash import xxh3_128_digest

from modal_pretrain._checks import is_number
from modal_pretrain._inputs.weights import LARGEST
from modal_pretrain.modality import Examples
from modal_pretrain.reweighting.content import content_ranks
from modal_pretrain.reweighting.tags import tag_codes
from modal_pretrain.training.examples import EmbeddedSet, WeightedSet
from modal_pretrain.training.labels import NUMBERED


def class_weights(
    class_weight: Any,
    classes: np.ndarray,
    targets: np.ndarray,
    weight: np.ndarray | None = None,
) -> np.ndarray:
    """Return the weight of each column, float64 (n_classes,).

    Parameters
    ----------
    class_weight : mapping of label to number, or "balanced"
        Labels that it lacks weigh one. "balanced" gives all classes that are there the
        same mass.
    classes : numpy.ndarray of shape (n_classes,)
    targets : numpy.ndarray of int, shape (n,)
        Column numbers.
    weight : numpy.ndarray of shape (n,) or None
        Of the rows.

    Raises
    ------
    ValueError
        For labels that are no classes, and weights that are negative, no finite
        numbers, or all zero.
    """
    weights = np.ones(len(classes))
    if isinstance(class_weight, str):
        mass = np.bincount(targets, weight, minlength=len(classes)).astype(float)
        present = mass > 0
        weights[present] = mass.sum() / (present.sum() * mass[present])
        return weights
    columns = {label: column for column, label in enumerate(classes.tolist())}
    for label, value in class_weight.items():
        if label not in columns:
            raise ValueError(
                f"class_weight has the label {label!r}, which is not among the classes "
                f"{classes.tolist()}.{_numbered(label, classes)}"
            )
        if not is_number(value) or not 0 <= value <= LARGEST:
            raise ValueError(
                f"class_weight[{label!r}] must be a finite number from 0 to "
                f"{LARGEST:g}, got {value!r}."
            )
        weights[columns[label]] = value
    if weights[targets].max(initial=0) < 1 / LARGEST:
        raise ValueError(
            f"class_weight={dict(class_weight)!r} leaves no row any weight: the "
            "classes in y all weigh 0, or below 1e-9."
        )
    return weights


def _numbered(label: object, classes: np.ndarray) -> str:
    """Return a hint where a meta-estimator has put numbers in the labels' place."""
    numbers = range(len(classes))
    if not isinstance(label, str) or classes.tolist() != list(numbers):
        return ""
    return (
        f"{NUMBERED}: name the classes by their place in sorted order there, or write "
        "class_weight='balanced'."
    )


def check_weightable(criterion: nn.Module, what: str) -> None:
    """Raise ValueError unless a criterion can be asked for the loss of each row."""
    if not isinstance(getattr(criterion, "reduction", None), str):
        raise ValueError(
            f"{what} needs a criterion with a loss for each row, one with `reduction` "
            f"like CrossEntropyLoss, got {type(criterion).__name__}."
        )


def weighs_rows(criterion: Any, n_classes: int, device: torch.device) -> bool:
    """Say whether a criterion gives the loss of each row where it is asked for it.

    One that takes its mean itself may inherit `reduction`, as a focal loss does that is
    a CrossEntropyLoss.
    """
    targets = torch.arange(n_classes + 1, device=device) % n_classes
    logits = torch.zeros(n_classes + 1, n_classes, device=device)
    try:
        losses_of_rows(criterion, logits, targets)
    except Exception:  # of any kind, of somebody else's code
        return False
    return True


def losses_of_rows(
    criterion: nn.Module, y_pred: torch.Tensor, y_true: torch.Tensor
) -> torch.Tensor:
    """Return the loss of each row, float32 (n,); ValueError for other shapes."""
    reduction = criterion.reduction
    criterion.reduction = "none"  # type: ignore[assignment]
    try:
        losses = criterion(y_pred, y_true)
    finally:
        criterion.reduction = reduction
    # A mean of its own, say, with which weights would cancel out.
    if losses.shape != y_true.shape:
        raise ValueError(
            f"Weights of rows or classes need a loss for each of {len(y_true)} rows, "
            f"but {type(criterion).__name__} with reduction='none' gave one of shape "
            f"{tuple(losses.shape)}. Let its forward return the losses of the rows "
            "where self.reduction is 'none', and their mean where it is 'mean'."
        )
    return losses


def check_criterion(
    given: Any, criterion: nn.Module, n_classes: int, device: torch.device
) -> None:
    """Raise ValueError unless a criterion can be computed from logits and columns."""
    if getattr(criterion, "reduction", None) == "sum":
        raise ValueError(
            f"criterion={given!r} with reduction='sum': C, weights of rows and "
            "learning rates are those of a mean over rows. Leave out "
            "criterion__reduction."
        )
    targets = torch.arange(n_classes + 1, device=device) % n_classes
    logits = torch.zeros(n_classes + 1, n_classes, device=device, requires_grad=True)
    problem = "the loss is not one number."
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if criterion(logits, targets).ndim == 0:
                return
    except Exception as error:
        problem = str(error).splitlines()[0] if str(error) else type(error).__name__
    raise ValueError(
        f"criterion={given!r} can't be computed from logits (n, {n_classes}) and "
        f"column numbers (n,): {problem} Take torch.nn.CrossEntropyLoss or one like it."
    )


def with_weight(examples: Examples, weight: np.ndarray | None) -> Examples:
    """Return the examples with a weight for each; None leaves them as they are."""
    return examples if weight is None else WeightedSet(examples, weight)


def merged(
    examples: EmbeddedSet,
    weight: np.ndarray | None = None,
    tags: np.ndarray | None = None,
    able: bool = True,
) -> tuple[EmbeddedSet, np.ndarray | None, np.ndarray | None]:
    """Merge equal rows of equal labels and tags; put them in order of their content.

    So a row of weight k is, to the last bit, k copies of it, and no row's place counts:
    a sum in floating point knows the order of its terms.

    Parameters
    ----------
    examples : EmbeddedSet
    weight : numpy.ndarray of shape (n,) or None
    tags : numpy.ndarray of object, shape (n, k), or None
    able : bool, default=True
        Whether the criterion can weigh rows, see `weighs_rows`. If it can't, and no
        weights are given, equal rows all stay.

    Returns
    -------
    EmbeddedSet
    numpy.ndarray or None
        Their weights; None where all rows differ and no weights are given.
    numpy.ndarray or None
        Their tags.
    """
    rows = examples.embeddings.numpy()
    labels = examples.y.astype(np.int64)
    # Of tags the codes: one and the same may come as 1 and as 1.0.
    codes = np.empty((len(rows), 0)) if tags is None else tag_codes(tags)
    keys = [
        xxh3_128_digest(row.tobytes() + label.tobytes() + code.tobytes())
        for row, label, code in zip(rows, labels, codes, strict=True)
    ]
    _, first, group = np.unique(
        content_ranks(rows, keys), return_index=True, return_inverse=True
    )
    total = None
    if weight is None and not able:
        first = np.argsort(group.ravel(), kind="stable")
    elif weight is not None or len(first) < len(rows):
        total = np.bincount(group.ravel(), weight, minlength=len(first)).astype(float)
    tags = None if tags is None else tags[first]
    return EmbeddedSet(rows[first], labels[first]), total, tags
