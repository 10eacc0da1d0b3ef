"""Whether the folders at the top of a data set are its splits or its classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from modal_pretrain.datasets._folders import subfolders
from modal_pretrain.datasets._splits import (
    SPLIT_NAMES,
    check_mapping,
    near_split,
    split_words,
)
from modal_pretrain.datasets._table import warn


def are_splits(
    root: Path,
    folders: Sequence[Path],
    split: str,
    names: Mapping[str, str] | None,
) -> bool:
    """Decide what the first folders are, or raise where that would be a guess.

    Parameters
    ----------
    root : Path
        For messages.
    folders : sequence of Path
        Those in it.
    split : {"auto", "folder", "random"}
    names : mapping of str to str, optional
        Split for each folder that is one, as the user gave it.

    Returns
    -------
    bool

    Raises
    ------
    ValueError
        If `names` and folders do not agree, or, with "auto", folders with and without
        names of splits stand beside each other, a name is misspelt, a folder of
        training or of other data is missing, or the folders hold splits.
    """
    found = ", ".join(repr(folder.name) for folder in folders)
    if names is not None:
        check_mapping(names)
        _check_names(root, folders, split, names, found)
        return True
    if split != "auto":
        return split == "folder"
    splits = [SPLIT_NAMES.get(folder.name.lower()) for folder in folders]
    odd = [folder for folder, name in zip(folders, splits, strict=True) if not name]
    if not odd and "train" in splits and len(splits) > 1:
        return True
    if odd and not _look_like_splits(folders):
        _refuse_splits_below(root, folders, found)
        return False
    if odd:
        near = near_split(odd[0].name)
        problem = f"{odd[0].name!r} is not the name of a split" + (
            f"; is {near!r} meant?" if near else "."
        )
    elif "train" not in splits:
        problem = "there is no folder of training data ('train')."
    else:
        problem = "there is no folder of other data ('val' or 'test')."
    first = folders[0].name
    raise ValueError(
        f"{root} holds the folders {found}. For splits, {problem} Rename, add or "
        "remove folders; or say what they are: split='random' if they are classes, "
        "split='folder' if these are all the splits that there are, or "
        f"split_names={{{first!r}: {SPLIT_NAMES[near_split(first) or 'train']!r}, ...}}"
    )


def _look_like_splits(folders: Sequence[Path]) -> bool:
    """Say whether the names of folders are meant for splits.

    Of folders that hold folders, some have a split's own name, or one of training and
    one of other data with further words (train_images, test_set), or all have them
    nearly. Where pictures lie in them, a class may be called "train" or "rest"; but
    train and test, or a split for each (train, test1), are no classes.
    """
    deep = [folder for folder in folders if subfolders(folder)]
    named = [folder for folder in folders if folder.name.lower() in SPLIT_NAMES]
    each = folders if all(split_words(folder.name) for folder in folders) else []
    return (
        any(folder in deep for folder in named)
        or any(_train_and_other(some) for some in (deep, named, each))
        or (
            len(deep) == len(folders)
            and all(near_split(folder.name) for folder in deep)
        )
    )


def warn_of_splits_as_classes(root: Path, folders: Sequence[Path]) -> None:
    """Warn where split="random" takes train and test, which hold classes, for them."""
    below = [{folder.name for folder in subfolders(each)} for each in folders]
    shared = set.intersection(*below)
    if shared and len(folders) > 1 and _train_and_other(folders):
        named = ", ".join(sorted(repr(folder.name) for folder in folders))
        warn(
            f"split='random' takes the folders {named} of {root} for classes, but each "
            f"holds a folder {min(shared)!r}. If they are splits, leave split out; to "
            "draw others, move the pictures of each class into one folder"
        )


def _train_and_other(folders: Sequence[Path]) -> bool:
    """Say whether words in names are of training data and of other data."""
    meant = {
        SPLIT_NAMES[word] for each in folders for word in split_words(each.name)[:1]
    }
    return "train" in meant and len(meant) > 1


def _refuse_splits_below(root: Path, folders: Sequence[Path], found: str) -> None:
    """Raise where classes have splits of their own, which would be mixed in silence.

    One of them has training and other data, the others at least one split.
    """
    below = [sorted(folder.name for folder in subfolders(each)) for each in folders]
    meant = [{SPLIT_NAMES.get(name.lower()) for name in names} for names in below]
    whole = ["train" in names and len(names - {None}) > 1 for names in meant]
    if not any(whole) or not all(names - {None} for names in meant):
        return
    named = [name for name in below[whole.index(True)] if name.lower() in SPLIT_NAMES]
    train = next(name for name in named if SPLIT_NAMES[name.lower()] == "train")
    raise ValueError(
        f"{root} holds the folders {found}, with the splits "
        f"{', '.join(map(repr, named))} below. Splits are expected above classes: "
        f"move pictures to {train}/{folders[0].name} and so on, or, where no "
        f"classes are meant, give {folders[0]} as root. split='random' mixes them and "
        "draws splits"
    )


def _check_names(
    root: Path,
    folders: Sequence[Path],
    split: str,
    names: Mapping[str, str],
    found: str,
) -> None:
    if split == "random":
        raise ValueError(
            "split_names says which folders are splits, split='random' that they are "
            "drawn; give one of the two"
        )
    there = {folder.name for folder in folders}
    missing = [str(name) for name in names if str(name) not in there]
    left = [folder.name for folder in folders if folder.name not in map(str, names)]
    if missing or left:
        problem = (
            f"there is no folder {missing[0]!r}"
            if missing
            else f"{left[0]!r} is not in split_names"
        )
        raise ValueError(
            f"split_names names {', '.join(map(repr, map(str, names)))}, {root} holds "
            f"the folders {found}: {problem}"
        )
