"""Names of classes and tags: short words that a CSV file can hold safely."""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

import numpy as np

from modal_pretrain._checks import did_you_mean
from modal_pretrain._inputs.spelling import equal_numbers, is_no_value, near_alikes
from modal_pretrain.labelling.pool import FORMULA

# Those of Unicode's category Zs.
_SPACES = re.compile("[ \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+")
MOST_LETTERS = 100
MOST_WORDS = 1000


def check_word(name: str, value: Any) -> str:
    """Return a class or tag without spaces around it, and single ones of one kind.

    Parameters
    ----------
    name : str
        What an error calls it.
    value : str

    Returns
    -------
    str

    Raises
    ------
    TypeError
        If it is no str.
    ValueError
        If it is empty, too long, has control characters, begins like a formula,
        which a spreadsheet that opens the label file would compute, or is what one
        writes where a formula failed.
    """
    if not isinstance(value, str):
        raise TypeError(
            f"{name} must be a str, got {value!r} of type {type(value).__name__}."
        )
    # One spelling of what looks the same: macOS writes "é" in two letters, and its
    # keyboard makes spaces that do not break.
    word = _SPACES.sub(" ", unicodedata.normalize("NFC", value.strip()))
    if not 1 <= len(word) <= MOST_LETTERS:
        raise ValueError(
            f"{name} must have 1 to {MOST_LETTERS} letters, got {len(word)}."
        )
    if any(map(_is_hidden, word)):
        raise ValueError(
            f"{name} must have no control characters and none that can't be seen, got "
            f"{word!a}."
        )
    if word.startswith(FORMULA):
        raise ValueError(
            f"{name} must not begin with {' '.join(FORMULA)}, which makes it a formula "
            f"in a spreadsheet; got {word!r}."
        )
    if is_no_value(word):
        raise ValueError(
            f"{name} must be a word, got {word!r}, which spreadsheets write where a "
            "formula fails or a column is too narrow. Correct it, or in a file empty "
            "the cell."
        )
    return word


def _is_hidden(letter: str) -> bool:
    """Say whether a word with this letter could look like another word.

    Joiners can't be seen either, but Persian, Indic scripts and emoji need them.
    """
    return (
        unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        and letter not in "\u200c\u200d"
    )


def _as_text(word: Any) -> Any:
    """Return whole numbers and truth values, also NumPy's, as text.

    Not NaN, which is what pandas has where there is no label, nor bytes. A member of an
    enumeration of texts is one as it is, and as str() names it another.
    """
    return str(word) if isinstance(word, int | np.integer | np.bool_) else word


class Words:
    """The classes, or the tags, in the order of their keys.

    Parameters
    ----------
    name : str
        The parameter they come from, for errors.
    given : sequence of str or None
        None is none, and `free`.
    free : bool, default=False
        Whether a word that is not known becomes known by its use.
    optional : bool, default=False
        Whether None or an empty str may stand for no word.
    said : str, default=""
        The parameter that words of answers come in, if it has another name.

    Examples
    --------
    >>> classes = Words("labels", ["cat", "dog"])
    >>> classes.each("dog", 2)
    ['dog', 'dog']
    """

    def __init__(
        self,
        name: str,
        given: Sequence[str] | None,
        *,
        free: bool = False,
        optional: bool = False,
        said: str = "",
    ) -> None:
        self.free = free or given is None
        given = () if given is None else given
        table = len(getattr(given, "shape", "1")) != 1
        if (
            isinstance(given, str | Mapping | Set)
            or not isinstance(given, Iterable)
            or table  # whose names of columns would be taken
        ):
            raise TypeError(
                f"{name} must be a list of str, whose order is that of the keys, got "
                f"{given!r} of type {type(given).__name__}."
            )
        self.name = name
        self.said = said or name
        self.optional = optional
        self.known: list[str] = []
        self._alikes: set[tuple[str, str]] = set()
        for word in given:
            self._take(word)
        self.check_numbers()
        self._warn_of_alikes()

    def check_numbers(self, more: Iterable[str] = (), where: str = "") -> None:
        """Raise ValueError if one number is spelt twice, as 1 and 1.0.

        pandas and spreadsheets make the second of the first, and the model would learn
        both as two.
        """
        twice = equal_numbers([*self.known, *more])
        if twice is not None:
            raise ValueError(
                f"{where}{self.name}: {twice[0]!r} and {twice[1]!r} are two spellings "
                "of one number. Correct one, or put a letter before both if they mean "
                "two things, as v1.1 and v1.10 do; read and written with dtype=str, "
                "pandas leaves labels as they are."
            )

    def add(self, word: str) -> str:
        """Add a word and return it.

        Raises
        ------
        TypeError, ValueError
            If it is no word, is known, also in other capitals, dashes or the like, a
            known number in another spelling, or there are too many.
        """
        word = check_word(self.name, word)
        self.check_numbers([word])
        for known in self.known:
            if near_alikes((known, word)):
                raise ValueError(
                    f"{self.name}: there is {known!r} already, from which {word!r} "
                    "differs in how it is typed only. Use that, or another word."
                )
        return self._take(word)

    def _take(self, word: str) -> str:
        word = check_word(self.name, word)
        if word in self.known:
            raise ValueError(f"{self.name}: there is {word!r} already.")
        if len(self.known) >= MOST_WORDS:
            raise ValueError(f"{self.name}: there are {MOST_WORDS} already.")
        self.known.append(word)
        return word

    def _warn_of_alikes(self) -> None:
        """Warn once of each two words that differ in how they are typed only."""
        rest = list(self.known)
        while (alike := near_alikes(rest)) is not None:
            rest.remove(alike[1])  # the next pair may be hidden behind this one
            if alike not in self._alikes:
                self._alikes.add(alike)
                warnings.warn(
                    f"{self.name}: {alike[0]!r} and {alike[1]!r}, which differ in how "
                    "they are typed only, count as two. If they are one, correct them "
                    "where you name them and in the label file.",
                    UserWarning,
                    stacklevel=4,
                )

    def learn(self, words: Iterable[str]) -> None:
        """Add those that are not known yet; empty ones are none."""
        before = len(self.known)
        for word in words:
            if word and word not in self.known:
                self._take(word)
        if len(self.known) > before:
            self._warn_of_alikes()

    def each(self, given: Any, n: int) -> list[str]:
        """Return a word for each of n rows, from one for all or one for each.

        Raises
        ------
        TypeError, ValueError
            If there are more or fewer, or one is not known and must be, or is a known
            number in another spelling.
        """
        if isinstance(given, Set | Mapping):
            raise TypeError(
                f"{self.said} must be a str, or a list of them in the order of the "
                f"rows; got {given!r} of type {type(given).__name__}."
            )
        shape = getattr(given, "shape", (n,))
        if len(shape) != 1 and not isinstance(given, np.generic):
            # A table would be read as the names of its columns.
            raise TypeError(
                f"{self.said} must be a str, or a list of them; got one of type "
                f"{type(given).__name__} and shape {tuple(shape)}. Pass one column, as "
                "table[column] in pandas, and one value as it is, as value.item()."
            )
        # Bytes, which are no words, would be read as a list of numbers.
        one = isinstance(given, str | bytes | bytearray)
        one |= not hasattr(given, "__len__")
        listed = [given] * n if one else list(given)
        if len(listed) != n:
            raise ValueError(f"{self.said} has {len(listed)} entries for {n} rows.")
        words = [
            ""
            if self.optional and isinstance(word, str | None) and not word
            else check_word(self.said, _as_text(word))
            for word in listed
        ]
        for word in words:
            if not self.free and word not in self.known:
                raise ValueError(
                    f"{self.said} must be of {', '.join(self.known)}; got {word!r}."
                    f"{did_you_mean(word, self.known)} New ones have to be added "
                    "first."
                )
        if not set(words) <= {*self.known, ""}:
            self.check_numbers(words)
        return words
