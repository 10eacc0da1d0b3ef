"""What a linear probe finds in embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state

from modal_pretrain._checks import SEED, Number, Whole
from modal_pretrain._inputs.frames import check_order
from modal_pretrain._inputs.numbers import as_numbers
from modal_pretrain.metrics._arrays import as_columns

_LARGEST = 1e15


def probe_separability(
    embeddings: Any,
    target: Any,
    *,
    groups: Any = None,
    C: float = 0.01,
    cv: int = 5,
    random_state: int | np.random.RandomState | None = None,
) -> float:
    """How well a linear probe reads a property off embeddings.

    Cross-validated balanced accuracy of standardisation and logistic regression, on a
    sample where all values of the target are equally frequent. The paper argues with
    the separability of the class, of the attribute and of their mismatch [1]_.

    Parameters
    ----------
    embeddings : array-like of shape (n, d)
        One row an example.
    target : array-like of shape (n,)
        The property: class, attribute, or a disambiguating flag.
    groups : array-like of shape (n,), optional
        Group of each example, class x attribute as a rule. If given, the sample is
        balanced over the groups within each value of the target too; otherwise a probe
        for the attribute may read the class where the two go together.
    C : float, default=0.01
        Inverse regularisation strength of the logistic regression.
    cv : int, default=5
        Number of stratified folds.
    random_state : int, RandomState or None, default=None
        Sample and folds.

    Returns
    -------
    float
        In [0, 1]; chance is 1 / (number of values), 0.5 for two.

    Raises
    ------
    ValueError
        If the lengths differ, a value is missing or not finite, the target has one
        value only, or one of its values has fewer than `cv` examples left in the
        balanced sample.

    References
    ----------
    .. [1] A. Tamkin et al., Active Learning Helps Pretrained Models Learn the Intended
       Task, NeurIPS 2022, arXiv:2204.08491.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.RandomState(0)
    >>> target = rng.randint(2, size=200)
    >>> X = rng.normal(size=(200, 5))
    >>> X[:, 0] += 6 * target
    >>> probe_separability(X, target, random_state=0) > 0.95
    True
    """
    Number(above=0).check("C", C)
    Whole(least=2).check("cv", cv)
    SEED.check("random_state", random_state)
    check_order(embeddings=embeddings, target=target, groups=groups)
    X = as_numbers(embeddings, "embeddings")
    (target,) = as_columns(target=target)
    cells = np.zeros(len(target), dtype=int) if groups is None else groups
    target, cells = as_columns(target=target, groups=cells)
    if X.ndim != 2 or len(X) != len(target) or not X.shape[1]:
        raise ValueError(
            f"embeddings must have shape ({len(target)}, d) like the target, got "
            f"{X.shape}"
        )
    if np.abs(X).max(initial=0) > _LARGEST:
        raise ValueError(
            f"embeddings hold values up to {np.abs(X).max():g}, whose squares no float "
            f"holds; at most {_LARGEST:g} are expected. Divide them."
        )
    rng = check_random_state(random_state)
    values, target = np.unique(target, return_inverse=True)
    if len(values) < 2:
        raise ValueError(
            "target must have two values at least, to be told apart, got "
            f"{values.tolist() or 'no rows'}."
        )
    # The smallest cell of each value bounds how many balanced rows that value has.
    found = [
        np.unique(cells[target == value], return_counts=True)
        for value in range(len(values))
    ]
    size = min(int(counts.min()) * len(names) for names, counts in found)
    if size < cv:
        raise ValueError(
            f"{size} examples are left for each value of the target once it is "
            f"balanced, fewer than the cv={cv} folds"
        )
    rows = []
    for value, (names, _) in enumerate(found):
        share = np.full(len(names), size // len(names))
        share += np.arange(len(names)) < size % len(names)
        rows += [
            rng.choice(
                np.flatnonzero((target == value) & (cells == name)), n, replace=False
            )
            for name, n in zip(names, share, strict=True)
        ]
    sample = np.concatenate(rows)
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=5000))
    folds = StratifiedKFold(cv, shuffle=True, random_state=rng)
    predicted = cross_val_predict(probe, X[sample], target[sample], cv=folds)
    return float(balanced_accuracy_score(target[sample], predicted))
