"""Records on disk: one JSON line per round, append only, one file per unit."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from modal_pretrain.benchmark.config import BenchmarkConfig, Unit


class RecordStore:
    """The results of one configuration, in a folder named by its hash.

    A unit's file appears under its final name when the unit is finished; a file that
    was being written when the process died is ignored and written anew. Two
    processes on one folder may do the same work twice, never spoil it.

    Parameters
    ----------
    root : str or Path
        The folder that holds the folders of all configurations.
    config : BenchmarkConfig

    Attributes
    ----------
    folder : Path
        ``root / <data set>-<hash>``: ``config.json``, ``records/`` and, apart from
        them since no two runs agree on them, ``timings/``.
    """

    def __init__(self, root: str | Path, config: BenchmarkConfig) -> None:
        self.config = config
        self.folder = Path(root) / f"{config.dataset}-{config.digest()}"
        for kind in ("records", "timings"):
            (self.folder / kind).mkdir(parents=True, exist_ok=True)
        _write(self.folder / "config.json", config.to_json() + "\n")

    def path(self, unit: Unit, kind: str = "records") -> Path:
        """Return where the records or timings of a unit lie once it is finished."""
        name = f"{unit.model}--{unit.strategy}--{unit.seed}.jsonl"
        return self.folder / kind / name

    def is_finished(self, unit: Unit) -> bool:
        """Say whether a unit needs no more work."""
        return self.path(unit).exists()

    def save(self, unit: Unit, records: Iterable[dict[str, Any]]) -> None:
        """Write the records of a finished unit, all or none."""
        key = {**unit._asdict(), "dataset": self.config.dataset}
        results, timings = [], []
        for record in records:
            record = dict(record)
            timing = {"round": record["round"], "seconds": record.pop("seconds")}
            timings.append(json.dumps({**key, **timing}) + "\n")
            results.append(json.dumps({**key, **record}) + "\n")
        _write(self.path(unit, "timings"), "".join(timings))
        _write(self.path(unit), "".join(results))

    def load(self) -> pd.DataFrame:
        """Return the records of the configuration's finished units, a row a round."""
        rows = []
        for unit in self.config.units():
            if self.is_finished(unit):
                with self.path(unit).open() as file:
                    rows += [json.loads(line) for line in file]
        return pd.DataFrame(rows)


def _write(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with partial.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
