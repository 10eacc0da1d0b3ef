"""Why a row is asked about, in words, and the labelled rows that speak for and against.

The words name no class where they would give away the model's guess: a person who
knows what is expected finds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FIRST, AUDIT, MEANWHILE, LEFT = "first", "audit", "meanwhile", "left"
UNSURE, AT_ODDS, UNLIKE, CHOSEN = "unsure", "at odds", "unlike", "chosen"
_WORDS = {
    FIRST: "To begin with: drawn at random.",
    AUDIT: "Drawn at random, to measure how good the model is.",
    UNSURE: "The model is torn between {} and {}.",
    AT_ODDS: "The model takes it for something else than what lies around it.",
    UNLIKE: "Far from everything that is labelled.",
    CHOSEN: "You wanted to see it again.",
    MEANWHILE: "Drawn at random, while the model learns.",
    LEFT: "You skipped it before.",
}
_NEIGHBOURS = 20
# Below this lead of the first class over the second, the model is torn.
_LEAD = 0.5


class Near(NamedTuple):
    """A labelled row and how similar it is.

    Parameters
    ----------
    row : int
    label : str
    similarity : float
        Cosine of the angle between the embeddings, from -1 to 1.
    """

    row: int
    label: str
    similarity: float


class Why(NamedTuple):
    """Why a row is asked about.

    Parameters
    ----------
    reason : str
        "first", "audit", "meanwhile", "left", "unsure", "at odds", "unlike" or
        "chosen".
    words : str
        The same in a sentence.
    near : list of Near
        The nearest labelled row of each of the two classes that the model finds most
        probable, the nearer one first; of any two classes where there is no model.
    """

    reason: str
    words: str
    near: list[Near]


def words(
    reason: str, proba: NDArray[np.float64] | None, classes: Sequence[str]
) -> str:
    """Put a reason into words.

    Examples
    --------
    >>> import numpy as np
    >>> words("unsure", np.array([0.5, 0.1, 0.4]), ["cat", "cow", "dog"])
    'The model is torn between cat and dog.'
    """
    if reason != UNSURE:
        return _WORDS[reason]
    if proba is None:  # a later model would ask something else
        return "The model was torn between two classes when it chose this."
    first, second = sorted(np.argsort(-proba, kind="stable")[:2])
    return _WORDS[UNSURE].format(classes[first], classes[second])


def reasons(
    proba: NDArray[np.float64],
    vectors: NDArray[np.floating],
    around: NDArray[np.floating],
    predict_proba,
) -> list[str]:
    """Say of each question what is special about it.

    Parameters
    ----------
    proba : numpy.ndarray of shape (k, n_classes)
        What the model says of the questions.
    vectors : numpy.ndarray of shape (k, d)
        Their embeddings.
    around : numpy.ndarray of shape (m, d)
        Embeddings of other rows.
    predict_proba : callable
        Gives class probabilities of embeddings.

    Returns
    -------
    list of str
        "at odds", "unsure" or "unlike".
    """
    near = _nearest(vectors, around, _NEIGHBOURS)
    some, place = np.unique(near, return_inverse=True)
    says = predict_proba(around[some])[place.reshape(near.shape)].mean(axis=1)
    ordered = np.sort(proba, axis=1)
    lead = ordered[:, -1] - ordered[:, -2]
    odd = says.argmax(axis=1) != proba.argmax(axis=1)
    found = np.where(odd, AT_ODDS, np.where(lead < _LEAD, UNSURE, UNLIKE))
    return [str(reason) for reason in found]


def nearest_labelled(
    vector: NDArray[np.floating],
    rows: NDArray[np.intp],
    vectors: NDArray[np.floating],
    labels: NDArray[np.str_],
    classes: Sequence[str],
) -> list[Near]:
    """Find the nearest labelled row of each class.

    Parameters
    ----------
    vector : numpy.ndarray of shape (d,)
    rows, labels : numpy.ndarray of shape (m,)
        The labelled rows.
    vectors : numpy.ndarray of shape (m, d)
        Their embeddings.
    classes : sequence of str
        Those to look at.

    Returns
    -------
    list of Near
        At most one for each class, most similar first.
    """
    found = []
    for label in classes:
        of = np.flatnonzero(labels == label)
        if len(of):
            like = _cosines(vector[None], vectors[of])[0]
            best = int(like.argmax())
            found.append(Near(int(rows[of[best]]), str(label), float(like[best])))
    return sorted(found, key=lambda near: -near.similarity)


def _cosines(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.floating]:
    lengths = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)
    return a @ b.T / np.maximum(lengths, 1e-30)


def _nearest(
    vectors: NDArray[np.floating], around: NDArray[np.floating], k: int
) -> NDArray[np.intp]:
    """Return the rows most like each vector, without those that are the same."""
    like = _cosines(vectors, around)
    like[like > 1 - 1e-6] = -np.inf
    return np.argsort(-like, axis=1, kind="stable")[:, : min(k, like.shape[1])]
