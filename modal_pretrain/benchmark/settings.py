"""Settings: read from a file, expanded to configurations, checked before any work."""

from __future__ import annotations

import inspect
import itertools
import sys
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from modal_pretrain._checks import Whole, did_you_mean
from modal_pretrain._identity import expanded, read_whole
from modal_pretrain.benchmark import heads
from modal_pretrain.benchmark.config import BenchmarkConfig
from modal_pretrain.benchmark.parameters import as_text
from modal_pretrain.benchmark.registry import (
    check_distinct,
    check_model,
    estimator_parameters,
    strategy,
)
from modal_pretrain.datasets.registry import loader, modality_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# What a file, or the mapping given to `expand`, may hold.
SETTINGS = {
    *(field.name for field in fields(BenchmarkConfig)),
    "estimator",
    "budget",
    "heads",
} - {"dataset_params", "estimator_params"}

# Beyond it a number of seeds is a slip, and their list may not fit into memory.
_MOST_SEEDS = 100_000

# Top-level keys and classifier parameters that may be lists: the grid's dimensions
# besides models, strategies and seeds.
GRID_KEYS = ("seed_set", "batch")
GRID_PARAMS = ("tune", "backbone", "augment")


def read_settings(path: str | Path) -> dict[str, Any]:
    """Read a configuration file.

    Parameters
    ----------
    path : str or Path
        TOML, or YAML by its suffix .yaml or .yml, which needs PyYAML.

    Returns
    -------
    dict
        See `expand`.

    Raises
    ------
    ValueError
        If the file is not readable as what its suffix says, or has unknown keys.
    ImportError
        If it is YAML and PyYAML is not installed.
    """
    path = expanded(path)
    try:
        text = read_whole(path).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        hint = "" if isinstance(error, OSError) else ". Save it as UTF-8"
        raise ValueError(
            f"cannot read the configuration {path}: {error}{hint}"
        ) from error
    suffix = path.suffix.lower()  # some systems and programs write CONFIG.TOML
    if suffix in (".yaml", ".yml"):
        settings = _yaml(text, path)
    elif suffix == ".toml":
        try:
            settings = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path} is not valid TOML: {error}") from error
    else:
        raise ValueError(f"{path}: a configuration ends in .toml, .yaml or .yml.")
    if not isinstance(settings, dict):
        raise ValueError(f"{path} must hold keys and values, see configs/shapes.toml.")
    _reject_parameters(settings, path)
    reject_unknown(settings, SETTINGS, f"setting in {path.name}")
    return settings


def _yaml(text: str, path: Path) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise ImportError(
            f"{path} needs PyYAML: pip install pyyaml (TOML needs nothing)"
        ) from error
    try:
        return yaml.load(text, _once(yaml))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid YAML: {error}") from error


def _once(yaml: Any) -> Any:
    """Return the safe loader, which takes no key twice and nothing that holds itself.

    By itself it lets the last of two win.
    """

    class Loader(yaml.SafeLoader):
        def compose_document(self) -> Any:
            self.known: dict[int, bool] = {}  # whether all below it has been seen
            node = super().compose_document()
            self.look_at(node)
            return node

        def look_at(self, node: Any) -> None:
            done = self.known.setdefault(id(node), False)
            if done or not isinstance(node.value, list):
                return
            below = node.value
            if isinstance(node, yaml.MappingNode):
                self.look_at_names([key for key, _ in node.value])
                below = [value for _, value in node.value]
            for entry in below:
                begun = isinstance(entry.value, list) and id(entry) in self.known
                if begun and not self.known[id(entry)]:
                    raise yaml.YAMLError("a value holds itself")
                self.look_at(entry)
            self.known[id(node)] = True

        def look_at_names(self, keys: list[Any]) -> None:
            seen = set()
            for key in keys:
                # "<<" may stand for several mappings. A list is refused later.
                own = key.tag.endswith((":merge", ":value"))
                if own or isinstance(key.value, list):
                    continue
                name = self.construct_object(key)  # 1 and 0x1 are one name, "1" another
                if name in seen:
                    raise yaml.YAMLError(f"it names {name!r} twice")
                seen.add(name)

    return Loader


def reject_unknown(given: Iterable[str], known: Iterable[str], kind: str) -> None:
    """Raise a ValueError about the first of the given keys that is not known."""
    known = sorted(known)
    for key in given:
        if key not in known:
            hint = did_you_mean(key, known) or f" Known: {', '.join(known)}."
            raise ValueError(f"There is no {kind} {key!r}.{hint}")


def _reject_parameters(given: Iterable[str], path: Path) -> None:
    """Raise a ValueError about a classifier's parameter among the settings.

    They are flags beside the others, so that a file that is written like a command
    has them there.
    """
    unknown = [key for key in given if key not in SETTINGS]
    if not unknown:  # PyTorch is imported for what comes
        return
    known = estimator_parameters()
    for key in unknown:
        if key in known:
            raise ValueError(
                f"There is no setting in {path.name} {key!r}: it is a parameter of the "
                "classifier, and stands below [estimator]."
            )


def _reject_settings(given: Iterable[str], known: Iterable[str], table: str) -> None:
    """Raise a ValueError about a setting that slipped below a table's name.

    In TOML, all that stands below it is the table's.
    """
    for key in given:
        if key not in known and key in SETTINGS:
            raise ValueError(
                f"{table}: {key!r} is a setting of the benchmark, not a parameter of "
                f"the {'classifier' if table == 'estimator' else 'data set'}. In a "
                f"file it stands above [{table}]."
            )


def check_names(config: BenchmarkConfig) -> None:
    """Raise a ValueError if a configuration names something that there is not."""
    for model in config.models:
        check_model(model)
    for name in config.strategies:
        strategy(name)
    check_distinct(config.strategies)
    load = loader(config.dataset)
    _check_arguments(load, config.dataset_params, f"parameter of {config.dataset}")
    as_text(config.dataset_params)  # raises for what cannot be kept
    if config.dataset_params.get("random_state", 0) is None:
        raise ValueError(
            "dataset: random_state=None draws other data in every process; give a "
            "number, or leave it out."
        )
    own = {"classes", "random_state"} & set(config.estimator_params)
    if own:
        raise ValueError(
            f"estimator: {own.pop()!r} is set by the benchmark; leave it out."
        )
    weights = config.estimator_params.get("pretrained", True)
    if "pretrained" in config.models and not weights:
        raise ValueError(
            f"estimator: pretrained must be True or a checkpoint, got {weights!r}: the "
            "model 'pretrained' would not be. Name the model 'random-init' instead."
        )
    known = estimator_parameters(modality_of(config.dataset, config.dataset_params))
    _reject_settings(config.estimator_params, known, "estimator")
    for key in config.estimator_params:
        owner, _, rest = key.partition("__")
        # What comes behind "__" is known to the owner alone, when it is made.
        reject_unknown(
            [owner if owner and rest else key], known, "parameter of the classifier"
        )


def _check_arguments(function: Any, given: Mapping[str, Any], kind: str) -> None:
    try:
        parameters = inspect.signature(function).parameters
    except ValueError as error:  # of those that are not written in Python
        raise ValueError(f"A {kind} cannot be checked: {error}.") from error
    kinds = {parameter.kind for parameter in parameters.values()}
    if inspect.Parameter.VAR_KEYWORD not in kinds:
        _reject_settings(given, parameters, "dataset")
        reject_unknown(given, parameters, kind)
    missing = [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        and name not in given
    ]
    if missing:
        name = missing[0]
        flags = {"root": "--root DIR", "path": "--root FILE"}
        flag = flags.get(name, f"--data {name}=VALUE")
        raise ValueError(
            f"A {kind} is missing: {name!r} ({flag}). A settings file has it in the "
            "table of the data set."
        )


def expand(settings: Mapping[str, Any]) -> list[BenchmarkConfig]:
    """Turn settings, as a configuration file holds them, into configurations.

    Parameters
    ----------
    settings : mapping
        ``dataset``: a name, a mapping of ``name`` and the loader's parameters, or a
        list of either. ``estimator``: parameters of the classifier, of which ``tune``,
        ``backbone`` and ``augment`` may be lists. ``seed_set`` and ``batch`` may be
        lists. ``budget``: labels to acquire, instead of ``rounds``; the last round may
        not exceed it. ``seeds``: a number of seeds, or a list. ``heads``: what the
        classifier does with the exceptions, each with every strategy; a list of
        "plain", "errors", "errors:S", "tags:all" and "tags:N". The rest as in
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
    >>> from modal_pretrain.benchmark import expand
    >>> configs = expand({"dataset": "shapes", "batch": [5, 10], "budget": 40})
    >>> [(config.batch, config.rounds) for config in configs]
    [(5, 8), (10, 4)]
    """
    reject_unknown(settings, SETTINGS, "setting")
    settings = dict(settings)
    budget = settings.pop("budget", None)
    if budget is not None and "rounds" in settings:
        raise ValueError("give rounds or budget, not both.")
    estimator = settings.pop("estimator", {})
    if not isinstance(estimator, Mapping):
        raise ValueError(
            f"estimator must be a table of the classifier's parameters, got "
            f"{estimator!r}."
        )
    estimator = dict(estimator)
    seeds = settings.get("seeds", ())
    if not isinstance(seeds, list | tuple):
        hint = "Or give a list of seeds."
        Whole(least=1, hint=hint).check("seeds", seeds)
        Whole(least=1, most=_MOST_SEEDS, hint=hint).check("seeds", seeds)
        settings["seeds"] = tuple(range(seeds))
    if "heads" in settings:
        chosen_heads = _listed("heads", settings.pop("heads"))
        strategies = settings.get("strategies", BenchmarkConfig.strategies)
        settings["strategies"] = [
            heads.join(name, head)
            for name in _listed("strategies", strategies)
            for head in chosen_heads
        ]
    axes: list[list[tuple[str, Any]]] = [
        [("dataset", d) for d in _listed("dataset", settings.pop("dataset", "shapes"))]
    ]
    axes += [
        [(key, value) for value in _listed(key, settings.pop(key))]
        for key in GRID_KEYS
        if key in settings
    ]
    axes += [
        [
            ("estimator", (key, value))
            for value in _listed(f"estimator.{key}", estimator.pop(key))
        ]
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
                named = {"name": value} if isinstance(value, str) else value
                if not isinstance(named, Mapping) or "name" not in named:
                    raise ValueError(
                        'dataset must be a name, "module:function" of your own, or a '
                        f"mapping with its name under 'name', got {value!r:.80}."
                    )
                table = dict(named)
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


def _listed(key: str, value: Any) -> list[Any]:
    values = list(value) if isinstance(value, list | tuple) else [value]
    if not values:
        raise ValueError(f"{key} is an empty list: name at least one value.")
    for number, value in enumerate(values):
        if value in values[:number]:
            raise ValueError(f"{key} names {value!r} twice; name each value once.")
    return values


def _rounds(budget: Any, batch: Any) -> int:
    for name, value in (("budget", budget), ("batch", batch)):
        Whole(least=1).check(name, value)
    if budget < batch:
        raise ValueError(f"budget={budget} is less than one batch of {batch}.")
    return budget // batch
