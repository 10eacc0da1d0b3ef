"""Exceptions to what tags suggest: for those who say what may be ignored."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modal_pretrain._checks import Whole
from modal_pretrain.query._engine.arguments import RandomState
from modal_pretrain.query._engine.classifier import one_hot
from modal_pretrain.query._engine.coordinates import principal_coordinates
from modal_pretrain.query._engine.order import steady
from modal_pretrain.query._engine.pool import Pool
from modal_pretrain.query._engine.select import Answer
from modal_pretrain.query._engine.tags import guessed_tags, labelled_tags


def tag_exception_sampling(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    random_state: RandomState = None,
    X_labelled: Any = None,
    y_labelled: Any = None,
    tags_labelled: ArrayLike | None = None,
    n_components: int = 64,
) -> Answer:
    """Query rows that go against their tag, as far as tags of labelled rows tell.

    Of labelled rows a person has said what may be ignored about them (the place, the
    camera): `PretrainedClassifier.tag`. A linear probe on them guesses the tags of the
    pool, and the classifier its classes. Two experts take turns, row by row:

    - *Uncertain*: the row whose most probable class is least probable.
    - *Against the tag*: the row that most probably belongs to another class than most
      labelled rows of its tag do, each such pair of class and tag discounted by 1 + the
      number of labels that it has. Where classes tie, none is what most rows are. What
      is queried counts by its probabilities until its label is known.

    Groups that are guessed by a model of the attribute are how robust training does
    without group labels of all rows [1]_; here they choose what to ask about. The
    classifier should learn from the tags, too, so that its classes do not follow what
    may be ignored.

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
    X_labelled, y_labelled : array-like or list, optional
        Labelled rows, of the same kind as X, and their labels. By default, what a
        modAL learner remembers.
    tags_labelled : array-like of shape (m,) or (m, k), optional
        A tag for each labelled row, or one for each of several attributes: strings,
        whole numbers or truth values, None or NaN where nobody said. By default, what
        the classifier remembers (`tag`). Of several attributes, they take turns.
    n_components : int, default=64
        Principal coordinates in which the probe works.

    Returns
    -------
    query_idx : numpy.ndarray of shape (n_instances,), int64
        Rows of X, first queried first.
    scores : numpy.ndarray of shape (n_instances,), float64
        What the expert in turn goes by: one minus the probability of the most probable
        class, or the discounted probability of going against the tag. The two are not
        comparable, so not ordered.

    Raises
    ------
    TypeError
        If there are no probabilities or embeddings, or an argument has a wrong type.
    ValueError
        If the pool is empty, an argument is out of range, labels, tags and labelled
        rows differ in number, `tags_labelled` come without labels, no label is a class
        of the classifier, tags of an attribute are of several kinds, or the
        probabilities or embeddings are malformed or not finite.

    Notes
    -----
    While no attribute has two values among the labelled rows, or the classifier has no
    classes yet, all rows are chosen by uncertainty, as `least_confidence_sampling`
    does. All other attributes count, whether or not the class goes with them.

    Nothing is remembered between calls: whose turn it is follows from the number of
    labelled rows (of a committee, of its first member, and its members' tags are
    merged). What it gains is in ``docs/exceptions.md``.

    References
    ----------
    .. [1] J. Nam, J. Kim, J. Lee and J. Shin, "Spread spurious attribute: improving
       worst-group accuracy with spurious attribute estimation", ICLR 2022,
       arXiv:2204.02070.

    Examples
    --------
    The class is on the first column, the tag on the second. The last two rows of the
    pool go against it; the first is the uncertain one:

    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> seed = np.array([[-1.0, -1.0], [-0.9, -1.0], [1.0, 1.0], [0.9, 1.0]])
    >>> y, place = ["land", "land", "water", "water"], ["wood", "wood", "sea", "sea"]
    >>> X = np.array([[0.1, 0.0], [-1, -1], [1, 1], [-1, 1.2], [1, -1.2]])
    >>> model = LogisticRegression().fit(seed, y)
    >>> idx, scores = tag_exception_sampling(model, X, 4, random_state=0,
    ...     X_labelled=seed, y_labelled=y, tags_labelled=place)
    >>> sorted(idx.tolist())[-2:]
    [3, 4]
    """
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
    labels = one_hot(classifier, pool.labels(), pool.proba.shape[1])
    if tags_labelled is not None and pool.fitted and pool.labelled.y is None:
        raise ValueError(
            "tags_labelled is given without y_labelled: labels tell which class goes "
            "with a tag. Pass those of the same rows as y_labelled."
        )
    tags = np.empty((len(base), 0), dtype=np.int64)
    if pool.fitted or tags_labelled is not None:
        tags = labelled_tags(classifier, X_labelled, tags_labelled, len(base))
    experts = []
    for column in tags.T if len(labels) == len(base) else ():
        said = (column >= 0) & (labels.sum(axis=1) > 0)
        values, codes = np.unique(column[said], return_inverse=True)
        if len(values) > 1:
            y = labels[said].argmax(axis=1)
            attribute = guessed_tags(coords, base[said], codes.ravel(), y)
            counts = np.zeros((labels.shape[1], len(values)))
            np.add.at(counts, (y, codes.ravel()), 1)
            experts.append(AgainstTag(pool.proba, attribute, counts))
    uncertainty = steady(1 - pool.proba.max(axis=1))
    free = np.ones(pool.n, dtype=bool)
    chosen, scores = [], []
    start = pool.labelled.turn
    for turn in range(start, start + pool.k):
        if experts and turn % 2:
            row, score = experts[turn // 2 % len(experts)].best(free)
        else:
            row = int(np.where(free, uncertainty, -1.0).argmax())
            score = float(uncertainty[row])
        free[row] = False
        for expert in experts:
            expert.add(row)
        chosen.append(row)
        scores.append(score)
    return pool.answer(chosen, scores)


class AgainstTag:
    """How probably rows are of another class than most rows of their tag.

    Parameters
    ----------
    proba : numpy.ndarray of shape (n, n_classes)
    attribute : numpy.ndarray of shape (n, values)
        Probabilities of the tags.
    counts : numpy.ndarray of shape (n_classes, values)
        Labelled rows of each class and tag. Every tag has some.

    Examples
    --------
    >>> import numpy as np
    >>> proba = np.array([[0.75, 0.25], [0.5, 0.5]])
    >>> expert = AgainstTag(proba, np.eye(2), np.array([[3.0, 1.0], [1.0, 3.0]]))
    >>> expert.best(np.array([True, True]))
    (1, 0.25)
    >>> expert.add(1)
    >>> expert.best(np.array([True, True]))
    (1, 0.2)
    """

    def __init__(
        self,
        proba: NDArray[np.float64],
        attribute: NDArray[np.float64],
        counts: NDArray[np.float64],
    ) -> None:
        self.proba = proba
        self.attribute = attribute
        self.counts = counts.copy()
        # What a tag goes with stays so for the batch: it is known from labels alone.
        most = counts == counts.max(axis=0)
        self.usual = most & (most.sum(axis=0) == 1)
        # Counts only grow, so what a row was worth is a bound of what it is worth now.
        self.bound = self._worth(slice(None))

    def best(self, free: NDArray[np.bool_]) -> tuple[int, float]:
        """Choose a row of the pool among the free ones, (n,) bool; give its score."""
        bound = np.where(free, self.bound, -1.0)
        top = int(bound.argmax())
        # No row of a lower bound is worth as much as this one is.
        least = min(bound[top], self._worth(slice(top, top + 1))[0])
        rows = np.flatnonzero(bound >= least)
        self.bound[rows] = self._worth(rows)
        row = int(rows[self.bound[rows].argmax()])
        return row, float(self.bound[row])

    def add(self, row: int) -> None:
        """Count a chosen row of the pool by its probabilities."""
        self.counts += np.outer(self.proba[row], self.attribute[row])

    def _worth(self, rows: NDArray[np.intp] | slice) -> NDArray[np.float64]:
        """Give the discounted probability of rows to go against their tag."""
        value = np.where(self.usual, 0.0, 1 / (1 + self.counts))
        worth = np.einsum("ij,ij->i", self.proba[rows] @ value, self.attribute[rows])
        return steady(worth, 9)
