"""One unit of a benchmark as it travels to a worker, and what it is run on."""

from __future__ import annotations

import contextlib
import copy
import functools
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modal_pretrain._disk import write_whole
from modal_pretrain.benchmark import heads
from modal_pretrain.benchmark.auditing import Auditor
from modal_pretrain.benchmark.call import Call, staying_here
from modal_pretrain.benchmark.config import FULL, ORACLE, BenchmarkConfig, Unit
from modal_pretrain.benchmark.description import check_loaded
from modal_pretrain.benchmark.loop import embed, run_unit
from modal_pretrain.benchmark.parameters import as_text
from modal_pretrain.benchmark.registry import make_estimator, strategy
from modal_pretrain.benchmark.store import RecordStore
from modal_pretrain.datasets import GroupedDataset
from modal_pretrain.datasets.registry import loader
from modal_pretrain.metrics import probe_separability


def load_data(config: BenchmarkConfig, call: Call) -> GroupedDataset:
    """Return a configuration's data; the last two sets of a call stay in memory."""
    return _load_once(config.dataset, as_text(config.dataset_params), call)


@functools.lru_cache(maxsize=2)
def _load_once(name: str, params: str, call: Call) -> GroupedDataset:
    given = json.loads(params)
    try:
        with staying_here():
            data = loader(name)(**given)
    except TypeError as error:  # what loaders raise for values of a wrong type
        raise ValueError(
            f"The data set {name!r} cannot be had with {given}: "
            f"{str(error).removesuffix('.')}."
        ) from error
    if not isinstance(data, GroupedDataset):
        raise ValueError(
            f"{name!r} must return a GroupedDataset, got {type(data).__name__}."
        )
    return data


def seed_set(config: BenchmarkConfig, data: GroupedDataset, seed: int) -> np.ndarray:
    """Draw the rows that all models and strategies of a seed start from."""
    return data.seed_set(
        config.seed_set, atypical=config.seed_set_atypical, random_state=seed
    )


def estimator(
    config: BenchmarkConfig,
    data: GroupedDataset,
    model: str,
    seed: int,
    cache: str | Path | None,
) -> Any:
    """Build the classifier of a model and seed for a configuration's data."""
    params = {"classes": list(data.classes), **config.estimator_params}
    if cache is not None:
        params["cache"] = Path(cache)
    return make_estimator(model, seed, params, data.modality)


def check_estimators(
    config: BenchmarkConfig, data: GroupedDataset, known: Collection[str] = ()
) -> None:
    """Raise what a fit would before it looks at data: of parameters and weights.

    Of models that a folder does not name yet. The networks are kept in memory for the
    runs in this process.
    """
    for model in [model for model in config.models if model not in known]:
        classifier = estimator(config, data, model, config.seeds[0], None)
        classifier._check_parameters()  # which `initialize` leaves out
        classifier.initialize()


@dataclass(frozen=True)
class Work:
    """One unit to be run, or gone on with.

    Parameters
    ----------
    store : RecordStore
    unit : Unit
        One of the store's configuration.
    cache : str, Path or None
        Folder for embeddings, or None for memory.
    call : Call
        That it is part of.
    """

    store: RecordStore
    unit: Unit
    cache: str | Path | None
    call: Call

    def is_finished(self) -> bool:
        """Say whether nothing is left to do."""
        return self.store.is_finished(self.unit)

    def count(self) -> int:
        """Return how many rounds are on disk."""
        return self.store.count(self.unit)

    def total(self) -> int:
        """Return how many rounds the unit has at most."""
        return self.store.config.n_records(self.unit)

    def shares_embeddings(self) -> tuple | None:
        """Return what is equal for units with the same embeddings, None without any."""
        if self.store.config.estimator_params.get("tune", "head") != "head":
            return None
        random = self.unit.model == "random-init"
        seed = self.unit.seed if random else None
        return self.store.config.digest(), self.unit.model, seed

    def embed(self) -> None:
        """Fill the cache for all units that share this one's embeddings."""
        with self.call.in_folder():
            data = self._data()
            embed(self._estimator(data), data)

    def run(self, advance: Callable[[], None] = lambda: None) -> bool:
        """Run the unit from where it stands; False if another process has it."""
        with self.call.in_folder(), self.store.working_on(self.unit) as writer:
            if writer is None:
                return False
            full = self.unit.strategy == FULL
            if not (full and writer.done):  # its one round may be all that is missing
                for record in self._rounds(tuple(writer.done)):
                    if full:
                        record["acquired"] = []  # all of them
                    writer.append(record)
                    advance()
            writer.finish()
        return True

    def _rounds(self, done: tuple[dict[str, Any], ...]) -> Any:
        config, unit = self.store.config, self.unit
        data = self._data()
        full = unit.strategy == FULL
        name, head = heads.split(unit.strategy)
        train = np.flatnonzero(data.split == "train")
        return run_unit(
            data,
            self._estimator(data),
            _own("random" if full else unit.strategy),
            head=head,
            seed_set=train if full else seed_set(config, data, unit.seed),
            batch=config.batch,
            rounds=0 if full else config.rounds,
            seed=unit.seed,
            pool_sample=None if name == ORACLE else config.pool_sample,
            done=done,
            auditor=None if full else self._auditor(data),
        )

    def _data(self) -> GroupedDataset:
        data = load_data(self.store.config, self.call)
        check_loaded(self.store, data)
        return data

    def _auditor(self, data: GroupedDataset) -> Auditor | None:
        config = self.store.config
        if not config.audit:
            return None
        return Auditor(
            data, config.audit, apart=config.audit_apart, seed=self.unit.seed
        )

    def _estimator(self, data: GroupedDataset) -> Any:
        unit = self.unit
        return estimator(self.store.config, data, unit.model, unit.seed, self.cache)


def _own(name: str) -> Callable:
    """Return a strategy that knows of no other run, where it is an object with state.

    Or what it remembers of one seed would decide what it asks for in the next.
    """
    found = strategy(name)
    with contextlib.suppress(Exception):  # one that cannot be copied stays as it is
        return copy.deepcopy(found)
    return found


def keep_probes(store: RecordStore, data: GroupedDataset, cache: Any) -> None:
    """Measure how well linear probes read class, attribute and mismatch (C5)."""
    test = data.subset("test")
    targets = {
        "class": test.y,
        "attribute": test.attribute,
        "mismatch": test.disambiguating,
    }
    config, known = store.config, store.probes()
    for model in config.models:
        if model in known:
            continue
        network = estimator(config, data, model, config.seeds[0], cache)
        embeddings = network.embed(test.X)
        found = {
            name: _probe(embeddings, target, test.groups)
            for name, target in targets.items()
        }
        with store.alone():
            probes = {**store.probes(), model: found}
            text = json.dumps(probes, sort_keys=True, indent=1)
            write_whole(store.folder / "probes.json", text + "\n")


def _probe(embeddings: np.ndarray, target: Any, groups: Any) -> float | None:
    try:
        value = probe_separability(embeddings, target, groups=groups, random_state=0)
    except ValueError:  # one value only, or too few examples of some value
        return None
    return round(value, 6)
