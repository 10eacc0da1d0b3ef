"""Names of splits as people write them, and splits drawn where there are none."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from modal_pretrain._checks import Number
from modal_pretrain.datasets._columns import encode
from modal_pretrain.datasets._draws import check_random
from modal_pretrain.datasets._table import warn
from modal_pretrain.datasets.grouped import SPLITS, GroupedDataset

# What is not a number has one meaning everywhere; 0, 1 and 2 have not.
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "id_val": "id_validation",
    "id_validation": "id_validation",
    "id_test": "id_test",
}


def split_names(
    values: Any,
    names: Mapping[Any, str] | None,
    where: str,
    *,
    fix: str | None = None,
) -> np.ndarray:
    """Translate what stands for the splits into the names of `GroupedDataset`.

    Parameters
    ----------
    values : sequence of str
        One for each row.
    names : mapping, optional
        Name for each value; keys are compared as text. By default the usual names.
    where : str
        Where the values are from, for messages.
    fix : str, optional
        What to do about unknown values; by default, give `split_names`.

    Returns
    -------
    ndarray of str
        One for each row.

    Raises
    ------
    ValueError
        If a value has no name, or a name is unknown.
    """
    if names is None:
        known = SPLIT_NAMES
    else:
        check_mapping(names)
        known = {str(key): str(name) for key, name in names.items()}
        wrong = [name for name in known.values() if name not in SPLITS]
        if wrong:
            raise ValueError(
                f"split_names maps to {wrong[0]!r}; the known splits are "
                f"{', '.join(SPLITS)}"
            )
    found, inverse = np.unique(np.asarray(values, dtype=str), return_inverse=True)
    result = []
    for position, value in enumerate(found.tolist()):
        # Names are written in any case, unless somebody lists them.
        key = value.strip().lower() if names is None else value
        if key not in known:
            rows = np.flatnonzero(inverse == position)
            meant = SPLIT_NAMES[near_split(value) or "train"]
            say = (
                "Say what the values mean, for example "
                f"split_names={{{value!r}: {meant!r}, ...}}"
            )
            raise ValueError(
                f"{where} holds {value!r} in {len(rows)} rows; known are "
                f"{', '.join(known)}. {say if fix is None else fix}"
            )
        result.append(known[key])
    return np.array(result)[inverse]


def split_words(name: str) -> list[str]:
    """Return the words of a name that are names of splits."""
    apart = re.sub("(?<=[a-z])(?=[A-Z])", "_", name)  # TrainData
    between = r"[\W\d_]+|(?:set|data|images?|imgs?)(?![a-z])"
    words = re.split(between, apart.lower())
    return [word for word in words if word in SPLIT_NAMES]


def near_split(name: str) -> str | None:
    """Return the name of a split that a name is, has as a word, or is close to."""
    close = difflib.get_close_matches(name.lower(), SPLIT_NAMES, n=1, cutoff=0.74)
    near = (
        [each for each in close if each == name.lower()] or split_words(name) or close
    )
    return near[0] if near else None


def warn_of_new_classes(
    data: GroupedDataset, where: Any, *, depth: int = 4
) -> GroupedDataset:
    """Warn if other splits have classes that the train split lacks.

    That may be meant, or one class has two spellings.

    Parameters
    ----------
    data : GroupedDataset
    where : object
        What it is from, for the message.
    depth : int, default=4
        See `warn`.

    Returns
    -------
    GroupedDataset
        `data`.
    """
    train, classes = data.split == "train", data.groups // len(data.attributes)
    known = np.bincount(classes[train], minlength=len(data.classes)) > 0
    new = ~known[classes]
    if train.any() and new.any():
        shown = data.class_names or ()
        names = [shown[i] for i in np.unique(classes[new])]
        which = "the class" if len(names) == 1 else f"{len(names)} classes, such as"
        warn(
            f"{new.sum()} of {(~train).sum()} rows of {where} in other splits than "
            f"train are of {which} {names[0]!r}, of which train has no row, so that no "
            "model can learn it. If a class is spelt in two ways, give it one name",
            depth=depth,
        )
    return data


def check_mapping(names: Any) -> None:
    """Raise ValueError if what names the splits is no mapping."""
    if not isinstance(names, Mapping):
        raise ValueError(
            "split_names must say what each name means, such as {'a': 'train', 'b': "
            f"'test'}}, got {names!r:.80} of type {type(names).__name__}"
        )


def draw_splits(
    y: np.ndarray,
    test_size: float,
    validation_size: float,
    random_state: int | np.random.RandomState | None,
) -> np.ndarray:
    """Draw splits with the same shares in every class.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Class labels.
    test_size, validation_size : float
        Shares, at least 0 and together less than 1.
    random_state : int, RandomState or None
        The draw.

    Returns
    -------
    ndarray of str of shape (n,)
        "train", "validation" or "test".

    Raises
    ------
    ValueError
        If the shares are out of range, or labels have no order.
    """
    for name, share in (("test_size", test_size), ("validation_size", validation_size)):
        Number(least=0, below=1).check(name, share)
    if test_size + validation_size >= 1:
        raise ValueError(
            "test_size and validation_size must be at least 0 and together less than "
            f"1, got {test_size} and {validation_size}"
        )
    rng = check_random(random_state)
    split = np.full(len(y), "train", dtype="<U10")
    known, numbers = encode(y, None, "y", "")
    for number in range(len(known)):
        rows = rng.permutation(np.flatnonzero(numbers == number))
        first = round(test_size * len(rows))
        second = first + round(validation_size * len(rows))
        split[rows[:first]] = "test"
        split[rows[first:second]] = "validation"
    return split
