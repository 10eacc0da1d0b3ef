"""MetaShift: cats and dogs, indoors and outdoors."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from modal_pretrain.datasets._folders import pictures_below
from modal_pretrain.datasets._listed import image_paths
from modal_pretrain.datasets._modality import holds
from modal_pretrain.datasets._table import Layout
from modal_pretrain.datasets.grouped import GroupedDataset

_LAYOUT = Layout(
    name="MetaShift (cat vs. dog, indoor vs. outdoor)",
    files=("train/cat", "train/dog"),
    folders=("MetaShift-subpopulation-shift", "MetaShift-Cat-Dog-indoor-outdoor"),
    tree=(
        "    imageID_to_group.pkl                 (the group of each image)\n"
        "    train/cat/*.jpg, train/dog/*.jpg\n"
        "    val_out_of_domain/cat/*.jpg, val_out_of_domain/dog/*.jpg\n"
        "or, not mixed,\n"
        "    train/cat/cat(indoor)/*.jpg, train/dog/dog(outdoor)/*.jpg\n"
        "    test/cat/cat(outdoor)/*.jpg, test/dog/dog(indoor)/*.jpg"
    ),
    source=(
        "https://github.com/Weixin-Liang/MetaShift, whose script "
        "dataset/subpopulation_shift_cat_dog_indoor_outdoor.py makes it from the "
        "images of GQA"
    ),
)
_HELD_OUT = ("val_out_of_domain", "test")


@holds("image")
def load_metashift(
    root: str | os.PathLike[str], *, missing: str = "error"
) -> GroupedDataset:
    """Read MetaShift's cats and dogs, as its authors' script writes them.

    Input: photographs. Class: "cat" or "dog". Attribute: "indoor" or "outdoor".
    Disambiguating: cats outdoors and dogs indoors. Splits: "train" and "test", the only
    other split (folder ``val_out_of_domain`` or ``test``). In the mixed version some of
    the train images are disambiguating and half of the test images of each class are;
    in the other version none and all of them. Publication: [1]_. Licence: MIT for the
    list; the images are from Visual Genome, annotations under CC BY 4.0.

    Parameters
    ----------
    root : path-like
        The folder of ``train``, or its parent, if the folder is called
        "MetaShift-subpopulation-shift" or "MetaShift-Cat-Dog-indoor-outdoor".
    missing : {"error", "drop", "ignore"}, default="error"
        What to do about images that are not there, that is links (which the script
        makes) that lead nowhere: fail, leave the rows out with a warning that counts
        them, or not look.

    Returns
    -------
    GroupedDataset
        `X` is an array of paths.

    Raises
    ------
    FileNotFoundError
        If the folder or images are not there. The message says where to get them.
    ValueError
        If the group of an image is unknown, or there are two.

    References
    ----------
    .. [1] W. Liang and J. Zou, MetaShift: A Dataset of Datasets for Evaluating
       Contextual Distribution Shifts and Training Conflicts, ICLR 2022,
       arXiv:2202.06523.
    """
    folder = _LAYOUT.find(root)
    held_out = [name for name in _HELD_OUT if (folder / name).is_dir()]
    if len(held_out) != 1:
        raise FileNotFoundError(
            f"{folder} must have one of the folders {' and '.join(_HELD_OUT)}, it has "
            f"{' and '.join(held_out) or 'neither'}; expected is\n{_LAYOUT.tree}"
        )
    table = folder / "imageID_to_group.pkl"
    groups = _read_groups(table) if table.is_file() else {}
    names: list[str] = []
    y: list[str] = []
    place: list[str] = []
    split: list[str] = []
    for part, name in ((folder / "train", "train"), (folder / held_out[0], "test")):
        for label in ("cat", "dog"):
            below = part / label
            files = pictures_below(below, dangling=True) if below.is_dir() else []
            if not files:
                raise FileNotFoundError(
                    f"{below} has no pictures; was everything copied? Expected is\n"
                    f"{_LAYOUT.tree}"
                )
            for file in files:
                y.append(label)
                place.append(_place(file, label, groups, table))
                names.append(os.path.relpath(file, folder))
                split.append(name)
    X, keep = image_paths(folder, names, missing, folder)
    odd = np.array(place) != np.where(np.array(y) == "cat", "indoor", "outdoor")
    data = GroupedDataset(
        X,
        y,
        place,
        split,
        disambiguating=odd,
        name="metashift",
        attribute_name="place",
        classes=["cat", "dog"],
        attributes=["indoor", "outdoor"],
    )
    return data if keep.all() else data.subset(keep)


def _place(file: Path, label: str, groups: dict[str, Any], table: Path) -> str:
    """Where an image was taken: its folder's name, or what the list says."""
    group = file.parent.name
    if group == label:
        entry = groups.get(file.stem)
        if not entry:
            raise ValueError(
                f"the place of {file} is unknown: {table} "
                + ("does not list it" if groups else "is missing")
            )
        group = entry
        if isinstance(entry, list | tuple):
            # An image with a cat and a dog is in groups of both.
            own = [one for one in entry if str(one).startswith(f"{label}(")]
            if len(set(own)) > 1:
                raise ValueError(
                    f"{table} has {file.stem!r} in the groups {' and '.join(own)}; "
                    "leave one of them"
                )
            group = (own or entry)[0]
    known = {f"{label}({place})": place for place in ("indoor", "outdoor")}
    if not isinstance(group, str) or group not in known:
        raise ValueError(
            f"{file} is in the group {group!r}; known are {', '.join(known)}"
        )
    return known[group]


class _PlainUnpickler(pickle.Unpickler):
    """Reads dictionaries, lists and strings, and runs nothing."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it wants to import {module}.{name}")


def _read_groups(path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            groups = _PlainUnpickler(file).load()
    except (pickle.UnpicklingError, EOFError, ValueError) as error:
        raise ValueError(f"{path} is not a list of groups: {error}") from error
    if not isinstance(groups, dict) or not groups:
        raise ValueError(f"{path} must hold a dictionary of groups")
    return {str(key): value for key, value in groups.items()}
