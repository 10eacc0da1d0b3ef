"""Your own pictures or texts, listed in a CSV file."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from modal_pretrain._checks import did_you_mean
from modal_pretrain._identity import expanded
from modal_pretrain._inputs.spelling import (
    blanks_missing,
    equal_numbers,
    look_alikes,
    near_alikes,
)
from modal_pretrain.datasets._answers import MARKS, present_answers
from modal_pretrain.datasets._encodings import warn_of_utf8
from modal_pretrain.datasets._listed import check_missing, image_paths
from modal_pretrain.datasets._modality import column, holds
from modal_pretrain.datasets._quotes import warn_of_quotes
from modal_pretrain.datasets._repeats import (
    first_of_each,
    one_spelling,
    warn_of_shared,
)
from modal_pretrain.datasets._splits import draw_splits, warn_of_new_classes
from modal_pretrain.datasets._splits import split_names as named_splits
from modal_pretrain.datasets._table import (
    choices,
    numbers,
    read_table,
    refuse_header_again,
    row_name,
    warn,
)
from modal_pretrain.datasets.grouped import GroupedDataset

# Of read_csv: what would return something else than a table of texts.
_OURS = (
    *("dtype", "converters", "index_col", "iterator", "chunksize", "parse_dates"),
    "filepath_or_buffer",
)
_FLAGS = {"0": False, "1": True, "false": False, "true": True}


@holds(column)
def load_csv(
    path: str | os.PathLike[str],
    *,
    target: str,
    image: str | None = None,
    text: str | None = None,
    attribute: str | None = None,
    split: str | None = None,
    extra: Sequence[str] = (),
    flags: str | None = None,
    root: str | os.PathLike[str] | None = None,
    split_names: Mapping[Any, str] | None = None,
    test_size: float = 0.2,
    validation_size: float = 0.0,
    random_state: int | np.random.RandomState | None = 0,
    missing: str = "error",
    duplicates: str = "error",
    labels: str = "auto",
    disambiguating: str = "mismatch",
    rare_share: float = 0.1,
    name: str | None = None,
    read_options: Mapping[str, Any] | None = None,
) -> GroupedDataset:
    """Read a CSV file that lists pictures or holds texts, with their labels.

    Input: the column `image` (file names, read when they are needed) or `text`. Class,
    attribute and splits: the columns `target`, `attribute` and `split`. Disambiguating:
    see `disambiguating` and `flags`.

    Parameters
    ----------
    path : path-like
        The file, with a header.
    target : str
        Column of the class.
    image, text : str
        Column of the input; one of the two.
    attribute : str, optional
        Column of the attribute. By default all have the same one.
    split : str, optional
        Column of the split. By default splits are drawn, with the same shares in every
        class.
    extra : sequence of str, optional
        Columns of further attributes.
    flags : str, optional
        Column of 0 and 1 (or false and true) that says which rows are disambiguating,
        instead of a rule.
    root : path-like, optional
        Folder that image names are relative to. By default that of the file.
    split_names : mapping, optional
        Split ("train", "validation", "test", "id_validation", "id_test") for each value
        of the column `split`, for example ``{0: "train", 1: "test"}``. By default the
        usual names are understood, and numbers are not.
    test_size, validation_size : float, default=0.2 and 0.0
        Shares of each class that are drawn as splits, in whole rows: 0.2 of 2 is none.
        Without effect, as `random_state`, where the splits are given.
    random_state : int, RandomState or None, default=0
        The draw.
    missing : {"error", "drop", "ignore"}, default="error"
        What to do about rows with an empty cell in a column that is used, or whose
        image is not there: fail, leave them out with a warning that counts them, or,
        of images, not look ("ignore"; empty cells are an error).
    duplicates : {"error", "drop", "keep"}, default="error"
        What to do about rows that repeat the input of an earlier row, which is the same
        text or file name (a link or a copy has another one): fail, leave them
        out with a warning that counts them (where labels or splits differ it still
        fails), or keep them, with a warning where other splits share inputs with the
        train split.
    labels : {"auto", "text"}, default="auto"
        "auto": labels of a column that holds whole numbers only are numbers, unless
        some have leading zeros; numbers among texts are an error, and so are two
        spellings of one number, such as 1 and 1.0, and texts that differ in spaces
        around them; words that differ in capitals, apostrophes, dashes, underscores or
        width, 01 beside 1, and classes that train lacks are warned of. "text": they are
        texts as they stand.
    disambiguating, rare_share : str, float
        See `GroupedDataset`.
    name : str, optional
        Name of the data set. By default that of the file, or of its folder if the file
        is called "metadata.csv".
    read_options : mapping, optional
        For ``pandas.read_csv``, such as ``{"sep": ";", "encoding": "cp1252"}``. What
        types columns or iterates is not allowed.

    Returns
    -------
    GroupedDataset
        `X` is an array of paths, or of str objects.

    Raises
    ------
    FileNotFoundError
        If the file or images are not there.
    ValueError
        If the table is not as expected.

    Warns
    -----
    UserWarning
        Of what is left out, where splits share inputs, where they have classes that
        train lacks, and where quotation marks may have been misread.

    Notes
    -----
    Only empty cells count as missing, of other columns than the input also those that
    hold spaces alone, or an error of a spreadsheet such as #N/A (``labels="text"``: not
    those): "NA" and "None" are labels and texts, unless
    ``read_options={"na_values": ["NA"]}``, say, names them. Of the label file that
    ``modal-pretrain label`` writes (columns item and label) the last line of an item
    counts.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from modal_pretrain.datasets import load_csv
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "reviews.csv")
    ...     _ = path.write_text('''review,stars,shop,part
    ... "Good, really.",5,books,train
    ... Bad.,1,books,train
    ... Works.,5,tools,train
    ... Broke.,1,tools,test
    ... ''')
    ...     data = load_csv(path, text="review", target="stars", attribute="shop",
    ...                     split="part", disambiguating="rare", rare_share=0.4)
    >>> data.summary()
    'reviews: 2 classes x 2 shop; train 3 (33.3 % disambiguating), test 1 (100.0 %)'
    >>> data.X[0]
    'Good, really.'
    """
    if (image is None) == (text is None):
        raise ValueError("give one of image and text, the column of the input")
    check_missing(missing)
    for key, value, known in (
        ("duplicates", duplicates, ("error", "drop", "keep")),
        ("labels", labels, ("auto", "text")),
    ):
        if value not in known:
            raise ValueError(f"{key} must be one of {', '.join(known)}, got {value!r}")
    if isinstance(extra, str) or not isinstance(extra, Sequence):
        raise ValueError(f"extra must be a list of columns, got {extra!r}: [{extra!r}]")
    if split is None and split_names is not None:
        raise ValueError(
            "split_names says what the values of the column split mean, but split is "
            "None; name the column, or leave split_names out and splits are drawn"
        )
    if attribute is not None and attribute == target:
        raise ValueError(
            f"target and attribute are both {target!r}; they must be two columns, or "
            "leave the attribute out"
        )
    path = expanded(path)
    column: str = image if image is not None else str(text)
    others = [c for c in (attribute, split, flags) if c is not None]
    used = [column, target, *others, *extra]
    table_options = _read_options(read_options)
    own = MARKS if (column, target) == ("item", "label") else ()
    table = read_table(path, used, options=table_options, optional=own)
    if "encoding" in table_options:
        cells = table[list(dict.fromkeys(used))].to_numpy(dtype=object).ravel()
        warn_of_utf8(cells, table_options["encoding"], path)
    if column in (target, *others):  # further attributes may be the input, too
        raise ValueError(
            f"the input is the column {column!r}, which is named for something else, "
            "too; a model would read the answer, so name another column"
        )
    warn_of_quotes(path, read_options)
    if "names" in table_options or table_options.get("header", 0) is not None:
        refuse_header_again(table, path)
    table = present_answers(table, path) if own else table
    loose = set(used) - {column} if labels == "auto" else set()
    known = table.copy()  # not assign: a column may be called "self"
    for key in loose:
        known[key] = blanks_missing(table[key])
    table = _without_gaps(known, table, missing, path)
    X: Any
    if image is None:
        X = table[column].to_numpy(dtype=object)
    else:
        base = path.parent if root is None else expanded(root, "root")
        X, keep = image_paths(base, table[column], missing, path)
        X, table = X[keep], table[keep]
    inputs = X if image is None else one_spelling(X)
    keep = first_of_each(table, inputs, column, duplicates, path)
    X, table = X[keep], table[keep]
    y = _labels(table, target, labels, path)
    if split is None:
        splits = draw_splits(y, test_size, validation_size, random_state)
    else:
        where = f"column {split!r} of {path}"
        splits = named_splits(table[split], split_names, where)
    if duplicates == "keep":
        warn_of_shared(
            np.array(inputs, dtype=object),
            splits,
            str(path),
            "Give, in the column split, all rows of one input the same split",
        )
    rule: Any = disambiguating
    if flags is not None:
        lower = table[flags].str.lower().to_numpy(dtype=str)
        rule = choices(lower, _FLAGS, flags, path, table.index)
    own_name = path.parent.resolve().name if path.stem == "metadata" else path.stem
    data = GroupedDataset(
        X,
        y,
        np.full(len(y), "all")
        if attribute is None
        else _labels(table, attribute, labels, path),
        splits,
        disambiguating=rule,
        rare_share=rare_share,
        name=own_name if name is None else name,
        attribute_name="attribute" if attribute is None else attribute,
        modality="image" if text is None else "text",
        extra={key: _labels(table, key, labels, path) for key in extra},
    )
    return data if labels == "text" else warn_of_new_classes(data, path)


def _read_options(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what may be passed on to ``pandas.read_csv``."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ValueError(f"read_options must be names and values, got {given!r}")
    known = inspect.signature(pd.read_csv).parameters
    for name in given:
        if name in _OURS:
            raise ValueError(
                f"read_options may not have {name!r}: all columns are read as texts, "
                "one row a line; labels='text' keeps them so"
            )
        if name not in known:
            raise ValueError(
                f"read_options has {name!r}, which pandas.read_csv does not know."
                f"{did_you_mean(name, known)}"
            )
    return dict(given)


def _without_gaps(
    table: pd.DataFrame, given: pd.DataFrame, missing: str, path: Path
) -> pd.DataFrame:
    gaps = table.isna()
    bad = gaps.any(axis=1).to_numpy()
    if not bad.any():
        return table
    counts = gaps.sum()
    listed = ", ".join(f"{key} ({n})" for key, n in counts[counts > 0].items())
    cells = given.to_numpy()[gaps.to_numpy() & given.notna().to_numpy()]
    error = next((f" or an error, {x!r}" for x in cells if re.match(r"#|Err", x)), "")
    message = (
        f"{bad.sum()} of {len(table)} rows of {path} have an empty cell{error}, in "
        f"{listed}; the first is {row_name(int(np.argmax(bad)))}"
    )
    if missing != "drop" or bad.all():
        raise ValueError(f"{message}. Fill them, or leave them out: missing='drop'.")
    warn(f"{message}. They are left out")
    return table[~bad]


def _labels(table: pd.DataFrame, column: str, labels: str, path: Path) -> np.ndarray:
    """Labels of a column: integers, or texts."""
    cells = table[column]
    if labels == "auto":
        # Labels are few: look at each once.
        known = pd.Series(cells.unique())
        numeric = pd.to_numeric(known, errors="coerce").notna()
        if numeric.all():
            try:
                values = numbers(table, column, path)
            except ValueError as error:
                raise ValueError(
                    f"{error}. Or take all of them for texts: labels='text'."
                ) from None
            if not known.str.match(r"[+-]?0[0-9]").any():  # or they are codes
                _check_one_spelling(known, column, path)
                return values
        elif numeric.any():
            raise ValueError(
                f"column {column!r} of {path} mixes numbers and texts, such as "
                f"{known[numeric].iloc[0]!r} and {known[~numeric].iloc[0]!r}. Correct "
                "the column, or take all for texts: labels='text'."
            )
        _check_look_alikes(cells, column, path)
    return cells.to_numpy(dtype=str)


def _check_look_alikes(cells: pd.Series, column: str, path: Path) -> None:
    """Refuse labels that differ in what cannot be seen, spaces or kinds of accents.

    Those of `near_alikes` and codes of one number are warned of.
    """
    found = look_alikes(cells.unique())
    if found is not None:
        raise ValueError(
            f"column {column!r} of {path} spells one label {found[0]!a} and "
            f"{found[1]!a}. Correct the column, or take them for two labels: "
            "labels='text'"
        )
    # Of a joined table one half may have lost its leading zeros in a spreadsheet.
    found = near_alikes(cells.unique()) or equal_numbers(cells.unique())
    if found is not None:
        one, other = (f"{name!r} ({(cells == name).sum()} rows)" for name in found)
        warn(
            f"column {column!r} of {path} has {one} and {other}, which are two "
            "labels. If they are one, correct the column; if not, labels='text' takes "
            "them without this warning",
            depth=5,
        )


def _check_one_spelling(known: pd.Series, column: str, path: Path) -> None:
    """Refuse two spellings of one number, which may or may not mean one label."""
    found = equal_numbers(known)
    if found is not None:
        raise ValueError(
            f"column {column!r} of {path} spells one number {found[0]!r} and "
            f"{found[1]!r}. Correct the column, or take them for two labels: "
            "labels='text'"
        )
