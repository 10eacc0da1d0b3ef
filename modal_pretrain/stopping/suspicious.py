"""Labels that a model, which has not seen them, contradicts."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from modal_pretrain._checks import Whole, take_rows
from modal_pretrain._inputs.frames import check_order
from modal_pretrain.query._engine.arguments import (
    RandomState,
    as_generator,
    check_groups,
    n_rows,
)
from modal_pretrain.query._engine.classifier import base_estimator, is_committee
from modal_pretrain.query._engine.order import content_keys
from modal_pretrain.stopping._inputs import (
    as_predictions,
    check_labels,
    predict_pool,
)
from modal_pretrain.stopping._predictions import Predictions, check_names, with_names


class Suspicious(NamedTuple):
    """Rows whose label the model contradicts, most suspicious first.

    A tuple of the four below, and true where there are any such rows:
    ``len(found.rows)`` is how many.

    Parameters
    ----------
    rows : numpy.ndarray of shape (k,), int
        Row numbers among the labelled rows.
    suggested : numpy.ndarray of shape (k,)
        The label that the model would give.
    scores : numpy.ndarray of shape (k,), float64
        Probability of the suggested label minus that of the given one, in (0, 1].
    confident : numpy.ndarray of shape (k,), bool
        Whether the suggested class is at least as probable as is usual for rows that
        are labelled so: the ones to look at first where the list is long.
    """

    rows: NDArray[np.intp]
    suggested: NDArray[Any]
    scores: NDArray[np.float64]
    confident: NDArray[np.bool_]

    def __bool__(self) -> bool:
        return len(self.rows) > 0  # four arrays, though empty, would else be true


class TooFewError(ValueError):
    """A copy of a classifier cannot learn from the few rows that it gets."""


def out_of_fold(
    classifier: Any, X: Any, y: Any, *, n_folds: int = 5, random_state: RandomState = 0
) -> Predictions:
    """Predict each labelled row with a copy of the classifier that has not seen it.

    Parameters
    ----------
    classifier : modAL learner or committee, Pipeline or estimator
        It is cloned; `X` and `y` are all that the copies learn from.
    X : array-like or list, m rows
    y : array-like of shape (m,)
        At least two classes.
    n_folds : int, default=5
        Parts, balanced by class. Equal rows of one label come into one part: a slip
        that was given twice does not vouch for itself. Rows that are there more often
        than there are parts do, and all where copies are most of the rows.
    random_state : None, int, SeedSequence, Generator or RandomState, default=0
        Of the parts.

    Returns
    -------
    Predictions
        One column for each class of `y`, in sorted order. A row whose class no other
        row has, but for its copies, has probability 0 for it.

    Raises
    ------
    ValueError
        If there is one class only, fewer rows than two, lengths differ, or the
        classifier can't learn from so few rows as a copy gets.
    """
    return predict_folds(classifier, X, y, n_folds, random_state)[0]


def predict_folds(
    classifier: Any, X: Any, y: Any, n_folds: int = 5, random_state: RandomState = 0
) -> tuple[Predictions, NDArray[np.intp]]:
    """Do as `out_of_fold`; also return the part of each row, (m,)."""
    Whole(least=2).check("n_folds", n_folds)
    check_order(X=X, y=y)
    labels, n = check_groups(y, "y", noun="label"), n_rows(X, "X")
    if labels.shape != (n,):
        raise ValueError(
            f"y must hold one label for each of the {n} rows of X, got shape "
            f"{labels.shape}."
        )
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"y has the class {classes.tolist()} only; there is nothing to contradict "
            "it. Label rows of another class first."
        )
    rng = as_generator(random_state)
    _, first, unit = np.unique(
        _copies(X, codes, n_folds), return_index=True, return_inverse=True
    )
    fold = balanced_folds(codes[first], min(n_folds, len(first)), rng)[unit]
    proba = np.zeros((n, len(classes)))
    for k in np.unique(fold):
        seen, new = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        proba[new] = predict_with(classifier, X, labels, seen, new, classes)
    return with_names(Predictions(proba, classes), X), fold


def _copies(X: Any, codes: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    """Give rows numbers as they come; up to `most` equal ones of a label share theirs.

    A copy knows the label of its original. What is there more often is a usual row, as
    "STOP" among messages is, and no slip; a model without all of its kind would know
    nothing of it, nor of a class that has no other rows. Where copies are more than
    half of the rows each has its own number, as in a table of a few categories.
    """
    every = np.arange(len(codes))
    keys = content_keys(X)
    if keys is None:  # of a kind whose content can't be read
        return every
    first: dict[tuple[int, int], int] = {}
    pairs = zip(keys, codes.tolist(), strict=True)
    found = np.array([first.setdefault(pair, i) for i, pair in enumerate(pairs)])
    usual = np.bincount(found)[found] > most
    return every if 2 * len(first) < len(codes) else np.where(usual, every, found)


def balanced_folds(
    codes: NDArray[np.intp], n_folds: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Put each row into a random fold; each fold has its share of every class."""
    order = rng.permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    fold = np.empty(len(codes), dtype=np.intp)
    fold[order] = np.arange(len(codes)) % n_folds
    return fold


def predict_with(
    classifier: Any,
    X: Any,
    y: NDArray[Any],
    taught: NDArray[np.intp],
    rows: NDArray[np.intp],
    classes: NDArray[Any],
) -> NDArray[np.float64]:
    """Probabilities of some rows by a copy taught some others; columns as `classes`.

    A copy that would see one class only predicts that one. A committee is the mean of
    copies of its members.
    """
    if is_committee(classifier):
        return np.mean(
            [
                predict_with(member, X, y, taught, rows, classes)
                for member in classifier.learner_list
            ],
            axis=0,
        )
    proba = np.zeros((len(rows), len(classes)))
    present = np.unique(y[taught])
    if len(present) == 1:
        proba[:, np.searchsorted(classes, present[0])] = 1
        return proba
    copy = clone(base_estimator(classifier))
    try:
        found = predict_pool(
            copy.fit(take_rows(X, taught), y[taught]), take_rows(X, rows)
        )
    except ValueError as error:
        # Others say more, as of a picture that cannot be read.
        if type(error) not in (ValueError, np.linalg.LinAlgError):
            raise
        raise TooFewError(
            f"classifier: a copy that is to learn from {len(taught)} of the {len(y)} "
            "labelled rows failed. If the classifier learns from all of them, these "
            "are too few for a part of it: label more rows of each class, or pass a "
            "simpler one (fewer folds, neighbours or components; only the head, on "
            f"embeddings). What it said: {error}"
        ) from error
    for column, label in enumerate(found.classes.tolist()):
        if label in classes:
            proba[:, np.searchsorted(classes, label)] = found.proba[:, column]
    return proba


def suspicious_labels(proba: Any, y: Any, *, classes: Any = None) -> Suspicious:
    """Find labels that are likely slips: another class is more probable.

    The larger the margin, the more suspicious. Which of them pass the threshold of
    confident learning [1]_ is told too.

    Parameters
    ----------
    proba : Predictions or array-like of shape (m, n_classes)
        Out of fold: by models that have not seen the row's label, see `out_of_fold`.
    y : array-like of shape (m,)
        The labels.
    classes : array-like of shape (n_classes,) or None, default=None
        Labels of the columns; None is those of `proba`, which may be a DataFrame, or
        0, 1, ...

    Returns
    -------
    Suspicious

    Raises
    ------
    ValueError
        If a label is unknown or probabilities are no distribution.

    References
    ----------
    .. [1] Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in
       dataset labels", JAIR 2021.

    Examples
    --------
    >>> import numpy as np
    >>> proba = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.9, 0.1]])
    >>> found = suspicious_labels(proba, ["cat", "cat", "dog", "dog", "dog"],
    ...                           classes=["cat", "dog"])
    >>> found.rows.tolist(), found.suggested.tolist()
    ([4], ['cat'])
    """
    check_order(proba=proba, y=y)
    shape: tuple[int, ...] = getattr(y, "shape", ())
    if len(shape) == 2 and shape[1] > 1:
        raise ValueError(
            f"y must hold one label for each row, got shape {tuple(shape)}. If these "
            "are the probabilities, they come first: suspicious_labels(proba, y)."
        )
    now = as_predictions(proba, classes)
    check_names("y", y, now)
    codes = check_labels(y, len(now.proba), now.classes)
    every = np.arange(len(codes))
    given = now.proba[every, codes]
    other = now.proba.copy()
    other[every, codes] = -1
    best = other.argmax(axis=1)
    scores = other[every, best] - given
    rows = np.flatnonzero(scores > 0)
    rows = rows[np.argsort(-scores[rows], kind="stable")]
    # A class that nobody labelled has no usual probability.
    size = np.bincount(codes, minlength=len(now.classes))
    total = np.bincount(codes, weights=given, minlength=len(now.classes))
    usual = np.where(size > 0, total / np.maximum(size, 1), np.inf)
    confident = other[rows, best[rows]] >= usual[best[rows]]
    return Suspicious(rows, now.classes[best[rows]], scores[rows], confident)
