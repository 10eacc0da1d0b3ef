"""CivilComments-WILDS: toxic comments, and whom they mention."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd

from modal_pretrain.datasets._modality import holds
from modal_pretrain.datasets._table import Layout, choices, read_table, row_name, warn
from modal_pretrain.datasets.grouped import GroupedDataset

_LAYOUT = Layout(
    name="CivilComments-WILDS",
    files=("all_data_with_identities.csv",),
    folders=("civilcomments_v1.0",),
    tree=(
        "    all_data_with_identities.csv  (columns comment_text, split, toxicity, "
        "identity_any, male, female, ...)"
    ),
    source="https://wilds.stanford.edu/datasets (or with the package wilds)",
)
_SPLITS = {"train": "train", "val": "validation", "test": "test"}


@holds("text")
def load_civilcomments(
    root: str | os.PathLike[str], *, attribute: str = "identity_any"
) -> GroupedDataset:
    """Read CivilComments-WILDS, version 1.0.

    Input: texts of comments on news articles. Class: 0 not toxic, 1 toxic (to at least
    half of those who rated it). Attribute: whether it mentions an identity (again, to
    at least half). Disambiguating: of the pairs of class and attribute the less
    frequent one in each class of the train split. Splits: "train", "validation" and
    "test", by article. Publication: [1]_, [2]_. Licence: CC0.

    Parameters
    ----------
    root : path-like
        The folder of ``all_data_with_identities.csv``, or its parent, if the folder is
        called "civilcomments_v1.0".
    attribute : str, default="identity_any"
        Column of the attribute: this one or one of "male", "female", "LGBTQ",
        "christian", "muslim", "other_religions", "black" and "white".

    Returns
    -------
    GroupedDataset
        `X` is an array of str objects.

    Raises
    ------
    FileNotFoundError
        If the file is not there. The message says where to get it.
    ValueError
        If the table is not as expected.

    Notes
    -----
    Comments without a text are left out with a warning.

    References
    ----------
    .. [1] D. Borkan et al., Nuanced Metrics for Measuring Unintended Bias with Real
       Data for Text Classification, WWW 2019.
    .. [2] P. W. Koh et al., WILDS: A Benchmark of in-the-Wild Distribution Shifts,
       ICML 2021, arXiv:2012.07421.
    """
    if attribute == "toxicity":
        raise ValueError(
            "attribute='toxicity' is the class; give another column, such as 'male'"
        )
    folder = _LAYOUT.find(root)
    path = folder / "all_data_with_identities.csv"
    table = read_table(path, ["comment_text", "split", "toxicity", attribute])
    empty = table["comment_text"].isna().to_numpy()
    if empty.any():
        warn(
            f"{empty.sum()} of {len(table)} comments of {path} have no text; they are "
            "left out",
            depth=3,
        )
        table = table[~empty]
    flags = {}
    for column in ("toxicity", attribute):
        shares = pd.to_numeric(table[column], errors="coerce").to_numpy(np.float64)
        bad = ~((shares >= 0) & (shares <= 1))
        if bad.any():
            first = table.index[int(np.argmax(bad))]
            raise ValueError(
                f"column {column!r} of {path} must hold shares in [0, 1]; "
                f"{row_name(first)} has {table[column][first]!r}"
            )
        flags[column] = (shares >= 0.5).astype(int)
    split = table["split"].to_numpy(dtype=str)
    return GroupedDataset(
        table["comment_text"].to_numpy(dtype=object),
        flags["toxicity"],
        flags[attribute],
        choices(split, _SPLITS, "split", path, table.index),
        name="civilcomments",
        attribute_name=attribute,
        classes=[0, 1],
        attributes=[0, 1],
        class_names=("not toxic", "toxic"),
        attribute_names=("not mentioned", "mentioned"),
        modality="text",
    )
