"""What lies under a folder of results: its configurations and all their records."""

from __future__ import annotations

import contextlib
import fnmatch
import json
import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from modal_pretrain._identity import expanded
from modal_pretrain.benchmark.config import BenchmarkConfig
from modal_pretrain.benchmark.records import DamagedRecords
from modal_pretrain.benchmark.store import RecordStore

_OWN = "*-" + 12 * "[0-9a-f]"  # the name that `RecordStore` gives a folder
_DEFAULT = "default"  # of a setting of which a folder says nothing


def load(out: str | Path) -> pd.DataFrame:
    """Return all records under a folder.

    Parameters
    ----------
    out : str or Path
        What `run` was given, or the folder of one configuration.

    Returns
    -------
    pandas.DataFrame
        A row a round, for finished runs (without rows, nor the records' keys, while
        none is finished): the keys of the records and the settings that
        tell them apart: ``config`` (hash), ``seed_set``, ``batch``, ``tune``,
        ``backbone``, and each other one in which folders differ, "default" where one
        says nothing of it. A parameter of the data whose name is taken is called
        ``dataset_<name>``, and another setting called as what is recorded, such as
        ``audit``, is ``setting_<name>``.

    Raises
    ------
    ValueError
        If no benchmark is there, or two are of the same settings, such as a copy.
    DamagedRecords
        If a file is not what it should be; it is a ValueError.

    Warns
    -----
    UserWarning
        If there are records of runs that ``config.json`` does not name.
    """
    stores = open_stores(out)
    for store in stores:
        others = store.left_out()
        if others:
            warnings.warn(
                f"{store.folder / 'config.json'} does not name the models, strategies "
                f"or seeds of {len(others)} finished runs, which are left out: "
                f"{', '.join(others[:3])}{' ...' if len(others) > 3 else ''}. Run them "
                "again with these settings, which adds them.",
                stacklevel=2,
            )
    return all_records(stores)


def open_stores(out: str | Path) -> list[RecordStore]:
    """Return the stores of all configurations under a folder.

    Parameters
    ----------
    out : str or Path
        What `run` was given as `out`, or one configuration's folder in it.

    Returns
    -------
    list of RecordStore

    Raises
    ------
    ValueError
        If there is none, or two are of the same settings, such as a copy.
    DamagedRecords
        If a ``config.json`` is no configuration; it is a ValueError.
    PermissionError
        If a folder of records may not be read.
    """
    out = expanded(out, "out")
    _check_readable(out)
    found = sorted([*out.glob("config.json"), *out.glob("*/config.json")])
    paths = [path for path in found if _is_own(path.parent)]
    if not paths:
        raise ValueError(f"{out} holds no benchmark records (no config.json of one).")
    stores = [RecordStore.open(path.parent) for path in paths]
    folders: dict[str, Path] = {}
    for store in stores:
        other = folders.setdefault(store.config.digest(), store.folder)
        if other != store.folder:
            raise ValueError(
                f"{other} and {store.folder} hold runs of the same settings, which "
                "would count twice. Move one of them out of the folder."
            )
    return stores


def _is_own(folder: Path) -> bool:
    """Say whether a ``config.json`` there may be a benchmark's: models have one, too.

    A person may have renamed the folder, or copied it without what is empty.
    """
    named = fnmatch.fnmatchcase(folder.resolve().name, _OWN)
    return named or any((folder / kind).is_dir() for kind in ("records", "partial"))


def check_apart(config: BenchmarkConfig, out: Path) -> None:
    """Raise ValueError if results would lie in the folder of pictures that is read.

    A report keeps thumbnails: the next run would take their folder for a class.
    """
    root = config.dataset_params.get("root")
    if config.dataset != "folder" or not isinstance(root, str | os.PathLike):
        return
    place = expanded(root).resolve()
    if out.resolve().is_relative_to(place):
        raise ValueError(
            f"out (or --out) must lie outside the pictures, got {str(out)!r}, which is "
            f"in {str(place)!r}: what is written there would be a class in the next "
            f"run. Name a folder beside it, such as {str(place) + '-results'!r}."
        )


def check_not_renamed(store: RecordStore) -> None:
    """Raise ValueError where a folder beside a new one holds its runs.

    They would all be done anew, and then count twice.
    """
    if (store.folder / "config.json").exists():
        return
    for path in sorted(store.folder.parent.glob("*/config.json")):
        if path.parent == store.folder or not _is_own(path.parent):
            continue  # another process may just have made it
        with contextlib.suppress(DamagedRecords):
            if RecordStore.open(path.parent).config.digest() == store.config.digest():
                raise ValueError(
                    f"{path.parent} holds runs of these settings under another name. "
                    f"Call it {store.folder.name} to go on with them, or move it out "
                    "of the folder to begin anew."
                )


def _check_readable(out: Path) -> None:
    """Raise PermissionError for a folder of records that `glob` would pass over."""
    for folder in (out, *out.glob(_OWN)):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.stat(folder / "config.json")


def all_records(stores: list[RecordStore]) -> pd.DataFrame:
    """Return the records of some stores with the settings that tell them apart."""
    tables = [store.load() for store in stores]
    measured = {name for table in tables for name in table} - {"dataset"}
    for table, store in zip(tables, stores, strict=True):
        _add_settings(table, store)
    # A parameter may be called as what was measured.
    taken = {name for table in tables for name in table}
    every = settings_by_name(stores, taken)
    for name in dict.fromkeys(name for own in every for name in own):
        # No None, whose rows `groupby` would leave out.
        values = [_DEFAULT if own.get(name) is None else own[name] for own in every]
        column = f"setting_{name}" if name in measured else name
        if (name in measured or name not in taken) and any(
            value != values[0] for value in values
        ):
            for table, value in zip(tables, values, strict=True):
                table[column] = _as_cell(value)
    # One without rows would make the whole numbers of the others decimal.
    some = [table for table in tables if len(table)]
    return pd.concat(some or tables, ignore_index=True)


def settings_by_name(
    stores: list[RecordStore], taken: Iterable[str] = ()
) -> list[dict[str, Any]]:
    """Return what makes a folder of its own, for each by names that all share.

    Parameters
    ----------
    stores : list of RecordStore
    taken : iterable of str, default=()
        Names that no parameter of the data may have.

    Returns
    -------
    list of dict
        A parameter of the data is ``dataset_<name>`` where another setting of any of
        the folders, or what is taken, has its name: data and classifier may both have
        an ``image_size``.
    """
    found = [_settings(store) for store in stores]
    of_data = [own.pop("dataset_params") for own in found]
    taken = set(taken).union(*found)
    return [
        own
        | {f"dataset_{k}" if k in taken else k: value for k, value in params.items()}
        for own, params in zip(found, of_data, strict=True)
    ]


def _settings(store: RecordStore) -> dict[str, Any]:
    """Return what makes a folder of its own, by name; the data's are apart."""
    found = store.config.kept()
    # Left out where it is the default, see `BenchmarkConfig`.
    found |= {"audit_apart": store.config.audit_apart, "augment": False}
    return found | found.pop("estimator_params")


def _as_cell(value: Any) -> Any:
    """Return a value that one can group by; lists and tables are texts."""
    return value if isinstance(value, str | int | float) else json.dumps(value)


def _add_settings(records: pd.DataFrame, store: RecordStore) -> None:
    config = store.config
    params = config.kept()["estimator_params"]  # a function by its name, as in a folder
    records["config"] = config.digest()
    records["seed_set"] = config.seed_set
    records["batch"] = config.batch
    records["tune"] = params.get("tune", "head")
    records["backbone"] = params.get("backbone", _DEFAULT)
