"""The few examples that a report shows of the data, kept with the records.

So a report needs the records alone, not the data set.
"""

from __future__ import annotations

import io
import json

import numpy as np

from modal_pretrain._disk import write_whole
from modal_pretrain._modalities import lookup
from modal_pretrain.benchmark.config import Unit
from modal_pretrain.benchmark.store import RecordStore
from modal_pretrain.datasets import GroupedDataset

SIZE = 96  # pixels of a thumbnail's longer side
MAX_GROUPS = 12
MAX_TEXT = 300  # characters


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
            rows.update(dict.fromkeys(first_acquired(store, unit, n)))
    folder = store.folder / "examples"
    folder.mkdir(exist_ok=True)
    show = lookup(data.modality).show
    index, groups, names = {}, data.groups, data.group_names
    for row in sorted(rows):
        index[str(row)] = entry = {
            "group": names[groups[row]],
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
            file = io.BytesIO()
            image.save(file, "JPEG", quality=80)
            # Half of one, after a full disk or a kill, would stay for ever.
            write_whole(thumbnail, file.getvalue(), sync=False)
    with store.alone():
        index = {**store.examples(), **index}
        write_whole(folder / "index.json", json.dumps(index, indent=0) + "\n")


def first_acquired(store: RecordStore, unit: Unit, n: int) -> list[int]:
    """Return the first `n` rows that a run asked about, after the seed set."""
    rows: list[int] = []
    for record in store.records(unit)[1:]:
        rows += record["acquired"]
    return rows[:n]
