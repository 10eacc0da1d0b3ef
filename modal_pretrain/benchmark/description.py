"""What is kept of the data with the records, and told from other data by it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from xxhash import xxh3_64

from modal_pretrain._checks import take_rows
from modal_pretrain._disk import write_whole
from modal_pretrain._identity import expanded
from modal_pretrain.backbones.folder import is_list_of_parts, may_be_of
from modal_pretrain.backbones.names import local_folder
from modal_pretrain.benchmark.config import FULL, BenchmarkConfig, Unit
from modal_pretrain.benchmark.records import other_flags, other_rows
from modal_pretrain.benchmark.store import RecordStore
from modal_pretrain.datasets import GroupedDataset

N_SAMPLED = 200  # rows whose contents count
_READ = 2**16  # bytes of a file
# Weights, configurations and vocabularies, in a folder of them.
_OF_A_MODEL = (".safetensors", ".bin", ".pt", ".pth", ".tar", ".json", ".txt", ".model")


def describe(data: GroupedDataset) -> dict[str, Any]:
    """Return names and counts of a data set, and fingerprints.

    Parameters
    ----------
    data : GroupedDataset

    Returns
    -------
    dict
        ``fingerprint`` is of labels, attributes, splits and flags of all rows;
        ``names`` of the groups that they are shown as; ``contents`` of what a sample
        of the rows holds.
    """
    splits, names = {}, data.group_names
    for split in np.unique(data.split).tolist():
        rows = data.split == split
        groups, counts = np.unique(data.groups[rows], return_counts=True)
        splits[split] = {
            "rows": int(rows.sum()),
            "atypical": int(data.disambiguating[rows].sum()),
            "groups": {
                names[group]: int(count)
                for group, count in zip(groups, counts, strict=True)
            },
        }
    digest = hashlib.sha256()
    for column in (data.y, data.attribute, data.split, data.disambiguating):
        digest.update("\x1f".join(map(str, column.tolist())).encode())
    # Two that change places leave labels and counts as they are.
    named = "\x1f".join(np.array(names)[data.groups].tolist())
    return {
        "name": data.name,
        "modality": data.modality,
        "summary": data.summary(),
        "classes": list(data.class_names or ()),
        "attribute_name": data.attribute_name,
        "splits": splits,
        "fingerprint": digest.hexdigest()[:16],
        "names": hashlib.sha256(named.encode(errors="surrogatepass")).hexdigest()[:16],
        "contents": contents(data.X),
    }


def contents(X: Any) -> str:
    """Return a fingerprint of up to 200 rows, evenly spread over the data.

    Parameters
    ----------
    X : object
        A data set's. Of a file its size and first 64 KB count, of a text all of it, of
        integers every value. Floating-point rows count by shape and type alone: what
        generates them may differ in the last bits on another machine. Of a frame each
        column counts like that.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    n = len(X)
    rows = np.unique(np.linspace(0, n - 1, min(n, N_SAMPLED)).astype(np.intp))
    digest = hashlib.sha256()
    sample = take_rows(X, rows)
    if hasattr(sample, "itertuples"):  # a frame gives the names of its columns
        cells = sample.itertuples(index=False, name=None)
    else:
        cells = ((row,) for row in sample)
    for values in cells:
        digest.update(b"\x1f".join(map(_content, values)))
        digest.update(b"\x1e")
    return digest.hexdigest()[:16]


def _content(row: Any) -> bytes:
    if isinstance(row, str | os.PathLike):
        if not os.path.isfile(row):  # a text
            return os.fspath(row).encode(errors="surrogatepass")
        with open(row, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            return f"{size} ".encode() + file.read(_READ)
    values = np.asarray(row)
    shape = f"{values.dtype} {values.shape} ".encode()
    return shape + values.tobytes() if values.dtype.kind in "bui" else shape


def weights(config: BenchmarkConfig) -> str | None:
    """Return a fingerprint of the files that a configuration takes weights from.

    Parameters
    ----------
    config : BenchmarkConfig

    Returns
    -------
    str or None
        16 hexadecimal digits; None where no file or folder of weights is named.
    """
    files: list[Path] = []
    for name in ("pretrained", "backbone"):
        value = config.estimator_params.get(name)
        if not isinstance(value, str | os.PathLike):
            continue
        value = os.fsdecode(value)
        place = local_folder(value) or expanded(value)
        parts = is_list_of_parts(place)
        folder = place.parent if parts else place
        if (parts and place.is_file()) or (folder / "config.json").is_file():
            files += sorted(filter(_is_of_a_model, folder.iterdir()))
            # sentence-transformers says in folders how tokens are pooled.
            if (folder / "modules.json").is_file():
                files += sorted(folder.glob("[0-9]*_*/config.json"))
            for whole in sorted({whole for whole, _ in may_be_of(folder)}):
                files += [whole / "modules.json"]
                files += sorted(whole.glob("[0-9]*_*/config.json"))
        elif place.is_file():
            files.append(place)
    digest = xxh3_64()
    for path in files:
        digest.update(os.fsencode(path.name) + b"\x1f")
        with path.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest() if files else None


def _is_of_a_model(path: Path) -> bool:
    """Say whether a file counts; what people note beside a model does not."""
    hidden = path.name.startswith(".")
    return path.suffix in _OF_A_MODEL and not hidden and path.is_file()


def check_splits(config: BenchmarkConfig, data: GroupedDataset) -> None:
    """Raise a ValueError if there is nothing to choose from, or to measure with."""
    there = np.unique(data.split).tolist()
    if not {"train", "test"} <= set(there):
        raise ValueError(
            f"dataset={config.dataset!r} must have a train and a test split, got "
            f"{' and '.join(map(repr, there))}: {data.summary()}. Have a test split "
            "drawn (test_size, of which less than half a row of each class is none), "
            "or name what is one (split_names)."
        )


def keep_description(store: RecordStore, data: GroupedDataset) -> None:
    """Write ``data.json``, or check that it still fits.

    A folder that was begun before names, contents or weights counted is compared
    without.

    Raises
    ------
    ValueError
        If the folder's records were made from other data or weights.
    """
    path = store.folder / "data.json"
    description = {**describe(data), "weights": weights(store.config)}
    with store.alone():
        if not path.exists():
            write_whole(path, json.dumps(description, indent=1) + "\n")
            return
    key, what = _difference(store, description, data)
    if key:
        raise ValueError(
            f"{store.folder} holds records of other "
            f"{'weights' if key == 'weights' else 'data'}: {what} changed since. "
            "Use another folder, or delete this one."
        )


def check_loaded(store: RecordStore, data: GroupedDataset) -> None:
    """Check that a process that works on a folder has the data that it describes.

    A loader may give other rows, or rows in another order, in each process: from a set
    of names or unseeded numbers, or since a worker has an older state of its module.

    Raises
    ------
    ValueError
        If it has others.
    """
    key, what = _difference(store, describe(data), data)
    if key:
        raise ValueError(
            f"dataset={store.config.dataset!r} gave one process other data than "
            f"{store.folder / 'data.json'} describes: {what} changed. Have it give the "
            "same rows in the same order each time: sort names, seed random numbers, "
            "and after a change of its module start Python anew."
        )


def _difference(
    store: RecordStore, description: dict[str, Any], data: GroupedDataset
) -> tuple[str, str]:
    """Return the first key under which a folder's description differs, and what it is.

    Both are empty if none does.
    """
    known = store.description()
    if "names" not in known and hasattr(data.X, "itertuples"):
        known.pop("contents", None)  # then the names of its columns counted
    for key, what in (
        ("fingerprint", "rows, labels, attributes or splits have"),
        ("contents", "what the rows hold (a sample was compared) has"),
        ("splits", "the names of classes or attributes have"),
        ("names", "the names of classes or attributes have"),
        # Seed sets are drawn class by class: in another order they are others.
        ("classes", "the classes, or their order, have"),
        ("weights", "the file of weights that `estimator` names has"),
    ):
        before, now = known.get(key), description.get(key)
        if None not in (before, now) and before != now:
            return key, what
    return "", ""


def check_rows(store: RecordStore, data: GroupedDataset) -> None:
    """Check the finished runs, also the rows that they ask for, against the data.

    Raises
    ------
    DamagedRecords
        If a file is not what it should be.
    """
    train = set(np.flatnonzero(data.split == "train").tolist())
    for record in store.load().to_dict("records"):
        audit = record.get("audit")
        measured = audit["rows"] if isinstance(audit, dict) else []
        outside = {*record["acquired"], *measured} - train
        unit = Unit(*(record[name] for name in Unit._fields))
        if outside:
            raise other_rows(store.path(unit), min(outside))
        found = record["acquired_atypical"]
        odd = int(data.disambiguating[record["acquired"]].sum())
        if unit.strategy != FULL and found != odd:
            raise other_flags(store.path(unit), found, odd)
