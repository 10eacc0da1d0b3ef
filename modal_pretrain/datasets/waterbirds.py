"""Waterbirds: birds of land or water on photographs of land or water."""

from __future__ import annotations

import os

from modal_pretrain.datasets._listed import image_paths, warn_about_repeats
from modal_pretrain.datasets._modality import holds
from modal_pretrain.datasets._table import Layout, choices, numbers, read_table
from modal_pretrain.datasets.grouped import GroupedDataset

_LAYOUT = Layout(
    name="Waterbirds",
    files=("metadata.csv",),
    folders=("waterbird_complete95_forest2water2", "waterbirds_v1.0"),
    tree=(
        "    metadata.csv  (columns img_filename, y, split, place)\n"
        "    001.Black_footed_Albatross/*.jpg\n"
        "    ..."
    ),
    source=(
        "https://nlp.stanford.edu/data/dro/waterbird_complete95_forest2water2.tar.gz "
        "(or with the package wilds)"
    ),
)
_SPLITS = {0: "train", 1: "validation", 2: "test"}
# Of the variants that the paper's repository makes with other match rates.
_VARIANT_SPLITS = {0: "train", 1: "id_validation", 2: "validation", 3: "test"}


@holds("image")
def load_waterbirds(
    root: str | os.PathLike[str], *, missing: str = "error"
) -> GroupedDataset:
    """Read Waterbirds, in the layout of its authors or of WILDS.

    Input: photographs of birds, cut out and pasted on photographs of places. Class: 0
    landbird, 1 waterbird. Attribute: the place, 0 land, 1 water. Disambiguating: bird
    and place do not match. Splits: "train" (4,795 images, 5 % disambiguating),
    "validation" (1,199) and "test" (5,794), where half of each class is on either
    place. Publication: [1]_. Licence: non-commercial research and education; made of
    CUB-200-2011 and Places, whose terms hold.

    Parameters
    ----------
    root : path-like
        The folder of ``metadata.csv``, or its parent, if the folder is called
        "waterbird_complete95_forest2water2" or "waterbirds_v1.0".
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
        If the table is not as expected.

    Notes
    -----
    Other data in this layout are read too. The variants of [2]_ with four splits (0
    train, 1 validation as skewed as train, 2 balanced validation, 3 test) get
    "id_validation" and "validation" for the two in the middle.

    References
    ----------
    .. [1] S. Sagawa et al., Distributionally Robust Neural Networks for Group Shifts,
       ICLR 2020, arXiv:1911.08731.
    .. [2] A. Tamkin et al., Active Learning Helps Pretrained Models Learn the Intended
       Task, NeurIPS 2022, arXiv:2204.08491.
    """
    folder = _LAYOUT.find(root)
    path = folder / "metadata.csv"
    table = read_table(path, ["img_filename", "y", "split", "place"])
    codes = numbers(table, "split", path)
    splits = _VARIANT_SPLITS if (codes == 3).any() else _SPLITS
    split = choices(codes, splits, "split", path)
    binary = {0: 0, 1: 1}
    y = choices(numbers(table, "y", path), binary, "y", path)
    place = choices(numbers(table, "place", path), binary, "place", path)
    X, keep = image_paths(folder, table["img_filename"], missing, path)
    warn_about_repeats(X, path)
    data = GroupedDataset(
        X,
        y,
        place,
        split,
        disambiguating=y != place,
        name="waterbirds",
        attribute_name="place",
        classes=[0, 1],
        attributes=[0, 1],
        class_names=("landbird", "waterbird"),
        attribute_names=("land", "water"),
    )
    return data if keep.all() else data.subset(keep)
