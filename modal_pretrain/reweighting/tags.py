"""Tags: what a person says may be ignored about a labelled row, or nothing."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence, Set
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import chi2_contingency

from modal_pretrain._inputs.alikes import frames_of_ours
from modal_pretrain._inputs.labels import as_labels
from modal_pretrain._inputs.numbers import of_tensor
from modal_pretrain._inputs.spelling import near_alikes

# Chance that tags look associated with the class when they are not.
LEVEL = 0.05


def tag_table(ignore: Any, n: int, *, name: str = "ignore") -> NDArray[np.object_]:
    """Check tags; return them as objects, None where nobody said.

    Parameters
    ----------
    ignore : array-like of shape (n,) or (n, k)
        Strings, whole numbers or truth values; None, NaN or NA where nobody said. An
        empty string is a tag as any other: it may mean that there is no ruler.
    n : int
        Rows there are.
    name : str
        What to call the tags in errors.

    Returns
    -------
    numpy.ndarray of object, shape (n, k)

    Raises
    ------
    ValueError
        If shapes differ, or one attribute has tags of several kinds.
    """
    strange = isinstance(ignore, str | bytes | Mapping | Set)
    strange = strange or hasattr(ignore, "toarray")  # a sparse matrix
    if strange or not hasattr(ignore, "__len__"):
        raise ValueError(
            f"{name} must be a list or an array with a tag for each row of X (None "
            f"where nobody said), or a table with a column for each attribute, got "
            f"{ignore!r:.80}."
        )
    table = _as_objects(ignore, name)
    if len(table) != n:
        raise ValueError(
            f"{name} has {len(table)} rows of tags for {n} rows of X; give one for "
            "each, None where nobody said. To tag rows as they are labelled, call "
            "classifier.tag(X, tags): it remembers them by the rows' content."
        )
    table[pd.isna(table)] = None
    check_kinds(table, name)
    return table


def _as_objects(ignore: Any, name: str) -> NDArray[np.object_]:
    """Return tags as objects (n, k): on their way through floats integers round."""
    if isinstance(ignore, Sequence) and not isinstance(ignore, memoryview):
        lengths = {len(row) for row in ignore if isinstance(row, list | tuple)}
        if len(lengths) > 1:
            raise ValueError(
                f"{name} has rows of {' and of '.join(map(str, sorted(lengths)))} "
                "tags; give all attributes for each row, None where nobody said."
            )
        table = np.array(list(ignore), dtype=object)
    elif isinstance(ignore, np.ma.MaskedArray):
        # Not `filled(None)`, which is the array's own fill value.
        table = ignore.data.astype(object)
        table[np.ma.getmaskarray(ignore)] = None
    elif isinstance(ignore, pd.DataFrame | pd.Series):
        table = ignore.astype(object).to_numpy(dtype=object, copy=True)
    else:
        table = np.array(of_tensor(ignore, name), dtype=object)
    if table.ndim not in (1, 2):
        raise ValueError(
            f"{name} must have shape (n,) or (n, k), a tag for each row of X and "
            f"attribute, got {table.shape}."
        )
    return table[:, None] if table.ndim == 1 else table


def check_kinds(table: NDArray[np.object_], name: str = "ignore") -> None:
    """Raise ValueError if the tags of one attribute are of several kinds."""
    for column in range(table.shape[1]):
        _check_kind(table[:, column], column, name)


def _check_kind(tags: NDArray[np.object_], column: int, name: str) -> None:
    kinds: dict[str, Any] = {}
    for tag in tags:
        if tag is not None:
            kinds.setdefault(_kind(tag), tag)
    if "" in kinds:
        raise ValueError(
            f"{name} has the tag {kinds['']!r} of type {type(kinds['']).__name__} in "
            f"column {column}; tags are strings, whole numbers or truth values."
        )
    if len(kinds) > 1:
        (one, first), (other, second), *_ = kinds.items()
        raise ValueError(
            f"{name} mixes kinds of tags in column {column}: {first!r} is {one}, "
            f"{second!r} is {other}. Use one kind for all."
        )


def _kind(tag: Any) -> str:
    if isinstance(tag, str):
        return "a string"
    if isinstance(tag, bool | np.bool_):
        return "a truth value"
    if isinstance(tag, Integral) or (isinstance(tag, Real) and tag == tag // 1):
        return "a number"
    return ""


def tag_codes(table: NDArray[np.object_], *, name: str = "ignore") -> NDArray[np.int64]:
    """Give the values of each attribute numbers from 0; -1 where nobody said.

    Parameters
    ----------
    table : numpy.ndarray of object, shape (n, k)
        See `tag_table`.
    name : str
        What to call the tags in errors.

    Returns
    -------
    numpy.ndarray
        int64 (n, k).

    Warns
    -----
    UserWarning
        If two tags of an attribute differ in how they are typed only, or one is the
        text that NumPy makes of NaN among strings.
    """
    codes = np.full(table.shape, -1, dtype=np.int64)
    for column, tags in enumerate(table.T):
        said = np.array([tag is not None for tag in tags], dtype=bool)
        if said.any():
            values = as_labels(tags[said].tolist(), name)
            _warn_of_near_alikes(values, column, name)
            codes[said, column] = np.unique(values, return_inverse=True)[1].ravel()
    return codes


def _warn_of_near_alikes(values: NDArray[Any], column: int, name: str) -> None:
    if values.dtype.kind not in "biuf":
        pair = near_alikes(t for t in dict.fromkeys(values.tolist()) if t)
        if pair is not None:
            warnings.warn(
                f"{name} has the tags {pair[0]!r} and {pair[1]!r} in column {column}, "
                "which count as two. If they are one, give it one spelling.",
                UserWarning,
                stacklevel=frames_of_ours() + 1,
            )


def crossed(codes: NDArray[np.int64], y: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count class x tag where it is known, if the attribute is crossed with the class.

    It is if one of its values is in several classes, and one of the classes has several
    of its values. Where it is constant, the class itself, or nested in the class, no
    row shows what the class is without it.

    Parameters
    ----------
    codes : numpy.ndarray of int, shape (n,)
        -1 where nobody said.
    y : numpy.ndarray of int, shape (n,)

    Returns
    -------
    numpy.ndarray
        int64 (classes, values); empty if it is not crossed.
    """
    said = codes >= 0
    if not said.any():
        return np.empty((0, 0), dtype=np.int64)
    counts = pd.crosstab(y[said], codes[said]).to_numpy()
    there = counts > 0
    if not ((there.sum(axis=0) > 1).any() and (there.sum(axis=1) > 1).any()):
        return np.empty((0, 0), dtype=np.int64)
    return counts


def is_confounded(
    codes: NDArray[np.int64], y: NDArray[np.int64], *, level: float = LEVEL
) -> bool:
    """Say whether an attribute misleads about the class where it is known.

    It must be `crossed` with the class, and the two must go together more than chance
    has it (chi-squared test).

    Parameters
    ----------
    codes : numpy.ndarray of int, shape (n,)
        -1 where nobody said.
    y : numpy.ndarray of int, shape (n,)
    level : float, default=0.05
        Chance to say so where it is not.

    Returns
    -------
    bool
    """
    counts = crossed(codes, y)
    return bool(counts.size and chi2_contingency(counts).pvalue < level)


def cells(codes: NDArray[np.int64], y: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the cells of class x tag numbers; untagged rows of a class are one cell."""
    pairs = np.stack([y, codes], axis=1)
    return np.unique(pairs, axis=0, return_inverse=True)[1].ravel()


def balanced(
    codes: NDArray[np.int64], y: NDArray[np.int64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Scale weights so that the classes, and in each its tags, have equal mass.

    Untagged rows have the share of their class that is theirs by number.

    Parameters
    ----------
    codes : numpy.ndarray of int, shape (n,)
        -1 where nobody said.
    y : numpy.ndarray of int, shape (n,)
    weight : numpy.ndarray of shape (n,)

    Returns
    -------
    numpy.ndarray
        float64 (n,), with the sum of `weight`.
    """
    result = np.zeros(len(y))
    labels = np.unique(y)
    for label in labels:
        own = y == label
        mass = weight.sum() / len(labels)
        values = np.unique(codes[own])
        untagged = own & (codes < 0)
        share = untagged.sum() / own.sum()
        n_tags = np.count_nonzero(values >= 0)
        for value in values:
            rows = own & (codes == value)
            part = share if value < 0 else (1 - share) / n_tags
            held = weight[rows].sum() or 1.0  # where all weigh nothing, none does
            result[rows] = weight[rows] * (mass * part / held)
    return result
