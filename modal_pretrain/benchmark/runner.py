"""Run configurations: load, embed, work through the units, keep the records."""

from __future__ import annotations

import functools
import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from modal_pretrain.benchmark.config import FULL, ORACLE, BenchmarkConfig, Unit
from modal_pretrain.benchmark.environment import command_line, describe_environment
from modal_pretrain.benchmark.grid import expand
from modal_pretrain.benchmark.loop import embed, run_unit
from modal_pretrain.benchmark.progress import Progress
from modal_pretrain.benchmark.registry import make_estimator, strategy
from modal_pretrain.benchmark.report.examples import keep_description, keep_examples
from modal_pretrain.benchmark.settings import check_names
from modal_pretrain.benchmark.store import RecordStore, write
from modal_pretrain.datasets import GroupedDataset
from modal_pretrain.datasets.registry import loader
from modal_pretrain.metrics import probe_separability

_WAIT = 1.0  # seconds between two looks at what another process works on
Settings = BenchmarkConfig | Mapping[str, Any] | Sequence[BenchmarkConfig]


def run(
    settings: Settings,
    out: str | Path,
    *,
    n_jobs: int | None = None,
    cache: str | Path | None = None,
    examples: int = 20,
    verbose: int = 1,
) -> pd.DataFrame:
    """Do what is asked for and not done yet, and return all of its records.

    Parameters
    ----------
    settings : BenchmarkConfig, list of them, or mapping
        A mapping is a grid, see `expand`.
    out : str or Path
        Folder for the results, see docs/benchmark.md. Several processes, on several
        machines that share it, may work on one folder.
    n_jobs : int or None, default=None
        Units at a time, as joblib counts them; ``joblib.parallel_config`` chooses
        another backend, such as Dask or Ray, whose workers must see `out`.
    cache : str, Path or None, default=None
        Folder for embeddings, see `DiskCache`. None keeps them in memory, or, where
        several processes work, in ``out/embeddings``.
    examples : int, default=20
        How many pictures or texts of the first acquisitions to keep for the report.
    verbose : int, default=1
        0 shows no progress bar.

    Returns
    -------
    pandas.DataFrame
        See `load`.

    Raises
    ------
    ValueError
        If the settings name something that there is not, or the folder holds records
        of other data.
    """
    configs = _configs(settings)
    for config in configs:  # an unknown name fails before the work
        check_names(config)
    parallel = joblib.effective_n_jobs(n_jobs) != 1
    if parallel and cache is None:
        cache = Path(out) / "embeddings"
    stores = []
    for config in configs:
        data = _dataset(config)
        _seed_set(config, data, config.seeds[0])  # raises if it cannot be had
        store = RecordStore(out, config)
        store.create()
        keep_description(store, data)
        stores.append(store)
    with _keep_run(stores, n_jobs):
        _work(stores, Path(out), cache, parallel, n_jobs, verbose)
        for store in stores:
            data = _dataset(store.config)
            _probe(store, data, cache)
            keep_examples(store, data, examples)
    return pd.concat([_with_settings(store) for store in stores], ignore_index=True)


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
    """
    frames = [_with_settings(store) for store in open_stores(out)]
    return pd.concat(frames, ignore_index=True)


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
        If there is none.
    """
    out = Path(out)
    paths = sorted([*out.glob("config.json"), *out.glob("*/config.json")])
    if not paths:
        raise ValueError(f"{out} holds no benchmark records (no config.json).")
    stores = []
    for path in paths:
        store = RecordStore("", BenchmarkConfig.from_json(path.read_text()))
        store.folder = path.parent
        stores.append(store)
    return stores


def _configs(settings: Settings) -> list[BenchmarkConfig]:
    if isinstance(settings, BenchmarkConfig):
        return [settings]
    if isinstance(settings, Mapping):
        return expand(settings)
    return list(settings)


def _with_settings(store: RecordStore) -> pd.DataFrame:
    config, records = store.config, store.load()
    params = config.estimator_params
    records["config"] = config.digest()
    records["seed_set"] = config.seed_set
    records["batch"] = config.batch
    records["tune"] = params.get("tune", "head")
    records["backbone"] = params.get("backbone", "default")
    return records


@dataclass(frozen=True)
class _Task:
    """One unit, as it travels to a worker."""

    config: BenchmarkConfig
    out: Path
    unit: Unit
    cache: str | Path | None

    def estimator(self, data: GroupedDataset) -> Any:
        params = {"classes": list(data.classes), **self.config.estimator_params}
        if self.cache is not None:
            params["cache"] = Path(self.cache)
        unit = self.unit
        return make_estimator(unit.model, unit.seed, params, data.modality)

    def run(self, advance: Callable[[], None] = lambda: None) -> bool:
        """Run the unit from where it stands; False if another process has it."""
        config, unit = self.config, self.unit
        with RecordStore(self.out, config).working_on(unit) as writer:
            if writer is None:
                return False
            data = _dataset(config)
            records = run_unit(
                data,
                self.estimator(data),
                strategy("random" if unit.strategy == FULL else unit.strategy),
                seed_set=_seed_set(config, data, unit.seed, unit.strategy),
                batch=config.batch,
                rounds=0 if unit.strategy == FULL else config.rounds,
                seed=unit.seed,
                pool_sample=None if unit.strategy == ORACLE else config.pool_sample,
                done=tuple(writer.done),
            )
            for record in records:
                if unit.strategy == FULL:
                    record["acquired"] = []  # all of them
                writer.append(record)
                advance()
            writer.finish()
        return True

    def embed(self) -> None:
        """Fill the cache for the units that share this one's backbone."""
        data = _dataset(self.config)
        embed(self.estimator(data), data)


def _work(stores, out, cache, parallel, n_jobs, verbose) -> None:
    """Work through all units; wait for those that another process works on."""
    tasks = [
        (store, _Task(store.config, out, unit, cache))
        for store in stores
        for unit in store.config.units()
    ]
    total = sum(store.config.n_records(task.unit) for store, task in tasks)

    def count() -> int:
        return sum(store.count(task.unit) for store, task in tasks)

    with Progress(total, count, bool(verbose)) as progress:
        todo = [(s, task) for s, task in tasks if not s.is_finished(task.unit)]
        if parallel and todo:
            _embed_all([task for _, task in todo], n_jobs, progress)
        while todo:
            if not parallel:
                results = [_run_one(task, progress) for _, task in todo]
            else:
                progress.say("at work")
                with progress.watching():
                    results = joblib.Parallel(n_jobs=n_jobs)(
                        joblib.delayed(_Task.run)(task) for _, task in todo
                    )
            todo = [(s, task) for s, task in todo if not s.is_finished(task.unit)]
            if todo and not any(results):
                progress.say("waiting for another process")
                time.sleep(_WAIT)


def _run_one(task: _Task, progress: Progress) -> bool:
    unit = task.unit
    progress.say(f"{task.config.dataset}: {unit.model}, {unit.strategy}, {unit.seed}")
    result = task.run(progress.step)
    progress.look()
    return result


def _embed_all(tasks: list[_Task], n_jobs: int | None, progress: Progress) -> None:
    """Embed once for each backbone; or units that share one would each do it."""
    wanted: dict[tuple, _Task] = {}
    for task in tasks:
        if task.config.estimator_params.get("tune", "head") == "head":
            seed = task.unit.seed if task.unit.model == "random-init" else None
            key = task.config.digest(), task.unit.model, seed
            wanted.setdefault(key, task)
    progress.say("embedding")
    joblib.Parallel(n_jobs=n_jobs)(
        joblib.delayed(_Task.embed)(task) for task in wanted.values()
    )


def _dataset(config: BenchmarkConfig) -> GroupedDataset:
    params = json.dumps(dict(config.dataset_params), sort_keys=True, default=str)
    return _load_once(config.dataset, params)


@functools.lru_cache(maxsize=2)
def _load_once(name: str, params: str) -> GroupedDataset:
    return loader(name)(**json.loads(params))


def _seed_set(
    config: BenchmarkConfig, data: GroupedDataset, seed: int, strategy: str = ""
) -> np.ndarray:
    if strategy == FULL:
        return np.flatnonzero(data.split == "train")
    return data.seed_set(
        config.seed_set, atypical=config.seed_set_atypical, random_state=seed
    )


def _probe(store: RecordStore, data: GroupedDataset, cache: Any) -> None:
    """Measure how well linear probes read class, attribute and mismatch (C5)."""
    path = store.folder / "probes.json"
    probes = json.loads(path.read_text()) if path.exists() else {}
    test = data.subset("test")
    targets = {
        "class": test.y,
        "attribute": test.attribute,
        "mismatch": test.disambiguating,
    }
    config = store.config
    for model in config.models:
        if model in probes:
            continue
        unit = Unit(model, "", config.seeds[0])
        embeddings = _Task(config, Path(), unit, cache).estimator(data).embed(test.X)
        probes[model] = {
            name: _probe_one(embeddings, target, test.groups)
            for name, target in targets.items()
        }
        write(path, json.dumps(probes, sort_keys=True, indent=1) + "\n")


def _probe_one(embeddings: np.ndarray, target: Any, groups: Any) -> float | None:
    try:
        value = probe_separability(embeddings, target, groups=groups, random_state=0)
    except ValueError:  # one value only, or too few examples of some value
        return None
    return round(value, 6)


class _keep_run:
    """Write versions, hardware and command into each folder where work was done."""

    def __init__(self, stores: list[RecordStore], n_jobs: int | None) -> None:
        self.stores = [
            store
            for store in stores
            if not all(map(store.is_finished, store.config.units()))
        ]
        self.n_jobs = n_jobs

    def __enter__(self) -> None:
        self.start = time.perf_counter()
        self.description = {
            "command": command_line(),
            "n_jobs": self.n_jobs,
            **describe_environment(),
        }
        stamp = self.description["started"].replace(":", "").split("+")[0]
        self.name = f"{stamp}-{uuid.uuid4().hex[:6]}.json"
        self._write(None)

    def __exit__(self, kind: object, *exception: object) -> None:
        if kind is None:
            self._write(round(time.perf_counter() - self.start, 1))

    def _write(self, seconds: float | None) -> None:
        text = json.dumps({**self.description, "seconds": seconds}, indent=1)
        for store in self.stores:
            write(store.folder / "runs" / self.name, text + "\n")
