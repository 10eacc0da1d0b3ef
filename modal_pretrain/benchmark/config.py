"""What a benchmark runs: a frozen configuration whose hash names its results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple


class Unit(NamedTuple):
    """One active-learning run: what is resumed, spread and repeated as a whole."""

    model: str
    strategy: str
    seed: int


@dataclass(frozen=True)
class BenchmarkConfig:
    """A grid of models, strategies and seeds on one data set.

    Parameters
    ----------
    dataset : str, default="shapes"
        A name of `modal_pretrain.benchmark.registry.DATASETS`.
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
    estimator_params : mapping
        Parameters of `PretrainedClassifier`, the same for all models.
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
    estimator_params: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("models", "strategies", "seeds"):
            values = tuple(getattr(self, name))
            object.__setattr__(self, name, values)
            if not values or len(set(values)) < len(values):
                raise ValueError(
                    f"{name} must name at least one, each once, got {values}."
                )
        for name, least in (("seed_set", 1), ("batch", 1), ("rounds", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(
                    f"{name} must be an integer from {least}, got {value!r}."
                )

    def to_json(self) -> str:
        """Return the configuration as canonical JSON (sorted keys, one line)."""
        return json.dumps(asdict(self), sort_keys=True, default=str)

    def digest(self) -> str:
        """Return 12 hexadecimal digits that change with any setting but the seeds.

        Leaving out the grid's axes lets a run grow: more seeds, models or strategies
        add units to the same folder.
        """
        settings = asdict(self)
        for axis in ("models", "strategies", "seeds"):
            del settings[axis]
        text = json.dumps(settings, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def units(self) -> list[Unit]:
        """List the runs of the grid, seed by seed, so that early results compare."""
        return [
            Unit(model, strategy, seed)
            for seed in self.seeds
            for model in self.models
            for strategy in self.strategies
        ]
