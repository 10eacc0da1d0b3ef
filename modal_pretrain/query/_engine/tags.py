"""What may be ignored about labelled rows, and a probe's guess of it in the pool."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.pipeline import Pipeline

from modal_pretrain._blas import one_thread
from modal_pretrain._inputs.frames import check_order
from modal_pretrain.query._engine.arguments import n_rows
from modal_pretrain.query._engine.classifier import base_estimator, is_committee
from modal_pretrain.query._engine.embeddings import labelled_parts
from modal_pretrain.query._engine.threads import each_chunk
from modal_pretrain.reweighting.logistic import fit_head
from modal_pretrain.reweighting.tags import balanced, check_kinds, tag_codes, tag_table

_C = 5.0  # of the probe, for rows of a mean squared length of 1
_CHUNK = 4096


def labelled_tags(
    classifier: Any, X_labelled: Any, tags_labelled: Any, m: int
) -> NDArray[np.int64]:
    """Get the tags of the labelled rows.

    Parameters
    ----------
    classifier : modAL learner or committee, Pipeline or estimator
        One that remembers tags has `known_tags`.
    X_labelled : array-like or list, or None
        See `labelled_set`.
    tags_labelled : array-like of shape (m,) or (m, k), or None
        Wins over what the classifier remembers.
    m : int
        How many rows are labelled.

    Returns
    -------
    numpy.ndarray of shape (m, k), int64
        Tags as numbers from 0, -1 where nobody said; k is 0 where no tag is known.

    Raises
    ------
    ValueError
        If `tags_labelled` has another length or order, or tags are of several kinds or
        of different numbers of attributes.
    """
    if tags_labelled is not None:
        check_order(X_labelled=X_labelled, tags_labelled=tags_labelled)
        table = tag_table(tags_labelled, m, name="tags_labelled")
        return tag_codes(table, name="tags_labelled")
    parts = [
        (n_rows(X, "X_labelled"), _remembered(classifier, X))
        for X, _ in labelled_parts(classifier, X_labelled)
    ]
    widths = {table.shape[1] for _, tables in parts for table in tables}
    if not widths:
        return np.empty((m, 0), dtype=np.int64)
    if len(widths) > 1:
        raise ValueError(
            f"X_labelled: the committee's members remember tags of "
            f"{' and of '.join(map(str, sorted(widths)))} attributes. Give `tag` all "
            "attributes of each row, None where nobody said."
        )
    (k,) = widths
    merged = np.concatenate([_merged(n, k, tables) for n, tables in parts])
    check_kinds(merged, "X_labelled")
    return tag_codes(merged, name="X_labelled")


def _remembered(classifier: Any, X: Any) -> list[NDArray[np.object_]]:
    """Return what the estimators remember of rows, (m, k) each, of those that do."""
    learners = classifier.learner_list if is_committee(classifier) else [classifier]
    found = []
    for learner in learners:
        owner, rows = base_estimator(learner), X
        if isinstance(owner, Pipeline) and hasattr(owner.steps[-1][1], "known_tags"):
            rows = owner[:-1].transform(X) if len(owner.steps) > 1 else X
            owner = owner.steps[-1][1]
        if hasattr(owner, "known_tags"):
            tags: NDArray[np.object_] = owner.known_tags(rows)
            if tags.shape[1]:
                found.append(tags)
    return found


def _merged(n: int, k: int, tables: list[NDArray[np.object_]]) -> NDArray[np.object_]:
    """Return for each of n rows and k attributes the first tag that any table has."""
    merged = np.full((n, k), None, dtype=object)
    for table in reversed(tables):
        known = table != None  # noqa: E711, element by element
        merged[known] = table[known]
    return merged


def guessed_tags(
    coords: NDArray[np.floating],
    base: NDArray[np.floating],
    tags: NDArray[np.int64],
    y: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Guess an attribute of the pool by a linear probe on the tagged rows.

    Rows weigh so that each value has the same mass, and in it each class: the probe
    cannot read the class for the attribute.

    Parameters
    ----------
    coords : numpy.ndarray of shape (n, q)
        The pool, of a mean squared length of 1.
    base : numpy.ndarray of shape (m, q)
        The tagged rows.
    tags : numpy.ndarray of shape (m,)
        Values as numbers from 0, all of which occur, at least two.
    y : numpy.ndarray of shape (m,)
        Classes as numbers.

    Returns
    -------
    numpy.ndarray of shape (n, values), float64
        Probabilities of the values.
    """
    weight = balanced(y.astype(np.int64), tags, np.ones(len(tags)))
    n_values = int(tags.max()) + 1
    with one_thread():
        probe = fit_head(base.astype(np.float64), tags, n_values, C=_C, weight=weight)
    out = np.empty((len(coords), n_values))

    def guess(part: slice) -> None:
        out[part] = softmax(probe.logits(coords[part].astype(np.float64)), axis=1)

    each_chunk(guess, len(coords), _CHUNK)
    return out
