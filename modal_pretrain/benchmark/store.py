"""Records on disk: one JSON line per round, one file per unit.

A unit at work appends to a file of its own process under ``partial/``, a line as soon
as a round is over. When the unit is finished, the file gets its final name under
``records/``: being there is the mark that it is done. A process that finds an
abandoned partial file takes its whole lines over into one of its own. So no file is
ever written by two processes, and no reader sees half a unit.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from modal_pretrain._disk import locked, naming, write_whole
from modal_pretrain.benchmark import records as read
from modal_pretrain.benchmark.config import FULL, BenchmarkConfig, Unit
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
        self.folder = Path(root) / f"{_beginning(config)}{config.digest()}"

    @classmethod
    def open(cls, folder: str | Path) -> RecordStore:
        """Return the store of a folder that is there, whatever its name.

        Parameters
        ----------
        folder : str or Path
            With a ``config.json``.

        Returns
        -------
        RecordStore

        Raises
        ------
        DamagedRecords
            If that is not there or no configuration.
        """
        path = Path(folder) / "config.json"
        store = cls("", read.read_config(path, BenchmarkConfig.from_json))
        # Any other name was given by a person, who may end it in a date.
        own = re.escape(_beginning(store.config)) + "[0-9a-f]{12}"
        name = path.parent.resolve().name
        if re.fullmatch(own, name) and name != store.folder.name:
            raise read.other_settings(path, store.config.digest())
        store.folder = path.parent
        return store

    def models(self) -> tuple[str, ...]:
        """Return the models that ``config.json`` names; none if it is not there."""
        begun = (self.folder / "config.json").exists()
        return RecordStore.open(self.folder).config.models if begun else ()

    def create(self) -> None:
        """Make the folder, and add this configuration's axes to those it has.

        Raises
        ------
        DamagedRecords
            If its ``config.json`` is no configuration.
        """
        for kind in ("records", "partial", "claims", "runs"):
            (self.folder / kind).mkdir(parents=True, exist_ok=True)
        path = self.folder / "config.json"
        with self.alone():
            config = self.config
            if path.exists():
                config = RecordStore.open(self.folder).config.joined(config)
            write_whole(path, config.to_json() + "\n")

    def alone(self) -> contextlib.AbstractContextManager:
        """Keep other processes from changing the files that all runs share.

        They are read, changed and written again: ``config.json``, ``data.json``,
        ``probes.json`` and ``examples/index.json``.

        Returns
        -------
        context manager
        """
        return locked(self.folder / ".lock")

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
        pattern = f"{glob.escape(str(unit))}.*.jsonl"
        return [p for p in (self.folder / "partial").glob(pattern) if p.is_file()]

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

    def description(self) -> dict[str, Any]:
        """Return ``data.json``: names and counts of the data.

        Returns
        -------
        dict

        Raises
        ------
        DamagedRecords
            If it is not there, or something else.
        """
        return read.read_description(self.folder / "data.json")

    def probes(self) -> dict[str, dict[str, float | None]]:
        """Return ``probes.json``: separability by model and target, if known."""
        return read.read_probes(self.folder / "probes.json")

    def examples(self) -> dict[str, dict[str, Any]]:
        """Return what was kept of rows, by their numbers as text."""
        return read.read_examples(self.folder / "examples" / "index.json")

    def runs(self) -> list[dict[str, Any]]:
        """Return command, versions and hardware of each call."""
        return read.read_runs(self.folder / "runs")

    def left_out(self) -> list[str]:
        """List the files of finished runs that the configuration does not name."""
        units = self.config.units()
        # Processes that share the seeds each fit all labels for their own first one.
        units += [unit._replace(strategy=FULL) for unit in units]
        known = {self.path(unit).name for unit in units}
        there = (self.folder / "records").glob("[!.]*.jsonl")  # not macOS's ._name
        return sorted({path.name for path in there} - known)

    def records(self, unit: Unit) -> list[dict[str, Any]]:
        """Return the records of a finished unit.

        Parameters
        ----------
        unit : Unit
            One of the configuration's `units`.

        Returns
        -------
        list of dict
            One a round.

        Raises
        ------
        DamagedRecords
            If the file is not what it should be.
        """
        return read.read_run(self.path(unit), *self._expected(unit))

    def run_of(
        self, unit: Unit, starts: dict[int, tuple[Unit, list[int]]]
    ) -> list[dict[str, Any]]:
        """Return the records of a finished unit with its seconds, see `load`.

        Parameters
        ----------
        unit : Unit
            One of the configuration's `units`.
        starts : dict
            Seed -> the first unit that was read, and its first labels: those of the
            others are compared. It is filled here.

        Returns
        -------
        list of dict
            One a round.

        Raises
        ------
        DamagedRecords
            If a file is not what it should be.
        """
        records = self.records(unit)
        seconds = read.read_timings(self.timings_path(unit), len(records))
        for record, spent in zip(records, seconds, strict=False):
            record.update({f"seconds_{phase}": s for phase, s in spent.items()})
        if unit.strategy != FULL:
            mine = records[0]["acquired"]
            first, start = starts.setdefault(unit.seed, (unit, mine))
            if mine != start:
                raise read.other_start(self.path(unit), self.path(first))
        return records

    def _key(self, unit: Unit) -> dict[str, Any]:
        return {"dataset": self.config.dataset, **unit._asdict()}

    def _expected(self, unit: Unit) -> tuple[Any, ...]:
        """Return what `read_run` needs to know."""
        config = self.config
        sizes = None if unit.strategy == FULL else (config.seed_set, config.batch)
        return self._key(unit), self._data(), config.n_records(unit), sizes

    def _data(self) -> dict[str, Any] | None:
        there = (self.folder / "data.json").exists()
        return self.description() if there else None

    def load(self) -> pd.DataFrame:
        """Return the records of the configuration's finished units.

        Returns
        -------
        pandas.DataFrame
            A row a round: the keys of the records, and ``seconds_embed``,
            ``seconds_fit``, ``seconds_predict``, ``seconds_query`` where they are
            known.

        Raises
        ------
        DamagedRecords
            If a file is not what it should be.
        """
        rows: list[dict[str, Any]] = []
        starts: dict[int, tuple[Unit, list[int]]] = {}
        for unit in self.config.units(self.is_finished):
            if self.is_finished(unit):
                rows += self.run_of(unit, starts)
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
        self._key = store._key(unit)

    def __enter__(self) -> UnitWriter:
        folder, mark = self.store.folder / "partial", uuid.uuid4().hex[:8]
        earlier = self.store._partials(self.unit)
        expected = self.store._expected(self.unit)
        lines: list[tuple[str, dict[str, Any]]] = []
        for path in earlier:
            lines = max(lines, read.whole_rounds(path, *expected), key=len)
        self._path = folder / f"{self.unit}.{mark}.jsonl"
        # A crash between these steps leaves two copies, never none.
        self._file = self._path.open("a", encoding="utf-8")
        with naming(self._path):
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
        with naming(self._path):
            self._file.write(text + "\n")
            self._file.flush()
        self.done.append(record)

    def finish(self) -> None:
        """Give records and timings their final names."""
        self._file.close()
        store = self.store
        records, timings = [], []
        for record in self.done:
            timings.append({"round": record["round"], **record["seconds"]})
            record = {**self._key, **record}
            del record["seconds"]
            records.append(json.dumps(record, separators=(",", ":")) + "\n")
        table = pd.DataFrame(timings).to_csv(index=False, lineterminator="\n")
        (store.folder / "timings").mkdir(exist_ok=True)
        write_whole(store.timings_path(self.unit), table)
        write_whole(store.path(self.unit), "".join(records))
        self._path.unlink(missing_ok=True)

    def __exit__(self, *exception: object) -> None:
        with naming(self._path):
            self._file.close()  # what was appended stays, for the next process


def _beginning(config: BenchmarkConfig) -> str:
    """Return the name of a configuration's folder up to the hash."""
    return config.dataset.replace(":", ".") + "-"


def _count_lines(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:  # it has just got its final name
        return 0


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())
