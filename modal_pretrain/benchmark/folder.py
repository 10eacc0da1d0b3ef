"""What lies under a folder of results: its configurations and all their records."""

from __future__ import annotations

import contextlib
import os
import warnings
from pathlib import Path

import pandas as pd

from modal_pretrain.benchmark.store import RecordStore


def load(out: str | Path) -> pd.DataFrame:
    """Return all records under a folder.

    Parameters
    ----------
    out : str or Path
        What `run` was given, or the folder of one configuration.

    Returns
    -------
    pandas.DataFrame
        A row a round, for finished runs: the keys of the records and the settings that
        tell them apart: ``config`` (hash), ``seed_set``, ``batch``, ``tune``,
        ``backbone``.

    Raises
    ------
    ValueError
        If there are no records.
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
    out = Path(out)
    _check_readable(out)
    paths = sorted([*out.glob("config.json"), *out.glob("*/config.json")])
    if not paths:
        raise ValueError(f"{out} holds no benchmark records (no config.json).")
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


def _check_readable(out: Path) -> None:
    """Raise PermissionError for a folder of records that `glob` would pass over."""
    for folder in (out, *out.glob("*-" + 12 * "[0-9a-f]")):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.stat(folder / "config.json")


def all_records(stores: list[RecordStore]) -> pd.DataFrame:
    """Return the records of some stores with the settings that tell them apart."""
    return pd.concat([_with_settings(store) for store in stores], ignore_index=True)


def _with_settings(store: RecordStore) -> pd.DataFrame:
    config, records = store.config, store.load()
    params = config.estimator_params
    records["config"] = config.digest()
    records["seed_set"] = config.seed_set
    records["batch"] = config.batch
    records["tune"] = params.get("tune", "head")
    records["backbone"] = params.get("backbone", "default")
    return records
