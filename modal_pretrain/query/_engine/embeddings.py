"""One vector a row, of the pool and of the labelled set, from what a classifier offers.

Either there are vectors, or an error says how to get some.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline

from modal_pretrain._checks import take_rows
from modal_pretrain._inputs.frames import check_order, check_order_of_columns
from modal_pretrain._inputs.numbers import of_tensor
from modal_pretrain.query._engine.arguments import (
    check_groups,
    is_missing,
    n_rows,
    refuse_masked,
)
from modal_pretrain.query._engine.classifier import (
    base_estimator,
    is_committee,
    is_learner,
    is_unfitted,
)
from modal_pretrain.query._engine.mapped import Pages, rows_a_block
from modal_pretrain.query._engine.order import content_keys


def embeddings(
    classifier: Any, X: Any, n: int, *, name: str = "X", pool: Any = None
) -> NDArray[np.floating]:
    """Get one vector a row, from whatever the classifier offers.

    Tried in this order: `embed(X)` of the estimator; the steps of a Pipeline but the
    last, and that one's `embed` if it has one (a modAL learner asks for that with
    `on_transformed=True`; one that does not is taken at its word if X is a 2-D array of
    numbers); X itself if it is a 2-D array of numbers. A committee gives the vectors of
    its members side by side, equal ones once.

    Parameters
    ----------
    classifier : modAL learner or committee, Pipeline or estimator
    X : the pool, n rows
    name : str
        What to call X in errors.
    pool : array-like, optional
        What the vectors will be compared with. Where X is taken as it is, the columns
        of both must be in one order.

    Returns
    -------
    numpy.ndarray of shape (n, d), float32 or float64

    Raises
    ------
    TypeError
        If there is no way to get vectors.
    ValueError
        If the vectors have another number of rows, are not finite or too large.
    NotFittedError
        If only an unfitted pipeline could give them.
    """
    if is_committee(classifier):
        blocks: list[NDArray[np.floating]] = []
        for learner in classifier.learner_list:
            flag = classifier.on_transformed or learner.on_transformed
            block = _embed_one(learner.estimator, X, n, name, pool, flag, learner)
            if not any(np.array_equal(block, other) for other in blocks):
                blocks.append(block)
        return blocks[0] if len(blocks) == 1 else np.hstack(blocks)
    if is_learner(classifier):
        flag = bool(getattr(classifier, "on_transformed", False))
        return _embed_one(classifier.estimator, X, n, name, pool, flag, classifier)
    return _embed_one(classifier, X, n, name, pool, True, None)


def _embed_one(
    estimator: Any,
    X: Any,
    n: int,
    name: str,
    pool: Any,
    transformed: bool,
    learner: Any,
) -> NDArray[np.floating]:
    if hasattr(estimator, "embed"):
        return check_embeddings(estimator.embed(X), n, f"classifier.embed({name})")
    plain = _as_numeric_table(X, name)
    if isinstance(estimator, Pipeline) and len(estimator.steps) > 1:
        if transformed or plain is None:
            return _through_pipeline(estimator, X, n, name, pool)
    elif transformed and learner is not None and _holds_pipelines(estimator):
        joined = learner.transform_without_estimating(X)
        return check_embeddings(joined, n, f"the ensemble's transform of {name}")
    if plain is not None:
        check_order_of_columns(name, X, "X", pool)
        return check_embeddings(plain, n, name)
    raise TypeError(
        f"{name}: no embeddings for a pool of type {type(X).__name__}"
        f"{_shape_of(X)}, as {type(estimator).__name__} has no embed method. Pass a "
        "2-D array of numbers, use a PretrainedClassifier, or wrap an encoder and a "
        "classifier in a Pipeline."
    )


def _holds_pipelines(estimator: Any) -> bool:
    members = getattr(estimator, "estimators_", ())
    return any(isinstance(member, Pipeline) for member in members)


def _through_pipeline(
    pipeline: Pipeline, X: Any, n: int, name: str, pool: Any
) -> NDArray[np.floating]:
    head = pipeline.steps[-1][1]
    try:
        features = pipeline[:-1].transform(X)
    except Exception as error:
        if not is_unfitted(error):
            raise
        plain = _as_numeric_table(X, name)
        if plain is not None:
            check_order_of_columns(name, X, "X", pool)
            return check_embeddings(plain, n, name)
        raise NotFittedError(
            "classifier: the pipeline has not been fitted, so it can't embed "
            f"{name}. Fit it on the seed set before the first query."
        ) from error
    if hasattr(head, "embed"):
        features = head.embed(features)
    return check_embeddings(features, n, f"the pipeline's transform of {name}")


def _as_numeric_table(X: Any, name: str) -> NDArray[Any] | None:
    """Give X as an array if it is a 2-D table of numbers, else None."""
    refuse_masked(X, name)
    if hasattr(X, "toarray") or isinstance(X, Mapping):
        return None
    if isinstance(X, (list, tuple)):
        if not X or not isinstance(X[0], (list, tuple, np.ndarray)):
            return None
    elif not hasattr(X, "__array__"):
        return None
    try:
        array = np.asarray(of_tensor(X, name))
    except (TypeError, ValueError):
        return None
    if array.ndim != 2:
        return None
    array = _of_objects(array)
    return array if array.dtype.kind in "fiub" else None


def _of_objects(array: NDArray[Any]) -> NDArray[Any]:
    """Make float64 of numbers that came as objects, as frames of mixed columns do."""
    if array.dtype.kind == "O":
        numbers = [np.nan if is_missing(value) else value for value in array.flat]
        try:
            return (
                np.array(numbers, dtype=object).astype(np.float64).reshape(array.shape)
            )
        except (TypeError, ValueError):
            pass
    return array


def _shape_of(X: Any) -> str:
    shape = getattr(X, "shape", None)
    return "" if shape is None else f" and shape {tuple(shape)}"


def check_embeddings(raw: Any, n: int, name: str) -> NDArray[np.floating]:
    """Check that `raw` is a finite table with n rows; integers become float64."""
    if hasattr(raw, "toarray"):
        raise TypeError(
            f"{name} is a sparse matrix of shape {raw.shape}; this strategy compares "
            "dense vectors. Take one that goes by probabilities alone, such as "
            "least_confidence_sampling, or put TruncatedSVD before the classifier in a "
            "Pipeline."
        )
    refuse_masked(raw, name)
    values = _of_objects(np.asarray(of_tensor(raw, name)))
    if values.dtype.kind not in "fiub":
        raise TypeError(f"{name} has dtype {values.dtype}; expected numbers.")
    if values.ndim != 2:
        raise TypeError(
            f"{name} has shape {values.shape}; expected (n_samples, n_features)."
        )
    if values.shape[0] != n or values.shape[1] == 0:
        raise ValueError(
            f"{name} has shape {values.shape}; expected {n} rows and at least one "
            "column."
        )
    if values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float32 if values.dtype == np.float16 else np.float64)
    pages, size, largest = Pages(values), rows_a_block(values), 0.0
    for start in range(0, n, size):
        block = values[start : start + size]
        with np.errstate(all="ignore"):
            quick = bool(np.isfinite(block.sum()))
        if not quick and not np.isfinite(block).all():
            row, column = (int(i) for i in np.argwhere(~np.isfinite(block))[0])
            raise ValueError(
                f"{name} has {block[row, column]} in row {start + row}, column "
                f"{column}; distances need finite embeddings. Drop or impute such "
                "rows before querying."
            )
        largest = max(largest, float(block.max()), -float(block.min()))
        if largest > 1e15:
            row = start + int(np.argmax(np.abs(block).max(axis=1) > 1e15))
            raise ValueError(
                f"{name} has values beyond 1e15, first in row {row}, whose distances "
                "overflow in float32. Standardise the features, for example with "
                "StandardScaler."
            )
        pages.read(block.nbytes)
    # Labelled rows may all be near the origin, as equal ones are that were centred.
    if 0 < largest < 1e-15 and "X_labelled" not in name:
        raise ValueError(
            f"{name} has no value beyond {largest:.1g}, and squares of such distances "
            "are 0 in float32. Standardise the features, for example with "
            "StandardScaler."
        )
    return values


def predictor_on_embeddings(classifier: Any, X: Any) -> Any:
    """Find what turns embeddings, as `embeddings` gives them, into probabilities.

    Returns
    -------
    callable or None
        None where the embeddings lie inside the estimator and its head is out of reach.
    """
    if is_committee(classifier):
        members = [learner.estimator for learner in classifier.learner_list]
        if any(hasattr(m, "embed") or isinstance(m, Pipeline) for m in members):
            return None
        return classifier.predict_proba
    estimator = base_estimator(classifier)
    if hasattr(estimator, "embed"):
        return None
    if isinstance(estimator, Pipeline) and len(estimator.steps) > 1:
        flag = getattr(classifier, "on_transformed", True)
        if flag or _as_numeric_table(X, "X") is None:
            head = estimator.steps[-1][1]
            return None if hasattr(head, "embed") else head.predict_proba
    if getattr(classifier, "on_transformed", False) and _holds_pipelines(estimator):
        return None
    # Fitted on a data frame, whose names it wants to see.
    frame = type(X)
    if hasattr(X, "iloc"):
        return lambda rows: classifier.predict_proba(frame(rows, columns=X.columns))
    if frame.__module__.partition(".")[0] == "polars":
        return lambda rows: classifier.predict_proba(frame(rows, schema=X.columns))
    return classifier.predict_proba


class Labelled(NamedTuple):
    """Embeddings and labels of what has been labelled; None where unknown.

    `turn` counts the rows of one set: experts that take turns go by it. All members of
    a committee learn of a query, so that all their rows together stay even.
    """

    embeddings: NDArray[np.floating] | None
    y: NDArray[Any] | None
    turn: int = 0


def labelled_set(
    classifier: Any, X_labelled: Any = None, y_labelled: Any = None, pool: Any = None
) -> Labelled:
    """Get the embeddings and labels of the labelled set.

    Arguments win over what a modAL learner remembers (`X_training`, `y_training`). Of a
    committee, whose members may differ, all that any member remembers is taken. A
    DeepActiveLearner remembers nothing.

    Raises
    ------
    ValueError
        If `X_labelled` and `y_labelled` differ in length or order, or a label is
        missing, or the columns are those of the pool in another order.
    TypeError, ValueError
        As in `embeddings`.
    """
    if y_labelled is not None:
        check_order(X_labelled=X_labelled, y_labelled=y_labelled)
        y_labelled = check_groups(y_labelled, "y_labelled", noun="label")
    vectors: list[NDArray[np.floating]] = []
    labels: list[NDArray[Any]] = []
    turn = 0
    parts = labelled_parts(classifier, X_labelled, y_labelled)
    if parts and X_labelled is None and y_labelled is not None:
        raise ValueError(
            "y_labelled is given without X_labelled: the rows that the learner "
            "remembers come with labels of their own. Pass both or neither."
        )
    for X_part, y_part in parts:
        n = n_rows(X_part, "X_labelled")
        turn = turn or n
        vectors.append(embeddings(classifier, X_part, n, name="X_labelled", pool=pool))
        if y_part is not None:
            y_array = np.asarray(of_tensor(y_part, "y_labelled"))
            if y_array.ndim == 2 and y_array.shape[1] == 1:
                y_array = y_array[:, 0]  # learners keep columns as they came
            if len(y_array) != n:
                raise ValueError(
                    f"y_labelled has {len(y_array)} entries for the {n} rows of "
                    "X_labelled; pass one label a row."
                )
            labels.append(y_array)
    known_y = np.concatenate(labels) if labels else None
    if known_y is None and y_labelled is not None:
        known_y = np.asarray(y_labelled)
    return Labelled(np.vstack(vectors) if vectors else None, known_y, turn)


def labelled_parts(
    classifier: Any, X_labelled: Any = None, y_labelled: Any = None
) -> list[tuple[Any, Any]]:
    """List labelled rows and their labels as they were given, see `labelled_set`.

    Of a committee these are the rows of its members: one that several know, with the
    same label, once. Labels are None where they are not known; parts without rows are
    left out.
    """
    if X_labelled is not None:
        parts = [(X_labelled, y_labelled)]
    else:
        parts = []
        committee = is_committee(classifier)
        for learner in classifier.learner_list if committee else [classifier]:
            X = getattr(learner, "X_training", None) if is_learner(learner) else None
            y = getattr(learner, "y_training", None)
            if X is not None and not any(_same(X, a) and _same(y, b) for a, b in parts):
                parts.append((X, y))
        parts = _once(parts) if len(parts) > 1 else parts
    return [part for part in parts if n_rows(part[0], "X_labelled")]


def _once(parts: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Leave out the rows that an earlier part has with the same label."""
    seen: set[Any] = set()
    kept = []
    for X, y in parts:
        content, labels = content_keys(X), None if y is None else _label_keys(y)
        if content is not None and (labels is None or len(labels) == len(content)):
            keys = list(zip(content, labels or content, strict=True))
            new = np.array([key not in seen for key in keys], dtype=bool)
            seen.update(keys)
            if not new.all():
                rows = np.flatnonzero(new)
                X, y = take_rows(X, rows), None if y is None else take_rows(y, rows)
        kept.append((X, y))
    return kept


def _label_keys(y: Any) -> list[Any]:
    array = np.asarray(of_tensor(y, "y_labelled"))
    return [tuple(label) for label in array.reshape(len(array), -1).tolist()]


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if issparse(a) or issparse(b):
        return False  # their rows are compared
    try:
        return bool(np.array_equal(a, b))
    except (TypeError, ValueError):
        return False
