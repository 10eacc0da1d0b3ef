"""Run configurations: load, embed, work through the units, keep the records."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import joblib
import pandas as pd

from modal_pretrain._checks import ParameterError, Whole
from modal_pretrain._disk import write_whole
from modal_pretrain._identity import expanded
from modal_pretrain.benchmark.call import Call
from modal_pretrain.benchmark.config import BenchmarkConfig, Unit
from modal_pretrain.benchmark.description import (
    check_rows,
    check_splits,
    keep_description,
)
from modal_pretrain.benchmark.environment import command_line, describe_environment
from modal_pretrain.benchmark.folder import all_records, check_apart, check_not_renamed
from modal_pretrain.benchmark.progress import Progress
from modal_pretrain.benchmark.report.examples import keep_examples
from modal_pretrain.benchmark.settings import check_names, expand
from modal_pretrain.benchmark.store import RecordStore
from modal_pretrain.benchmark.unit import (
    Work,
    check_estimators,
    keep_probes,
    load_data,
    seed_set,
)

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
        Folder for the results, see docs/benchmark.md; "~" is the home directory.
        Several processes, on several machines that share it, may work on one folder.
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
    # Modules of the user's own may go to another folder when they are imported.
    out = expanded(out, "out").absolute()
    cache = None if cache is None else expanded(cache, "cache").absolute()
    if cache is not None and cache.exists() and not cache.is_dir():
        # Found by the first run it would leave runs behind that nobody wants.
        raise ValueError(
            f"cache (or --cache) must be a folder, which need not exist yet, got "
            f"{str(cache)!r}, which is none."
        )
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
        cache = out / "embeddings"
    stores, new, call = [], [], Call.now()
    for config in _folders(configs):  # all, before one leaves something behind
        check_apart(config, out)
        data = load_data(config, call)
        check_splits(config, data)
        seed_set(config, data, config.seeds[0])  # raises if it cannot be had
        store = RecordStore(out, config)
        check_not_renamed(store)
        begun = store.models()
        check_estimators(config, data, known=begun)
        stores.append(store)
        if begun:
            keep_description(store, data)
            check_rows(store, data)  # raises if something is damaged
        else:
            new.append(store)
    for store in stores:
        store.create()
    for store in new:
        data = load_data(store.config, call)
        keep_description(store, data)
        check_rows(store, data)  # another process may have begun it by now
    asked = {(config.digest(), unit) for config in configs for unit in config.units()}
    works = [
        Work(store, unit, cache, call)
        for store in stores
        for unit in _asked(store.config, asked)
    ]
    with _noting_runs(works, n_jobs):
        _work(works, parallel, n_jobs, bool(verbose))
        for store in stores:
            data = load_data(store.config, call)
            keep_probes(store, data, cache)
            keep_examples(store, data, examples)
    return all_records(stores)


def _configs(settings: Settings) -> list[BenchmarkConfig]:
    """Return the configurations that settings stand for."""
    configs: Any = settings
    if isinstance(settings, BenchmarkConfig):
        configs = [settings]
    elif isinstance(settings, Mapping):
        configs = expand(settings)
    elif isinstance(settings, Iterable) and not isinstance(settings, str | bytes):
        configs = list(settings)
    named = isinstance(configs, list) and configs
    if not named or not all(isinstance(c, BenchmarkConfig) for c in configs):
        raise ParameterError(
            "settings must be a BenchmarkConfig, a list of them (one at least), or a "
            f"mapping as a file holds it, got {settings!r:.80} of type "
            f"{type(settings).__name__}. benchmark.expand makes the list of a mapping."
        )
    return configs


def _folders(configs: list[BenchmarkConfig]) -> list[BenchmarkConfig]:
    """Return what is kept in each folder: the axes of all that share it."""
    joined: dict[str, BenchmarkConfig] = {}
    for config in configs:
        key = config.digest()
        joined[key] = joined[key].joined(config) if key in joined else config
    return list(joined.values())


def _asked(config: BenchmarkConfig, asked: set[tuple[str, Unit]]) -> list[Unit]:
    """Return what is asked for of a folder, seed by seed.

    Each of its configurations fits all labels for its own first seed, which need not be
    the first of all: one stands for the others.
    """
    digest = config.digest()
    units = config.units(lambda unit: (digest, unit) in asked)
    return [unit for unit in units if (digest, unit) in asked]


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
def _noting_runs(works: list[Work], n_jobs: int | None) -> Iterator[None]:
    """Write versions, hardware and command into each folder where work is done."""
    start = time.perf_counter()
    folders = {work.store.folder / "runs" for work in works if not work.is_finished()}
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
