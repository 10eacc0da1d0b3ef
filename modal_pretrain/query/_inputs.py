"""What a strategy is given, read and checked in one place.

A strategy gets a classifier and a pool. The classifier is a modAL learner, a modAL
committee, a Pipeline or any estimator; it is recognised by what it offers, so neither
modAL nor torch is imported. The functions here turn the pair into probabilities,
embeddings and the labelled set, or raise an error that says how to put it right.
Nothing here changes the classifier or the pool.
"""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline

RandomState = (
    None | int | np.integer | np.random.Generator | np.random.RandomState
    | np.random.SeedSequence
)  # fmt: skip


class Request(NamedTuple):
    """How many rows the pool has, how many are asked for, and the random numbers."""

    n: int
    k: int
    rng: np.random.Generator


def check_request(X: Any, n_instances: Any, random_state: RandomState) -> Request:
    """Check the arguments that every strategy has.

    Raises
    ------
    TypeError
        If `X` has no rows, `n_instances` is not an integer, or `random_state` is of
        another kind than those listed in `as_generator`.
    ValueError
        If the pool is empty, or `n_instances` is below 1 or above the pool's size.
    """
    n = n_rows(X, "X")
    rng = as_generator(random_state)
    if isinstance(n_instances, (bool, np.bool_)) or not isinstance(
        n_instances, numbers.Integral
    ):
        raise TypeError(
            "n_instances must be an integer, got "
            f"{n_instances!r} of type {type(n_instances).__name__}."
        )
    if n == 0:
        raise ValueError(
            "X: the pool is empty, so there is nothing to query. End the loop when "
            "len(X_pool) is 0."
        )
    k = int(n_instances)
    if not 1 <= k <= n:
        raise ValueError(
            f"n_instances={k} is not between 1 and the {n} rows of the pool X. "
            "Pass min(n_instances, len(X_pool)) for the last batch."
        )
    return Request(n, k, rng)


def n_rows(X: Any, name: str) -> int:
    """Count the rows of a pool of any accepted kind."""
    if isinstance(X, Mapping):
        if not X:
            return 0
        return n_rows(next(iter(X.values())), name)
    shape = getattr(X, "shape", None)
    if shape is not None and len(shape) > 0:
        return int(shape[0])
    if isinstance(X, (str, bytes)) or not hasattr(X, "__len__"):
        raise TypeError(
            f"{name} must hold the pool's rows (an array, a list, a data frame), got "
            f"{type(X).__name__}."
        )
    return len(X)


def as_generator(random_state: RandomState) -> np.random.Generator:
    """Make the generator a strategy draws from; the global one is never used.

    Parameters
    ----------
    random_state : None, int, SeedSequence, Generator or RandomState
        None gives fresh entropy. A Generator is used as it is, so its state moves on;
        from a RandomState one seed is drawn.
    """
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31 - 1))
    if isinstance(random_state, (bool, np.bool_)) or not (
        random_state is None
        or isinstance(random_state, (numbers.Integral, np.random.SeedSequence))
    ):
        raise TypeError(
            "random_state must be None, an int, a numpy.random.Generator, RandomState "
            f"or SeedSequence, got {type(random_state).__name__}."
        )
    if isinstance(random_state, numbers.Integral) and random_state < 0:
        raise ValueError(f"random_state must not be negative, got {random_state}.")
    return np.random.default_rng(random_state)


def check_number(
    value: Any,
    name: str,
    low: float,
    high: float = np.inf,
    *,
    integer: bool = False,
    low_open: bool = False,
    high_open: bool = False,
) -> None:
    """Check a numeric parameter of a strategy against its range."""
    kind = numbers.Integral if integer else numbers.Real
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, kind):
        what = "an integer" if integer else "a number"
        raise TypeError(f"{name} must be {what}, got {value!r}.")
    number = float(value)
    below = number <= low if low_open else number < low
    above = number >= high if high_open else number > high
    if below or above or np.isnan(number):
        left, right = "(" if low_open else "[", ")" if high_open else "]"
        raise ValueError(f"{name} must be in {left}{low}, {high}{right}, got {value}.")


# --- what the classifier is made of ------------------------------------------------


def is_committee(classifier: Any) -> bool:
    """Tell whether this is a modAL committee."""
    return hasattr(classifier, "learner_list")


def is_learner(classifier: Any) -> bool:
    """Tell whether this is a modAL learner (meta-estimators have no strategy)."""
    return hasattr(classifier, "estimator") and hasattr(classifier, "query_strategy")


def base_estimator(classifier: Any) -> Any:
    """Give the estimator inside a modAL learner, or the estimator itself."""
    return classifier.estimator if is_learner(classifier) else classifier


def is_unfitted(error: BaseException) -> bool:
    """Tell whether an exception says that an estimator has not been fitted.

    skorch raises an error of its own, known here by its name.
    """
    names = {cls.__name__ for cls in type(error).__mro__}
    return isinstance(error, NotFittedError) or "NotInitializedError" in names


def number_of_classes(classifier: Any, y_labelled: Any = None) -> int | None:
    """Count the classes the classifier, or else the labels, know of."""
    known = getattr(classifier, "classes_", None)
    if known is None:
        known = getattr(base_estimator(classifier), "classes_", None)
    if known is None and y_labelled is not None:
        known = np.unique(np.asarray(y_labelled))
    return None if known is None else len(known)


# --- probabilities -------------------------------------------------------------------


class Probabilities(NamedTuple):
    """Class probabilities of the pool, and whether a fitted classifier gave them."""

    values: NDArray[np.float64]
    fitted: bool


def class_probabilities(classifier: Any, X: Any, n: int) -> Probabilities:
    """Get the class probabilities of the pool.

    Parameters
    ----------
    classifier : modAL learner or committee, Pipeline or estimator
    X : the pool, n rows

    Returns
    -------
    Probabilities
        float64, shape (n, n_classes). A classifier that has not been fitted knows
        nothing: two equally likely classes, and `fitted` is False.

    Raises
    ------
    TypeError
        If there is no `predict_proba`, or it does not return one 2-D array.
    ValueError
        If the probabilities have another number of rows, are negative or not finite.
    """
    owner = classifier if is_committee(classifier) else base_estimator(classifier)
    if not hasattr(owner, "predict_proba"):
        raise TypeError(
            f"classifier: {type(owner).__name__} has no predict_proba, which this "
            "strategy needs. Use an estimator that has one (SVC(probability=True), "
            "CalibratedClassifierCV(...)), or a strategy that asks for embeddings "
            "only, such as core_set_sampling or typiclust_sampling."
        )
    try:
        raw = classifier.predict_proba(X)
    except Exception as error:
        if not is_unfitted(error):
            raise
        return Probabilities(np.full((n, 2), 0.5), fitted=False)
    return Probabilities(check_probabilities(raw, n, "classifier.predict_proba"), True)


def check_probabilities(raw: Any, n: int, name: str) -> NDArray[np.float64]:
    """Check that `raw` is a table of probabilities with n rows."""
    try:
        values = np.asarray(raw, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} did not return one array of numbers.") from error
    if values.ndim != 2:
        raise TypeError(
            f"{name} returned an array of shape {values.shape}; expected "
            "(n_samples, n_classes). Multi-label estimators are not supported."
        )
    if values.shape[0] != n or values.shape[1] == 0:
        raise ValueError(
            f"{name} returned shape {values.shape} for {n} rows; expected ({n}, "
            "n_classes)."
        )
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise ValueError(
            f"{name} returned a value that is not finite in row {row} "
            f"({values[row]}). Check the pool for NaN, and that training converged."
        )
    if values.min() < 0:
        raise ValueError(
            f"{name} returned {values.min():.3g}; probabilities can't be negative. "
            "It may be returning logits: apply a softmax."
        )
    return values


# --- embeddings ---------------------------------------------------------------------


def embeddings(
    classifier: Any, X: Any, n: int, *, name: str = "X"
) -> NDArray[np.floating]:
    """Get one vector a row, from whatever the classifier offers.

    Tried in this order: `embed(X)` of the estimator; the steps of a Pipeline but the
    last (a modAL learner asks for that with `on_transformed=True`; one that does not is
    taken at its word if X is a 2-D array of numbers); X itself if it is a 2-D array of
    numbers. A committee gives the vectors of its members side by side, equal ones once.

    Parameters
    ----------
    classifier : modAL learner or committee, Pipeline or estimator
    X : the pool, n rows
    name : str
        What to call X in errors.

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
            block = _embed_one(learner.estimator, X, n, name, flag, learner)
            if not any(np.array_equal(block, other) for other in blocks):
                blocks.append(block)
        return blocks[0] if len(blocks) == 1 else np.hstack(blocks)
    if is_learner(classifier):
        flag = bool(getattr(classifier, "on_transformed", False))
        return _embed_one(classifier.estimator, X, n, name, flag, classifier)
    return _embed_one(classifier, X, n, name, True, None)


def _embed_one(
    estimator: Any, X: Any, n: int, name: str, transformed: bool, learner: Any
) -> NDArray[np.floating]:
    if hasattr(estimator, "embed"):
        return check_embeddings(estimator.embed(X), n, f"classifier.embed({name})")
    plain = _as_numeric_table(X)
    if isinstance(estimator, Pipeline) and len(estimator.steps) > 1:
        if transformed or plain is None:
            return _through_pipeline(estimator, X, n, name)
    elif transformed and plain is None and learner is not None:
        # Ensembles of pipelines: modAL joins what their steps give.
        plain = _as_numeric_table(learner.transform_without_estimating(X))
    if plain is not None:
        return check_embeddings(plain, n, name)
    raise TypeError(
        f"{name}: no embeddings for a pool of type {type(X).__name__}"
        f"{_shape_of(X)}, as {type(estimator).__name__} has no embed method. Pass a "
        "2-D array of numbers, use a PretrainedClassifier, or wrap an encoder and a "
        "classifier in a Pipeline."
    )


def _through_pipeline(
    pipeline: Pipeline, X: Any, n: int, name: str
) -> NDArray[np.floating]:
    head = pipeline.steps[-1][1]
    try:
        features = pipeline[:-1].transform(X)
    except Exception as error:
        if not is_unfitted(error):
            raise
        plain = _as_numeric_table(X)
        if plain is not None:
            return check_embeddings(plain, n, name)
        raise NotFittedError(
            "classifier: the pipeline has not been fitted, so it can't embed "
            f"{name}. Fit it on the seed set before the first query."
        ) from error
    if hasattr(head, "embed"):
        features = head.embed(features)
    return check_embeddings(features, n, f"the pipeline's transform of {name}")


def _as_numeric_table(X: Any) -> NDArray[Any] | None:
    """Give X as an array if it is a 2-D table of numbers, else None."""
    if hasattr(X, "toarray") or isinstance(X, Mapping):
        return None
    if isinstance(X, (list, tuple)):
        if not X or not isinstance(X[0], (list, tuple, np.ndarray)):
            return None
    elif not hasattr(X, "__array__"):
        return None
    try:
        array = np.asarray(X)
    except (TypeError, ValueError):
        return None
    if array.ndim != 2:
        return None
    if array.dtype.kind == "O":  # data frames with mixed columns
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError):
            return None
    return array if array.dtype.kind in "fiub" else None


def _shape_of(X: Any) -> str:
    shape = getattr(X, "shape", None)
    return "" if shape is None else f" and shape {tuple(shape)}"


def check_embeddings(raw: Any, n: int, name: str) -> NDArray[np.floating]:
    """Check that `raw` is a finite table with n rows; integers become float64."""
    if hasattr(raw, "toarray"):
        raise TypeError(
            f"{name} is a sparse matrix of shape {raw.shape}; these strategies need "
            "dense vectors. Put TruncatedSVD before the classifier in a Pipeline."
        )
    values = np.asarray(raw)
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
    with np.errstate(all="ignore"):
        quick = bool(np.isfinite(values.sum()))
    if not quick and not np.isfinite(values).all():
        row, column = (int(i) for i in np.argwhere(~np.isfinite(values))[0])
        raise ValueError(
            f"{name} has {values[row, column]} in row {row}, column {column}; "
            "distances need finite embeddings. Drop or impute such rows before "
            "querying."
        )
    if n and max(abs(float(values.max())), abs(float(values.min()))) > 1e15:
        raise ValueError(
            f"{name} has values beyond 1e15, whose distances overflow in float32. "
            "Standardise the features, for example with StandardScaler."
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
        if flag or _as_numeric_table(X) is None:
            head = estimator.steps[-1][1]
            return None if hasattr(head, "embed") else head.predict_proba
    if hasattr(X, "columns"):  # fitted on a data frame, whose names it wants to see
        frame, columns = type(X), X.columns
        return lambda rows: classifier.predict_proba(frame(rows, columns=columns))
    return classifier.predict_proba


# --- the labelled set ---------------------------------------------------------------


class Labelled(NamedTuple):
    """Embeddings and labels of what has been labelled; None where unknown."""

    embeddings: NDArray[np.floating] | None
    y: NDArray[Any] | None


def labelled_set(
    classifier: Any, X_labelled: Any = None, y_labelled: Any = None
) -> Labelled:
    """Get the embeddings and labels of the labelled set.

    Arguments win over what a modAL learner remembers (`X_training`, `y_training`). Of a
    committee, whose members may differ, all that any member remembers is taken. A
    DeepActiveLearner remembers nothing.

    Raises
    ------
    ValueError
        If `X_labelled` and `y_labelled` differ in length.
    TypeError, ValueError
        As in `embeddings`.
    """
    parts: list[tuple[Any, Any]] = []
    if X_labelled is not None:
        parts = [(X_labelled, y_labelled)]
    elif is_committee(classifier):
        for learner in classifier.learner_list:
            pair = (
                getattr(learner, "X_training", None),
                getattr(learner, "y_training", None),
            )
            if pair[0] is not None and not any(_same(pair[0], p[0]) for p in parts):
                parts.append(pair)
    elif is_learner(classifier):
        X_known = getattr(classifier, "X_training", None)
        if X_known is not None:
            parts = [(X_known, getattr(classifier, "y_training", None))]
    vectors: list[NDArray[np.floating]] = []
    labels: list[NDArray[Any]] = []
    for X_part, y_part in parts:
        n = n_rows(X_part, "X_labelled")
        if n == 0:
            continue
        vectors.append(embeddings(classifier, X_part, n, name="X_labelled"))
        if y_part is not None:
            y_array = np.asarray(y_part)
            if len(y_array) != n:
                raise ValueError(
                    f"y_labelled has {len(y_array)} entries for the {n} rows of "
                    "X_labelled; pass one label a row."
                )
            labels.append(y_array)
    known_y = np.concatenate(labels) if labels else None
    if known_y is None and y_labelled is not None:
        known_y = np.asarray(y_labelled)
    return Labelled(np.vstack(vectors) if vectors else None, known_y)


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    try:
        return bool(np.array_equal(a, b))
    except (TypeError, ValueError):
        return False
