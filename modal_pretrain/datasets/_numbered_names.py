"""Which number a data set of torchvision's kind has for which name of a class."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import takewhile
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd


def of_the_labels(
    names: dict[Any, str], numbers: dict[str, Any], y: np.ndarray, *, on_purpose: bool
) -> tuple[dict[Any, str], dict[str, Any]]:
    """Choose between two sources that differ.

    One is from before the labels were edited, as `class_to_idx` of CIFAR-10 with cats
    and dogs alone as 0 and 1 or with its classes in another order, or `classes` are
    those that a split has, numbered among all. Where the labels fit both they have no
    names, with a warning, unless both have the same names and the numbers are there
    `on_purpose`: torchvision makes them whether anybody needs them or not.
    """
    labels = {*np.unique(y).tolist()}
    own = {*names.values()}
    of_number = {number: name for name, number in numbers.items() if name in own}
    alike = own == numbers.keys()
    if (alike and on_purpose) or not labels <= names.keys():
        return names, numbers
    if not labels <= of_number.keys():
        return names, (numbers if alike else {})
    differ = sorted(label for label in labels if of_number[label] != names[label])
    if not differ:
        if all(numbers.get(name, number) == number for number, name in names.items()):
            return names, numbers
        # The others are of another split to tell.
        return {label: names[label] for label in labels}, {}
    one, other = names[differ[0]], of_number[differ[0]]
    warnings.warn(
        f"classes and class_to_idx disagree: label {differ[0]} is {one!r} in one and "
        f"{other!r} in the other. Classes have numbers for names; correct one of both, "
        "or delete it.",
        stacklevel=2,
    )
    return {}, {}


def listed(kept: Any, labels: np.ndarray) -> tuple[dict[Any, str], dict[str, Any]]:
    """Return names by number, or numbers by name, of what a data set keeps as classes.

    A list goes by place, unless it holds the labels themselves, as ``np.unique(y)``; a
    Series of pandas by its index, where that holds the labels or names of numbers. A
    number of classes, a method and a set, which has no order, tell nothing.
    """
    if isinstance(kept, pd.Series) and (
        {*np.unique(labels).tolist()} <= {*kept.index}
        or (_numeric(kept) and not _numeric(kept.index))
    ):
        kept = kept.to_dict()
    if hasattr(kept, "tolist"):
        kept = kept.tolist()
    if isinstance(kept, Mapping):
        if _numeric(kept.values()):
            return {}, {str(name): number for name, number in kept.items()}
        return {k: str(name) for k, name in kept.items()} if _numeric(kept) else {}, {}
    if not isinstance(kept, Iterable) or isinstance(kept, (str, set, frozenset)):
        return {}, {}
    some = list(kept)
    themselves = _numeric(some) and {*np.unique(labels).tolist()} <= {*some}
    return {} if themselves else dict(enumerate(map(str, some))), {}


def are_numbers_of_classes(labels: np.ndarray) -> bool:
    """Say whether labels are whole numbers.

    They may be decimals, as losses of two classes want them; but -1.0 is then a class
    of such a loss, and not no label.
    """
    return labels.dtype.kind in "iu" or (
        labels.dtype.kind == "f"
        and bool((labels >= 0).all())
        and np.array_equal(labels, np.floor(labels))
    )


def _numeric(values: Iterable[Any]) -> bool:
    return all(isinstance(value, Real) for value in values)


def labels_of_folders(dataset: Any, known: set[Any]) -> dict[str, Counter[Any]]:
    """Count the labels in each class folder of a data set that lists files.

    They are at the top, or where all files lie deeper, as of EuroSAT, below what has no
    name of a class. Where none has a name that is `known`, as folders of cameras or
    one for all pictures, they are no class folders.
    """
    root, samples = getattr(dataset, "root", None), getattr(dataset, "samples", None)
    if not isinstance(samples, list) or not isinstance(root, (str, os.PathLike)):
        return {}
    found: dict[str, Counter[Any]] = {}
    with suppress(TypeError, ValueError):  # they are no pairs of path and number
        pairs = Counter((os.path.dirname(path), number) for path, number in samples)
        below = {each: os.path.relpath(each, root).split(os.sep) for each, _ in pairs}
        levels = zip(*below.values(), strict=False)
        shared = list(takewhile(lambda names: len(set(names)) == 1, levels))
        start = next(
            (i for i, names in enumerate(shared) if names[0] in known), len(shared)
        )
        for (folder, number), count in pairs.items():
            # With pictures beside folders there is no class folder to name them by.
            name = [*below[folder], os.curdir][start]
            found.setdefault(name, Counter())[number] += count
    return found if found.keys() & known else {}
