"""Exported tables that somebody has edited since: they are kept, not replaced."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from xxhash import xxh3_64_hexdigest

from modal_pretrain._disk import write_whole

# What was written last, by the names of the files.
_WRITTEN = ".written.json"


def write_beside_edited(files: dict[str, bytes], folder: Path) -> list[Path]:
    """Write files; what is there and was not written here goes to another name.

    A table of labels is what people correct in a spreadsheet, and then this is the only
    copy of their work.

    Parameters
    ----------
    files : dict of str to bytes
        By name.
    folder : Path

    Returns
    -------
    list of Path
        Where the edited ones are now.
    """
    written = _written(folder)
    kept = []
    for name, data in files.items():
        path = folder / name
        if path.is_file():
            there = path.read_bytes()
            if there != data and xxh3_64_hexdigest(there) != written.get(name):
                kept.append(_free(path))
                path.rename(kept[-1])
        written[name] = xxh3_64_hexdigest(data)
        write_whole(path, data)
        write_whole(folder / _WRITTEN, json.dumps(written))
    return kept


def _written(folder: Path) -> dict[str, str]:
    with contextlib.suppress(OSError, ValueError):
        found = json.loads((folder / _WRITTEN).read_text())
        if isinstance(found, dict):
            return found
    return {}


def _free(path: Path) -> Path:
    number = 1
    while (free := path.with_stem(f"{path.stem}-edited-{number}")).exists():
        number += 1
    return free
