"""DropQuery: rows whose predicted class does not survive dropout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from modal_pretrain._blas import one_thread
from modal_pretrain._checks import Number, Whole
from modal_pretrain.query._engine.arguments import RandomState
from modal_pretrain.query._engine.embeddings import predictor_on_embeddings
from modal_pretrain.query._engine.kmeans import closest_rows, kmeans
from modal_pretrain.query._engine.pool import Pool
from modal_pretrain.query._engine.select import Answer
from modal_pretrain.query._engine.threads import in_threads
from modal_pretrain.query.scores import margin_score

_CHUNK = 1024
Head = Callable[[NDArray[np.floating]], NDArray[np.floating]]


def drop_query_sampling(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    random_state: RandomState = None,
    n_passes: int = 3,
    dropout: float = 0.75,
) -> Answer:
    """Query diverse rows whose predicted class changes under dropout [1]_.

    The embeddings are thinned out `n_passes` times by dropout and classified again.
    Rows whose class changes in more than half the passes are candidates; they are
    clustered by k-means into `n_instances` clusters, and the row nearest each centre is
    taken. It asks: which predictions hang on few features? Made for frozen foundation
    models.

    Parameters
    ----------
    classifier : modAL learner or committee, Pipeline or estimator
        Gives probabilities and embeddings. Unfitted, all rows are candidates.
    X : array-like or list
        The pool, n rows.
    n_instances : int, default=1
        In [1, n].
    random_state : None, int, SeedSequence, Generator or RandomState
        Drives the dropout and the clustering.
    n_passes : int, default=3
        At least 1.
    dropout : float, default=0.75
        Share of each embedding set to 0, in (0, 1); the rest is scaled up to make up
        for it.

    Returns
    -------
    query_idx : numpy.ndarray of shape (n_instances,), int64
        Rows of X, first queried first: those of the largest clusters.
    scores : numpy.ndarray of shape (n_instances,), float64
        Share of the passes in which the class changed, in [0, 1].

    Raises
    ------
    TypeError
        If there are no probabilities or embeddings, or an argument has a wrong type.
    ValueError
        If the pool is empty, an argument is out of range, or the probabilities or
        embeddings are malformed or not finite.

    Notes
    -----
    If fewer rows than `n_instances` are candidates, those with the most changes, then
    the smallest margins, are added, and no clustering is needed.

    Where the head that works on the embeddings is out of reach (an estimator with
    `embed`), it is recovered: centred log-probabilities of a linear softmax head are
    linear in the embeddings, so ridge regression on up to 10,000 rows finds it. For
    other heads that is the nearest linear one.

    Cost: `n_passes` predictions of the pool and a k-means of the candidates; memory
    O(n d).

    References
    ----------
    .. [1] S. R. Gupte, J. Aklilu, J. J. Nirschl and S. Yeung-Levy, "Revisiting active
       learning in the era of vision foundation models", TMLR 2024, arXiv:2401.14555.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> X = np.ones((6, 40))
    >>> X[0, ::2] = X[1, 1::2] = -0.9
    >>> model = LogisticRegression().fit([[-1.0] * 40, [1.0] * 40], [0, 1])
    >>> idx, scores = drop_query_sampling(model, X, 2, random_state=0, n_passes=9)
    >>> sorted(idx.tolist())
    [0, 1]
    """
    Whole(least=1).check("n_passes", n_passes)
    dropout = float(Number(above=0, below=1).check("dropout", dropout))
    pool = Pool(classifier, X, n_instances, random_state, proba=True)
    changed = np.full(pool.n, n_passes)
    if pool.fitted:
        head = predictor_on_embeddings(classifier, X) or _recover_head(pool)
        with one_thread():
            changed = _count_changes(pool, head, n_passes, dropout)
    candidates = np.flatnonzero(changed > n_passes // 2)
    if len(candidates) <= pool.k:
        ranked = np.lexsort((-margin_score(pool.proba), -changed))
        chosen = ranked[: pool.k]
        return pool.answer(chosen, changed[chosen] / n_passes)
    rows = pool.rows.few(candidates)
    clusters = kmeans(rows, pool.k, pool.rng)
    size = np.bincount(clusters.labels, minlength=pool.k)
    large = np.argsort(-size, kind="stable")
    chosen = candidates[closest_rows(rows, clusters.centres[large])]
    return pool.answer(chosen, changed[chosen] / n_passes)


def _count_changes(
    pool: Pool, head: Head, n_passes: int, dropout: float
) -> NDArray[np.intp]:
    """Count the passes in which each row's class changes."""
    changed = np.zeros(pool.n, dtype=np.intp)
    limit = round(dropout * 2**16)
    scale = pool.rows.source.dtype.type(1 / (1 - dropout))
    for start in range(0, pool.n, _CHUNK):
        part = slice(start, start + _CHUNK)
        x = pool.rows.as_stored(part)
        before = np.asarray(head(x)).argmax(axis=1)
        for _ in range(n_passes):
            kept = pool.rng.integers(2**16, size=x.shape, dtype=np.uint16) >= limit
            after = np.asarray(head(x * kept * scale)).argmax(axis=1)
            changed[part] += after != before
    return changed


def _recover_head(pool: Pool, max_rows: int = 10_000) -> Head:
    """Find the linear head whose softmax comes nearest the probabilities."""
    m = min(pool.n, max_rows)
    logits = np.log(np.maximum(pool.proba[:m], 1e-12))
    logits -= logits.mean(axis=1, keepdims=True)
    x = pool.rows.as_stored(slice(m)).astype(np.float64)
    alpha = 1e-6 * m * float(x.var(axis=0).mean()) + 1e-12
    mean = x.mean(axis=0)
    x -= mean
    # Ridge regression, by normal equations that are summed block by block.
    gram = alpha * np.eye(x.shape[1])
    slope = np.zeros((x.shape[1], logits.shape[1]))

    def sums(start: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        block = slice(start, start + _CHUNK)
        return x[block].T @ x[block], x[block].T @ logits[block]

    for squares, products in in_threads(sums, range(0, m, _CHUNK)):
        gram += squares
        slope += products
    with one_thread():
        weights = linalg.solve(gram, slope, assume_a="pos")
        bias = logits.mean(axis=0) - mean @ weights
    return lambda rows: rows @ weights + bias
