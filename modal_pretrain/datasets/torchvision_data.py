"""Data sets of torchvision, or of its kind: pairs of image and label by number.

Neither is imported here: what has ``len`` and gives (image, label) will do.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd

from modal_pretrain.datasets._columns import label_column
from modal_pretrain.datasets._numbered_names import (
    are_numbers_of_classes,
    labels_of_folders,
    listed,
    of_the_labels,
)
from modal_pretrain.datasets._parts import (
    Part,
    concatenated,
    either,
    join,
    joined_classes,
    with_merged_names,
)
from modal_pretrain.datasets._repeats import warn_of_shared_pictures
from modal_pretrain.datasets.grouped import GroupedDataset


def from_torchvision(
    dataset: Any,
    *,
    attribute: Any = None,
    attribute_name: str = "attribute",
    test_size: float = 0.2,
    validation_size: float = 0.0,
    random_state: int | np.random.RandomState | None = 0,
    disambiguating: Any = "mismatch",
    rare_share: float = 0.1,
    name: str | None = None,
) -> GroupedDataset:
    """Take over a data set of torchvision, or of PyTorch, that gives (image, label).

    Input: its images: the files where it lists them (`ImageFolder` and its kind), its
    array where it has all in one (CIFAR, MNIST, SVHN), else, and where a class of your
    own or a `loader` makes the items, its items, which are all loaded (of images that
    are opened and unread, the bytes of their files). Class: the label. Attribute and
    splits: see the parameters.

    Parameters
    ----------
    dataset : data set, or mapping of str to data set
        One data set, whose splits are drawn, or one for each split, such as
        ``{"train": CIFAR10(root, train=True), "test": CIFAR10(root, train=False)}``.
        Where they number their classes differently, the names decide.
        `torch.utils.data.Subset` and `ConcatDataset` are understood.
    attribute : array-like of shape (n,), optional
        The attribute, in the order of the items (and of the splits). By default all
        have the same one.
    attribute_name : str, default="attribute"
        What the attribute is.
    test_size, validation_size : float, default=0.2 and 0.0
        Shares of each class that are drawn as splits, in whole rows: 0.2 of 2 is none.
        Without effect, as `random_state`, where the splits are given.
    random_state : int, RandomState or None, default=0
        The draw.
    disambiguating, rare_share : str or array-like of bool, float
        See `GroupedDataset`.
    name : str, optional
        Name of the data set; by default that of its type.

    Returns
    -------
    GroupedDataset
        `X` is an array of paths, an array of images or a list of images; classes are
        numbers, with the names that the data set has for them in `classes` (a list by
        place, unless labels lie beyond it, or a mapping) or `class_to_idx` ("a or b"
        where two share one, by a `find_classes` of yours or an edit of `samples`),
        unless a transform, code of your own or an option of the data set changes the
        numbers.
        Where you edit `targets`, of CIFAR say, or `samples` where folders are not
        called as classes (ImageNet), or give files of one folder several labels, edit
        `classes`, too: they keep the old names.

    Raises
    ------
    TypeError
        If there is no length or no item, an item is not a pair, or the indices of a
        `Subset` are no whole numbers, such as a mask.
    ValueError
        If a data set has a transform: images are prepared by the classifier. If labels
        are missing (None or NaN) or of several kinds. Or if one tells classes apart
        that another has merged. Or if parts number classes differently, and a name is
        that of two or a label has none that is a class elsewhere.

    Warns
    -----
    UserWarning
        If other splits have classes that train lacks, or repeat its files, or, in more
        than 5 % of their rows, its arrays (items that are loaded are not compared). If
        labels fit both `classes` and a `class_to_idx` that names them otherwise, if a
        transform or code of yours changes the labels of a part and not of all, or if a
        part without names, which is taken to number classes as the others do, cannot:
        then they have no names.

    Examples
    --------
    >>> from torchvision.datasets import FakeData
    >>> from modal_pretrain.datasets import from_torchvision
    >>> data = from_torchvision(FakeData(10, (3, 8, 8), num_classes=2))
    >>> len(data), data.X[0].size, data.name
    (10, (8, 8), 'fakedata')
    """
    parts = dataset if isinstance(dataset, Mapping) else {None: dataset}
    if name is None:
        name = type(next(iter(parts.values()), None)).__name__.lower()
    read = _fitting([_read(part) for part in parts.values()])
    data = join(
        dict(zip(parts, read, strict=True)),
        fix="Give the keys these names: {'train': ..., 'test': ...}",
        attribute=attribute,
        attribute_name=attribute_name,
        test_size=test_size,
        validation_size=validation_size,
        random_state=random_state,
        disambiguating=disambiguating,
        rare_share=rare_share,
        name=name,
    )
    return warn_of_shared_pictures(data)


def _row_numbers(subset: Any) -> np.ndarray:
    """Rows of a `Subset`.

    A mask is refused: as numbers, it would be the first two rows over and over.
    """
    kept = subset.indices
    if isinstance(kept, pd.Series) and {*kept.index} == {*range(len(kept))}:
        kept = kept.loc[range(len(kept))]  # PyTorch looks them up by the index
    given = np.asarray(kept)
    given = np.asarray(given.tolist()) if given.dtype == object else given
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
        hint = ""
        if given.ndim == 1 and given.dtype == bool:
            hint = ". Make row numbers of a mask: numpy.flatnonzero(mask)"
        raise TypeError(
            f"the indices of {type(subset).__name__} must be a list of whole numbers, "
            f"got {type(subset.indices).__name__} of {given.dtype} with shape "
            f"{given.shape}{hint}"
        )
    return given.astype(np.intp, copy=False)


def _read(dataset: Any, rows: np.ndarray | None = None) -> Part:
    """Images, labels and names of one data set, or of some of its rows."""
    if isinstance(dataset, type):
        raise TypeError(
            f"dataset is the class {dataset.__name__}: make a data set of it, as in "
            f"{dataset.__name__}(root)."
        )
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise TypeError(
            f"{type(dataset).__name__} has no len or no items; a data set with both "
            "that gives (image, label) is expected"
        )
    for key in ("transform", "transforms"):
        transform = getattr(dataset, key, None)
        # torchvision wraps the transform of labels too in `transforms`.
        if getattr(transform, "transform", transform) is not None:
            raise ValueError(
                f"{type(dataset).__name__} has a {key}; make it without, since the "
                "classifier prepares images itself"
            )
    plain = _is_plain(dataset)
    if plain and hasattr(dataset, "dataset") and hasattr(dataset, "indices"):  # Subset
        inside = _row_numbers(dataset)
        return _read(dataset.dataset, inside if rows is None else inside[rows])
    parts = getattr(dataset, "datasets", None)
    if plain and isinstance(parts, list):  # a ConcatDataset
        return _concatenated(parts, rows)
    change = getattr(dataset, "target_transform", None)
    # What a class that is all the user's keeps may be anything, under these names, too.
    known = plain or _stands_on_torchvision(dataset)
    stored = _stored(dataset) if known else None
    if stored is None or not plain:
        # Others may be broken, which is why they are left out.
        X, y = _items(dataset, range(len(dataset)) if rows is None else rows.tolist())
        kept = stored[1] if stored is not None else _labels(dataset) if known else None
    else:
        kept = stored[1]
        X, y = (_some(values, rows) for values in stored)
        if change is not None:
            y = label_column([change(label) for label in y.tolist()], "y", len(y))
    # The names are those of the labels that it keeps: what it gives may be others.
    changed = (
        kept is not None
        and are_numbers_of_classes(kept)
        and not np.array_equal(_some(kept, rows), y)
    )
    if changed or change is not None or not are_numbers_of_classes(y):
        return Part(X, y, {}, changed=changed)
    # Those of a Subset may lack what tells how the classes are listed.
    whole: Any = stored[1] if stored is not None else _labels(dataset)
    numbers = whole is not None and are_numbers_of_classes(whole)
    told = numbers and np.array_equal(_some(whole, rows), y)
    return _named(Part(X, y, {}), dataset, whole if told else y)


def _named(part: Part, dataset: Any, y: np.ndarray) -> Part:
    """Return a part with the names of the numbers that a data set has for its classes.

    The labels `y` are those of all its rows, where it keeps them.

    A `find_classes` of the user's may merge classes, or number them in another order;
    so may an edit of `samples`. Then the files tell, by their folders.
    """
    classes = getattr(dataset, "classes", None)
    if classes is None and _stands_on_torchvision(dataset):  # Caltech101 and 256
        classes = getattr(dataset, "categories", None)
    names, numbers = listed(classes, y)
    given, of_name = listed(getattr(dataset, "class_to_idx", None), y)
    names, numbers = names or given, of_name or numbers
    own = {*names.values()}
    labels = labels_of_folders(dataset, own.union(numbers))
    # Some labels may be noise, or a folder may have been split up.
    folders = {name: some.most_common(1)[0][0] for name, some in labels.items()}
    whole = all(len(some) == 1 for some in labels.values())
    fitting = folders.items() <= numbers.items()
    if not fitting or not (whole or own <= numbers.keys()):
        # Of another split, or from before the edit. `classes` may have been edited too.
        numbers = folders if whole and folders.keys() <= own else {}
    if not folders:
        on_purpose = not _stands_on_torchvision(dataset)
        names, numbers = of_the_labels(names, numbers, y, on_purpose=on_purpose)
        part = part._replace(doubted=bool(own) and not names)
    fits = all(numbers.get(name, number) == number for number, name in names.items())
    if 0 in names and own.isdisjoint(numbers) and len(y):
        # Labels that count from 1, or are 0 and 255, have no names by place: they
        # would be the next ones'. A mapping may leave some without.
        some_lack = isinstance(classes, Mapping) or y.max() < 0
        fits = y.max() in names or (some_lack and y.min() < 1)
        part = part._replace(by_place=names)
    if names and fits:  # LFWPeople has its names in class_to_idx alone
        return part._replace(names=names)
    of_number: dict[Any, list[str]] = {}
    for name, number in numbers.items():
        of_number.setdefault(number, []).append(str(name))
    merged = {number: tuple(sorted(some)) for number, some in of_number.items()}
    return part._replace(
        names={number: either(some) for number, some in merged.items()},
        merged={either(some): some for some in merged.values() if len(some) > 1},
    )


def _concatenated(datasets: list[Any], rows: np.ndarray | None) -> Part:
    """Read a ConcatDataset: of each part the rows that are wanted, in their order."""
    if rows is None:
        filled = [dataset for dataset in datasets if len(dataset)] or datasets[:1]
        return _one_after_the_other([_read(dataset) for dataset in filled])
    ends = np.cumsum([len(dataset) for dataset in datasets])
    rows = np.where(rows < 0, rows + ends[-1], rows)
    of = np.searchsorted(ends, rows, side="right")
    starts, some = [0, *ends], np.unique(of).tolist() or [0]
    parts = [_read(datasets[i], rows[of == i] - starts[i]) for i in some]
    found = _one_after_the_other(parts)
    back = np.argsort(np.argsort(of, kind="stable"))
    return found._replace(X=_some(found.X, back), y=_some(found.y, back))


def _one_after_the_other(parts: list[Part]) -> Part:
    parts = with_merged_names(_fitting(parts))
    y, known = joined_classes(parts)
    X = concatenated([part.X for part in parts])
    alike = all(part.by_place == parts[0].by_place for part in parts)
    by_place = parts[0].by_place if alike else None
    doubted = any(part.doubted or (part.names and not known) for part in parts)
    return Part(
        X,
        y,
        known,
        merged=parts[0].merged,
        by_place=by_place,
        doubted=doubted,
        changed=any(part.changed for part in parts),
    )


def _fitting(parts: list[Part]) -> list[Part]:
    """Take a list of names off all parts that have it where it fits one of them not.

    A part that lacks the last class cannot tell by itself that labels count from 1.
    """
    wrong = [part.by_place for part in parts if part.by_place and not part.names]
    return [p._replace(names={}) if p.by_place in wrong else p for p in parts]


def _some(values: Any, rows: np.ndarray | None) -> Any:
    if rows is None:
        return values
    return values[rows] if isinstance(values, np.ndarray) else [values[i] for i in rows]


def _stands_on_torchvision(dataset: Any) -> bool:
    """Say whether its class, or one that it inherits from, is torchvision's."""
    makers = [vars(kind).get("__getitem__") for kind in type(dataset).__mro__]
    return any(
        _library(maker) == "torchvision" for maker in makers if maker is not None
    )


def _is_plain(dataset: Any) -> bool:
    """Say whether its items are what it stores, made by no code of the user's.

    A subclass of MNIST that colours the digits still has the grey ones as `data`. Files
    of tensors, which `torch.load` reads, are no pictures.
    """
    loader = getattr(dataset, "loader", None)
    maker = _library(type(dataset).__getitem__)
    return maker in ("torch", "torchvision") and (
        loader is None or _library(loader) == "torchvision"
    )


def _library(code: Any) -> str:
    return getattr(code, "__module__", "").split(".")[0]


def _stored(dataset: Any) -> tuple[Any, np.ndarray] | None:
    """Files or array of images, and labels, of a data set that keeps them."""
    samples = getattr(dataset, "samples", None)
    if not isinstance(samples, list) or len(samples) != len(dataset):
        samples = []
    if samples and isinstance(samples[0], tuple) and len(samples[0]) == 2:
        paths, labels = zip(*samples, strict=True)
        if isinstance(paths[0], (str, os.PathLike)):
            listed = np.array([os.fspath(path) for path in paths])
            return listed, label_column(labels, "y", len(listed))
    y = _labels(dataset)
    if y is None:
        return None
    files = getattr(dataset, "_image_files", None)
    if files is not None and len(files) == len(dataset):
        return np.array([os.fspath(path) for path in files]), y
    if not hasattr(getattr(dataset, "data", None), "shape"):
        return None
    data = np.asarray(dataset.data)
    if len(data) != len(dataset) or data.dtype != np.uint8 or data.ndim not in (3, 4):
        return None
    if data.ndim == 4 and data.shape[1] in (1, 3) and data.shape[3] not in (1, 3):
        data = data.transpose(0, 2, 3, 1)  # SVHN and STL10
    return data, y


def _labels(dataset: Any) -> np.ndarray | None:
    """Labels that a data set keeps, one for each item."""
    kept = [getattr(dataset, key, None) for key in ("targets", "labels", "_labels")]
    with suppress(TypeError, ValueError):  # in a class of the user's: of another kind
        of_rows = (y for y in kept if y is not None and len(y) == len(dataset))
        y = next((np.asarray(some) for some in of_rows), None)
        # With several labels each, an item has one of them.
        return y if y is not None and y.ndim == 1 else None
    return None


def _without_file(image: Any) -> Any:
    """Return an image that keeps no file open: a process may have some 1,000."""
    if not hasattr(image, "fp"):
        return image
    from modal_pretrain.images.unread import in_memory

    return in_memory(image)


def _items(dataset: Any, rows: Iterable[int]) -> tuple[list[Any], np.ndarray]:
    """Load items."""
    images, labels = [], []
    for i in rows:
        item = dataset[i]
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            raise TypeError(
                f"item {i} of {type(dataset).__name__} is not a pair (image, label)"
            )
        image, label = item
        if np.ndim(label) > 0:
            raise TypeError(
                f"the label of item {i} of {type(dataset).__name__} has shape "
                f"{np.shape(label)}; choose one with target_transform"
            )
        images.append(_without_file(image))
        labels.append(label.item() if hasattr(label, "item") else label)
    return images, label_column(labels, "y", len(labels))
