"""Grids: settings in which one key may have several values, and their expansion."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from modal_pretrain.benchmark.config import BenchmarkConfig
from modal_pretrain.benchmark.settings import SETTINGS, check_names, reject_unknown

# Top-level keys and classifier parameters that may be lists: the grid's dimensions
# besides models, strategies and seeds.
GRID_KEYS = ("seed_set", "batch")
GRID_PARAMS = ("tune", "backbone")


def expand(settings: Mapping[str, Any]) -> list[BenchmarkConfig]:
    """Turn settings, as a configuration file holds them, into configurations.

    Parameters
    ----------
    settings : mapping
        ``dataset``: a name, a mapping of ``name`` and the loader's parameters, or a
        list of either. ``estimator``: parameters of the classifier, of which ``tune``
        and ``backbone`` may be lists. ``seed_set`` and ``batch`` may be lists.
        ``budget``: labels to acquire, instead of ``rounds``; the last round may not
        exceed it. ``seeds``: a number of seeds, or a list. The rest as in
        `BenchmarkConfig`.

    Returns
    -------
    list of BenchmarkConfig
        One for each combination, data set by data set.

    Raises
    ------
    ValueError
        If a key or a name is not known, with the nearest one that is.

    Examples
    --------
    >>> from modal_pretrain.benchmark.grid import expand
    >>> configs = expand({"dataset": "shapes", "batch": [5, 10], "budget": 40})
    >>> [(config.batch, config.rounds) for config in configs]
    [(5, 8), (10, 4)]
    """
    reject_unknown(settings, SETTINGS, "setting")
    settings = dict(settings)
    budget = settings.pop("budget", None)
    if budget is not None and "rounds" in settings:
        raise ValueError("give rounds or budget, not both.")
    estimator = dict(settings.pop("estimator", {}))
    seeds = settings.get("seeds")
    if isinstance(seeds, int):
        settings["seeds"] = tuple(range(seeds))
    axes: list[list[tuple[str, Any]]] = [
        [("dataset", d) for d in _listed(settings.pop("dataset", "shapes"))]
    ]
    axes += [
        [(key, value) for value in _listed(settings.pop(key))]
        for key in GRID_KEYS
        if key in settings
    ]
    axes += [
        [("estimator", (key, value)) for value in _listed(estimator.pop(key))]
        for key in GRID_PARAMS
        if key in estimator
    ]
    configs = []
    for combination in itertools.product(*axes):
        chosen: dict[str, Any] = dict(settings)
        params = dict(estimator)
        for key, value in combination:
            if key == "estimator":
                params[value[0]] = value[1]
            elif key == "dataset":
                table = {"name": value} if isinstance(value, str) else dict(value)
                if "name" not in table:
                    raise ValueError(f"a dataset needs a name, got {value!r}.")
                chosen["dataset"] = table.pop("name")
                chosen["dataset_params"] = table
            else:
                chosen[key] = value
        if budget is not None:
            chosen["rounds"] = _rounds(budget, chosen.get("batch", 10))
        config = BenchmarkConfig(**chosen, estimator_params=params)
        check_names(config)
        configs.append(config)
    return configs


def _listed(value: Any) -> list[Any]:
    values = list(value) if isinstance(value, list | tuple) else [value]
    if not values:
        raise ValueError("a list in the settings is empty: name at least one value.")
    return values


def _rounds(budget: Any, batch: Any) -> int:
    if not isinstance(budget, int) or not isinstance(batch, int) or batch < 1:
        raise ValueError(
            f"budget and batch must be positive integers, got {budget!r} and {batch!r}."
        )
    if budget < batch:
        raise ValueError(f"budget={budget} is less than one batch of {batch}.")
    return budget // batch
