"""Why a row is asked about, from what the background thread knows now."""

from __future__ import annotations

import numpy as np

from modal_pretrain.labelling.background import Background
from modal_pretrain.labelling.known import Known
from modal_pretrain.labelling.why import Why, nearest_labelled, words


def explain(row: int, reason: str, known: Known, background: Background) -> Why:
    """Put a reason into words and find the labelled rows that are alike.

    Parameters
    ----------
    row : int
    reason : str
        See `Why`.
    known : Known
    background : Background

    Returns
    -------
    Why
        Without the labelled rows where the row is not embedded yet.
    """
    belief, classes, proba = background.belief, list(known.classes), None
    if belief is not None and row in belief.questions:
        proba, classes = belief.questions[row][1], belief.classes
    said = words(reason, proba, classes)
    features = background.features
    if features is None or not background.embedded[row]:
        return Why(reason, said, [])
    if proba is not None:
        classes = [classes[place] for place in np.argsort(-proba)[:2]]
    ready = background.embedded[known.rows] & (known.rows != row)
    rows, labels = known.rows[ready], known.labels[ready]
    near = nearest_labelled(features[row], rows, features[rows], labels, classes)
    return Why(reason, said, near[:2])
