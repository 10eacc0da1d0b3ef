"""``modal-pretrain compare``: which backbone and size suit one's own labels."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modal_pretrain._checks import Whole
from modal_pretrain._identity import expanded
from modal_pretrain.cli.flags import as_number
from modal_pretrain.cli.stop import STOP
from modal_pretrain.datasets._folders import subfolders

if TYPE_CHECKING:
    import pandas as pd

ITEM_LABEL = ("item", "label")


def add(commands: Any) -> None:
    """Add the subcommand and its flags."""
    parser = commands.add_parser(
        "compare",
        help="find the backbone and size that suit your labels",
        description="Cross-validate backbones on the pictures that are labelled: "
        "accuracy with its interval, seconds for 1,000 pictures, and which to take.",
    )
    add = parser.add_argument
    add("folder", help="pictures; without --labels, in a folder per class")
    add(
        "--labels",
        metavar="FILE",
        help="CSV file, such as modal-pretrain label writes",
    )
    add(
        "--columns",
        nargs=2,
        metavar=("FILE", "LABEL"),
        help="its columns with paths below the folder, and labels (item label)",
    )
    add(
        "--group",
        metavar="COLUMN",
        help="also tell the worst group of class and this column, whose empty cells "
        "are one value, too",
    )
    add(
        "--backbone",
        nargs="+",
        metavar="NAME[@PX]",
        help="candidates (those whose weights are installed as packages)",
    )
    add("--folds", type=int, default=5, metavar="N", help="of the cross-validation (5)")
    parser.set_defaults(do=compare)


def compare(args: argparse.Namespace) -> None:
    """Read the labels, compare, and write the table."""
    Whole(least=2).check("--folds", args.folds)
    folder = expanded(args.folder)
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}.")
    if args.labels is None:
        if args.group is not None:
            raise ValueError("--group names a column of --labels; give that as well.")
        if args.columns is not None:
            raise ValueError("--columns names those of --labels; give that as well.")
        X, y = _folder_per_class(folder)
        groups = None
    else:
        X, y, groups = _labelled(
            folder, expanded(args.labels), args.columns or ITEM_LABEL, args.group
        )
    with STOP.importing():
        from modal_pretrain import comparison
    candidates = None if args.backbone is None else _candidates(args.backbone)
    found = comparison.compare(
        X, y, candidates, groups=groups, cv=args.folds, verbose=1
    )
    sys.stdout.write(f"{len(y)} labels of {len(np.unique(y))} classes\n\n{found}\n")


def _candidates(names: list[str]) -> dict[str, Any]:
    from modal_pretrain.classifier import PretrainedClassifier

    found = {}
    for name in names:
        backbone, _, size = name.rpartition("@") if "@" in name else (name, "", "")
        pixels = as_number(size) if size else None
        if isinstance(pixels, str) and ":" in name:
            # A folder's name, or a revision on the hub, may have an @, too.
            backbone, size, pixels = name, "", None
        if isinstance(pixels, str):
            raise ValueError(
                f"--backbone {name!r}: write pixels after @, as in NAME@96."
            )
        shown = f"{backbone} at {f'{pixels} px' if size else 'its own size'}"
        found[shown] = PretrainedClassifier(backbone, image_size=pixels)
    return found


def _folder_per_class(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    from modal_pretrain.datasets import load_folder
    from modal_pretrain.datasets._split_folders import are_splits

    inside_it = subfolders(folder)
    try:
        splits = bool(inside_it) and are_splits(folder, inside_it, "auto", None)
    except ValueError:  # some are, or nearly
        splits = True
    if splits:
        names = ", ".join(repr(entry.name) for entry in inside_it)
        raise ValueError(
            f"{folder} holds the folders {names}, which look like splits and not like "
            "classes; give the one with the labels, or rename them."
        )
    # Class folders that look alike, are empty or share pictures are refused there.
    data = load_folder(folder, split="random", test_size=0)
    return data.X, data.y


def _labelled(
    folder: Path, file: Path, columns: tuple[str, str], group: str | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    from modal_pretrain._inputs.spelling import (
        blanks_missing,
        equal_numbers,
        look_alikes,
        near_alikes,
    )
    from modal_pretrain.datasets._listed import other_spelling
    from modal_pretrain.datasets._table import read_table, warn
    from modal_pretrain.labelling.label_file import torn
    from modal_pretrain.labelling.places import places
    from modal_pretrain.labelling.records import FIELDS

    item, label = columns
    if item == label:
        raise ValueError(f"--columns names {item!r} twice; give FILE LABEL.")
    named = [label, *([] if group is None else [group])]
    try:
        # "None" and "NA" are labels; empty cells, spaces and #N/A are missing.
        own = FIELDS if (item, label) == ITEM_LABEL else ()
        table = read_table(file, [item, *named], optional=own)
    except ValueError as error:
        raise ValueError(
            f"{error}. --columns FILE LABEL names the columns of --labels."
        ) from error
    for column in named:
        table[column] = blanks_missing(table[column])
    if own and torn(file.read_bytes()):
        table = table.iloc[:-1]  # as a session does: its label may be cut off, too
    table = table.dropna(subset=[item])
    # A label file grows: the last line of an item counts, however it spells the path,
    # and what it says is of what the file held.
    found = places(
        table if own else table[[item]].set_axis(["item"], axis=1), file, folder
    )
    table = table.iloc[found.index].set_axis(found.to_numpy())
    table = table[table.index.notna()]
    if not own:  # a table for a session, too, may hold corrections
        _warn_of_contradictions(table[label].fillna(""), file)
    table = table[~table.index.duplicated(keep="last")].dropna(subset=[label])
    if table.empty:
        raise ValueError(f"{file} holds no label.")
    for column in named:
        known = table[column].dropna().unique()
        twice = look_alikes(known) or equal_numbers(known)
        if twice is not None:
            raise ValueError(
                f"column {column!r} of {file} spells one label {twice[0]!a} and "
                f"{twice[1]!a}. Correct the column."
            )
        nearly = near_alikes(known)
        if nearly is not None:  # as `load_csv` does
            one, other = (f"{n!r} ({(table[column] == n).sum()} rows)" for n in nearly)
            warn(
                f"column {column!r} of {file} has {one} and {other}, which are two "
                "here. If they are one, correct the column"
            )
    paths = [Path(path) for path in table.index]
    gone = [path for path in paths if not path.is_file()]
    if gone:
        raise ValueError(
            f"{file} names {len(gone)} files that are not in {folder}, first "
            f"{gone[0]}.{other_spelling(str(gone[0]))} Give the folder that the paths "
            "are relative to."
        )
    groups = None
    if group is not None:
        groups = (table[label] + " / " + table[group].fillna("unknown")).to_numpy(str)
    return np.array(list(map(str, paths))), table[label].to_numpy(str), groups


def _warn_of_contradictions(labels: pd.Series, file: Path) -> None:
    """Warn where a table gives a picture several labels, of which the last counts.

    It may have a line for each of several people, of whom one alone would be heard.
    """
    from modal_pretrain.datasets._table import warn

    counts = labels.groupby(level=0).nunique()
    several = counts.index[counts > 1]
    if len(several):
        said = ", ".join(repr(word) for word in labels.loc[several[0]].unique())
        warn(
            f"{len(several)} files have several labels in {file}, first {several[0]} "
            f"({said}); the last line of each counts. If these are words of several "
            "people, settle on one for each file"
        )
