"""Folders that are taken for classes and may lie around them, or hold them twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modal_pretrain.datasets._table import warn


def warn_of_levels(
    places: Sequence[Path], pictures: Sequence[Path], root: Path, attribute: Any
) -> None:
    """Warn where the folders below classes may be the classes.

    Parameters
    ----------
    places : sequence of Path
        The class folders, of all splits.
    pictures : sequence of Path
        Those below them.
    root : Path
        Above the splits.
    attribute : object
        As the caller gave it: None says nothing of the folders below classes.

    Warns
    -----
    UserWarning
    """
    known, own = set(places), set()
    below: dict[Path, set[str]] = {}
    for folder in {picture.parent for picture in pictures}:
        if folder in known:
            own.add(folder)
            continue
        place = next((each for each in folder.parents if each in known), None)
        if place is not None:
            below.setdefault(place, set()).add(folder.relative_to(place).parts[0])
    nested = [place for place in places if place in below and place not in own]
    if len({place.parent for place in places}) == len(places):
        if nested:
            _warn_of_one_around(nested[0], below[nested[0]], root)
        return
    _warn_of_copies(below, known)
    names = below[nested[0]] if nested else set()
    alike = all(below[place] == names for place in nested)
    if attribute is None and len(nested) == len(places) and alike and len(names) > 1:
        classes = _some({place.name for place in places})
        # Said to be drawn, the splits above would be the classes.
        split = "random" if places[0].parent == root else "folder"
        warn(
            f"the folders {classes} of {root} are taken for classes, and each holds "
            f"the same folders: {_some(names)}. If these are the classes, give one of "
            "the folders above as root, or sort the pictures anew; if they are an "
            f"attribute, attribute='folder' reads it; if neither, say split={split!r}",
        )


def _warn_of_one_around(place: Path, names: set[str], root: Path) -> None:
    """Warn of the only class: archives often hold one folder, PetImages/Cat.

    Or one in each split, seg_train/seg_train/forest.
    """
    fix = (
        f"give {place} as root"
        if place.parent == root
        else "move these folders into the split folder"
    )
    warn(
        f"{place} is the only class folder in {place.parent}, and its pictures lie in "
        f"folders below: {_some(names)}. If these are the classes, {fix}",
        depth=5,
    )


def _warn_of_copies(below: dict[Path, set[str]], known: set[Path]) -> None:
    """Warn where one class folder holds folders called as the others beside it.

    Archives may hold everything twice: cell_images/Uninfected and
    cell_images/cell_images/Uninfected. Where several do, the folders below are rather
    an attribute, such as what a class was mistaken for.
    """
    found: dict[Path, list[tuple[Path, set[str]]]] = {}
    for place, names in below.items():
        others = {n for n in names - {place.name} if place.parent / n in known}
        if len(others) > 1:
            found.setdefault(place.parent, []).append((place, others))
    for (place, others), *more in found.values():
        if not more:
            warn(
                f"{place} is taken for a class, but holds folders called as classes "
                f"beside it: {_some(others)}. If it is a copy of all, as some archives "
                "hold, move it away",
                depth=5,
            )


def _some(names: set[str]) -> str:
    shown = ", ".join(map(repr, sorted(names)[:5]))
    return f"{shown}, ..." if len(names) > 5 else shown
