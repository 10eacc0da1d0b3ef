"""Records on disk: one JSON line per round, one file per unit.

A unit at work appends to a file of its own process under ``partial/``, a line as soon
as a round is over. When the unit is finished, the file gets its final name under
``records/``: being there is the mark that it is done. A process that finds an
abandoned partial file takes its whole lines over into one of its own. So no file is
ever written by two processes, and no reader sees half a unit.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from modal_pretrain.benchmark.config import BenchmarkConfig, Unit
from modal_pretrain.benchmark.lock import claim


class RecordStore:
    """The results of one configuration, in a folder named by its hash.

    Parameters
    ----------
    root : str or Path
        The folder that holds the folders of all configurations.
    config : BenchmarkConfig

    Attributes
    ----------
    folder : Path
        ``root / <data set>-<hash>``, see docs/benchmark.md for what is in it.
    """

    def __init__(self, root: str | Path, config: BenchmarkConfig) -> None:
        self.config = config
        name = config.dataset.replace(":", ".")
        self.folder = Path(root) / f"{name}-{config.digest()}"

    def create(self) -> None:
        """Make the folder, and add this configuration's axes to those it has."""
        for kind in ("records", "partial", "claims", "runs"):
            (self.folder / kind).mkdir(parents=True, exist_ok=True)
        path = self.folder / "config.json"
        config = self.config
        if path.exists():
            config = _union(BenchmarkConfig.from_json(path.read_text()), config)
        write(path, config.to_json() + "\n")

    def path(self, unit: Unit) -> Path:
        """Return where the records of a unit lie once it is finished.

        Parameters
        ----------
        unit : Unit
            One of the configuration's `units`.

        Returns
        -------
        Path
        """
        return self.folder / "records" / f"{unit}.jsonl"

    def timings_path(self, unit: Unit) -> Path:
        """Return where the seconds of a finished unit lie, as comma-separated values.

        They lie apart because no two runs agree on them; the records of two runs are
        equal byte by byte.

        Parameters
        ----------
        unit : Unit
            One of the configuration's `units`.

        Returns
        -------
        Path
        """
        return self.folder / "timings" / f"{unit}.csv"

    def is_finished(self, unit: Unit) -> bool:
        """Say whether a unit needs no more work.

        Parameters
        ----------
        unit : Unit
            One of the configuration's `units`.

        Returns
        -------
        bool
        """
        return self.path(unit).exists()

    def count(self, unit: Unit) -> int:
        """Return how many rounds of a unit are on disk.

        Parameters
        ----------
        unit : Unit
            One of the configuration's `units`.

        Returns
        -------
        int
        """
        if self.is_finished(unit):
            return self.config.n_records(unit)
        return max(map(_count_lines, self._partials(unit)), default=0)

    def _partials(self, unit: Unit) -> list[Path]:
        return list((self.folder / "partial").glob(f"{_escape(str(unit))}.*.jsonl"))

    @contextlib.contextmanager
    def working_on(self, unit: Unit) -> Iterator[UnitWriter | None]:
        """Give the unit to this process, unless it is finished or at work elsewhere.

        Parameters
        ----------
        unit : Unit

        Yields
        ------
        UnitWriter or None
            With the records of rounds that were finished before.
        """
        with claim(self.folder / "claims" / str(unit)) as mine:
            if not mine or self.is_finished(unit):
                yield None
                return
            with UnitWriter(self, unit) as writer:
                yield writer

    def load(self) -> pd.DataFrame:
        """Return the records of the configuration's finished units.

        Returns
        -------
        pandas.DataFrame
            A row a round: the keys of the records, and ``seconds_embed``,
            ``seconds_fit``, ``seconds_predict``, ``seconds_query`` where they are
            known.
        """
        rows: list[dict[str, Any]] = []
        for unit in self.config.units():
            if not self.is_finished(unit):
                continue
            lines = self.path(unit).read_text().splitlines()
            records = [json.loads(line) for line in lines]
            timings = self.timings_path(unit)
            if timings.exists():
                seconds = pd.read_csv(timings).to_dict("records")
                for record, spent in zip(records, seconds, strict=False):
                    record.update(
                        {f"seconds_{k}": v for k, v in spent.items() if k != "round"}
                    )
            rows += records
        return pd.DataFrame(rows)


class UnitWriter:
    """The file of one unit and one process, until it gets its final name.

    Attributes
    ----------
    done : list of dict
        The records of the rounds that are finished.
    """

    def __init__(self, store: RecordStore, unit: Unit) -> None:
        self.store, self.unit = store, unit
        self._key = {"dataset": store.config.dataset, **unit._asdict()}

    def __enter__(self) -> UnitWriter:
        folder, mark = self.store.folder / "partial", uuid.uuid4().hex[:8]
        earlier = self.store._partials(self.unit)
        lines: list[tuple[str, dict[str, Any]]] = []
        for path in earlier:
            lines = max(lines, _whole_lines(path), key=len)
        self._path = folder / f"{self.unit}.{mark}.jsonl"
        # A crash between these steps leaves two copies, never none.
        self._file = self._path.open("a", encoding="utf-8")
        for text, _ in lines:
            self._file.write(text + "\n")
        _sync(self._file)
        for path in earlier:
            path.unlink(missing_ok=True)
        self.done = [record for _, record in lines]
        return self

    def append(self, record: dict[str, Any]) -> None:
        """Write the record of a round; on return the operating system has it.

        So it outlives the process. Waiting for the disk as well would outlive a power
        cut, which costs more time than the rounds that it may save.
        """
        text = json.dumps({**self._key, **record}, separators=(",", ":"))
        self._file.write(text + "\n")
        self._file.flush()
        self.done.append(record)

    def finish(self) -> None:
        """Give records and timings their final names."""
        self._file.close()
        store = self.store
        records, timings = [], []
        for record in self.done:
            seconds = {"round": record["round"], **record["seconds"]}
            timings.append(seconds)
            record = {**self._key, **record}
            del record["seconds"]
            records.append(json.dumps(record, separators=(",", ":")) + "\n")
        path = store.timings_path(self.unit)
        path.parent.mkdir(exist_ok=True)
        write(path, pd.DataFrame(timings).to_csv(index=False, lineterminator="\n"))
        write(store.path(self.unit), "".join(records))
        self._path.unlink(missing_ok=True)

    def __exit__(self, *exception: object) -> None:
        self._file.close()  # what was appended stays, for the next process


def _union(old: BenchmarkConfig, new: BenchmarkConfig) -> BenchmarkConfig:
    """Return one configuration with the axes of both, the old values first."""
    settings = json.loads(new.to_json())
    for axis in ("models", "strategies", "seeds", "references"):
        values = [*getattr(old, axis), *getattr(new, axis)]
        settings[axis] = list(dict.fromkeys(values))
    return BenchmarkConfig(**settings)


def _whole_lines(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return the lines up to the first that is not whole: text and what it says."""
    lines: list[tuple[str, dict[str, Any]]] = []
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return lines
    for line in text.splitlines(keepends=True):
        try:
            record = json.loads(line)
        except ValueError:
            break
        whole = line.endswith("\n") and isinstance(record, dict)
        if not whole or record.get("round") != len(lines):
            break
        lines.append((line.rstrip("\n"), record))
    return lines


def _count_lines(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:  # it has just got its final name
        return 0


def _escape(name: str) -> str:
    return "".join(f"[{c}]" if c in "[]*?" else c for c in name)


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def write(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all."""
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        _sync(file)
    attempts = 10
    while True:
        attempts -= 1
        try:
            partial.replace(path)
            return
        except PermissionError:  # Windows, while another process reads it
            if attempts == 0:
                raise
            time.sleep(0.1)
