"""Linear heads of a strategy's own: what they see, the fit, the answer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from modal_pretrain.query._engine.arguments import RandomState
from modal_pretrain.query._engine.classifier import one_hot
from modal_pretrain.query._engine.coordinates import principal_coordinates
from modal_pretrain.query._engine.pool import Pool
from modal_pretrain.query._engine.select import Answer, top_k


def head_inputs(
    classifier: Any,
    X: Any,
    n_instances: int,
    random_state: RandomState,
    X_labelled: Any,
    y_labelled: Any,
    n_components: int,
) -> tuple[Pool, NDArray[np.float32], NDArray[np.float32], NDArray[np.intp] | None]:
    """Get what a strategy that fits heads of its own needs.

    Returns
    -------
    pool : Pool
    coords, base : numpy.ndarray of shapes (n, q) and (m, q), float32
        Pool and labelled rows, scaled to a mean squared length of 1.
    codes : numpy.ndarray of shape (m,), or None
        Labels as numbers from 0; None if fewer than two classes are known.

    Raises
    ------
    ValueError
        If labels and labelled rows differ in number.
    """
    pool = Pool(
        classifier,
        X,
        n_instances,
        random_state,
        proba=True,
        labelled=True,
        X_labelled=X_labelled,
        y_labelled=y_labelled,
    )
    coords, base = principal_coordinates(pool, n_components, whiten=False)
    codes = None
    y = pool.labels()
    if y is not None and len(base):
        if len(y) != len(base):
            raise ValueError(
                f"y_labelled has {len(y)} entries for {len(base)} labelled rows; pass "
                "one label a row."
            )
        found, numbers = np.unique(y, return_inverse=True)
        if len(found) > 1:
            codes = numbers.astype(np.intp)
    return pool, coords, base, codes


def columns_of_labels(
    classifier: Any, pool: Pool, codes: NDArray[np.intp] | None
) -> NDArray[np.intp] | None:
    """Give the column of the probabilities that each label stands for.

    Parameters
    ----------
    classifier : modAL learner or committee, Pipeline or estimator
    pool : Pool
    codes : numpy.ndarray of shape (m,), or None
        From `head_inputs`.

    Returns
    -------
    numpy.ndarray of shape (m,), or None
        None unless the labels are of each of the classifier's classes, and no other.
    """
    n_classes = pool.proba.shape[1]
    if codes is None or int(codes.max()) + 1 != n_classes:
        return None
    known = one_hot(classifier, pool.labels(), n_classes)
    if not len(known):  # a classifier that does not tell its classes
        return codes
    return known.argmax(axis=1) if known.any(axis=1).all() else None


def fit_head(
    base: NDArray[np.floating],
    codes: NDArray[np.intp],
    C: float,
    sample_weight: NDArray[np.float64] | None = None,
) -> LogisticRegression:
    """Fit a logistic head; tolerances are those of a ranking, not of a report."""
    head = LogisticRegression(C=C, max_iter=1000, tol=1e-4)
    return head.fit(base.astype(np.float64), codes, sample_weight=sample_weight)


def rank_and_answer(pool: Pool, score: NDArray[np.float64]) -> Answer:
    """Answer with the highest scores; ties go by the content of the rows."""
    chosen, scores = top_k(score, pool.k, np.arange(pool.n)[:, None])
    return pool.answer(chosen, scores)
