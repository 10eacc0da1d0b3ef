"""CelebA: hair colour and gender of celebrities."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd

from modal_pretrain._identity import NotAFileError, read_whole
from modal_pretrain.datasets._listed import image_paths
from modal_pretrain.datasets._modality import holds
from modal_pretrain.datasets._table import Layout, choices, numbers, read_table, warn
from modal_pretrain.datasets.grouped import GroupedDataset

_FOLDERS = ("celebA_v1.0", "celebA/data", "celebA", "celeba", "data")
_SOURCE = (
    "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html (or with the packages wilds or "
    "torchvision)"
)
_TREE = (
    "    list_attr_celeba.csv (or .txt)\n"
    "    list_eval_partition.csv (or .txt)\n"
    "    img_align_celeba/000001.jpg\n"
    "    ..."
)
_LAYOUTS = {
    ending: Layout(
        name="CelebA",
        files=(f"list_attr_celeba.{ending}", f"list_eval_partition.{ending}"),
        folders=_FOLDERS,
        tree=_TREE,
        source=_SOURCE,
    )
    for ending in ("csv", "txt")
}
# Shown instead of "Male" and "not Male".
_NAMES = {
    "Male": ("female", "male"),
    "Blond_Hair": ("not blond", "blond"),
}


@holds("image")
def load_celeba(
    root: str | os.PathLike[str],
    *,
    target: str = "Blond_Hair",
    attribute: str = "Male",
    missing: str = "error",
) -> GroupedDataset:
    """Read CelebA, with its authors' text files or the tables of Kaggle and WILDS.

    Input: aligned photographs of celebrities. Class: by default 0 not blond, 1 blond.
    Attribute: by default 0 female, 1 male. Disambiguating: of the pairs of class and
    attribute the less frequent one in each class of the train split (blond men, and
    men or women without blond hair, whoever are fewer). Splits: "train" (162,770
    images), "validation" (19,867) and "test" (19,962), by person. Publication: [1]_; as
    a test of group accuracy [2]_. Licence: non-commercial research.

    Parameters
    ----------
    root : path-like
        The folder of ``list_attr_celeba.csv`` or ``.txt``, or its parent.
    target, attribute : str
        Two of the 40 columns, not the same one.
    missing : {"error", "drop", "ignore"}, default="error"
        What to do about listed images that are not there: fail, leave the rows out
        with a warning that counts them, or not look.

    Returns
    -------
    GroupedDataset
        `X` is an array of paths.

    Raises
    ------
    FileNotFoundError
        If the folder or images are not there. The message says where to get them.
    ValueError
        If a table is not as expected.

    References
    ----------
    .. [1] Z. Liu et al., Deep Learning Face Attributes in the Wild, ICCV 2015,
       arXiv:1411.7766.
    .. [2] S. Sagawa et al., Distributionally Robust Neural Networks for Group Shifts,
       ICLR 2020, arXiv:1911.08731.
    """
    if target == attribute:
        raise ValueError(
            f"target and attribute are both {target!r}; give two columns, such as "
            "target='Male' with attribute='Blond_Hair'"
        )
    try:
        folder, ending = _LAYOUTS["csv"].find(root), "csv"
    except FileNotFoundError as error:
        try:
            folder, ending = _LAYOUTS["txt"].find(root), "txt"
        except FileNotFoundError:
            raise error from None
    path = folder / f"list_attr_celeba.{ending}"
    split_path = folder / f"list_eval_partition.{ending}"
    read = _read_text if ending == "txt" else read_table
    table = read(path, ["image_id", target, attribute])
    partition = read(split_path, ["image_id", "partition"])
    for images, where in (
        (table["image_id"], path),
        (partition["image_id"], split_path),
    ):
        repeated = images.duplicated()
        if repeated.any():
            raise ValueError(
                f"{where} lists {images[repeated].iloc[0]} more than once "
                f"({repeated.sum()} such rows)"
            )
    splits = {0: "train", 1: "validation", 2: "test"}
    codes = numbers(partition, "partition", split_path)
    partition["partition"] = choices(codes, splits, "partition", split_path)
    # By name and not by place: both files have been seen sorted and cut.
    unlisted = ~partition["image_id"].isin(table["image_id"])
    if unlisted.any():
        warn(
            f"{path} lacks {unlisted.sum()} of the {len(partition)} images of "
            f"{split_path}, first {partition['image_id'][unlisted].iloc[0]}; they are "
            "left out",
            depth=3,
        )
    joined = table.merge(partition, on="image_id", how="left")
    without = joined["partition"].isna()
    if without.any():
        raise ValueError(
            f"{split_path} has no split for {without.sum()} of the {len(joined)} "
            f"images of {path}, first {joined['image_id'][without].iloc[0]}"
        )
    signs = {-1: 0, 0: 0, 1: 1}
    y = choices(numbers(joined, target, path), signs, target, path)
    values = choices(numbers(joined, attribute, path), signs, attribute, path)
    X, keep = image_paths(_images(folder), joined["image_id"], missing, path)
    data = GroupedDataset(
        X,
        y,
        values,
        joined["partition"].to_numpy(dtype=str),
        name="celeba",
        attribute_name=attribute.lower(),
        classes=[0, 1],
        attributes=[0, 1],
        class_names=_NAMES.get(target, (f"not {target}", target)),
        attribute_names=_NAMES.get(attribute, (f"not {attribute}", attribute)),
    )
    return data if keep.all() else data.subset(keep)


def _images(folder: Path) -> Path:
    """Folder of the images; the archive of Kaggle has it twice."""
    images = folder / "img_align_celeba"
    return images / images.name if (images / images.name).is_dir() else images


def _read_text(path: Path, columns: list[str]) -> pd.DataFrame:
    """Read one of the authors' text files, of columns separated by spaces."""
    try:
        text = read_whole(path).decode("utf-8-sig")
    except NotAFileError as error:
        raise ValueError(f"{path} is {error.kind}, not a file") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text: {error}") from error
    lines = [line.split() for line in text.splitlines() if line.strip()]
    header, count = ["partition"], None
    if len(lines) > 1 and len(lines[0]) == 1 and lines[0][0].isdigit():
        count = lines.pop(0)[0]
    if lines and not lines[0][-1].lstrip("+-").isdigit():  # it names the columns
        header = lines.pop(0)
    if header[0] != "image_id":  # the authors have no name for it
        header = ["image_id", *header]
    rows = lines
    if count not in (None, str(len(rows))):
        raise ValueError(
            f"{path} says that it lists {count} images, but lists {len(rows)}; get it "
            "again"
        )
    lacking = [column for column in columns if column not in header]
    if lacking:
        raise ValueError(
            f"{path} has no column {lacking[0]!r}; its columns are "
            f"{', '.join(map(repr, header))}"
        )
    wrong = [i for i, row in enumerate(rows) if len(row) != len(header)]
    if wrong or not rows:
        raise ValueError(
            f"{path}: every row must have {len(header)} cells"
            + (f", but row {wrong[0] + 1} has {len(rows[wrong[0]])}" if wrong else "")
        )
    cells = np.array(rows)
    return pd.DataFrame({column: cells[:, header.index(column)] for column in columns})
