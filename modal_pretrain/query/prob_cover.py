"""ProbCover: cover the pool with balls of a radius that keeps them pure."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modal_pretrain._checks import Number, Whole
from modal_pretrain.query._engine.arguments import RandomState
from modal_pretrain.query._engine.classifier import number_of_classes
from modal_pretrain.query._engine.coverage import RADIUS, Ball, Coverage, Distances
from modal_pretrain.query._engine.kmeans import kmeans
from modal_pretrain.query._engine.pool import Pool, form_of
from modal_pretrain.query._engine.select import Answer
from modal_pretrain.query._engine.threads import in_threads

_BLOCK = 512
_BALLS = 1024  # whose purity is measured


def prob_cover_sampling(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    random_state: RandomState = None,
    X_labelled: Any = None,
    y_labelled: Any = None,
    delta: float | None = None,
    alpha: float = 0.95,
    n_classes: int | None = None,
    normalize: bool = True,
    n_reference: int | None = 10_000,
) -> Answer:
    """Query the rows whose balls cover most of what is not covered yet [1]_.

    A row covers all rows nearer than `delta`. Each row is the one that covers the most
    rows not covered by labelled or chosen ones. It asks: where is the pool densest
    among what we know nothing of? It is for small budgets, the first round included.

    Parameters
    ----------
    classifier : modAL learner or committee, Pipeline or estimator
        Gives embeddings; need not be fitted if it can embed without that.
    X : array-like or list
        The pool, n rows.
    n_instances : int, default=1
        In [1, n].
    random_state : None, int, SeedSequence, Generator or RandomState
        Drives the clustering that sets `delta`; not used if `delta` is given.
    X_labelled, y_labelled : array-like or list, optional
        Labelled rows, of the same kind as X, and their labels. By default, what a modAL
        learner remembers; none is fine.
    delta : float or None, default=None
        Radius of the balls, in [1e-15, 1e15]. None takes the largest radius at which a
        share `alpha` of the balls is pure, holding rows of one k-means cluster only, as
        the paper does; here it is found exactly, not on a grid, for (at most) 1,024
        balls.
    alpha : float, default=0.95
        In (0, 1).
    n_classes : int or None, default=None
        Clusters for setting `delta`, at least 2. None takes the classes the classifier
        or `y_labelled` know, or 2.
    normalize : bool, default=True
        Scale embeddings to length 1 first, as the authors do.
    n_reference : int or None, default=10_000
        Coverage and purity are measured on this many rows of a larger pool, taken in an
        order that depends on the content of the rows only. None measures them on all.

    Returns
    -------
    query_idx : numpy.ndarray of shape (n_instances,), int64
        Rows of X, first queried first.
    scores : numpy.ndarray of shape (n_instances,), float64
        Share of the (reference) rows the row newly covered, in [0, 1], not increasing.

    Raises
    ------
    TypeError
        If there are no embeddings, or an argument has a wrong type.
    ValueError
        If the pool is empty, an argument is out of range, or the embeddings are
        malformed or not finite.

    Notes
    -----
    Cost: ``n * n_reference`` distances once, in float32 and in blocks, and
    ``1024 * n_reference`` to set `delta`; then a few rows a step; memory O(n d). Once
    everything is covered, rows follow in an order given by their content.

    References
    ----------
    .. [1] O. Yehuda, A. Dekel, G. Hacohen and D. Weinshall, "Active learning through a
       covering lens", NeurIPS 2022, arXiv:2205.11320.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0.0], [1.0], [2.0], [10.0], [11.0]])
    >>> idx, scores = prob_cover_sampling(None, X, 1, delta=1.5, normalize=False)
    >>> idx.tolist(), scores.tolist()
    ([1], [0.6])
    """
    if delta is not None:
        delta = float(RADIUS.check("delta", delta))
    alpha = float(Number(above=0, below=1).check("alpha", alpha))
    Whole(least=2, also=(None,)).check("n_classes", n_classes)
    Whole(least=1, also=(None,)).check("n_reference", n_reference)
    pool = Pool(
        classifier,
        X,
        n_instances,
        random_state,
        form=form_of(normalize),
        labelled=True,
        X_labelled=X_labelled,
        y_labelled=y_labelled,
    )
    m = pool.n if n_reference is None else min(pool.n, int(n_reference))
    if delta is None:
        if n_classes is None:
            n_classes = number_of_classes(classifier, pool.labelled.y)
        clusters = min(max(n_classes or 2, 2), m)
        delta = _pure_radius(pool.rows.fast[:m], clusters, alpha, pool.rng)
    base = pool.labelled_rows().astype(np.float32)
    # Whole numbers are exact in float32; shares would not be.
    coverage = Coverage(pool.rows.fast, Ball(delta), m, np.ones(m), base)
    chosen, scores = [], []
    for _ in range(pool.k):
        row, gain = coverage.best()
        coverage.add(row)
        chosen.append(row)
        scores.append(gain / m)
    return pool.answer(chosen, scores)


def _pure_radius(
    rows: NDArray[np.float32], k: int, alpha: float, rng: np.random.Generator
) -> float:
    """Find the largest radius at which a share alpha of the balls is pure."""
    labels = kmeans(rows, k, rng).labels
    gap = nearest_other(rows, labels, min(len(rows), _BALLS))
    gap = np.sort(gap[np.isfinite(gap)])
    if len(gap) == 0 or gap[-1] == 0:
        return 1.0  # all rows are alike: any radius does
    radius = gap[min(int((1 - alpha) * len(gap) + 1e-9), len(gap) - 1)]
    return float(radius if radius > 0 else gap[gap > 0][0])


def nearest_other(
    rows: NDArray[np.float32], labels: NDArray[np.intp], q: int
) -> NDArray[np.float64]:
    """Find the distance to the nearest row of another label, for the first q rows.

    Parameters
    ----------
    rows : numpy.ndarray of shape (m, d), float32
    labels : numpy.ndarray of shape (m,), int
    q : int in [1, m]

    Returns
    -------
    numpy.ndarray of shape (q,), float64
        Infinite where there is no other label.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[0.0], [1.0], [3.0]], dtype=np.float32)
    >>> nearest_other(x, np.array([0, 0, 1]), 3).tolist()
    [3.0, 2.0, 2.0]
    """
    order = np.argsort(labels, kind="stable")
    distances = Distances(np.ascontiguousarray(rows[order]))
    place = np.empty(len(rows), dtype=np.intp)
    place[order] = np.arange(len(rows))
    ends = np.cumsum(np.bincount(labels))
    out = np.full(q, np.inf)
    groups = []
    for label, end in enumerate(ends):
        begin = ends[label - 1] if label else 0
        mine = np.flatnonzero(labels[:q] == label)
        parts = [mine[i : i + _BLOCK] for i in range(0, len(mine), _BLOCK)]
        groups += [(part, begin, end) for part in parts]

    def work(group: tuple[NDArray[np.intp], int, int]) -> None:
        part, begin, end = group
        for low, high in ((0, begin), (end, len(rows))):
            for start in range(low, high, _BLOCK):
                other = slice(start, min(start + _BLOCK, high))
                squared = distances.block(place[part], other)
                gap = np.sqrt(squared.min(axis=1).astype(np.float64))
                out[part] = np.minimum(out[part], gap)

    for _ in in_threads(work, groups):
        pass
    return out
