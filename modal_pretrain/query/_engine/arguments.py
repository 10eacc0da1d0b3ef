"""The arguments every strategy has, checked in one place.

What the classifier gives is read in `classifier` and `embeddings`; numbers that only
some strategies have follow the rules of `_checks`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modal_pretrain._checks import Whole, is_whole
from modal_pretrain._inputs.alikes import warn_of_written_nan
from modal_pretrain._inputs.numbers import of_tensor
from modal_pretrain.query._engine.classifier import base_estimator

RandomState = (
    None | int | np.integer | np.random.Generator | np.random.RandomState
    | np.random.SeedSequence
)  # fmt: skip


class Request(NamedTuple):
    """How many rows the pool has, how many are asked for, and the random numbers."""

    n: int
    k: int
    rng: np.random.Generator


def check_request(
    classifier: Any, X: Any, n_instances: Any, random_state: RandomState
) -> Request:
    """Check the arguments that every strategy has.

    Raises
    ------
    TypeError
        If `classifier` is a class, `X` has no rows, `n_instances` is not an integer, or
        `random_state` is of another kind than those listed in `as_generator`.
    ValueError
        If the pool is empty, or `n_instances` is below 1 or above the pool's size.
    """
    for owner in (classifier, base_estimator(classifier)):
        if isinstance(owner, type):
            raise TypeError(
                f"classifier must be an estimator, got the class {owner.__name__} "
                f"itself. Make one and fit it: {owner.__name__}(...).fit(X, y)."
            )
    n = n_rows(X, "X")
    refuse_masked(X, "X")
    rng = as_generator(random_state)
    if not is_whole(n_instances):
        Whole().check("n_instances", n_instances)
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


def refuse_masked(X: Any, name: str) -> None:
    """Raise TypeError for rows of which some values are masked."""
    if np.ma.is_masked(X):
        raise TypeError(
            f"{name} is a masked array, whose mask would be ignored. Fill what is "
            "masked, as with .filled(0), or leave these rows out."
        )


def n_rows(X: Any, name: str) -> int:
    """Count the rows of a pool of any accepted kind."""
    if isinstance(X, Set):
        raise TypeError(
            f"{name} must hold the pool's rows in their order, got a "
            f"{type(X).__name__}. Write list({name})."
        )
    if isinstance(X, Mapping) and not hasattr(X, "tocsr"):  # one form of sparse is
        counts = {key: n_rows(part, f"{name}[{key!r}]") for key, part in X.items()}
        if len(set(counts.values())) > 1:
            raise ValueError(
                f"the parts of {name} differ in their number of rows: {counts}."
            )
        return next(iter(counts.values()), 0)
    shape = getattr(X, "shape", None)
    if shape is not None and len(shape) > 0:
        return int(shape[0])
    if shape is not None or isinstance(X, str | bytes) or not hasattr(X, "__len__"):
        raise TypeError(
            f"{name} must hold the pool's rows (an array, a list, a data frame), got "
            f"{type(X).__name__}{'' if shape is None else ' of shape ()'}."
        )
    return len(X)


def check_groups(
    values: ArrayLike, name: str, n: int | None = None, *, noun: str = "group"
) -> NDArray[Any]:
    """Check one group or label a row: all numbers or all text, and none missing.

    Parameters
    ----------
    values : array-like of shape (n,)
    name : str
        What to call it in errors.
    n : int, optional
        Rows that there must be.
    noun : str, default="group"
        What one value is, for errors.

    Raises
    ------
    TypeError
        If numbers and text are mixed.
    ValueError
        If there are more dimensions or another number of rows, or a group is missing.
    """
    values = of_tensor(values, name)
    found: Any
    if noun == "group" and isinstance(values, list | tuple) and _of_tuples(values):
        found = np.fromiter(values, dtype=object)  # NumPy would make a table of them
    else:
        found = values if hasattr(values, "__array__") else np.array(values, object)
    column = np.array(found, dtype=object)
    if np.ma.isMaskedArray(found):
        column[np.ma.getmaskarray(found)] = None
    if column.ndim != 1 or (n is not None and len(column) != n):
        rows = "row" if n is None else f"of the {n} rows of X"
        cure = " Remove queried rows from it as you do from the pool." if n else ""
        if isinstance(values, Iterator):
            cure = f" Write list({name})."
        elif column.ndim == 2 and noun == "group":
            cure = " Of several columns, pass a list of tuples, one for each row."
        elif column.ndim != 1:
            cure = ""
        raise ValueError(
            f"{name} has shape {column.shape}; expected one {noun} for each {rows}."
            f"{cure}"
        )
    for row, value in enumerate(column.tolist()):
        if isinstance(value, np.ndarray):  # as Parquet gives lists back
            column[row] = value = value.tolist()
        if noun == "label" and isinstance(value, list | set):
            raise ValueError(  # a classifier answers what is in it, at best
                f"{name} has {value!r:.80} in row {row}, a {type(value).__name__}; "
                "a label is one string, number or truth value. Take it out: "
                "[label for label, in y]."
            )
        several = isinstance(value, list | tuple | set | frozenset)
        if any(map(is_missing, value if several else (value,))):
            raise ValueError(
                f"{name} has {value} in row {row}; every row needs a {noun}. Give rows "
                'without one a name of their own, such as "unknown", or leave them out.'
            )
        if isinstance(value, list | set):  # to count equal ones
            column[row] = tuple(value) if isinstance(value, list) else frozenset(value)
        try:
            hash(column[row])
        except TypeError:
            raise TypeError(
                f"{name} has {value!r:.80} in row {row}; a {noun} must be a number, "
                "text, or a tuple, list or set of these."
            ) from None
    texts = [value for value in column.tolist() if isinstance(value, str)]
    warn_of_written_nan(texts, name)
    text = {isinstance(value, str) for value in column.tolist()}
    if len(text) > 1:
        raise TypeError(
            f"{name} mixes numbers and text, which would be other {noun}s than meant. "
            "Use one kind."
        )
    with suppress(ValueError):  # tuples of several lengths
        plain = np.array(column.tolist())
        if plain.ndim == 1:
            return plain
    return column  # tuples stay objects


def _of_tuples(values: Sequence[Any]) -> bool:
    return bool(values) and all(isinstance(value, tuple) for value in values)


def is_missing(value: Any) -> bool:
    """Say whether a value is None, NaN, or what pandas has in their place."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return bool(value != value)


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
    if not (
        random_state is None
        or is_whole(random_state)
        or isinstance(random_state, np.random.SeedSequence)
    ):
        raise TypeError(
            "random_state must be None, an int, a numpy.random.Generator, RandomState "
            f"or SeedSequence, got {type(random_state).__name__}."
        )
    if isinstance(random_state, int | np.integer) and random_state < 0:
        raise ValueError(f"random_state must not be negative, got {random_state}.")
    return np.random.default_rng(random_state)


def own_stream(
    rng: np.random.Generator, n: int, random_state: RandomState = None
) -> np.random.Generator:
    """Return a generator whose draws have nothing in common with other ones of a seed.

    The same seed may have drawn before: the first rows taught, a round with a larger
    pool, or an audit that is extended. A draw as before would take the neighbours of
    those rows, which in a pool in some order (videos, folders of classes, copies) say
    the same as they do.

    Parameters
    ----------
    rng : numpy.random.Generator
        Moves on.
    n : int
        What grows or shrinks from draw to draw: rows that are left, or taken.
    random_state : RandomState
        What `rng` was made of. A generator moves on by itself, and stays as it is.
    """
    if isinstance(random_state, np.random.Generator | np.random.RandomState):
        return rng
    return np.random.default_rng([*rng.integers(2**32, size=4).tolist(), n])
