"""Each rule about a parameter once: what it may be, and an error that says so.

A rule is a small frozen object with ``check(name, value)``, which returns the value or
raises. Classes state theirs in a table, name to rule, and `check_parameters` goes over
it, as scikit-learn's ``_parameter_constraints`` does. Nothing here imports PyTorch.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import (
    Callable,
    Iterable,
    Iterator,
    Mapping,
    MappingView,
    Sequence,
    Set,
)
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


def did_you_mean(name: Any, known: Iterable[Any], n: int = 1) -> str:
    """Return a sentence with the nearest known names, or an empty string."""
    near = difflib.get_close_matches(str(name)[:200], [str(k) for k in known], n=n)
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""


def look_up(table: Mapping[str, T], name: str, kind: str) -> T:
    """Return an entry of a table.

    Raises
    ------
    ValueError
        If there is none, with the nearest name and all others.
    """
    if name in table:
        return table[name]
    raise ValueError(
        f"There is no {kind} {name!r:.200}.{did_you_mean(name, table)} There are "
        f"{', '.join(sorted(table))}."
    )


def is_whole(value: Any) -> bool:
    """Say whether a value is an integer of Python or NumPy, and no bool."""
    return isinstance(value, Integral) and not isinstance(value, bool | np.bool_)


def is_number(value: Any) -> bool:
    """Say whether a value is a finite real number, and no bool."""
    if not isinstance(value, Real) or isinstance(value, bool | np.bool_):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no float holds
        return False


def plain_whole(value: Any) -> Any:
    """Return an integer of NumPy as Python's, and anything else as it is.

    PyTorch takes no others in places, and narrow ones wrap round.
    """
    return int(value) if is_whole(value) else value


class ParameterError(ValueError, TypeError):
    """A parameter is not what it may be, in value or in type."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What a parameter may be: what `fits`, or one of the values in `also`."""

    also: tuple[Any, ...] = ()
    hint: str = ""

    def fits(self, value: Any) -> bool:
        """Say whether a value is allowed."""
        raise NotImplementedError

    def words(self) -> str:
        """Name what is allowed, for an error."""
        raise NotImplementedError

    def check(self, name: str, value: Any) -> Any:
        """Return the value; raise ParameterError, naming the parameter, if it is unfit.

        A word that is close to an allowed one is suggested.
        """
        if self.fits(value) or any(_same(value, other) for other in self.also):
            return value
        allowed = [*[repr(other) for other in self.also], self.words()]
        near = did_you_mean(value, self.choices()) if isinstance(value, str) else ""
        if isinstance(value, str) and not near and self._would_fit(value):
            near = f" Write {value.strip()} without quotes."
        hint = f" {self.hint}" if self.hint else ""
        raise ParameterError(
            f"{name} must be {_or(allowed)}, got {value!r} of type "
            f"{type(value).__name__}.{near}{hint}"
        )

    def choices(self) -> list[str]:
        """Return the words among what is allowed."""
        return [other for other in self.also if isinstance(other, str)]

    def _would_fit(self, text: str) -> bool:
        try:
            number = float(text)
        except ValueError:
            return False
        whole = math.isfinite(number) and number == int(number)
        return self.fits(number) or (whole and self.fits(int(number)))


@dataclass(frozen=True, kw_only=True)
class Whole(Rule):
    """A whole number, never a bool or a string."""

    least: int = 1
    most: int | None = None

    def fits(self, value: Any) -> bool:
        """Say whether a value is allowed."""
        if not is_whole(value) or value < self.least:
            return False
        return self.most is None or value <= self.most

    def words(self) -> str:
        """Name what is allowed, for an error."""
        if self.most is not None:
            return f"a whole number from {self.least} to {self.most}"
        return f"a whole number of at least {self.least}"


@dataclass(frozen=True, kw_only=True)
class Number(Rule):
    """A finite number in an interval; `above` and `below` are not part of it."""

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None

    def fits(self, value: Any) -> bool:
        """Say whether a value is allowed."""
        if not is_number(value):
            return False
        value = float(value)  # NumPy would round the bound to a narrow type
        return not (
            (self.least is not None and value < self.least)
            or (self.above is not None and value <= self.above)
            or (self.most is not None and value > self.most)
            or (self.below is not None and value >= self.below)
        )

    def words(self) -> str:
        """Name what is allowed, for an error."""
        bounds = [
            f"{word} {bound}"
            for word, bound in (
                ("of at least", self.least),
                ("above", self.above),
                ("of at most", self.most),
                ("below", self.below),
            )
            if bound is not None
        ]
        return " ".join(["a finite number", " and ".join(bounds)]).strip()


@dataclass(frozen=True)
class OneOf(Rule):
    """One of some words."""

    options: tuple[Any, ...] = ()

    def fits(self, value: Any) -> bool:
        """Say whether a value is allowed."""
        return any(_same(value, option) for option in self.options)

    def words(self) -> str:
        """Name what is allowed, for an error."""
        return _or([repr(option) for option in self.options])

    def choices(self) -> list[str]:
        """Return the words among what is allowed."""
        return [o for o in (*self.options, *self.also) if isinstance(o, str)]


@dataclass(frozen=True)
class Made(Rule):
    """An instance of some types, or what a test accepts."""

    types: tuple[type, ...] = ()
    called: str = ""
    test: Callable[[Any], bool] | None = field(default=None, kw_only=True)

    def fits(self, value: Any) -> bool:
        """Say whether a value is allowed."""
        if isinstance(value, self.types) and not (
            isinstance(value, bool) and bool not in self.types
        ):
            return True
        return self.test is not None and bool(self.test(value))

    def words(self) -> str:
        """Name what is allowed, for an error."""
        return self.called or _or([kind.__name__ for kind in self.types])


SEED = Made(
    (np.random.RandomState,),
    "a whole number from 0 to 4294967295 or a numpy.random.RandomState",
    test=lambda value: value is np.random or Whole(least=0, most=2**32 - 1).fits(value),
    also=(None,),
)


CONFIDENCE = Number(
    least=0.5,
    below=1,
    hint="It is the share of such intervals that hold the truth: for an alpha of 0.05 "
    "write 0.95.",
)


def check_parameters(params: Mapping[str, Any], rules: Mapping[str, Rule]) -> None:
    """Check every parameter that has a rule.

    Parameters
    ----------
    params : mapping of str to object
        Such as ``vars(estimator)``.
    rules : mapping of str to Rule

    Raises
    ------
    ParameterError
        For the first that is not allowed: its name, what came, what is allowed. It is
        a ValueError and a TypeError.
    """
    for name, rule in rules.items():
        if name in params:
            rule.check(name, params[name])


def height_and_width(name: str, value: Any) -> tuple[int, int]:
    """Return a size in pixels, given as one whole number or a pair of them."""
    pair = value
    if is_whole(value):
        pair = (value, value)
    near = ""
    if isinstance(value, str) and value.strip().isdecimal():
        near = f" Write {value.strip()} without quotes."
    if (
        not isinstance(pair, Sequence | np.ndarray)
        or isinstance(pair, str | bytes)
        or (pair.shape != (2,) if isinstance(pair, np.ndarray) else len(pair) != 2)
        or not all(is_whole(side) and side >= 1 for side in pair)
    ):
        raise ValueError(
            f"{name} must be a positive whole number of pixels or a pair (height, "
            f"width) of them, got {value!r} of type {type(value).__name__}.{near}"
        )
    return int(pair[0]), int(pair[1])


def how_to_list(X: Any, name: str) -> str:
    """Return a sentence that says how to make X rows in order, if there is a way."""
    if hasattr(X, "__array__"):
        return f" Try numpy.asarray({name})."
    if isinstance(X, Set) and not isinstance(X, MappingView):
        return f" It has no order: try sorted({name})."
    return f" Try list({name})." if isinstance(X, Iterator | MappingView) else ""


def take_rows(X: Any, rows: Any) -> Any:
    """Take rows of an array, tensor, sparse matrix, frame, table, dict or list.

    Parameters
    ----------
    X : object
    rows : numpy.ndarray of int

    Returns
    -------
    object
        Of the kind of X; a list for other sequences.
    """
    if hasattr(X, "iloc"):
        return X.iloc[rows]
    if hasattr(X, "tocsr"):
        return X.tocsr()[rows]
    if hasattr(X, "column_names"):  # a table of PyArrow
        return X.take(rows)
    if hasattr(X, "shape"):
        return X[rows]
    if hasattr(X, "keys"):
        return {key: take_rows(value, rows) for key, value in X.items()}
    return [X[row] for row in rows]


def chosen_rows(
    strategy: Callable[..., Any], answer: Any, n_rows: int, n_wanted: int
) -> np.ndarray:
    """Return the rows that a query strategy chose, if it keeps to the rules.

    Parameters
    ----------
    strategy : callable
    answer : object
        What it returned: row numbers, or a pair of them and scores.
    n_rows : int
        Rows that it chose from.
    n_wanted : int
        What it got as `n_instances`.

    Returns
    -------
    numpy.ndarray of shape (n_wanted,)

    Raises
    ------
    ValueError
        If these are no numbers of that many different rows.
    """
    pair = isinstance(answer, tuple) and len(answer) == 2
    rows = answer[0] if pair else answer
    problem = _problem(rows, n_rows, n_wanted)
    if problem:
        place = ":".join(
            str(getattr(strategy, name, "?")) for name in ("__module__", "__qualname__")
        )
        raise ValueError(
            f"The strategy {place} must return n_instances={n_wanted} different row "
            f"numbers from 0 to {n_rows - 1}, and scores; {problem}."
        )
    return np.asarray(rows)


def _problem(rows: Any, n_rows: int, n_wanted: int) -> str:
    """Say what is wrong with the row numbers that a strategy returned, if anything."""
    if rows is None:
        return "it returned None"
    try:
        rows = np.asarray(rows)
    except ValueError:  # lists of several lengths
        return f"it returned {rows!r:.60}"
    if rows.dtype.kind not in "iu" or rows.ndim != 1:
        return f"it returned an array of {rows.dtype} of shape {rows.shape}"
    if len(rows) != n_wanted:
        return f"it returned {len(rows)} rows"
    outside = rows[(rows < 0) | (rows >= n_rows)]
    if len(outside):
        return f"it returned row {outside[0]}"
    values, counts = np.unique(rows, return_counts=True)
    if counts.max() > 1:
        return f"it returned row {values[counts.argmax()]} {counts.max()} times"
    return ""


def _same(value: Any, other: Any) -> bool:
    # By identity for None and bools: 1 == True, and arrays have no single answer.
    if other is None or isinstance(other, bool):
        return value is other
    if is_whole(other):
        return is_whole(value) and value == other
    if isinstance(value, np.str_):
        value = str(value)
    return type(value) is type(other) and value == other


def _or(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
