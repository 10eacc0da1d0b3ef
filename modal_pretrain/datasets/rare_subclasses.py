"""Rare subclasses, hidden in the classes of any labelled data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from modal_pretrain.datasets._draws import check_random
from modal_pretrain.datasets.grouped import GroupedDataset
from modal_pretrain.datasets.torchvision_data import from_torchvision


def make_rare_subclasses(
    dataset: Any,
    mapping: Mapping[Any, Any],
    rare: Sequence[Any],
    fraction: float = 0.05,
    *,
    n_train: int | None = None,
    n_test: int | None = None,
    random_state: int | np.random.RandomState | None = 0,
) -> GroupedDataset:
    """Merge the classes of a data set to few, some of whose parts are rare.

    Input: that of `dataset`. Class: what `mapping` says, such as "animal" for cats and
    birds. Attribute: the subclass, which is the class in `dataset`, by its name (a
    string, "10" for a class 10 without one). Disambiguating: the subclass is rare in
    training. Splits: those of `dataset`; only "train" has rare subclasses.

    Parameters
    ----------
    dataset : GroupedDataset or data set
        The labelled data; what is not a `GroupedDataset` goes through
        `from_torchvision` first. It needs a train split.
    mapping : mapping
        Class for each subclass, by its label or its name. None as a class leaves the
        subclass out.
    rare : sequence
        The rare subclasses.
    fraction : float, default=0.05
        A rare subclass gets this share of the training examples that it would have, in
        (0, 1), at least one.
    n_train : int, optional
        Training examples of each subclass that is not rare; by default all.
    n_test : int, optional
        Examples of each subclass in each other split; by default all.
    random_state : int, RandomState or None, default=0
        Draws the examples.

    Returns
    -------
    GroupedDataset
        Rows in the order of `dataset`.

    Raises
    ------
    ValueError
        If a subclass is not in `mapping`, or has not enough examples, or a class has
        only rare ones.

    Examples
    --------
    >>> from modal_pretrain.datasets import make_rare_subclasses, make_shapes
    >>> shapes = make_shapes(300, 90, n_classes=3, match_rate=0.5, image_size=16)
    >>> data = make_rare_subclasses(
    ...     shapes, {"square": "angular", "triangle": "angular", "circle": "round"},
    ...     rare=["triangle"], fraction=0.1,
    ... )
    >>> data.summary()
    'shapes: 2 classes x 3 subclass; train 210 (4.8 % disambiguating), test 90 (33.3 %)'
    """
    if not isinstance(dataset, GroupedDataset):
        dataset = from_torchvision(dataset)
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must be in (0, 1), got {fraction}")
    labels = dataset.classes.tolist()
    names = list(dataset.class_names)
    known = {**dict(zip(names, labels, strict=True)), **{v: v for v in labels}}
    for key, values in (("mapping", mapping), ("rare", rare)):
        unknown = [value for value in values if value not in known]
        if unknown:
            raise ValueError(
                f"{key} has {unknown[0]!r}, which is no class of {dataset.name}; its "
                f"classes are {', '.join(names)}"
            )
    classes = {known[key]: value for key, value in mapping.items()}
    lacking = [
        name for name, label in zip(names, labels, strict=True) if label not in classes
    ]
    if lacking:
        raise ValueError(
            f"mapping lacks {', '.join(lacking)}; give their class, or None to leave "
            "them out"
        )
    rare_labels = {known[value] for value in rare}
    _check_classes(classes, rare_labels)
    rng = check_random(random_state)
    chosen = []
    for label in labels:
        if classes[label] is None:
            continue
        for split in np.unique(dataset.split).tolist():
            rows = np.flatnonzero((dataset.y == label) & (dataset.split == split))
            wanted = n_train if split == "train" else n_test
            count = len(rows) if wanted is None else wanted
            if split == "train" and label in rare_labels:
                count = max(1, round(fraction * count))
            if count > len(rows):
                raise ValueError(
                    f"{dataset.name} has {len(rows)} examples of {label!r} in {split}, "
                    f"{count} are wanted"
                )
            chosen.append(rng.choice(rows, count, replace=False))
    part = dataset.subset(np.sort(np.concatenate(chosen)))
    shown = dict(zip(labels, names, strict=True))
    return GroupedDataset(
        part.X,
        [classes[label] for label in part.y.tolist()],
        np.array([shown[label] for label in part.y.tolist()]),
        part.split,
        disambiguating=np.isin(part.y, list(rare_labels)),
        name=dataset.name,
        attribute_name="subclass",
        modality=dataset.modality,
        extra=part.extra,
    )


def _check_classes(classes: dict[Any, Any], rare: set[Any]) -> None:
    left_out = [label for label in rare if classes[label] is None]
    if left_out:
        raise ValueError(f"{left_out[0]!r} is rare and left out")
    for name in set(classes.values()) - {None}:
        if all(label in rare for label, c in classes.items() if c == name):
            raise ValueError(
                f"all subclasses of {name!r} are rare; each class needs one that is not"
            )
