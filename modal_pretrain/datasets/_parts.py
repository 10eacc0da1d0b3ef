"""Parts of a data set from elsewhere, one for each split, joined."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np

from modal_pretrain.datasets._columns import encode, exact, kind_of, label_column
from modal_pretrain.datasets._splits import (
    draw_splits,
    split_names,
    warn_of_new_classes,
)
from modal_pretrain.datasets.grouped import GroupedDataset

_MOST_NAMED = 5


class Part(NamedTuple):
    """Rows of one split, or of all.

    Labels have names where the original keeps numbers for them. Classes that share a
    number have one name together, and `merged` has what was merged into it. `by_place`
    are names that nothing but their order gives numbers, whether they fit or not.
    What names the labels of a `doubted` part contradicts itself, of which it is warned
    already; those of one that is `changed` are other ones than it keeps and names.
    """

    X: Any
    y: np.ndarray
    names: Mapping[Any, str]
    attribute: np.ndarray | None = None
    attribute_names: Mapping[Any, str] | None = None
    extra: Mapping[str, np.ndarray] | None = None
    extra_names: Mapping[str, Mapping[Any, str]] | None = None
    merged: Mapping[str, tuple[str, ...]] | None = None
    by_place: Mapping[Any, str] | None = None
    doubted: bool = False
    changed: bool = False


def join(
    parts: Mapping[str | None, Part],
    *,
    test_size: float,
    validation_size: float,
    random_state: int | np.random.RandomState | None,
    names: Mapping[Any, str] | None = None,
    fix: str | None = None,
    **kwargs: Any,
) -> GroupedDataset:
    """Make one data set of the parts.

    Parameters
    ----------
    parts : mapping of str or None to Part
        One for each split; under None, one whose splits are drawn.
    test_size, validation_size, random_state : float, float, int or RandomState
        The draw.
    names : mapping, optional
        Split for each key of `parts`; by default the usual names are understood.
    fix : str, optional
        See `split_names`.
    **kwargs : dict
        For `GroupedDataset`.

    Returns
    -------
    GroupedDataset
        Parts in their order.
    """
    if not parts:
        raise ValueError("there is no data set in the mapping")
    # Columns without rows are of no kind: of NumPy they would be floats.
    parts = {key: part for key, part in parts.items() if len(part.y)} or parts
    values = list(parts.values())
    values = with_merged_names(values)
    y, y_names = joined_classes(values)
    if None in parts:
        split = draw_splits(y, test_size, validation_size, random_state)
    else:
        listed = np.repeat(
            np.array(list(map(str, parts))), [len(part.y) for part in values]
        )
        split = split_names(listed, names, "the mapping of splits", fix=fix)
    if values[0].attribute is not None:
        attribute, names_of_it = joined(
            "attribute", [(part.attribute, part.attribute_names) for part in values]
        )
        kwargs["attribute"] = attribute
        kwargs.update(_named("attribute", attribute, names_of_it))
    elif kwargs.get("attribute") is None:
        kwargs["attribute"] = np.full(len(y), "all")
    extra = {key: _further(key, values) for key in values[0].extra or {}}
    data = GroupedDataset(
        X=concatenated([part.X for part in values]),
        y=y,
        split=split,
        extra=extra,
        **_named("class", y, y_names),
        **kwargs,
    )
    return warn_of_new_classes(data, data.name, depth=5)


def _further(key: str, parts: list[Part]) -> np.ndarray:
    """Join one further attribute; its numbers mean what they do in the first part."""
    columns = [(part.extra or {})[key] for part in parts]
    names = [(part.extra_names or {}).get(key) for part in parts]
    if all(some == names[0] for some in names):
        return _one_column(columns)
    return joined(f"extra[{key!r}]", list(zip(columns, names, strict=True)))[0]


def joined_classes(parts: Sequence[Part]) -> tuple[np.ndarray, dict[Any, str]]:
    """Join classes and their names; those of other parts are none of a doubted one."""
    y, names = joined("y", [(part.y, part.names) for part in parts])
    if names and any(part.changed for part in parts):
        warnings.warn(
            "y has names in one part, and in another numbers that a transform or code "
            "of yours changed, which may mean something else. All have numbers for "
            "names; change them in all parts, or in none.",
            stacklevel=2,
        )
        return y, {}
    return y, {} if any(part.doubted for part in parts) else names


def joined(
    key: str, parts: list[tuple[Any, Mapping[Any, str] | None]]
) -> tuple[np.ndarray, dict[Any, str]]:
    """Join labels and their names; a name has one number, that of the first part.

    Parts number their names on their own, such as `ImageFolder` where a class lacks.
    Where one without names may count otherwise, none has names, with a warning.
    """
    columns = [label_column(labels, key, len(labels)) for labels, _ in parts]
    kinds = sorted({kind_of(column.dtype.type) for column in columns})
    if len(kinds) > 1:
        raise ValueError(
            f"{key} holds {' in one part and '.join(kinds)} in another; give labels of "
            "one kind in all of them"
        )
    all_names = [names or {} for _, names in parts]
    unnamed = [
        {*np.unique(column).tolist()} - names.keys() if names else set()
        for column, names in zip(columns, all_names, strict=True)
    ]
    joined = dict(next(filter(None, all_names), {}))
    numbers = {name: number for number, name in joined.items()}
    taken, renumbered = set().union(*unnamed), False
    for i, names in enumerate(all_names):
        if not names:
            continue
        _check_none_unlabelled(columns[i], key)
        for name in names.values():
            fresh = max(numbers.values()) + 1
            while fresh in taken:
                fresh += 1
            joined.setdefault(numbers.setdefault(name, fresh), name)
        if any(joined.get(number) != name for number, name in names.items()):
            columns[i] = _renumbered(columns[i], names, joined, key)
            renumbered = True
    others = [y for y, names in zip(columns, all_names, strict=True) if not names]
    why = _why_not_theirs(others if joined else [], joined.keys(), taken, renumbered)
    if why is not None:
        warnings.warn(
            f"{key} has names in one part and none in another, and {why}. All have "
            "numbers for names; give names to all parts, or to none.",
            stacklevel=2,
        )
        joined = {}
    return _one_column(columns), joined


def _one_column(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Join columns, which may be of several kinds."""
    with np.errstate(invalid="ignore"):  # of NaN beside texts, in older versions
        whole = np.concatenate(columns)
    if len({column.dtype.kind for column in columns}) == 1:
        return whole
    return exact(whole, np.concatenate([column.astype(object) for column in columns]))


def _why_not_theirs(
    columns: Sequence[np.ndarray], named: Set[Any], taken: set[Any], renumbered: bool
) -> str | None:
    """Say why labels of parts without names may not be those that others name."""
    for column in columns:
        labels = {*np.unique(column).tolist()}
        others = labels - named - taken
        if named.isdisjoint(labels):
            continue
        if others:
            return f"label {min(others)} in it is none that the others know"
        if renumbered:
            return "the others number their names differently"
    return None


def _renumbered(
    column: np.ndarray, names: Mapping[Any, str], joined: Mapping[Any, str], key: str
) -> np.ndarray:
    """Give labels of a part the numbers that their names have in all."""
    numbers: dict[str, list[Any]] = {}
    for number, known in joined.items():
        numbers.setdefault(known, []).append(number)
    own, to = [*names.values()], {}
    for label in np.unique(column).tolist():
        name = names.get(label)
        if name is None and label in joined:
            raise ValueError(
                f"{key} {label} has no name in one part and is {joined[label]!r} in "
                "another, which numbers its names differently; give it a name"
            )
        if name is not None and joined.get(label) != name:
            if max(len(numbers[name]), own.count(name)) > 1:
                raise ValueError(
                    f"{key}: two classes are called {name!r}, and parts number their "
                    "names differently; give each a name of its own"
                )
            to[label] = numbers[name][0]
    return np.array([to.get(label, label) for label in column.tolist()])


def either(names: Sequence[str]) -> str:
    """Return the name of a class that several were merged into."""
    if len(names) <= _MOST_NAMED:
        return " or ".join(names)
    return f"{names[0]} or {len(names) - 1} others"


def with_merged_names(parts: Sequence[Part]) -> list[Part]:
    """Name a class alike in all parts where one lacks some of what was merged into it.

    Raises
    ------
    ValueError
        If a part tells apart what another has merged.
    """
    groups: dict[str, tuple[str, ...]] = {}
    for part in parts:
        for some in (part.merged or {}).values():
            whole = tuple(sorted({n for name in some for n in groups.get(name, some)}))
            groups |= dict.fromkeys(whole, whole)
    if not groups:
        return list(parts)
    merged = {either(group): group for group in groups.values()}
    found = []
    for part in parts:
        of_name = {name: some[0] for name, some in (part.merged or {}).items()}
        names = {
            number: either(groups.get(of_name.get(name, name), (name,)))
            for number, name in part.names.items()
        }
        shared = [name for name in names.values() if name in merged]
        if len(set(shared)) < len(shared):
            apart = next(name for name in shared if shared.count(name) > 1)
            raise ValueError(
                f"{apart!r} is one class in a data set and several in another. Merge "
                "the same folders in all of them"
            )
        found.append(part._replace(names=names, merged=merged))
    return found


def _check_none_unlabelled(column: np.ndarray, key: str) -> None:
    """Refuse -1, which stands for no label where numbers have names."""
    without = np.flatnonzero(column == -1)
    if len(without):
        raise ValueError(
            f"{key} is -1, which means no label, in {len(without)} of {len(column)} "
            f"rows, first in row {without[0]}; leave these rows or the split out"
        )


def _named(kind: str, labels: np.ndarray, names: Mapping[Any, str]) -> dict[str, Any]:
    """Labels and names to show, in the order of the labels."""
    known, _ = encode(labels, None, kind, "")
    values = "classes" if kind == "class" else "attributes"
    shown = [names.get(label, str(label)) for label in known.tolist()]
    return {values: known, f"{kind}_names": shown}


def concatenated(parts: list[Any]) -> Any:
    """Join inputs: one array, if all are arrays of one kind, else a list."""
    if len(parts) == 1:
        return parts[0]
    if all(isinstance(part, np.ndarray) for part in parts) and (
        len({(part.dtype.kind, part.shape[1:]) for part in parts}) == 1
    ):
        return np.concatenate(parts)
    return [row for part in parts for row in part]
