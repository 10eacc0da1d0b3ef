"""What a benchmark runs: a frozen configuration whose hash names its results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

ORACLE = "group_balanced"  # the strategy that is shown the groups
FULL = "full"  # not a strategy: one fit on the whole train split
REFERENCES = ("oracle", "full")

# Axes: adding to them adds runs to the same folder.
_AXES = ("models", "strategies", "seeds", "references")
# Where and how fast it runs, not what comes out.
_EXECUTION = ("cache", "n_threads", "verbose")


class Unit(NamedTuple):
    """One active-learning run: what is resumed, spread and repeated as a whole."""

    model: str
    strategy: str
    seed: int

    def __str__(self) -> str:
        return f"{self.model}--{self.strategy}--{self.seed}".replace(":", ".")


@dataclass(frozen=True)
class BenchmarkConfig:
    """Models, strategies and seeds on one data set, with one protocol.

    Several data sets or protocols are several configurations, see `expand`.

    Parameters
    ----------
    dataset : str, default="shapes"
        See `modal_pretrain.datasets.registry`: a name, or "module:function" of a
        function that returns a `GroupedDataset`.
    dataset_params : mapping
        Passed on to the data set's loader.
    models : tuple of str, default=("pretrained", "random-init")
        Names of `modal_pretrain.benchmark.registry.MODELS`.
    strategies : tuple of str, default=("uncertainty", "random")
        Names of query strategies, see `modal_pretrain.benchmark.registry.strategy`.
    seeds : tuple of int, default=(0, 1, 2, 3, 4)
        All models and strategies of one seed start from the same seed set.
    seed_set : int, default=10
        Labels at the start, balanced by class.
    seed_set_atypical : int or None, default=None
        How many of them are disambiguating; None leaves it to chance, as the paper
        does.
    batch : int, default=10
        Labels acquired per round.
    rounds : int, default=20
        Number of acquisitions.
    pool_sample : int or None, default=None
        The strategy sees that many random examples of the pool, others each round;
        None shows it all of them.
    estimator_params : mapping
        Parameters of the classifier, the same for all models.
    references : tuple of {"oracle", "full"}, default=("oracle", "full")
        Lines for scale. "oracle": the strategy `group_balanced`, which is shown class
        and attribute of the whole pool. "full": one fit on the whole train split.
    """

    dataset: str = "shapes"
    dataset_params: Mapping[str, Any] = field(default_factory=dict)
    models: tuple[str, ...] = ("pretrained", "random-init")
    strategies: tuple[str, ...] = ("uncertainty", "random")
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    seed_set: int = 10
    seed_set_atypical: int | None = None
    batch: int = 10
    rounds: int = 20
    pool_sample: int | None = None
    estimator_params: Mapping[str, Any] = field(default_factory=dict)
    references: tuple[str, ...] = REFERENCES

    def __post_init__(self) -> None:
        for name in _AXES:
            values = getattr(self, name)
            if isinstance(values, str):
                raise ValueError(
                    f"{name} must be a list, got {values!r}: write [{values!r}]."
                )
            values = tuple(values)
            object.__setattr__(self, name, values)
            if len(set(values)) < len(values) or not (values or name == "references"):
                raise ValueError(
                    f"{name} must name at least one, each once, got {values}."
                )
        unknown = set(self.references) - set(REFERENCES)
        if unknown:
            raise ValueError(
                f"references may be {' and '.join(REFERENCES)}, got {unknown.pop()!r}."
            )
        for name, least in (("seed_set", 1), ("batch", 1), ("rounds", 0)):
            _check_integer(name, getattr(self, name), least)
        for seed in self.seeds:
            _check_integer("each of seeds", seed, 0)
        if self.pool_sample is not None:
            _check_integer("pool_sample", self.pool_sample, self.batch)

    def to_json(self) -> str:
        """Return the configuration as canonical JSON (sorted keys, one line)."""
        return json.dumps(self._settings(), sort_keys=True, default=str)

    @classmethod
    def from_json(cls, text: str) -> BenchmarkConfig:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))

    def _settings(self) -> dict[str, Any]:
        settings = asdict(self)
        for name in _EXECUTION:
            settings["estimator_params"].pop(name, None)
        return settings

    def digest(self) -> str:
        """Return 12 hexadecimal digits that change with any setting but the axes.

        Leaving out the axes lets a benchmark grow: more seeds, models or strategies
        add units to the same folder.

        Returns
        -------
        str
        """
        settings = self._settings()
        for axis in _AXES:
            del settings[axis]
        text = json.dumps(settings, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def units(self) -> list[Unit]:
        """List the runs, seed by seed, so that early results compare."""
        strategies = list(self.strategies)
        if "oracle" in self.references and ORACLE not in strategies:
            strategies.append(ORACLE)
        units = [
            Unit(model, strategy, seed)
            for seed in self.seeds
            for model in self.models
            for strategy in strategies
        ]
        if "full" in self.references:
            units += [Unit(model, FULL, self.seeds[0]) for model in self.models]
        return units

    def n_records(self, unit: Unit) -> int:
        """Return how many rounds a unit records at most.

        Parameters
        ----------
        unit : Unit
            One of the configuration's `units`.

        Returns
        -------
        int
        """
        return 1 if unit.strategy == FULL else self.rounds + 1


def _check_integer(name: str, value: Any, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be an integer from {least}, got {value!r}.")
