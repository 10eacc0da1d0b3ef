"""Run configurations: load, embed, work through the units, keep the records."""

from __future__ import annotations

import contextlib
import json
import os
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import joblib
import pandas as pd

from modal_pretrain._checks import Whole
from modal_pretrain._disk import write_whole
from modal_pretrain.benchmark.config import BenchmarkConfig
from modal_pretrain.benchmark.description import check_rows, keep_description
from modal_pretrain.benchmark.environment import command_line, describe_environment
from modal_pretrain.benchmark.progress import Progress
from modal_pretrain.benchmark.report.examples import keep_examples
from modal_pretrain.benchmark.settings import check_names, expand
from modal_pretrain.benchmark.store import RecordStore
from modal_pretrain.benchmark.unit import Work, keep_probes, load_data, seed_set

_WAIT = 1.0  # seconds between two looks at what another process works on
Settings = BenchmarkConfig | Mapping | Sequence[BenchmarkConfig]


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
        0 shows no progress.

    Returns
    -------
    pandas.DataFrame
        See `load`.

    Raises
    ------
    ValueError
        If the settings name something that there is not, or the folder holds records
        of other data, or a strategy asks for rows that it may not ask for.
    DamagedRecords
        If a file of the folder is not what it should be; it is a ValueError.

    Warns
    -----
    UserWarning
        If a parameter is a function without a name, such as a lambda.
    """
    Whole(least=0).check("examples", examples)
    if n_jobs is not None:
        # joblib: -1 is all processors, -2 all but one.
        Whole(least=-(2**31)).check("n_jobs", n_jobs)
        if not n_jobs:
            raise ValueError("n_jobs must be a whole number but 0 (-1: all), got 0.")
    configs = _configs(settings)
    for config in configs:  # an unknown name fails before the work
        check_names(config)
        if config.nameless():
            warnings.warn(
                f"{' and '.join(config.nameless())}: a function without a name, or "
                "an object without a text of its own. No other process knows it again, "
                "so these runs cannot be continued or added to. Give a function that a "
                "module defines at its top, or a class.",
                stacklevel=2,
            )
    parallel = joblib.effective_n_jobs(n_jobs) != 1
    if parallel and cache is None:
        cache = Path(out) / "embeddings"
    stores = []
    for config in configs:
        data = load_data(config)
        if not (data.split == "test").any():
            raise ValueError(
                f"the data set {config.dataset!r} has no test split, on which a "
                f"benchmark measures: {data.summary()}. Have one drawn (test_size), or "
                "name what is one (split_names)."
            )
        seed_set(config, data, config.seeds[0])  # raises if it cannot be had
        store = RecordStore(out, config)
        store.create()
        keep_description(store, data)
        check_rows(store, data)  # raises if something is damaged
        stores.append(store)
    with _noting_runs(stores, n_jobs):
        works = [
            Work(store, unit, cache)
            for store in stores
            for unit in store.config.units()
        ]
        _work(works, parallel, n_jobs, bool(verbose))
        for store in stores:
            data = load_data(store.config)
            keep_probes(store, data, cache)
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
    return pd.concat([_with_settings(store) for store in stores], ignore_index=True)


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


def _work(works: list[Work], parallel: bool, n_jobs: int | None, verbose: bool) -> None:
    """Work through all units; wait for those that another process works on."""
    total = sum(work.total() for work in works)

    def count() -> int:
        return sum(work.count() for work in works)

    with Progress(total, count, verbose) as progress:
        todo = [work for work in works if not work.is_finished()]
        if n_jobs is not None:  # more than runs would have nothing to do
            n_jobs = min(n_jobs, len(todo) or 1)
        if parallel and todo:
            _embed_all(todo, n_jobs, progress)
        while todo:
            if not parallel:
                results = [_run_one(work, progress) for work in todo]
            else:
                progress.say("at work")
                with progress.watching():
                    results = joblib.Parallel(n_jobs=n_jobs)(
                        joblib.delayed(Work.run)(work) for work in todo
                    )
            todo = [work for work in todo if not work.is_finished()]
            if todo and not any(results):
                progress.say("waiting for another process")
                time.sleep(_WAIT)


def _run_one(work: Work, progress: Progress) -> bool:
    unit, dataset = work.unit, work.store.config.dataset
    progress.say(f"{dataset}: {unit.model}, {unit.strategy}, {unit.seed}")
    result = work.run(progress.step)
    progress.look()
    return result


def _embed_all(works: list[Work], n_jobs: int | None, progress: Progress) -> None:
    """Embed once for each backbone; or units that share one would each do it."""
    wanted: dict[tuple, Work] = {}
    for work in works:
        key = work.shares_embeddings()
        if key is not None:
            wanted.setdefault(key, work)
    progress.say("embedding")
    joblib.Parallel(n_jobs=n_jobs)(
        joblib.delayed(Work.embed)(work) for work in wanted.values()
    )


@contextlib.contextmanager
def _noting_runs(stores: list[RecordStore], n_jobs: int | None) -> Iterator[None]:
    """Write versions, hardware and command into each folder where work is done."""
    start = time.perf_counter()
    folders = [
        store.folder / "runs"
        for store in stores
        if not all(map(store.is_finished, store.config.units()))
    ]
    description = {
        "command": command_line(),
        "n_jobs": n_jobs,
        **describe_environment(),
    }
    stamp = description["started"].replace(":", "").split("+")[0]
    name = f"{stamp}-{uuid.uuid4().hex[:6]}.json"

    def note(seconds: float | None) -> None:
        text = json.dumps({**description, "seconds": seconds}, indent=1)
        for folder in folders:
            write_whole(folder / name, text + "\n")

    note(None)
    yield
    note(round(time.perf_counter() - start, 1))
