"""What the classifier says of the rows around a row, and who is at odds with it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modal_pretrain.query._engine.kmeans import assign, kmeans
from modal_pretrain.query._engine.order import steady

_MOST_CLUSTERS = 256
_ITERATIONS = 20


class Surroundings:
    """Several clusterings of a pool of n rows, and what they say of each row.

    One clustering draws its borders by chance, and is too fine for one attribute and
    too coarse for another. The mean over several is steadier than any of them.

    Parameters
    ----------
    mean : numpy.ndarray of shape (n, n_classes)
        Mean class probabilities of a row's clusters, averaged over the levels.
    mean_labelled : numpy.ndarray of shape (m, n_classes)
        The same for the labelled rows.
    clusters : list of L numpy.ndarray of shape (n,)
        The cluster of each row, by level.
    labels : list of L numpy.ndarray of shape (n_clusters,)
        Number of labelled rows in each cluster, by level; copied.

    Examples
    --------
    >>> import numpy as np
    >>> halves, all_of_it = np.array([0, 1, 1]), np.zeros(3, dtype=int)
    >>> around = Surroundings(np.eye(2)[[0, 0, 1]], np.eye(2)[:1],
    ...     [halves, all_of_it], [np.array([1, 0]), np.array([1])])
    >>> around.known().tolist()
    [1.0, 0.5, 0.5]
    >>> around.add(1)
    >>> around.known().tolist()
    [1.5, 1.5, 1.5]
    """

    def __init__(
        self,
        mean: NDArray[np.float64],
        mean_labelled: NDArray[np.float64],
        clusters: list[NDArray[np.intp]],
        labels: list[NDArray[Any]],
    ) -> None:
        self.mean = mean
        self.mean_labelled = mean_labelled
        self.clusters = clusters
        self._labels = [count.astype(np.float64) for count in labels]

    def known(self) -> NDArray[np.float64]:
        """Give the number of labels in each row's clusters, averaged; shape (n,)."""
        levels = zip(self._labels, self.clusters, strict=True)
        mean: NDArray[np.float64] = np.mean([count[of] for count, of in levels], axis=0)
        return mean

    def add(self, row: int) -> None:
        """Count a row of the pool as labelled."""
        for count, of in zip(self._labels, self.clusters, strict=True):
            count[of[row]] += 1


class AtOdds(NamedTuple):
    """How far rows lean to another class than their surroundings, and to which.

    Attributes
    ----------
    score : numpy.ndarray of shape (n,), float64
        In [-1, 1]; 0 where there is one class only.
    leaning, dominant : numpy.ndarray of shape (n,), intp
        The class that the row leans to, and the one that dominates around it.
    """

    score: NDArray[np.float64]
    leaning: NDArray[np.intp]
    dominant: NDArray[np.intp]


def at_odds(proba: NDArray[np.float64], mean: NDArray[np.float64]) -> AtOdds:
    """Score how far each row leans to another class than dominates around it.

    The largest of ``proba[i, c] - mean[i, c]`` over the classes c other than the
    largest of ``mean[i]``.

    Parameters
    ----------
    proba : numpy.ndarray of shape (n, n_classes)
    mean : numpy.ndarray of shape (n, n_classes)
        Mean probabilities around each row.

    Returns
    -------
    AtOdds

    Examples
    --------
    >>> import numpy as np
    >>> from modal_pretrain.query._engine.surroundings import cluster_mean
    >>> proba = np.array([[0.75, 0.25], [1.0, 0.0], [0.5, 0.5]])
    >>> found = at_odds(proba, cluster_mean(proba, np.zeros(3, dtype=int)))
    >>> found.score.tolist()
    [0.0, -0.25, 0.25]
    >>> found.leaning.tolist()
    [1, 1, 1]
    """
    n, n_classes = proba.shape
    dominant = steady(mean).argmax(axis=1)
    if n_classes < 2:
        return AtOdds(np.zeros(n), dominant, dominant)
    residual = steady(proba - mean)
    residual[np.arange(n), dominant] = -np.inf
    return AtOdds(residual.max(axis=1), residual.argmax(axis=1), dominant)


def cluster_mean(
    values: NDArray[np.float64], labels: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Give each row the mean of the values of its cluster, shape (n, m)."""
    return _means(values, labels, int(labels.max()) + 1)[labels]


def _means(
    values: NDArray[np.float64], labels: NDArray[np.intp], k: int
) -> NDArray[np.float64]:
    size = np.maximum(np.bincount(labels, minlength=k), 1)
    total = np.column_stack(
        [np.bincount(labels, weights=column, minlength=k) for column in values.T]
    )
    mean: NDArray[np.float64] = total / size[:, None]
    return mean


def surroundings(
    coords: NDArray[np.float32],
    base: NDArray[np.float32],
    proba: NDArray[np.float64],
    cluster_size: int,
    n_levels: int,
    rng: np.random.Generator,
) -> Surroundings:
    """Cluster a pool from fine to coarse, and average what the classifier says there.

    Parameters
    ----------
    coords : numpy.ndarray of shape (n, q), float32
    base : numpy.ndarray of shape (m, q), float32
        Labelled rows.
    proba : numpy.ndarray of shape (n, n_classes)
    cluster_size : int
        Mean rows per cluster of the finest clustering, of 2 to 256 clusters.
    n_levels : int
        Each level has half as many clusters as the one before; it ends at 2.
    rng : numpy.random.Generator

    Returns
    -------
    Surroundings
    """
    n, n_classes = proba.shape
    finest = min(max(n // int(cluster_size), 2), _MOST_CLUSTERS, n)
    most = min(int(n_levels), finest.bit_length())  # more would all be of 2 clusters
    sizes = {max(finest >> level, min(2, n)) for level in range(most)}
    mean, mean_labelled = np.zeros((n, n_classes)), np.zeros((len(base), n_classes))
    clusters, labels = [], []
    for k in sorted(sizes, reverse=True):
        clustering = kmeans(coords, k, rng, max_iter=_ITERATIONS)
        level = _means(proba, clustering.labels, k)
        near = assign(base, clustering.centres)[0] if len(base) else np.empty(0, int)
        mean += level[clustering.labels] / len(sizes)
        mean_labelled += level[near] / len(sizes)
        clusters.append(clustering.labels)
        labels.append(np.bincount(near, minlength=k))
    return Surroundings(mean, mean_labelled, clusters, labels)
