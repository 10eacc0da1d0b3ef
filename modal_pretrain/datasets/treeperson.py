"""Treeperson: people, or none, among trees or buildings."""

from __future__ import annotations

import os

from modal_pretrain.datasets._listed import image_paths, warn_about_repeats
from modal_pretrain.datasets._modality import holds
from modal_pretrain.datasets._table import Layout, choices, numbers, read_table
from modal_pretrain.datasets.grouped import GroupedDataset

_LAYOUT = Layout(
    name="Treeperson",
    files=("metadata.csv",),
    folders=("treeperson",),
    tree=(
        "    metadata.csv  (columns img_filename, y, place, split)\n"
        "    images/2360366.jpg\n"
        "    ..."
    ),
    source=(
        "https://cs.stanford.edu/people/dorarad/gqa (the images of GQA, into images/) "
        "and utils/datasets/treeperson/metadata.csv of the repository "
        "https://github.com/alextamkin/active-learning-pretrained-models"
    ),
)


@holds("image")
def load_treeperson(
    root: str | os.PathLike[str], *, missing: str = "error"
) -> GroupedDataset:
    """Read Treeperson, the data set that came with the paper [1]_.

    Input: photographs of GQA [2]_. Class: 0 no person, 1 a person. Attribute: the
    setting, 0 trees, 1 buildings. Disambiguating: a person among trees, or buildings
    without a person. Splits: "train" (8,170 images, 9 % disambiguating) and "test"
    (1,992, a quarter for each pair), the only other split, which the paper's code uses
    as validation set as well. Licence: none is given for the list; the images of GQA
    are from Visual Genome, annotations under CC BY 4.0.

    Parameters
    ----------
    root : path-like
        The folder of ``metadata.csv`` and ``images``, or its parent, if the folder is
        called "treeperson".
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

    References
    ----------
    .. [1] A. Tamkin et al., Active Learning Helps Pretrained Models Learn the Intended
       Task, NeurIPS 2022, arXiv:2204.08491.
    .. [2] D. Hudson and C. Manning, GQA: A New Dataset for Real-World Visual Reasoning
       and Compositional Question Answering, CVPR 2019, arXiv:1902.09506.
    """
    folder = _LAYOUT.find(root)
    path = folder / "metadata.csv"
    table = read_table(path, ["img_filename", "y", "place", "split"])
    binary = {0: 0, 1: 1}
    y = choices(numbers(table, "y", path), binary, "y", path)
    place = choices(numbers(table, "place", path), binary, "place", path)
    codes = numbers(table, "split", path)
    X, keep = image_paths(folder, table["img_filename"], missing, path)
    warn_about_repeats(X, path)
    data = GroupedDataset(
        X,
        y,
        place,
        choices(codes, {0: "train", 1: "test"}, "split", path),
        disambiguating=y != place,
        name="treeperson",
        attribute_name="setting",
        classes=[0, 1],
        attributes=[0, 1],
        class_names=("no person", "person"),
        attribute_names=("trees", "buildings"),
    )
    return data if keep.all() else data.subset(keep)
