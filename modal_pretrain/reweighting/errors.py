"""Weights driven by errors: rows count more that a head without them gets wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modal_pretrain.reweighting._inputs import STRENGTH, check_rows, spread
from modal_pretrain.reweighting.out_of_fold import out_of_fold_logits, own_proba


def error_weights(
    X: ArrayLike,
    y: ArrayLike,
    *,
    strength: float = 4.0,
    C: float = 0.005,
    sample_weight: ArrayLike | None = None,
    offset: NDArray[Any] | None = None,
    n_folds: int = 5,
) -> NDArray[np.float64]:
    """Weigh labelled rows by how wrong a head is about them that did not see them.

    The weight of a row is ``exp(-strength * p)`` with p the probability of its label by
    a logistic head trained on the other folds, scaled so that all classes have the same
    mass: AFR's weights [1]_, with the out-of-fold head in the place of one trained on
    data set aside. Rows that go against what most rows suggest, the exceptions, are
    what such a head gets wrong, so that no one need say which they are. JTT [2]_ does
    the same in two steps, with a network that was stopped early.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Embeddings, centred and scaled as the head will take them.
    y : array-like of shape (n,)
        Labels.
    strength : float, default=4.0
        0 leaves classes of equal mass and nothing more.
    C : float, default=0.005
        Of the out-of-fold heads, see `PretrainedClassifier`.
    sample_weight : array-like of shape (n,), number or None, default=None
        What rows weigh anyway. A row of weight k is k copies.
    offset : array-like of shape (n, n_classes) or None, default=None
        Logits that training starts from; y are column numbers then.
    n_folds : int, default=5

    Returns
    -------
    numpy.ndarray
        float64 (n,), with the sum of `sample_weight` (n without), of the same sum for
        each class that is there.

    Raises
    ------
    ValueError, TypeError
        If `strength`, `C` or `n_folds` is out of range, lengths differ, X or a weight
        is no finite number, a label is missing, or labels are of several kinds.

    References
    ----------
    .. [1] Qiu et al., "Simple and fast group robustness by automatic feature
       reweighting", ICML 2023, arXiv:2306.11074.
    .. [2] Liu et al., "Just train twice: improving group robustness without training
       group information", ICML 2021, arXiv:2107.09044.

    Examples
    --------
    Labels follow a strong column but for every tenth row, which follows the weak one:

    >>> import numpy as np
    >>> from modal_pretrain.reweighting import error_weights
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(0, 2, 200)
    >>> exception = np.arange(200) % 10 == 0
    >>> strong = 2.0 * np.where(exception, -1, 1) * (2 * y - 1)
    >>> X = np.stack([strong, 2 * y - 1], axis=1) + rng.normal(0, 0.3, (200, 2))
    >>> weight = error_weights(X, y, strength=4, C=0.05)
    >>> bool(weight[exception].mean() > 3 * weight[~exception].mean())
    True
    """
    STRENGTH.check("strength", strength)
    X, y, weight, offset, kept = check_rows(
        X, y, sample_weight, offset, C=C, n_folds=n_folds
    )
    logits = out_of_fold_logits(
        X, y, C=C, weight=weight, offset=offset, n_folds=n_folds
    )
    driven = weight * np.exp(-strength * own_proba(logits, y))
    return spread(equal_mass(driven, y, weight.sum()), kept)


def equal_mass(
    weight: NDArray[np.float64], y: NDArray[np.int64], total: float
) -> NDArray[np.float64]:
    """Scale weights so that every class that is there has the same sum.

    Parameters
    ----------
    weight : numpy.ndarray of shape (n,)
    y : numpy.ndarray of int, shape (n,)
        Column numbers. A class whose rows weigh nothing stays without weight.
    total : float
        Sum of the result.

    Returns
    -------
    numpy.ndarray
        float64 (n,).
    """
    mass = np.bincount(y, weight)
    n_present = np.count_nonzero(mass)
    # In this order, as a number divided by a tiny mass may be infinite.
    return weight / np.where(mass > 0, mass, 1.0)[y] * (total / n_present)
