"""Scores of rows: class probabilities in, a number a row out, the highest asked first.

They know no classifier and no pool. Strategies add those, and the selection.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from modal_pretrain.query._engine.classifier import check_members, check_probabilities
from modal_pretrain.query._engine.select import in_chunks

_ENTRIES = 200_000  # of a block of joint probabilities


def least_confidence_score(proba: Any) -> NDArray[np.float64]:
    """Score rows by how improbable their most probable class is.

    Parameters
    ----------
    proba : array-like of shape (n, n_classes)
        Class probabilities.

    Returns
    -------
    numpy.ndarray of shape (n,), float64
        ``1 - max(p)``, in [0, 1 - 1 / n_classes].

    Raises
    ------
    TypeError
        If `proba` is not a table of numbers.
    ValueError
        If rows are not finite, negative or do not sum to 1.

    Examples
    --------
    >>> import numpy as np
    >>> least_confidence_score(np.array([[0.75, 0.25], [0.5, 0.5]])).tolist()
    [0.25, 0.5]
    """
    return 1 - check_probabilities(proba, None, "proba").max(axis=1)


def margin_score(proba: Any) -> NDArray[np.float64]:
    """Score rows by how close their two most probable classes are.

    Parameters
    ----------
    proba : array-like of shape (n, n_classes)
        Class probabilities.

    Returns
    -------
    numpy.ndarray of shape (n,), float64
        ``1 - (p_first - p_second)``, in [0, 1]. With a single class, 0.

    Raises
    ------
    TypeError
        If `proba` is not a table of numbers.
    ValueError
        If rows are not finite, negative or do not sum to 1.

    Examples
    --------
    >>> import numpy as np
    >>> margin_score(np.array([[0.5, 0.25, 0.25], [0.5, 0.5, 0.0]])).tolist()
    [0.75, 1.0]
    """
    values = check_probabilities(proba, None, "proba")
    n, n_classes = values.shape
    if n_classes == 1:
        return np.zeros(n)
    top = np.partition(values, n_classes - 2, axis=1)[:, -2:]
    return 1 - (top[:, 1] - top[:, 0])


def entropy_score(proba: Any) -> NDArray[np.float64]:
    """Score rows by the entropy of their class probabilities.

    Parameters
    ----------
    proba : array-like of shape (n, n_classes)
        Class probabilities.

    Returns
    -------
    numpy.ndarray of shape (n,), float64
        ``-sum(p log p)`` in nats, in [0, log(n_classes)].

    Raises
    ------
    TypeError
        If `proba` is not a table of numbers.
    ValueError
        If rows are not finite, negative or do not sum to 1.

    Examples
    --------
    >>> import numpy as np
    >>> entropy_score(np.array([[1.0, 0.0], [0.5, 0.5]])).round(3).tolist()
    [0.0, 0.693]
    """
    entropy: NDArray[np.float64] = entr(check_probabilities(proba, None, "proba"))
    return entropy.sum(axis=1)


def bald_score(samples: Any) -> NDArray[np.float64]:
    """Score rows by the mutual information of their class and the model.

    Parameters
    ----------
    samples : array-like of shape (n_members, n, n_classes)
        Class probabilities by each member.

    Returns
    -------
    numpy.ndarray of shape (n,), float64
        Entropy of the mean prediction minus the mean entropy, in nats, in
        [0, log(n_classes)].

    Raises
    ------
    TypeError
        If `samples` is not one array of numbers.
    ValueError
        If it has another shape, or rows are not finite, negative or do not sum to 1.

    Examples
    --------
    >>> import numpy as np
    >>> agree = [[[0.5, 0.5]], [[0.5, 0.5]]]
    >>> differ = [[[1.0, 0.0]], [[0.0, 1.0]]]
    >>> bald_score(np.array(agree)).tolist()
    [0.0]
    >>> bald_score(np.array(differ)).round(3).tolist()
    [0.693]
    """
    values = check_members(samples, None, "samples")
    total = entr(values.mean(axis=0)).sum(axis=1)
    within = entr(values).sum(axis=2).mean(axis=0)
    return np.maximum(total - within, 0)


def epig_score(samples: Any, target: Any) -> NDArray[np.float64]:
    """Score rows by the expected information about the classes of target rows.

    Parameters
    ----------
    samples : array-like of shape (n_members, n, n_classes)
        Class probabilities of the pool by each member.
    target : array-like of shape (n_members, n_target, n_classes)
        Those of the target rows by the same members.

    Returns
    -------
    numpy.ndarray of shape (n,), float64
        Mean mutual information in nats, in [0, log(n_classes)].

    Raises
    ------
    TypeError
        If an argument is not one array of numbers.
    ValueError
        If an argument has another shape, rows are not finite, negative or do not sum
        to 1, there is no target row, or the two differ in members or classes.

    Examples
    --------
    >>> import numpy as np
    >>> pool = np.array([[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]]])
    >>> epig_score(pool, pool[:, :1]).round(3).tolist()
    [0.693, 0.0]
    """
    values = check_members(samples, None, "samples")
    aims = check_members(target, None, "target")
    k, n_target, n_classes = aims.shape
    if values.shape[::2] != (k, n_classes) or n_target == 0:
        raise ValueError(
            f"target has shape {aims.shape} beside samples of shape {values.shape}; "
            "expected the same members and classes, and at least one target row."
        )
    # Where rows sum to 1 but for some 1e-4, as in half precision, entropies are off by
    # as much, which is more than rows tell of each other where members hardly differ.
    aims = aims / aims.sum(axis=2, keepdims=True)
    flat = aims.reshape(k, n_target * n_classes)
    target_entropy = entr(aims.mean(axis=0)).sum(axis=1).mean()

    def score(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        rows = rows / rows.sum(axis=2, keepdims=True)
        own = entr(rows.mean(axis=1)).sum(axis=1)
        joint = rows.transpose(0, 2, 1).reshape(-1, k) @ flat / k
        joint_entropy = entr(joint).reshape(len(rows), -1).sum(axis=1) / n_target
        return np.maximum(own + target_entropy - joint_entropy, 0)

    size = max(1, _ENTRIES // (n_classes * n_target * n_classes))
    return in_chunks(score, size, values.transpose(1, 0, 2))
