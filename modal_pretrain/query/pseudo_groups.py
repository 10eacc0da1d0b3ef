"""Balance over groups that are guessed: the class times what the clusters suggest."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modal_pretrain._checks import Whole
from modal_pretrain.query._engine.arguments import RandomState
from modal_pretrain.query._engine.coordinates import principal_coordinates
from modal_pretrain.query._engine.heads import columns_of_labels, head_inputs
from modal_pretrain.query._engine.kmeans import assign, kmeans
from modal_pretrain.query._engine.select import Answer
from modal_pretrain.query._engine.surroundings import cluster_mean


def pseudo_group_sampling(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    random_state: RandomState = None,
    X_labelled: Any = None,
    y_labelled: Any = None,
    n_clusters: int = 24,
    n_components: int = 64,
) -> Answer:
    """Query so that the labels balance over pseudo-groups of class and attribute.

    Methods that train robustly without group labels guess the groups from clusters or
    from errors [1]_, [2]_. Here the guessed attribute of a row is the dominant
    predicted class of its k-means cluster; a pseudo-group is a pair of class and
    attribute. Row by row, the pseudo-group with the fewest labelled rows so far is
    asked for, and of the pool the row most probably in it: that of the attribute with
    the largest probability of the class. What is queried counts by its probabilities
    until its label is known.

    Parameters
    ----------
    classifier : modAL learner or committee, Pipeline or estimator
        Gives probabilities and embeddings.
    X : array-like or list
        The pool, n rows.
    n_instances : int, default=1
        In [1, n].
    random_state : None, int, SeedSequence, Generator or RandomState
        Drives the clustering and the sketch of the principal axes.
    X_labelled, y_labelled : array-like, optional
        The labelled set. By default, what a modAL learner remembers. Where it is not
        known, or its classes are not those of the classifier, counts start from
        nothing.
    n_clusters : int, default=24
        As in `atypicality_sampling`.
    n_components : int, default=64
        Whitened principal coordinates in which rows are clustered.

    Returns
    -------
    query_idx : numpy.ndarray of shape (n_instances,), int64
        Rows of X, first queried first.
    scores : numpy.ndarray of shape (n_instances,), float64
        Probability of the class that the row was asked for. Not ordered, as the
        pseudo-groups take turns.

    Raises
    ------
    TypeError
        If there are no probabilities or embeddings, or an argument has a wrong type.
    ValueError
        If the pool is empty, an argument is out of range, or the probabilities,
        embeddings or labels are malformed.

    Notes
    -----
    A measured warning: where the classifier is confidently wrong on a whole group, its
    guesses of the group are wrong too, and the rows it asks for are confident, typical
    ones.

    References
    ----------
    .. [1] N. Sohoni, J. Dunnmon, G. Angus, A. Gu and C. Re, "No subclass left behind:
       fine-grained robustness in coarse-grained classification problems", NeurIPS 2020,
       arXiv:2011.12945.
    .. [2] Y. Yang, E. Gan, G. K. Dziugaite and B. Mirzasoleiman, "Identifying spurious
       biases early in training through the lens of simplicity bias", AISTATS 2024,
       arXiv:2305.18761.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> X = np.array([[-2.0], [-1.9], [-1.5], [1.9], [2.0]])
    >>> seed, y = np.array([[-1.0], [1.0]]), np.array([0, 1])
    >>> model = LogisticRegression().fit(seed, y)
    >>> pseudo_group_sampling(model, X, 2, random_state=0, X_labelled=seed,
    ...     y_labelled=y, n_clusters=2)[0].tolist()
    [3, 2]
    """
    Whole(least=1).check("n_clusters", n_clusters)
    Whole(least=1).check("n_components", n_components)
    pool, _, _, codes = head_inputs(
        classifier, X, n_instances, random_state, X_labelled, y_labelled, 1
    )
    coords, base = principal_coordinates(pool, n_components)
    clusters = kmeans(coords, min(n_clusters, pool.n), pool.rng)
    n_classes = pool.proba.shape[1]
    attribute = cluster_mean(pool.proba, clusters.labels).argmax(axis=1)
    count = np.zeros((n_classes, n_classes))
    codes = columns_of_labels(classifier, pool, codes)
    if codes is not None:
        of_cluster = np.zeros(len(clusters.centres), dtype=np.intp)
        of_cluster[clusters.labels] = attribute
        guessed = of_cluster[assign(base, clusters.centres)[0]]
        np.add.at(count, (codes, guessed), 1)
    chosen, scores = balance(pool.proba, attribute, count, pool.k)
    return pool.answer(chosen, scores)


def balance(
    proba: NDArray[np.float64],
    attribute: NDArray[np.intp],
    count: NDArray[np.float64],
    k: int,
) -> tuple[list[int], list[float]]:
    """Fill the pseudo-groups with the fewest labelled rows, one row at a time.

    Parameters
    ----------
    proba : numpy.ndarray of shape (n, n_classes)
    attribute : numpy.ndarray of shape (n,)
        Guessed attribute of each row, a class.
    count : numpy.ndarray of shape (n_classes, n_classes)
        Labelled rows of each class and attribute.
    k : int

    Returns
    -------
    chosen : list of k int
    scores : list of k float

    Examples
    --------
    >>> import numpy as np
    >>> proba = np.array([[0.75, 0.25], [0.5, 0.5], [0.25, 0.75]])
    >>> balance(proba, np.array([0, 0, 1]), np.array([[5.0, 5.0], [0.0, 5.0]]), 1)
    ([1], [0.5])
    """
    count = count.copy()
    free = np.ones(len(proba), dtype=bool)
    chosen, scores = [], []
    for _ in range(k):
        left = np.bincount(attribute[free], minlength=len(count)) > 0
        wanted = np.where(left, count, np.inf)
        label, kind = np.unravel_index(int(wanted.argmin()), wanted.shape)
        value = np.where(free & (attribute == kind), proba[:, label], -1.0)
        best = int(value.argmax())
        free[best] = False
        count[:, kind] += proba[best]
        chosen.append(best)
        scores.append(float(value[best]))
    return chosen, scores
