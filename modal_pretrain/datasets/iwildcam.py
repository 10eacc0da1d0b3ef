"""iWildCam2020-WILDS: animals before camera traps."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd

from modal_pretrain.datasets._listed import image_paths, warn_about_repeats
from modal_pretrain.datasets._modality import holds
from modal_pretrain.datasets._table import (
    Layout,
    choices,
    numbers,
    read_table,
    row_name,
    warn,
)
from modal_pretrain.datasets.grouped import GroupedDataset

_LAYOUT = Layout(
    name="iWildCam2020-WILDS",
    files=("metadata.csv", "categories.csv"),
    folders=("iwildcam_v2.0",),
    tree=(
        "    metadata.csv    (columns split, location_remapped, sequence_remapped, y, "
        "datetime, filename)\n"
        "    categories.csv  (columns y, name)\n"
        "    train/*.jpg     (the images of all splits)"
    ),
    source="https://wilds.stanford.edu/datasets (or with the package wilds)",
)
_SPLITS = {
    "train": "train",
    "val": "validation",
    "test": "test",
    "id_val": "id_validation",
    "id_test": "id_test",
}


@holds("image")
def load_iwildcam(
    root: str | os.PathLike[str], *, missing: str = "error"
) -> GroupedDataset:
    """Read iWildCam2020-WILDS, version 2.0.

    Input: photographs of camera traps. Class: the species, one of 182 ("empty"
    included). Attribute: the camera (the place where it hangs). Disambiguating: the
    rarest cameras of the train split, which together took at most a tenth of its
    images; cameras that train lacks are rare too. For the examples whose camera a seed
    set lacks see `GroupedDataset.unseen`. Splits: "train", "validation" and "test"
    (other cameras than train), "id_validation" and "id_test" (the same cameras, other
    days). Publication: [1]_, [2]_. Licence: Community Data License Agreement,
    Permissive, Version 1.0.

    Parameters
    ----------
    root : path-like
        The folder of ``metadata.csv``, or its parent, if the folder is called
        "iwildcam_v2.0".
    missing : {"error", "drop", "ignore"}, default="error"
        What to do about listed images that are not there: fail, leave the rows out
        with a warning that counts them, or not look.

    Returns
    -------
    GroupedDataset
        `X` is an array of paths; `extra` has "sequence" (number of the burst of
        images) and "day" (its date, or "unknown", with a warning, where that is empty).

    Raises
    ------
    FileNotFoundError
        If the folder or images are not there. The message says where to get them.
    ValueError
        If a table is not as expected.

    References
    ----------
    .. [1] S. Beery, E. Cole and A. Gjoka, The iWildCam 2020 Competition Dataset, 2020,
       arXiv:2004.10340.
    .. [2] P. W. Koh et al., WILDS: A Benchmark of in-the-Wild Distribution Shifts,
       ICML 2021, arXiv:2012.07421.
    """
    folder = _LAYOUT.find(root)
    path = folder / "metadata.csv"
    table = read_table(
        path,
        [
            "split",
            "location_remapped",
            "sequence_remapped",
            "y",
            "datetime",
            "filename",
        ],
    )
    y = numbers(table, "y", path)
    classes = np.unique(y)
    names = _names(folder / "categories.csv", classes)
    choices(y, names, "y", path)
    X, keep = image_paths(folder / "train", table["filename"], missing, path)
    warn_about_repeats(X, path)
    data = GroupedDataset(
        X,
        y,
        numbers(table, "location_remapped", path),
        choices(table["split"].to_numpy(dtype=str), _SPLITS, "split", path),
        disambiguating="rare",
        name="iwildcam",
        attribute_name="camera",
        classes=classes,
        class_names=[names[label] for label in classes.tolist()],
        extra={
            "sequence": numbers(table, "sequence_remapped", path),
            "day": _days(table["datetime"], path),
        },
    )
    return data if keep.all() else data.subset(keep)


def _days(times: pd.Series, path: Path) -> np.ndarray:
    """Return the dates of points in time; "unknown" where there is none."""
    odd = ~times.fillna("0000-00-00").str.match(r"\d{4}-\d{2}-\d{2}($|[ T])")
    if odd.any():
        first = int(np.argmax(odd))
        raise ValueError(
            f"column 'datetime' of {path} must begin with dates like 2013-06-05, in "
            f"{odd.sum()} rows it does not; {row_name(first)} has "
            f"{times.iloc[first]!r}. A spreadsheet may have rewritten them; get the "
            "file again"
        )
    if times.isna().any():
        warn(
            f"{times.isna().sum()} of {len(times)} rows of {path} have no datetime; "
            "their day is 'unknown'"
        )
    return times.str[:10].fillna("unknown").to_numpy(dtype=str)


def _names(path: Path, classes: np.ndarray) -> dict[int, str]:
    """Return the species by number. Those without an image all have y = 99999."""
    table = read_table(path, ["y", "name"])
    table["y"] = numbers(table, "y", path)
    for column, problem in (("y", "names twice"), ("name", "calls two numbers")):
        used = table[table["y"].isin(classes)]
        twice = used[used[column].duplicated()]
        if len(twice) or used["name"].isna().any():
            what = repr(twice[column].tolist()[0]) if len(twice) else "with no name"
            raise ValueError(
                f"{path} {problem if len(twice) else 'has a number'} {what}; each "
                "species needs one name of its own"
            )
    return dict(zip(table["y"].tolist(), table["name"], strict=True))
