"""Accuracy by group, and how many of the questions were about the atypical."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from modal_pretrain._inputs.labels import as_list
from modal_pretrain.metrics._arrays import as_columns, as_flags, check_predicted


def group_accuracies(y_true: Any, y_pred: Any, groups: Any) -> dict[Any, float]:
    """Accuracy within each group.

    Parameters
    ----------
    y_true, y_pred, groups : array-like of shape (n,)
        Labels, predicted labels, and the group of each example (numbers or strings).

    Returns
    -------
    dict
        Group -> share of its examples predicted correctly, in [0, 1]; only groups that
        occur, in sorted order.

    Raises
    ------
    ValueError
        If the lengths differ, there are no examples, a label or a group is missing,
        labels are of several kinds (strings and numbers, say), or most of `y_pred`
        are decimals, as probabilities are, where `y_true` holds whole numbers.

    Warns
    -----
    UserWarning
        If a label is never predicted, and one that is differs in capitals or the like;
        or if `y_true` and `y_pred` hold several labels each, and none in common.

    Examples
    --------
    >>> group_accuracies([0, 0, 1, 1], [0, 1, 1, 1], ["a", "a", "a", "b"])
    {'a': 0.6666666666666666, 'b': 1.0}
    """
    y_true, y_pred, groups = as_columns(y_true=y_true, y_pred=y_pred, groups=groups)
    check_predicted(y_true, y_pred)
    if len(y_true) == 0:
        raise ValueError("there are no examples to compute an accuracy of")
    names, index = np.unique(groups, return_inverse=True)
    correct = np.bincount(index, weights=y_true == y_pred)
    accuracies = correct / np.bincount(index)
    return dict(zip(as_list(names), accuracies.tolist(), strict=True))


def worst_group_accuracy(y_true: Any, y_pred: Any, groups: Any) -> float:
    """Smallest of :func:`group_accuracies`, as in [1]_.

    Parameters
    ----------
    y_true, y_pred, groups : array-like of shape (n,)
        See :func:`group_accuracies`.

    Returns
    -------
    float
        In [0, 1].

    References
    ----------
    .. [1] S. Sagawa et al., Distributionally Robust Neural Networks for Group Shifts,
       ICLR 2020, arXiv:1911.08731.

    Examples
    --------
    >>> worst_group_accuracy([0, 0, 1, 1], [0, 1, 1, 1], [0, 0, 1, 1])
    0.5
    """
    return min(group_accuracies(y_true, y_pred, groups).values())


def atypical_accuracy(y_true: Any, y_pred: Any, disambiguating: Any) -> float:
    """Accuracy on the disambiguating examples.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,)
        Labels and predicted labels.
    disambiguating : array-like of bool of shape (n,)
        Which examples count.

    Returns
    -------
    float
        In [0, 1]; nan if no example is disambiguating.

    Warns
    -----
    UserWarning
        As :func:`group_accuracies`.

    Examples
    --------
    >>> atypical_accuracy([0, 0, 1, 1], [0, 1, 1, 1], [False, True, True, False])
    0.5
    """
    y_true, y_pred, flags = as_columns(
        y_true=y_true, y_pred=y_pred, disambiguating=disambiguating
    )
    check_predicted(y_true, y_pred)
    flags = as_flags(flags, "disambiguating")
    return float(np.mean(y_true[flags] == y_pred[flags])) if flags.any() else np.nan


def enrichment(acquired: Any, pool: Any) -> float:
    """How far the acquired examples are richer in disambiguating ones than the pool.

    (share of True among the acquired) / (share of True in the pool)

    Parameters
    ----------
    acquired : array-like of bool
        Disambiguating flags of the examples that the strategy chose (without the seed
        set, which it did not choose).
    pool : array-like of bool
        Flags of the pool it chose from, before the first query.

    Returns
    -------
    float
        0 or more; 1 is what random sampling expects, and 1 / (share in the pool) the
        most possible. nan if nothing was acquired or the pool has no such example.

    Warns
    -----
    UserWarning
        If more were acquired, of those that are True or of those that are not, than
        the pool has: the two may be swapped, or `acquired` a mask of the pool.

    Examples
    --------
    >>> enrichment([True, False, False, False], [True] * 5 + [False] * 95)
    5.0
    """
    acquired = as_flags(acquired, "acquired")
    pool = as_flags(pool, "pool")
    if len(acquired) == 0 or not pool.any():
        return np.nan
    chosen, there = np.bincount(acquired, minlength=2), np.bincount(pool, minlength=2)
    # No error: several runs in one array against the pool they shared are fair.
    if (chosen > there).any():
        warnings.warn(
            f"acquired has {chosen[1]} flags that are True and {chosen[0]} that are "
            f"not, and pool {there[1]} and {there[0]}: more than there were to choose "
            "from. If acquired says which rows of the pool were chosen, pass "
            "flags[acquired] and flags, the flags of the pool; if the two are swapped, "
            "swap them. If several runs are put together, all is well.",
            stacklevel=2,
        )
    return float(acquired.mean() / pool.mean())
