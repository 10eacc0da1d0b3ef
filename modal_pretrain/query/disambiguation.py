"""The recommended strategy: half of it uncertain, half at odds with its cluster."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modal_pretrain._checks import Whole
from modal_pretrain.query._engine.arguments import RandomState
from modal_pretrain.query._engine.classifier import one_hot
from modal_pretrain.query._engine.coordinates import (
    principal_coordinates,
    squared_distance,
)
from modal_pretrain.query._engine.order import steady
from modal_pretrain.query._engine.pool import Pool
from modal_pretrain.query._engine.select import Answer
from modal_pretrain.query._engine.surroundings import (
    AtOdds,
    Surroundings,
    at_odds,
    surroundings,
)


def disambiguation_sampling(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    random_state: RandomState = None,
    X_labelled: Any = None,
    y_labelled: Any = None,
    shortlist: int = 1,
    cluster_size: int = 25,
    n_levels: int = 4,
    n_components: int = 64,
) -> Answer:
    """Query rows that show what the task is, where the labels so far leave it open.

    Two experts take turns, row by row.

    - *Uncertain and spread*: of the most uncertain rows, as many as the batch has, the
      one farthest from all that is labelled or already chosen. Uncertainty on its own
      [1]_ asks about rows in which class and attribute contradict each other, and in a
      large batch many times about the same contradiction. Most of these rows turn out
      to be labelled as the attribute says, and teach the model to trust it.
    - *At odds*: the row that leans furthest to another class than the one that
      dominates the clusters around it, over 1 + the number of labels there and the
      square root of 1 + the number of labels of that class where that other class
      dominates. It finds exceptions even where the classifier is sure of them, which
      uncertainty does not; what is known already is not asked about again and again.

    Parameters
    ----------
    classifier : modAL learner or committee, Pipeline or estimator
        Gives probabilities and embeddings. One that has not been fitted has its batch
        spread over the pool.
    X : array-like or list
        The pool, n rows.
    n_instances : int, default=1
        In [1, n].
    random_state : None, int, SeedSequence, Generator or RandomState
        Drives the clustering and the sketch of the principal axes.
    X_labelled, y_labelled : array-like or list, optional
        Labelled rows, of the same kind as X, and their labels. By default, what a
        modAL learner remembers. Where no rows are known, the first row is the most
        uncertain one.
    shortlist : int, default=1
        Rows that the first expert chooses from, for each row of the batch. More of them
        spread further and are less uncertain.
    cluster_size : int, default=25
        Mean rows per cluster of the finest clustering, which has 2 to 256 clusters.
    n_levels : int, default=4
        Number of clusterings, each of half as many clusters as the one before. What
        surrounds a row is averaged over them.
    n_components : int, default=64
        Principal coordinates in which rows are clustered and spread.

    Returns
    -------
    query_idx : numpy.ndarray of shape (n_instances,), int64
        Rows of X, first queried first.
    scores : numpy.ndarray of shape (n_instances,), float64
        What the expert in turn goes by: squared distance to what is labelled, in
        units of the mean squared length of a row (0 for the first row where nothing is
        labelled), or how far the row is at odds, discounted by what is known. The two
        are not comparable, so not ordered.

    Raises
    ------
    TypeError
        If there are no probabilities or embeddings, or an argument has a wrong type.
    ValueError
        If the pool is empty, an argument is out of range, labels and labelled rows
        differ in number, or the probabilities or embeddings are malformed or not
        finite.

    Notes
    -----
    What it gains on least confidence, and where it gains nothing, on which backbones
    and sizes: ``docs/disambiguation.md``.

    Nothing is remembered between calls: whose turn it is follows from the number of
    labelled rows (of a committee, of its first member).

    Cost: a decomposition of a sample, one product with the pool, a k-means in few
    dimensions for each level, and n_instances passes over the shortlist; memory
    O(n d).

    References
    ----------
    .. [1] A. Tamkin, D. Nguyen, S. Deshpande, J. Mu and N. Goodman, "Active learning
       helps pretrained models learn the intended task", NeurIPS 2022, arXiv:2204.08491,
       is where uncertainty is studied for this purpose.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> X = np.array([[-3.0], [-0.2], [0.1], [2.0]])
    >>> seed, y = np.array([[-1.0], [-0.9], [-0.8], [1.0]]), [0, 0, 0, 1]
    >>> model = LogisticRegression(class_weight="balanced").fit(seed, y)
    >>> disambiguation_sampling(model, X, random_state=0,
    ...     X_labelled=seed, y_labelled=y)[0].tolist()
    [2]
    """
    Whole(least=1).check("shortlist", shortlist)
    Whole(least=1).check("cluster_size", cluster_size)
    Whole(least=1).check("n_levels", n_levels)
    Whole(least=1).check("n_components", n_components)
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
    around = surroundings(coords, base, pool.proba, cluster_size, n_levels, pool.rng)
    uncertainty = steady(1 - pool.proba.max(axis=1))
    candidates = np.argsort(-uncertainty, kind="stable")[: int(shortlist) * pool.k]
    labels = one_hot(classifier, pool.labels(), pool.proba.shape[1])
    far = SpreadExpert(coords[candidates], candidates, base)
    odds = at_odds(pool.proba, around.mean)
    other = AtOddsExpert(odds, around, labels)
    chosen, scores = [], []
    free = np.ones(pool.n, dtype=bool)
    both = pool.fitted and pool.proba.shape[1] > 1
    start = pool.labelled.turn
    for turn in range(start, start + pool.k):
        row, score = (other if both and turn % 2 else far).best(free)
        free[row] = False
        far.add(coords[row])
        other.add(row, pool.proba[row])
        chosen.append(row)
        scores.append(score)
    return pool.answer(chosen, scores)


class SpreadExpert:
    """The first expert: the uncertain row that is far from what is labelled.

    Parameters
    ----------
    points : numpy.ndarray of shape (m, q), float32
        Coordinates of the candidates.
    candidates : numpy.ndarray of shape (m,)
        Their rows in the pool, best first; at least as many as are asked for.
    base : numpy.ndarray of shape (b, q)
        The labelled rows.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[0.0], [1.0], [5.0], [6.0]], dtype=np.float32)
    >>> expert = SpreadExpert(x, np.arange(4), x[:1])
    >>> expert.best(np.ones(4, dtype=bool))
    (3, 36.0)
    >>> expert.add(x[3])
    >>> expert.best(np.array([True, True, True, False]))
    (1, 1.0)
    """

    def __init__(
        self,
        points: NDArray[np.float32],
        candidates: NDArray[np.intp],
        base: NDArray[np.floating],
    ) -> None:
        self.points = points.astype(np.float64)
        self.candidates = candidates
        self.distance = squared_distance(self.points, base)

    def best(self, free: NDArray[np.bool_]) -> tuple[int, float]:
        """Choose a row of the pool among the free ones, (n,) bool; give its score."""
        left = free[self.candidates]
        best = int(np.where(left, steady(self.distance, 9), -1.0).argmax())
        score = float(self.distance[best])
        return int(self.candidates[best]), score if np.isfinite(score) else 0.0

    def add(self, point: NDArray[np.floating]) -> None:
        """Take note of the coordinates (q,) of a chosen row."""
        gap = self.points - point
        self.distance = np.minimum(self.distance, np.einsum("ij,ij->i", gap, gap))


class AtOddsExpert:
    """The second expert: at odds with its surroundings, where little is known.

    Parameters
    ----------
    odds : AtOdds
    around : Surroundings
        Told of every row that is chosen.
    labels : numpy.ndarray of shape (m, n_classes)
        Labels of the labelled rows, as 0 and 1; no rows where they are not known.

    Examples
    --------
    >>> import numpy as np
    >>> from modal_pretrain.query._engine.surroundings import AtOdds, Surroundings
    >>> leaning, dominant = np.array([1, 1, 0]), np.array([0, 0, 1])
    >>> odds = AtOdds(np.array([0.6, 0.5, 0.4]), leaning, dominant)
    >>> around = Surroundings(np.eye(2)[[0, 0, 1]], np.eye(2)[:1],
    ...     [np.array([0, 1, 1])], [np.array([1.0, 0.0])])
    >>> expert = AtOddsExpert(odds, around, np.array([[1.0, 0.0]]))
    >>> expert.best(np.ones(3, dtype=bool))
    (1, 0.5)
    """

    def __init__(
        self, odds: AtOdds, around: Surroundings, labels: NDArray[np.float64]
    ) -> None:
        self.odds = odds
        self.around = around
        n_classes = around.mean.shape[1]
        # Labels of each class where each class dominates.
        self.pairs = np.zeros((n_classes, n_classes))
        if len(labels) == len(around.mean_labelled):
            dominant = steady(around.mean_labelled).argmax(axis=1)
            np.add.at(self.pairs.T, dominant, labels)

    def best(self, free: NDArray[np.bool_]) -> tuple[int, float]:
        """Choose a row of the pool among the free ones, (n,) bool; give its score."""
        odds = self.odds
        kind = self.pairs[odds.leaning, odds.dominant]
        weight = (1 + self.around.known()) * np.sqrt(1 + kind)
        # Odds of 0 or less sink too where much is known.
        worth = np.where(odds.score > 0, odds.score / weight, odds.score * weight)
        value = np.where(free, steady(worth, 9), -np.inf)
        row = int(value.argmax())
        return row, float(worth[row])

    def add(self, row: int, proba: NDArray[np.float64]) -> None:
        """Take note of a chosen row; its label counts by its probabilities."""
        self.around.add(row)
        self.pairs[:, self.odds.dominant[row]] += proba
