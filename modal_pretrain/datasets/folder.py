"""Your own pictures in folders, one for each class."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from modal_pretrain._identity import expanded
from modal_pretrain._inputs.spelling import copied, look_alikes, near_alikes
from modal_pretrain.datasets._folders import (
    Inode,
    inode,
    is_folder,
    left_out,
    pictures_and_inodes,
    pictures_below,
    subfolders,
    unread,
)
from modal_pretrain.datasets._levels import warn_of_levels
from modal_pretrain.datasets._modality import holds
from modal_pretrain.datasets._split_folders import (
    are_splits,
    warn_of_splits_as_classes,
)
from modal_pretrain.datasets._splits import draw_splits, warn_of_new_classes
from modal_pretrain.datasets._splits import split_names as named_splits
from modal_pretrain.datasets._table import warn
from modal_pretrain.datasets.grouped import GroupedDataset


@holds("image")
def load_folder(
    root: str | os.PathLike[str],
    *,
    attribute: str | re.Pattern[str] | Callable[[str], Any] | None = None,
    split: str = "auto",
    split_names: Mapping[str, str] | None = None,
    test_size: float = 0.2,
    validation_size: float = 0.0,
    random_state: int | np.random.RandomState | None = 0,
    disambiguating: str = "mismatch",
    rare_share: float = 0.1,
    attribute_name: str = "attribute",
    name: str | None = None,
) -> GroupedDataset:
    """List pictures in folders, one folder for each class.

    Input: the pictures anywhere below a class's folder; they are read when they are
    needed. Class: the folder's name. Attribute, splits and disambiguating: see the
    parameters.

    Parameters
    ----------
    root : path-like
        The folder of the class folders (``root/cat/1.jpg``), or of split folders with
        class folders (``root/train/cat/1.jpg``).
    attribute : "folder", regular expression, callable or None, default=None
        "folder": the name of the folder in the class folder
        (``root/cat/indoor/1.jpg``). A compiled regular expression: its first group in
        the file's path relative to `root`, with "/" between folders. A callable gets
        this path and returns the attribute. None: all have the same one.
    split : {"auto", "folder", "random"}, default="auto"
        "folder": the first level of folders are the splits. "random": they are drawn,
        with the same shares in every class. "auto": "folder" if the first folders have
        names of splits (train, and val or test, such as), "random" if none has; what
        lies between is an error, such as one that is misspelt or has further words
        (train_images and test_images), and so are splits below each class
        (``root/cat/train/1.jpg``).
    split_names : mapping of str to str, optional
        Split ("train", "validation", "test", ...) for each split folder, if they are
        called otherwise. Then the first level of folders are the splits.
    test_size, validation_size : float, default=0.2 and 0.0
        Shares of each class that are drawn as splits, in whole rows: 0.2 of 2 is none.
        Without effect, as `random_state`, where the splits are given.
    random_state : int, RandomState or None, default=0
        The draw.
    disambiguating, rare_share : str, float
        See `GroupedDataset`.
    attribute_name : str, default="attribute"
        What the attribute is.
    name : str, optional
        Name of the data set; by default that of the folder.

    Returns
    -------
    GroupedDataset
        `X` is an array of paths, sorted in each split and class.

    Raises
    ------
    FileNotFoundError
        If the folder is not there, or a class has no picture.
    ValueError
        If an attribute or a split can't be read off a path, split folders are misspelt
        or incomplete, two classes or attributes have names that look alike, a class
        has other capitals in another split, or a picture lies (through links) in two
        classes or splits.

    Warns
    -----
    UserWarning
        Of what is left out, where the names of two classes or attributes differ in
        capitals, apostrophes, dashes, underscores or width only, where the folders that
        are taken for classes may lie around the classes (see `split`) or hold a copy of
        them, and where other splits have classes that train lacks.

    Notes
    -----
    Links are followed, but nothing is listed twice. Files that are not pictures, by
    their names, pictures outside class folders, links to what is listed already or to
    nothing, FIFOs and the like are left out with a warning that counts them. What is
    hidden, and what systems keep among pictures (Thumbs.db, __MACOSX, thumbnails in
    @eaDir, recycle bins), is left out without. What pictures hold is not looked at:
    masks in a class's folder are pictures of it, and copies may get into several
    splits.
    """
    if root == "":
        raise ValueError("root is empty; write '.' for the present folder")
    root = expanded(root, "root")
    if not is_folder(root):
        raise FileNotFoundError(f"there is no folder {root}")
    if split not in ("auto", "folder", "random"):
        raise ValueError(f"split must be auto, folder or random, got {split!r}")
    parts = subfolders(root)
    if not parts:
        raise FileNotFoundError(
            f"{root} has no folders; pictures are expected in one folder for each class"
        )
    said = split != "auto"
    split = "folder" if are_splits(root, parts, split, split_names) else "random"
    others = _stray(root)
    classes = _classes(parts, split, others)
    _refuse_look_alikes("class folders", (label for _, label in classes), root)
    _refuse_other_case(classes, root)
    places = [root / part / label for part, label in classes]
    outside = {inode(folder) for folder in (root, *parts, *places)}
    listed: list[tuple[str, str, Path]] = []
    first: dict[Inode, Path] = {}
    for (part, label), folder in zip(classes, places, strict=True):
        before = len(others)
        pictures = pictures_and_inodes(folder, others, outside=outside)
        if not pictures:
            gone = len(pictures_below(folder, dangling=True))
            problem = (
                f", but {gone} links that lead nowhere: fetch what they stand for, say "
                "with dvc pull or git annex get"
            )
            below = f" but {more}" if (more := unread(others[before:])) else ""
            raise FileNotFoundError(
                f"the class folder {folder} has no pictures"
                f"{problem if gone else below}; fill or remove it"
            )
        for picture, node in pictures:
            if node in first:
                raise ValueError(
                    f"{first[node]} and {picture} are one picture, but lie in two "
                    "classes or splits; remove one of the links"
                )
            first[node] = picture
            listed.append((part, label, picture))
    if others:
        more = unread(others)
        warn(
            f"{len(others)} files or links below {root} are left out, since they are "
            "no pictures in class folders or lead to what is listed already, first "
            f"{others[0]}{f'; among them {more}' if more else ''}",
            depth=3,
        )
    y = np.array([label for _, label, _ in listed])
    if split == "folder":
        parts_of_rows = [part for part, _, _ in listed]
        splits = named_splits(parts_of_rows, split_names, f"the folder {root}")
    else:
        splits = draw_splits(y, test_size, validation_size, random_state)
    values = [
        _attribute(
            path.relative_to(root), path.relative_to(root / part / label), attribute
        )
        for part, label, path in listed
    ]
    texts = [value for value in values if isinstance(value, str)]
    _refuse_look_alikes("attributes", texts, root)
    _warn_of_near_alikes("class folders", y.tolist(), root)
    _warn_of_copies(y.tolist(), root)
    if said and split == "random":
        warn_of_splits_as_classes(root, parts)
    if not said:
        warn_of_levels(places, [path for _, _, path in listed], root, attribute)
    _warn_of_near_alikes("attributes", texts, root)
    data = GroupedDataset(
        np.array([str(path) for _, _, path in listed]),
        y,
        values,
        splits,
        disambiguating=disambiguating,
        rare_share=rare_share,
        name=root.resolve().name if name is None else name,
        attribute_name=attribute_name,
    )
    return warn_of_new_classes(data, root)


def _refuse_look_alikes(what: str, names: Iterable[str], root: Path) -> None:
    alike = look_alikes(names)
    if alike is not None:
        raise ValueError(
            f"the {what} {alike[0]!a} and {alike[1]!a} of {root} differ in spaces, "
            "kinds of accents or what can't be seen; give each one name"
        )


def _refuse_other_case(classes: list[tuple[str, str]], root: Path) -> None:
    """Raise ValueError for a class that two splits write with other capitals.

    Letters may be classes, a and A: then one split has both.
    """
    where: dict[str, set[str]] = {}
    for part, label in classes:
        where.setdefault(label, set()).add(part)
    seen: dict[str, str] = {}
    for label, parts in where.items():
        other = seen.setdefault(label.casefold(), label)
        if other != label and not parts & where[other]:
            raise ValueError(
                f"the class folders {other!r} and {label!r} of {root} differ in "
                "capitals, and no split has both; give the class one name"
            )


def _warn_of_near_alikes(what: str, names: Sequence[str], root: Path) -> None:
    found = near_alikes(dict.fromkeys(names))
    if found is not None:
        one, other = (f"{name!r} ({names.count(name)} pictures)" for name in found)
        warn(
            f"the {what} {one} and {other} of {root} differ in capitals, apostrophes, "
            "dashes, underscores or width only, and count as two. If they are one, "
            "give all their pictures one name"
        )


def _warn_of_copies(names: Sequence[str], root: Path) -> None:
    for name in dict.fromkeys(names):
        original = copied(name)
        if original in names:
            warn(
                f"the class folder {name!r} ({names.count(name)} pictures) of {root} "
                f"is named as a copy of {original!r} and counts as another class. If "
                "they are one, move its pictures or remove it"
            )


def _stray(folder: Path) -> list[Path]:
    """Files in a folder where only folders are expected."""
    return sorted(
        entry
        for entry in folder.iterdir()
        if not left_out(entry.name) and not is_folder(entry)
    )


def _classes(
    parts: list[Path], split: str, others: list[Path]
) -> list[tuple[str, str]]:
    """Names of split folder, if any, and class folder."""
    if split == "random":
        return [("", part.name) for part in parts]
    found = []
    for part in parts:
        others += _stray(part)
        labels = [folder.name for folder in subfolders(part)]
        if not labels:
            raise FileNotFoundError(
                f"the split folder {part} has no class folders; with split='random' "
                "it is taken for a class"
            )
        found += [(part.name, label) for label in labels]
    return found


def _attribute(path: Path, inner: Path, rule: Any) -> Any:
    """Attribute of a picture, by its path below the root and below its class."""
    if rule is None:
        return "all"
    if isinstance(rule, str):
        if rule != "folder":
            raise ValueError(
                "attribute must be 'folder', a compiled regular expression, a callable "
                f"or None, got {rule!r}"
            )
        if len(inner.parts) < 2:
            raise ValueError(
                f"attribute='folder', but {path} lies in its class folder itself; move "
                "it into a folder there, or give a function of the path as attribute"
            )
        return inner.parts[0]
    if isinstance(rule, re.Pattern):
        match = rule.search(path.as_posix())
        if not match or rule.groups < 1 or match.group(1) is None:
            hint = "" if rule.groups else "; put parentheses around the attribute"
            raise ValueError(
                f"the first group of {rule.pattern!r} finds no attribute in "
                f"{path.as_posix()!r}{hint}"
            )
        return match.group(1)
    if not callable(rule):
        raise TypeError(
            "attribute must be 'folder', a compiled regular expression, a callable or "
            f"None, got {rule!r} of type {type(rule).__name__}"
        )
    return rule(path.as_posix())
