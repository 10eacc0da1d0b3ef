"""What a report shows of the data, kept with the records: numbers and a few examples.

So a report needs the records alone, not the data set.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from modal_pretrain._modalities import lookup
from modal_pretrain.benchmark.store import RecordStore, write
from modal_pretrain.datasets import GroupedDataset

SIZE = 96  # pixels of a thumbnail's longer side
MAX_GROUPS = 12
MAX_TEXT = 300  # characters


def describe(data: GroupedDataset) -> dict[str, Any]:
    """Return names and counts of a data set, and a fingerprint of its labels."""
    splits = {}
    for split in np.unique(data.split).tolist():
        rows = data.split == split
        groups, counts = np.unique(data.groups[rows], return_counts=True)
        splits[split] = {
            "rows": int(rows.sum()),
            "atypical": int(data.disambiguating[rows].sum()),
            "groups": {
                data.group_names[group]: int(count)
                for group, count in zip(groups, counts, strict=True)
            },
        }
    digest = hashlib.sha256()
    for column in (data.y, data.attribute, data.split, data.disambiguating):
        digest.update("\x1f".join(map(str, column.tolist())).encode())
    return {
        "name": data.name,
        "modality": getattr(data, "modality", "image"),
        "summary": data.summary(),
        "classes": list(data.class_names or ()),
        "attribute_name": data.attribute_name,
        "splits": splits,
        "fingerprint": digest.hexdigest()[:16],
    }


def keep_description(store: RecordStore, data: GroupedDataset) -> None:
    """Write ``data.json``, or check that it still fits.

    Raises
    ------
    ValueError
        If the folder's records were made from other data.
    """
    path = store.folder / "data.json"
    description = describe(data)
    if path.exists():
        known = json.loads(path.read_text())["fingerprint"]
        if known != description["fingerprint"]:
            raise ValueError(
                f"{store.folder} holds records of other data: rows, labels, attributes "
                "or splits have changed since. Use another folder, or delete this one."
            )
        return
    write(path, json.dumps(description, indent=1) + "\n")


def keep_examples(store: RecordStore, data: GroupedDataset, n: int) -> None:
    """Keep thumbnails, or texts, of the pool's groups and of what was asked first.

    Parameters
    ----------
    store : RecordStore
    data : GroupedDataset
    n : int
        How many of the first acquisitions of each model and strategy to keep, for
        the first seed. 0 keeps nothing.
    """
    if n == 0:
        return
    train = np.flatnonzero(data.split == "train")
    _, first = np.unique(data.groups[train], return_index=True)
    rows = dict.fromkeys(train[np.sort(first)[:MAX_GROUPS]].tolist())
    for unit in store.config.units():
        if unit.seed == store.config.seeds[0] and store.is_finished(unit):
            rows.update(dict.fromkeys(first_acquired(store.path(unit), n)))
    folder = store.folder / "examples"
    folder.mkdir(exist_ok=True)
    show = lookup(getattr(data, "modality", "image")).show
    path = folder / "index.json"
    index = json.loads(path.read_text()) if path.exists() else {}
    for row in sorted(rows):
        index[str(row)] = entry = {
            "group": data.group_names[data.groups[row]],
            "atypical": bool(data.disambiguating[row]),
        }
        thumbnail = folder / f"{row}.jpg"
        if thumbnail.exists():
            continue
        shown = show(data.X, row)
        if isinstance(shown, str):
            entry["text"] = shown[:MAX_TEXT] + ("..." if len(shown) > MAX_TEXT else "")
        else:
            image = shown.convert("RGB")
            image.thumbnail((SIZE, SIZE))
            image.save(thumbnail, quality=80)
    write(path, json.dumps(index, indent=0) + "\n")


def first_acquired(path: Path, n: int) -> list[int]:
    """Return the first `n` rows that a run asked about, after the seed set."""
    rows: list[int] = []
    with path.open(encoding="utf-8") as file:
        for line in file:
            record = json.loads(line)
            if record["round"] > 0:
                rows += record["acquired"]
            if len(rows) >= n:
                break
    return rows[:n]
