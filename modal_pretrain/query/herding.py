"""MaxHerding and Uncertainty Herding: greedy kernel coverage of the pool."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modal_pretrain._checks import Number, Whole
from modal_pretrain.query._engine.arguments import RandomState
from modal_pretrain.query._engine.coverage import (
    LEAST_RADIUS,
    RADIUS,
    Coverage,
    Gaussian,
)
from modal_pretrain.query._engine.pool import Pool, form_of
from modal_pretrain.query._engine.select import Answer
from modal_pretrain.query._engine.temperature import fit_temperature, soften
from modal_pretrain.query._engine.threads import product
from modal_pretrain.query.scores import margin_score


def max_herding_sampling(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    random_state: RandomState = None,
    X_labelled: Any = None,
    sigma: float = 1.0,
    normalize: bool = True,
    n_reference: int | None = 10_000,
) -> Answer:
    """Query the rows that add most to a smooth coverage of the pool [1]_.

    The coverage of a set is the mean, over the pool, of the similarity
    ``exp(-(distance / sigma)**2)`` to the most similar row of the set. Each row is the
    one that, with the labelled and the chosen ones, raises it most. It asks: which rows
    stand for most of what nothing stands for yet? It is for small budgets, the first
    round included, and less sensitive to its radius than ProbCover.

    Parameters
    ----------
    classifier : modAL learner or committee, Pipeline or estimator
        Gives embeddings; need not be fitted if it can embed without that.
    X : array-like or list
        The pool, n rows.
    n_instances : int, default=1
        In [1, n].
    random_state : None, int, SeedSequence, Generator or RandomState
        Not used; the answer does not depend on chance.
    X_labelled : array-like or list, optional
        Labelled rows, of the same kind as X. By default, what a modAL learner
        remembers; none is fine.
    sigma : float, default=1.0
        Radius of the kernel, in [1e-15, 1e15].
    normalize : bool, default=True
        Scale embeddings to length 1 first, as the authors do.
    n_reference : int or None, default=10_000
        Coverage is measured on this many rows of a larger pool, taken in an order that
        depends on the content of the rows only. None measures it on all.

    Returns
    -------
    query_idx : numpy.ndarray of shape (n_instances,), int64
        Rows of X, first queried first.
    scores : numpy.ndarray of shape (n_instances,), float64
        What the row added to the mean coverage, in [0, 1], not increasing.

    Raises
    ------
    TypeError
        If there are no embeddings, or an argument has a wrong type.
    ValueError
        If the pool is empty, an argument is out of range, or the embeddings are
        malformed or not finite.

    Notes
    -----
    Cost: ``n * n_reference`` kernel values once, in float32 and in blocks (half as many
    if the pool is no larger than `n_reference`), then a few rows a step; memory
    O(n d). Gains that differ by less than about a part in a million are told apart by
    rounding.

    References
    ----------
    .. [1] W. Bae, J. Noh and D. J. Sutherland, "Generalized coverage for more robust
       low-budget active learning", ECCV 2024, arXiv:2407.12212.

    Examples
    --------
    >>> import numpy as np
    >>> angle = np.radians([0.0, 4.0, 10.0, 88.0, 90.0])
    >>> X = np.column_stack([np.cos(angle), np.sin(angle)])
    >>> max_herding_sampling(None, X, 1, sigma=0.2)[0].tolist()
    [1]
    """
    sigma = float(RADIUS.check("sigma", sigma))
    Whole(least=1, also=(None,)).check("n_reference", n_reference)
    pool = Pool(
        classifier,
        X,
        n_instances,
        random_state,
        form=form_of(normalize),
        labelled=True,
        X_labelled=X_labelled,
    )
    m = pool.n if n_reference is None else min(pool.n, int(n_reference))
    return _herd(pool, sigma, np.full(m, 1 / m))


def uncertainty_herding_sampling(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    random_state: RandomState = None,
    X_labelled: Any = None,
    sigma: float | None = None,
    temperature: float = 1.0,
    X_calibration: Any = None,
    y_calibration: Any = None,
    normalize: bool = True,
    n_reference: int | None = 10_000,
) -> Answer:
    """Query the rows that add most to a coverage of the uncertain pool [1]_.

    As `max_herding_sampling`, with every row of the pool weighted by its margin
    uncertainty, and a radius that shrinks as labels come in, so that the strategy moves
    from representative to uncertain rows by itself.

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
        remembers; none is fine.
    sigma : float or None, default=None
        Radius of the kernel, in [1e-15, 1e15]. None takes the least positive distance
        between two labelled rows, as the paper does, or 1 if there is none.
    temperature : float, default=1.0
        Probabilities are raised to ``1 / temperature``: above 1 softens them.
    X_calibration, y_calibration : array-like, optional
        Labelled rows the classifier was not trained on. If given, the temperature is
        the one of the least expected calibration error on them, as in the paper (which
        trains a second model to have such rows).
    normalize : bool, default=True
        Scale embeddings to length 1 first, as the authors do.
    n_reference : int or None, default=10_000
        Coverage is measured on this many rows of a larger pool, taken in an order that
        depends on the content of the rows only. None measures it on all.

    Returns
    -------
    query_idx : numpy.ndarray of shape (n_instances,), int64
        Rows of X, first queried first.
    scores : numpy.ndarray of shape (n_instances,), float64
        What the row added to the weighted mean coverage, in [0, 1], not increasing.

    Raises
    ------
    TypeError
        If there are no probabilities or embeddings, or an argument has a wrong type.
    ValueError
        If the pool is empty, an argument is out of range, or the probabilities or
        embeddings are malformed or not finite.

    Notes
    -----
    Cost and rounding: as `max_herding_sampling`. If no row is uncertain at all, every
    row has the same weight.

    References
    ----------
    .. [1] W. Bae, G. L. Oliveira and D. J. Sutherland, "Uncertainty herding: one active
       learning method for all label budgets", ICLR 2025, arXiv:2412.20644.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> X = np.array([[1.0, 0.9], [0.9, 1.0], [1.0, 1.0], [5.0, 0.1], [0.1, 5.0]])
    >>> model = LogisticRegression().fit([[1.0, 0.0], [0.0, 1.0]], [0, 1])
    >>> uncertainty_herding_sampling(model, X, 1, sigma=0.3)[0].tolist()
    [2]
    """
    if sigma is not None:
        sigma = float(RADIUS.check("sigma", sigma))
    temperature = float(Number(above=0).check("temperature", temperature))
    Whole(least=1, also=(None,)).check("n_reference", n_reference)
    if (X_calibration is None) != (y_calibration is None):
        raise ValueError(
            "X_calibration and y_calibration go together; pass both or neither."
        )
    pool = Pool(
        classifier,
        X,
        n_instances,
        random_state,
        form=form_of(normalize),
        proba=True,
        labelled=True,
        X_labelled=X_labelled,
    )
    if X_calibration is not None and pool.fitted:
        temperature = fit_temperature(classifier, X_calibration, y_calibration)
    if sigma is None:
        sigma = _least_distance(pool.labelled_rows())
    m = pool.n if n_reference is None else min(pool.n, int(n_reference))
    weights = np.ones(m)
    if pool.fitted:
        weights = margin_score(soften(pool.proba[:m], temperature))
        if not weights.any():
            weights = np.ones(m)
    return _herd(pool, sigma, weights / m)


def _herd(pool: Pool, sigma: float, weights: NDArray[np.float64]) -> Answer:
    base = pool.labelled_rows().astype(np.float32)
    coverage = Coverage(pool.rows.fast, Gaussian(sigma), len(weights), weights, base)
    chosen, scores = [], []
    for _ in range(pool.k):
        row, gain = coverage.best()
        coverage.add(row)
        chosen.append(row)
        scores.append(gain)
    return pool.answer(chosen, scores)


def _least_distance(rows: NDArray[np.float64]) -> float:
    """Find the least positive distance between two rows; 1 if there is none."""
    least = np.inf
    norm = np.einsum("ij,ij->i", rows, rows)
    for start in range(0, len(rows), 1024):
        part = slice(start, start + 1024)
        scale = norm[part, None] + norm
        squared = scale - 2 * product(rows[part], rows.T)
        squared = squared[squared > 1e-12 * np.maximum(scale, 1e-300)]
        least = min(least, squared.min(initial=np.inf))
    return max(float(np.sqrt(least)), LEAST_RADIUS) if np.isfinite(least) else 1.0
