"""Strategies that fit several heads and query where these disagree."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import softmax

from modal_pretrain._blas import one_thread
from modal_pretrain._checks import Number, Whole
from modal_pretrain.query._engine.arguments import RandomState
from modal_pretrain.query._engine.heads import fit_head, head_inputs, rank_and_answer
from modal_pretrain.query._engine.pool import Pool
from modal_pretrain.query._engine.select import Answer, in_chunks
from modal_pretrain.query._engine.threads import product
from modal_pretrain.query.scores import least_confidence_score

_CHUNK = 4096
_NOTHING = 1e-3  # of what another head tells apart, in log-odds
_REFERENCE = 2048  # rows of the pool that DivDis spreads its heads on


def orthogonal_probe_sampling(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    random_state: RandomState = None,
    X_labelled: Any = None,
    y_labelled: Any = None,
    n_probes: int = 2,
    n_components: int = 256,
    C: float = 10.0,
) -> Answer:
    """Query rows on which heads fitted in successive null spaces disagree.

    A first linear head is fitted to the labelled rows; its directions are projected
    out, a second is fitted to what is left, and so on [1]_. Each explains the labels
    from other features, as [2]_ has it for transfer. The score is the variance of the
    probabilities over the heads, summed over the classes.

    Where class and attribute go together in the labels, the hope is that the heads come
    to read one each. But a linear head reads both, along the difference of the classes'
    means, and leaves the next one little of either: rows in which the two come apart
    may be asked for less often than by chance. ``docs/disambiguation.md`` has it far
    below least confidence.

    Parameters
    ----------
    classifier : modAL learner or committee, Pipeline or estimator
        Gives probabilities and embeddings.
    X : array-like or list
        The pool, n rows.
    n_instances : int, default=1
        In [1, n].
    random_state : None, int, SeedSequence, Generator or RandomState
        Drives the sketch of the principal axes.
    X_labelled, y_labelled : array-like, optional
        The labelled set. By default, what a modAL learner remembers. Without labels
        of two classes the score is least confidence.
    n_probes : int, default=2
        Fewer are used once a head finds nothing to fit. If that is the second, as with
        one labelled row a class or a `C` of 0.01, the score is least confidence.
    n_components : int, default=256
        Principal coordinates the heads see.
    C : float, default=10.0
        Inverse regularisation of the heads on rows of mean squared length 1: little,
        as heads that fit their labels differ most.

    Returns
    -------
    query_idx : numpy.ndarray of shape (n_instances,), int64
        Rows of X, first queried first.
    scores : numpy.ndarray of shape (n_instances,), float64
        Largest first.

    Raises
    ------
    TypeError
        If there are no probabilities or embeddings, or an argument has a wrong type.
    ValueError
        If the pool is empty, an argument is out of range, or the probabilities,
        embeddings or labels are malformed.

    Notes
    -----
    Cost: a decomposition of a sample, two products with the pool; memory O(n d).

    References
    ----------
    .. [1] S. Ravfogel, Y. Elazar, H. Gonen, M. Twiton and Y. Goldberg, "Null it out:
       guarding protected attributes by iterative nullspace projection", ACL 2020,
       arXiv:2004.07667.
    .. [2] A. S. Chen, Y. Lee, A. Setlur, S. Levine and C. Finn, "Project and probe:
       sample-efficient domain adaptation by interpolating orthogonal features",
       arXiv:2302.05441.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> rng = np.random.default_rng(0)
    >>> X, seed = rng.normal(size=(50, 8)), rng.normal(size=(10, 8))
    >>> y = (seed[:, 0] > 0).astype(int)
    >>> model = LogisticRegression().fit(seed, y)
    >>> idx, scores = orthogonal_probe_sampling(model, X, 3, random_state=0,
    ...     X_labelled=seed, y_labelled=y)
    >>> bool((np.diff(scores) <= 0).all())
    True
    """
    Whole(least=2).check("n_probes", n_probes)
    Whole(least=1).check("n_components", n_components)
    C = float(Number(above=0).check("C", C))
    pool, coords, base, codes = head_inputs(
        classifier, X, n_instances, random_state, X_labelled, y_labelled, n_components
    )
    if codes is None:
        return _least_confident(pool)
    probes, most = [], 0.0
    left = base.astype(np.float64)
    for _ in range(n_probes):
        if np.ptp(left, axis=0).max(initial=0) < 1e-6:
            break
        with one_thread():
            head = fit_head(left, codes, C)
            told = float(np.ptp(left @ head.coef_.T, axis=0).max())
            # A fit ends near its optimum, so traces are left of directions taken away.
            if told < _NOTHING * most:
                break
            most = max(most, told)
            probes.append(head.predict_proba(coords))
            basis = directions(head.coef_)
            if not basis.shape[1]:
                break
            left -= (left @ basis) @ basis.T
        basis = basis.astype(np.float32)
        coords -= product(product(coords, basis), basis.T)
    if len(probes) < 2:
        return _least_confident(pool)
    score = np.var(np.stack(probes), axis=0).sum(axis=1)
    return rank_and_answer(pool, score)


def directions(coef: NDArray[np.floating]) -> NDArray[np.float64]:
    """Find an orthonormal basis of what a linear head reads.

    Of a softmax over c classes that is at most c - 1 directions, as its coefficients
    add up to zero: one more would be made of rounding errors.

    Parameters
    ----------
    coef : numpy.ndarray of shape (c, q)

    Returns
    -------
    numpy.ndarray of shape (q, rank), float64

    Examples
    --------
    >>> import numpy as np
    >>> directions(np.array([[2.0, 0.0, 0.0], [-2.0, 0.0, 0.0]])).shape
    (3, 1)
    """
    _, size, axes = np.linalg.svd(coef.astype(np.float64), full_matrices=False)
    basis: NDArray[np.float64] = axes[size > 1e-6 * size[0]].T
    return basis


def divdis_sampling(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    random_state: RandomState = None,
    X_labelled: Any = None,
    y_labelled: Any = None,
    weight: float = 10.0,
    n_components: int = 64,
    C: float = 10.0,
) -> Answer:
    """Query rows on which two deliberately different heads disagree (DivDis [1]_).

    Two linear heads are fitted together: both to the labelled rows, and so that on the
    pool their predictions tell nothing of each other (least mutual information). The
    score is the total variation distance of their probabilities.

    Parameters
    ----------
    classifier : modAL learner or committee, Pipeline or estimator
        Gives probabilities and embeddings.
    X : array-like or list
        The pool, n rows.
    n_instances : int, default=1
        In [1, n].
    random_state : None, int, SeedSequence, Generator or RandomState
        Drives the start of the heads and the sketch of the principal axes.
    X_labelled, y_labelled : array-like, optional
        The labelled set. By default, what a modAL learner remembers. Without labels
        of two classes the score is least confidence.
    weight : float, default=10.0
        Of the mutual information against the mean cross-entropy; the authors use 10
        on Waterbirds.
    n_components : int, default=64
        Principal coordinates the heads see.
    C : float, default=10.0
        Inverse regularisation on rows of mean squared length 1.

    Returns
    -------
    query_idx : numpy.ndarray of shape (n_instances,), int64
        Rows of X, first queried first.
    scores : numpy.ndarray of shape (n_instances,), float64
        Largest first, in [0, 1].

    Raises
    ------
    TypeError
        If there are no probabilities or embeddings, or an argument has a wrong type.
    ValueError
        If the pool is empty, an argument is out of range, or the probabilities,
        embeddings or labels are malformed.

    Notes
    -----
    The authors train the heads by SGD on top of a shared network; here the features
    are fixed and L-BFGS is used. The pool is represented by at most 2,048 rows.
    Memory O(n d).

    References
    ----------
    .. [1] Y. Lee, H. Yao and C. Finn, "Diversify and disambiguate: learning from
       underspecified data", ICLR 2023, arXiv:2202.03418.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> rng = np.random.default_rng(0)
    >>> X = rng.choice([-1.0, 1.0], size=(200, 2)) + rng.normal(0, 0.1, (200, 2))
    >>> seed, y = np.array([[1.0, 1.0], [-1.0, -1.0]]), np.array([1, 0])
    >>> model = LogisticRegression().fit(seed, y)
    >>> idx, _ = divdis_sampling(model, X, 5, random_state=0,
    ...     X_labelled=seed, y_labelled=y)
    >>> bool((X[idx].prod(axis=1) < 0).all())
    True
    """
    weight = float(Number(least=0).check("weight", weight))
    Whole(least=1).check("n_components", n_components)
    C = float(Number(above=0).check("C", C))
    pool, coords, base, codes = head_inputs(
        classifier, X, n_instances, random_state, X_labelled, y_labelled, n_components
    )
    if codes is None:
        return _least_confident(pool)
    reference = coords[:_REFERENCE].astype(np.float64)
    n_classes = int(codes.max()) + 1
    with one_thread():
        first, second = _two_heads(
            base.astype(np.float64), codes, reference, n_classes, weight, C, pool.rng
        )

    def score(rows: NDArray[np.float32]) -> NDArray[np.float64]:
        table = np.column_stack([rows.astype(np.float64), np.ones(len(rows))])
        gap = softmax(table @ first, axis=1) - softmax(table @ second, axis=1)
        return 0.5 * np.abs(gap).sum(axis=1)

    return rank_and_answer(pool, in_chunks(score, _CHUNK, coords))


def _two_heads(
    base: NDArray[np.float64],
    codes: NDArray[np.intp],
    reference: NDArray[np.float64],
    n_classes: int,
    weight: float,
    C: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    labelled = np.column_stack([base, np.ones(len(base))])
    pool = np.column_stack([reference, np.ones(len(reference))])
    target = np.eye(n_classes)[codes]
    shape = (2, labelled.shape[1], n_classes)
    ridge = np.full((shape[1], 1), 1 / (C * len(base)))
    ridge[-1] = 0

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        heads = flat.reshape(shape)
        value, slope = 0.0, np.zeros(shape)
        probes = []
        for i, head in enumerate(heads):
            fitted = softmax(labelled @ head, axis=1)
            value -= float(np.log((fitted * target).sum(axis=1) + 1e-300).mean())
            value += 0.5 * float((ridge * head**2).sum())
            slope[i] = labelled.T @ (fitted - target) / len(base) + ridge * head
            probes.append(softmax(pool @ head, axis=1))
        information, slopes = mutual_information(*probes)
        value += weight * information
        for i, (p, g) in enumerate(zip(probes, slopes, strict=True)):
            inner = p * (g - (p * g).sum(axis=1, keepdims=True))
            slope[i] += weight * (pool.T @ inner)
        return value, slope.ravel()

    start = rng.normal(0, 0.1, shape).ravel()
    best = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200})
    first, second = best.x.reshape(shape)
    return first, second


def mutual_information(
    p: NDArray[np.float64], q: NDArray[np.float64]
) -> tuple[float, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Give the mutual information of two heads' predictions, and its gradients.

    Parameters
    ----------
    p, q : numpy.ndarray of shape (n, n_classes)
        Probabilities of the two heads on the same rows.

    Returns
    -------
    value : float
        In nats; 0 for independent predictions.
    gradients : two numpy.ndarray of shape (n, n_classes)

    Examples
    --------
    >>> import numpy as np
    >>> p = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> round(mutual_information(p, p)[0], 4)
    0.6931
    >>> round(mutual_information(p, np.full((2, 2), 0.5))[0], 4)
    0.0
    """
    n = len(p)
    joint = np.maximum(p.T @ q / n, 1e-12)
    of_p, of_q = joint.sum(axis=1), joint.sum(axis=0)
    ratio = np.log(joint) - np.log(of_p)[:, None] - np.log(of_q)
    # Constants per row drop out behind the softmax.
    return float((joint * ratio).sum()), (q @ ratio.T / n, p @ ratio / n)


def _least_confident(pool: Pool) -> Answer:
    return rank_and_answer(pool, least_confidence_score(pool.proba))
