"""Data sets of the package `datasets` (Hugging Face).

The package is not imported: its objects bring all that is needed.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from modal_pretrain._identity import read_whole
from modal_pretrain.datasets._columns import as_column, exact, label_column
from modal_pretrain.datasets._parts import Part, join
from modal_pretrain.datasets.grouped import GroupedDataset


def from_huggingface(
    dataset: Any,
    *,
    target: str,
    image: str | None = None,
    text: str | None = None,
    attribute: str | None = None,
    extra: Sequence[str] = (),
    split_names: Mapping[str, str] | None = None,
    test_size: float = 0.2,
    validation_size: float = 0.0,
    random_state: int | np.random.RandomState | None = 0,
    disambiguating: Any = "mismatch",
    rare_share: float = 0.1,
    name: str = "data set",
) -> GroupedDataset:
    """Take over a Hugging Face data set, or a dictionary of its splits.

    Input: the column `image` or `text`. Class and attribute: columns. Images are
    decoded when they are needed and do not stay so: files where the data set has files,
    else Pillow images over the bytes that it has in memory or in a local zip file.
    Where it wants another mode than RGB, such as "L", they are converted at once.

    Parameters
    ----------
    dataset : datasets.Dataset, or datasets.DatasetDict or other mapping of them
        One data set, whose splits are drawn, or one for each split. What
        `datasets.load_dataset` returns, unless it streams. Where splits number their
        classes differently, the names decide.
    target : str
        Column of the class.
    image, text : str
        Column of the input; one of the two.
    attribute : str, optional
        Column of the attribute. By default all have the same one.
    extra : sequence of str, optional
        Columns of further attributes. As of labels, the names decide.
    split_names : mapping of str to str, optional
        Split ("train", "validation", "test", "id_validation", "id_test") for each key
        of a mapping, if they are not the usual ones.
    test_size, validation_size : float, default=0.2 and 0.0
        Shares of each class that are drawn as splits, in whole rows: 0.2 of 2 is none.
        Without effect, as `random_state`, where the splits are given.
    random_state : int, RandomState or None, default=0
        The draw.
    disambiguating, rare_share : str or array-like of bool, float
        See `GroupedDataset`.
    name : str, default="data set"
        Name of the data set.

    Returns
    -------
    GroupedDataset
        `X` is an array of paths, a list of Pillow images or an array of str objects.
        Labels that the data set names are numbers with these names.

    Raises
    ------
    TypeError
        If the data set streams, or is something else.
    ValueError
        If a column is not there, lacks values (-1 is none where labels have names) or
        has cells of several, or the data set has a transform.

    Warns
    -----
    UserWarning
        If other splits have classes that train lacks.

    Examples
    --------
    With the package `datasets` and a download of your own choice::

        dataset = datasets.load_dataset("rotten_tomatoes")
        data = from_huggingface(dataset, text="text", target="label")
    """
    if (image is None) == (text is None):
        raise ValueError("give one of image and text, the column of the input")
    if isinstance(extra, str) or not isinstance(extra, Sequence):
        raise ValueError(f"extra must be a list of columns, got {extra!r}: [{extra!r}]")
    if attribute == target:
        raise ValueError(
            f"target and attribute are both {target!r}; they must be two columns, or "
            "leave the attribute out"
        )
    parts = dataset if isinstance(dataset, Mapping) else {None: dataset}
    read = {
        split: _read(part, image, text, target, attribute, extra)
        for split, part in parts.items()
    }
    return join(
        read,
        names=split_names,
        test_size=test_size,
        validation_size=validation_size,
        random_state=random_state,
        disambiguating=disambiguating,
        rare_share=rare_share,
        name=name,
        attribute_name="attribute" if attribute is None else attribute,
        modality="image" if text is None else "text",
    )


def _read(
    dataset: Any,
    image: str | None,
    text: str | None,
    target: str,
    attribute: str | None,
    extra: Sequence[str],
) -> Part:
    if not hasattr(dataset, "column_names") or not hasattr(dataset, "__len__"):
        raise TypeError(
            f"a datasets.Dataset is expected, got {type(dataset).__name__}; load it "
            "without streaming, or make one with datasets.Dataset.from_list or "
            "from_pandas"
        )
    if (getattr(dataset, "format", None) or {}).get("type") == "custom":
        raise ValueError(
            "the data set has a transform, which makes other columns than it stores; "
            "take it off with dataset.with_format(None), or store what it makes with "
            "dataset.map"
        )
    # Others turn values into arrow's, shorten numbers or hide columns.
    dataset = dataset.with_format(None) if hasattr(dataset, "format") else dataset
    column: str = image if image is not None else str(text)
    for wanted in [column, target, *([attribute] if attribute else []), *extra]:
        if wanted not in dataset.column_names:
            raise ValueError(
                f"the data set has no column {wanted!r}; its columns are "
                f"{', '.join(map(repr, dataset.column_names))}"
            )
    if image is None:
        X = np.array(list(dataset[column]), dtype=object)
        empty = np.array([not isinstance(value, str) for value in X], dtype=bool)
        if empty.any():
            first = int(np.argmax(empty))
            fix = "; leave them out with dataset.filter"
            if X[first] is not None:
                kind = type(X[first]).__name__
                fix = f" ({kind}); make texts of them with dataset.map"
            raise ValueError(
                f"{empty.sum()} rows have no text in {column!r}, first row {first}{fix}"
            )
    else:
        X = _images(dataset, image)

    def labels(name: str) -> np.ndarray:
        return label_column(list(dataset[name]), f"column {name!r}", len(dataset))

    def further(name: str) -> np.ndarray:
        values = list(dataset[name])
        column = as_column(values, f"extra[{name!r}]", len(dataset))
        return exact(column, np.array(values, dtype=object))

    return Part(
        X,
        labels(target),
        _names(dataset, target),
        None if attribute is None else labels(attribute),
        None if attribute is None else _names(dataset, attribute),
        {key: further(key) for key in extra},
        {key: _names(dataset, key) for key in extra},
    )


def _names(dataset: Any, column: str) -> dict[int, str]:
    """Names of numbered labels, if the data set has them."""
    names = getattr(dataset.features[column], "names", None)
    return dict(enumerate(map(str, names or [])))


def _images(dataset: Any, column: str) -> Any:
    """Paths, or Pillow images that are not decoded yet."""
    feature = dataset.features[column]
    if not hasattr(feature, "decode"):
        # Names of files, or arrays.
        values = list(dataset[column])
        return np.array(values) if all(isinstance(v, str) for v in values) else values
    # Without decoding a cell is a dictionary of path and bytes.
    cells = list(dataset.cast_column(column, type(feature)(decode=False))[column])
    missing = [i for i, cell in enumerate(cells) if cell is None]
    if missing:
        raise ValueError(
            f"{len(missing)} rows have no image in {column!r}, first row {missing[0]}; "
            "leave them out with dataset.filter"
        )
    # Other colours than RGB are what the data set says, not what the files hold.
    mode = getattr(feature, "mode", None)
    mode = None if mode == "RGB" else mode
    if mode is None and not any(map(_is_within, cells)):
        return np.array([cell["path"] for cell in cells])
    archives: dict[str, zipfile.ZipFile] = {}
    try:
        return [
            _opened(cell, archives, row, column, mode) for row, cell in enumerate(cells)
        ]
    finally:
        for archive in archives.values():
            archive.close()


# What reading of an archive raises, RuntimeError where it wants a password.
_OF_ZIP = (KeyError, RuntimeError, zipfile.BadZipFile)


def _is_within(cell: Any) -> bool:
    """Say whether a picture has no file of its own: it is in memory or a zip file."""
    return cell["bytes"] is not None or _in_zip(cell["path"]) is not None


def _in_zip(path: str | None) -> tuple[str, str] | None:
    """Split zip://cat/1.jpg::pictures.zip into archive and name in it."""
    name, _, archive = (path or "").rpartition("::")
    if not name.startswith("zip://") or not os.path.isfile(archive):
        return None
    return archive, name.removeprefix("zip://")


def _picture(cell: Any, archives: dict[str, zipfile.ZipFile]) -> bytes:
    data, path = cell["bytes"], cell["path"]
    place = _in_zip(path) if data is None else None
    if place is None:
        return read_whole(path) if data is None else data
    archive, name = place
    if archive not in archives:  # to list what is in it takes long
        archives[archive] = zipfile.ZipFile(archive)
    return archives[archive].read(name)


def _opened(
    cell: Any,
    archives: dict[str, zipfile.ZipFile],
    row: int,
    column: str,
    mode: str | None,
) -> Image.Image:
    try:
        # Not a file that stays open: of these there may be a thousand.
        image = Image.open(io.BytesIO(_picture(cell, archives)))
        return image if mode in (None, image.mode) else image.convert(mode)
    except (OSError, ValueError, TypeError, *_OF_ZIP) as error:
        raise ValueError(
            f"row {row} has no picture in {column!r} that Pillow can read "
            f"({type(error).__name__}); leave it out with dataset.filter"
        ) from error
