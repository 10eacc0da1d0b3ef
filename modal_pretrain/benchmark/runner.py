"""Run a configuration: load, embed, work through the units, keep the records."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from modal_pretrain.benchmark.config import BenchmarkConfig, Unit
from modal_pretrain.benchmark.loop import run_unit
from modal_pretrain.benchmark.records import RecordStore, _write
from modal_pretrain.benchmark.registry import load_dataset, make_estimator, strategy
from modal_pretrain.datasets import GroupedDataset
from modal_pretrain.metrics import probe_separability


def run(
    config: BenchmarkConfig, out: str | Path, *, verbose: int = 1
) -> tuple[RecordStore, GroupedDataset]:
    """Do what a configuration asks for and is not done yet.

    Parameters
    ----------
    config : BenchmarkConfig
    out : str or Path
        Folder for the results, see `RecordStore`.
    verbose : int, default=1
        0 shows no progress bars.

    Returns
    -------
    store : RecordStore
    data : GroupedDataset
    """
    for name in config.strategies:  # an unknown name fails before the work
        strategy(name)
    data = load_dataset(config.dataset, **config.dataset_params)
    store = RecordStore(out, config)
    units = [unit for unit in config.units() if not store.is_finished(unit)]
    progress = tqdm(units, unit=" runs", disable=not verbose)
    for unit in progress:
        progress.set_description(f"{unit.model}, {unit.strategy}, seed {unit.seed}")
        store.save(unit, _run(config, data, unit))
    _probe(config, data, store, verbose)
    return store, data


def _run(config: BenchmarkConfig, data: GroupedDataset, unit: Unit):
    seed_set = data.seed_set(
        config.seed_set, atypical=config.seed_set_atypical, random_state=unit.seed
    )
    params = {"classes": list(data.classes), **config.estimator_params}
    return run_unit(
        data,
        make_estimator(unit.model, unit.seed, params),
        strategy(unit.strategy),
        seed_set=seed_set,
        batch=config.batch,
        rounds=config.rounds,
        seed=unit.seed,
    )


def _probe(config, data, store, verbose) -> None:
    """Measure how well linear probes read class, attribute and mismatch (C5)."""
    path = store.folder / "probes.json"
    probes = json.loads(path.read_text()) if path.exists() else {}
    targets: dict[str, Callable[[GroupedDataset], Any]] = {
        "class": lambda test: test.y,
        "attribute": lambda test: test.attribute,
        "mismatch": lambda test: test.disambiguating,
    }
    test = data.subset("test")
    missing = [model for model in config.models if model not in probes]
    for model in tqdm(missing, unit=" models", desc="Probes", disable=not verbose):
        seed = config.seeds[0]
        estimator = make_estimator(model, seed, config.estimator_params)
        embeddings = estimator.embed(test.X)
        probes[model] = {
            name: probe_separability(
                embeddings, target(test), groups=test.groups, random_state=0
            )
            for name, target in targets.items()
            if len(np.unique(target(test))) > 1
        }
    _write(path, json.dumps(probes, sort_keys=True, indent=1) + "\n")
