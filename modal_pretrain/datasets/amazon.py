"""Amazon-WILDS: product reviews and their stars."""

from __future__ import annotations

import logging
import os

import numpy as np

from modal_pretrain.datasets._modality import holds
from modal_pretrain.datasets._table import Layout, choices, numbers, read_table, warn
from modal_pretrain.datasets.grouped import GroupedDataset

_LAYOUT = Layout(
    name="Amazon-WILDS",
    files=("reviews.csv", "splits"),
    folders=("amazon_v2.1", "amazon_v2.0"),
    tree=(
        "    reviews.csv      (columns reviewerID, asin, overall, reviewText, "
        "category, reviewYear)\n"
        "    splits/user.csv  (column split)"
    ),
    source="https://wilds.stanford.edu/datasets (or with the package wilds)",
)
_SHIFT_SPLITS = {
    0: "train",
    1: "validation",
    2: "id_validation",
    3: "test",
    4: "id_test",
}
_PLAIN_SPLITS = {0: "train", 1: "validation", 2: "test"}

_log = logging.getLogger(__name__)


@holds("text")
def load_amazon(
    root: str | os.PathLike[str], *, split_scheme: str = "user"
) -> GroupedDataset:
    """Read Amazon-WILDS, version 2.0 or 2.1.

    Input: texts of reviews. Class: the number of stars, 1 to 5. Attribute: the product
    category, one of 24. Disambiguating: the rarest categories of the train split, which
    together have at most a tenth of its reviews. Splits: "train", "validation" and
    "test" (other reviewers than train), "id_validation" and "id_test" (the same
    reviewers). Publication: [1]_, [2]_. Licence: none is given; the authors ask for use
    in research only.

    Parameters
    ----------
    root : path-like
        The folder of ``reviews.csv``, or its parent, if the folder is called
        "amazon_v2.1" or "amazon_v2.0".
    split_scheme : str, default="user"
        A file in ``splits``, without ".csv": "user" is the official one; "time",
        "category_subpopulation" and others may be there. In "category_subpopulation"
        and the files named "..._baseline" there are only train, validation and test.

    Returns
    -------
    GroupedDataset
        `X` is an array of str objects; `extra` has "user", "product" and "year".

    Raises
    ------
    FileNotFoundError
        If files are not there. The message says where to get them.
    ValueError
        If a table is not as expected.

    Notes
    -----
    Reviews that the split scheme does not use (split -1, by far the most) are not part
    of the data set; their number is logged. Reviews without a text are left out with a
    warning. Texts such as "None" or "N/A" are texts.

    References
    ----------
    .. [1] J. Ni, J. Li and J. McAuley, Justifying Recommendations Using
       Distantly-Labeled Reviews and Fine-Grained Aspects, EMNLP 2019.
    .. [2] P. W. Koh et al., WILDS: A Benchmark of in-the-Wild Distribution Shifts,
       ICML 2021, arXiv:2012.07421.
    """
    folder = _LAYOUT.find(root)
    split_path = folder / "splits" / f"{split_scheme}.csv"
    if not split_path.is_file():
        there = sorted(path.stem for path in split_path.parent.glob("*.csv"))
        raise FileNotFoundError(
            f"{folder} has no split_scheme {split_scheme!r}; it has "
            f"{', '.join(there) or 'none'}"
        )
    codes = numbers(read_table(split_path, ["split"]), "split", split_path)
    path = folder / "reviews.csv"
    columns = ["reviewerID", "asin", "overall", "reviewText", "category", "reviewYear"]
    # The file has two gigabytes: read what is needed, if it is there.
    read_table(path, columns, options={"nrows": 1, "index_col": False})
    table = read_table(path, columns, options={"usecols": columns, "index_col": False})
    if len(table) != len(codes):
        raise ValueError(
            f"{split_path} has {len(codes)} rows for the {len(table)} reviews of {path}"
        )
    used = codes != -1
    _log.info("%d of %d reviews have no split", (~used).sum(), len(used))
    without_text = used & table["reviewText"].isna().to_numpy()
    if without_text.any():
        warn(
            f"{without_text.sum()} of {used.sum()} reviews of {path} have no text; "
            "they are left out",
            depth=3,
        )
        used &= ~without_text
    table, codes = table[used], codes[used]
    plain = split_scheme == "category_subpopulation" or split_scheme.endswith(
        "_baseline"
    )
    splits = _PLAIN_SPLITS if plain else _SHIFT_SPLITS
    stars = numbers(table, "overall", path)
    return GroupedDataset(
        table["reviewText"].to_numpy(dtype=object),
        choices(stars, {n: n for n in range(1, 6)}, "overall", path, table.index),
        table["category"].to_numpy(dtype=object),
        choices(codes, splits, "split", split_path, table.index),
        disambiguating="rare",
        name="amazon",
        attribute_name="category",
        classes=np.arange(1, 6),
        modality="text",
        extra={
            "user": table["reviewerID"].to_numpy(dtype=object),
            "product": table["asin"].to_numpy(dtype=object),
            "year": numbers(table, "reviewYear", path),
        },
    )
