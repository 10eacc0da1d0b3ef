"""Ranked batches: uncertainty traded against similarity to what is labelled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modal_pretrain._blas import one_thread
from modal_pretrain.query._engine.arguments import RandomState
from modal_pretrain.query._engine.nearest import Euclidean, LazyNearest
from modal_pretrain.query._engine.pool import Pool
from modal_pretrain.query._engine.select import Answer
from modal_pretrain.query.scores import least_confidence_score

_COLD_START_ROWS = 10_000


def ranked_batch_sampling(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    random_state: RandomState = None,
    X_labelled: Any = None,
) -> Answer:
    """Query rows that are uncertain and unlike the labelled ones [1]_.

    Each row is the one of the largest ``alpha * (1 - s) + (1 - alpha) * u``: u is
    ``1 - max(p)``, s is ``1 / (1 + distance)`` to the nearest labelled or chosen row,
    and alpha the share of the unlabelled among all rows. The ranking is that of modAL's
    `uncertainty_batch_sampling` with Euclidean distance. Early on, alpha is near 1 and
    the strategy is one of diversity.

    Parameters
    ----------
    classifier : modAL learner or committee, Pipeline or estimator
        Gives probabilities and embeddings. Unfitted, all rows are equally uncertain.
    X : array-like or list
        The pool, n rows.
    n_instances : int, default=1
        In [1, n].
    random_state : None, int, SeedSequence, Generator or RandomState
        Not used; the answer does not depend on chance.
    X_labelled : array-like or list, optional
        Labelled rows, of the same kind as X. By default, what a modAL learner
        remembers. Without any, the first row is the one of the least mean distance to
        the pool (to a sample of 10,000 of its rows, if it is larger).

    Returns
    -------
    query_idx : numpy.ndarray of shape (n_instances,), int64
        Rows of X, first queried first.
    scores : numpy.ndarray of shape (n_instances,), float64
        The criterion when the row was chosen, in [0, 1]; not always decreasing, as
        alpha changes. Where nothing is labelled, the first is 1. (modAL returns the
        uncertainties here.)

    Raises
    ------
    TypeError
        If there are no probabilities or embeddings, or an argument has a wrong type.
    ValueError
        If the pool is empty, `n_instances` is out of range, or the probabilities or
        embeddings are malformed or not finite.

    Notes
    -----
    Cost: one product of the pool with the labelled rows in float32, then a few rows a
    step in float64; memory O(n d). modAL offers the row of its cold start a second
    time, and counts it twice; here, and in modAL once repaired, it is labelled then.

    References
    ----------
    .. [1] T. N. C. Cardoso, R. M. Silva, S. Canuto, M. M. Moro and M. A. Gonçalves,
       "Ranked batch-mode active learning", Information Sciences 379, 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> X = np.array([[-3.0], [-0.1], [0.4], [2.0]])
    >>> model = LogisticRegression().fit([[-1.0], [1.0]], [0, 1])
    >>> ranked_batch_sampling(model, X, 2, X_labelled=np.array([[-1.0], [1.0]]))[0]
    array([0, 1])
    """
    pool = Pool(
        classifier,
        X,
        n_instances,
        random_state,
        proba=True,
        labelled=True,
        X_labelled=X_labelled,
    )
    uncertainty = least_confidence_score(pool.proba)
    space = Euclidean(pool.rows)
    labelled = pool.labelled_rows()
    nearest = LazyNearest(space, space.place(labelled))
    chosen: list[int] = []
    scores: list[float] = []
    if len(labelled) == 0:
        chosen.append(_most_central(space))
        scores.append(1.0)
        nearest.add(chosen[0])
    total = pool.n + len(labelled)
    with one_thread():
        for n_chosen in range(len(chosen), pool.k):
            alpha = (pool.n - n_chosen) / total

            def criterion(
                squared: NDArray[np.float64], alpha: float = alpha
            ) -> NDArray[np.float64]:
                unlike = 1 - 1 / (1 + np.sqrt(squared))
                return alpha * unlike + (1 - alpha) * uncertainty

            row, score, _ = nearest.best(criterion)
            nearest.add(row)
            chosen.append(row)
            scores.append(score)
    return pool.answer(chosen, scores)


def _most_central(space: Euclidean) -> int:
    """Find the row of the least mean distance, in blocks."""
    rows, norm = space.rows, space.norm.astype(np.float32)
    n = len(rows)
    first = rows.few(np.arange(min(n, _COLD_START_ROWS)))
    total = np.zeros(n)

    def work(which: Any, block: NDArray[np.float32]) -> None:
        squared = block @ first.T
        squared *= -2
        squared += norm[which, None]
        squared += norm[: len(first)]
        np.sqrt(np.maximum(squared, 0, out=squared), out=squared)
        total[which] = squared.sum(axis=1, dtype=np.float64)

    rows.each_block(work, 256)
    return int(np.argmin(total))
