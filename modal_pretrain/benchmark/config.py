"""What a benchmark runs: a frozen configuration whose hash names its results."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from types import FunctionType
from typing import Any, NamedTuple

from modal_pretrain._checks import Made, OneOf, Rule, Whole, did_you_mean

ORACLE = "group_balanced"  # the strategy that is shown the groups
FULL = "full"  # not a strategy: one fit on the whole train split
REFERENCES = ("oracle", "full")

# Axes: adding to them adds runs to the same folder.
_AXES = ("models", "strategies", "seeds", "references")
# Where and how fast it runs, not what comes out.
_EXECUTION = ("cache", "n_threads", "verbose")
_ADDRESS = " at 0x"  # in the texts of objects that have no other name
_LONGEST = 200  # bytes of a strategy's name; a file's has 255 with all that is added
_NAME = Made((str,), called="a name")
_PLACE = Made((str,), called='a name, or "module:function" of your own')
_SEED = Whole(least=0, most=2**32 - 1)
_PARAMS = Made(
    called="names and values",
    test=lambda value: (
        isinstance(value, Mapping) and all(isinstance(key, str) for key in value)
    ),
)


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
    audit : int, default=0
        Labels of an audit of each round's model, see `modal_pretrain.stopping`: what it
        and the stop rules say is recorded, beside the truth. 0 records nothing.
    audit_apart : bool, default=False
        False draws another audit each round, so the same rows are acquired as without.
        True draws one in the first round, which is left out of the pool and judges all
        models, as a user would do it.
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
    audit: int = 0
    audit_apart: bool = False

    def __post_init__(self) -> None:
        _PLACE.check("dataset", self.dataset)
        for name in ("dataset_params", "estimator_params"):
            _PARAMS.check(name, getattr(self, name))
        for name in _AXES:
            values = getattr(self, name)
            if isinstance(values, str):
                # YAML reads "a, b" without brackets as one text.
                parts = [part.strip() for part in values.split(",")]
                raise ValueError(
                    f"{name} must be a list, got {values!r}: write {parts!r}."
                )
            if not isinstance(values, list | tuple):
                raise ValueError(f"{name} must be a list, got {values!r}.")
            rule = {"seeds": _SEED, "strategies": _PLACE}.get(name, _NAME)
            for value in values:
                rule.check(f"each of {name}", value)
            values = tuple(int(v) if name == "seeds" else v for v in values)
            object.__setattr__(self, name, values)
            if len(set(values)) < len(values) or not (values or name == "references"):
                raise ValueError(
                    f"{name} must name at least one, each once, got {values}."
                )
        for name in self.strategies:
            if len(name.encode(errors="surrogatepass")) > _LONGEST:
                raise ValueError(
                    f"strategies: {name[:40]!r}... is longer than {_LONGEST} bytes, "
                    "and files are named by it. Give it a shorter name."
                )
        unknown = set(self.references) - set(REFERENCES)
        if unknown:
            raise ValueError(
                f"references may be {' and '.join(REFERENCES)}, got {unknown.pop()!r}. "
                "An empty list (--references without a value) leaves them out."
            )
        for name, rule in {
            "seed_set": Whole(least=1),
            "seed_set_atypical": Whole(least=0, also=(None,)),
            "batch": Whole(least=1),
            "rounds": Whole(least=0),
            "audit": Whole(least=0),
        }.items():
            self._set_number(name, rule)
        OneOf((True, False)).check("audit_apart", self.audit_apart)
        if self.audit_apart and not self.audit:
            raise ValueError(
                "audit_apart=True needs an audit: set audit to its labels."
            )
        self._set_number("pool_sample", Whole(least=self.batch, also=(None,)))

    def _set_number(self, name: str, rule: Rule) -> None:
        value = rule.check(name, getattr(self, name))
        # A number of NumPy's would be another one in JSON, and so in the hash.
        object.__setattr__(self, name, None if value is None else int(value))

    def to_json(self) -> str:
        """Return the configuration as canonical JSON (sorted keys, one line)."""
        return json.dumps(self._settings(), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> BenchmarkConfig:
        """Read what `to_json` wrote.

        Raises
        ------
        ValueError
            If it is something else, with the setting that is not known or not allowed.
        """
        settings = json.loads(text)
        if not isinstance(settings, dict):
            raise ValueError("it holds no names and values.")
        known = [entry.name for entry in fields(cls)]
        for name in settings:
            if name not in known:
                hint = did_you_mean(name, known)
                raise ValueError(f"there is no setting {name!r}.{hint}")
        return cls(**settings)

    def _settings(self) -> dict[str, Any]:
        settings = asdict(self)
        for name in _EXECUTION:
            settings["estimator_params"].pop(name, None)
        # As with no word about it: there are records from before one could augment.
        if settings["estimator_params"].get("augment") is False:
            del settings["estimator_params"]["augment"]
        # Without an audit the hash is that of the records from before there was one.
        for name in ("audit", "audit_apart"):
            if not settings[name]:
                del settings[name]
        # As it is read again, in which all names are texts, and sorted as such.
        return json.loads(json.dumps(settings, default=_as_text))

    def joined(self, other: BenchmarkConfig) -> BenchmarkConfig:
        """Return one configuration with the axes of both, its own values first.

        Parameters
        ----------
        other : BenchmarkConfig
            Of the same `digest`.

        Returns
        -------
        BenchmarkConfig
        """
        axes: dict[str, Any] = {
            axis: tuple(dict.fromkeys([*getattr(self, axis), *getattr(other, axis)]))
            for axis in _AXES
        }
        return replace(self, **axes)

    def nameless(self) -> list[str]:
        """List the parameters with a value that no other process would know again.

        Returns
        -------
        list of str
            The hash changes with the process where there is one.
        """
        params = {**self.dataset_params, **self.estimator_params}
        return [
            key
            for key, value in params.items()
            if key not in _EXECUTION and _ADDRESS in json.dumps(value, default=_as_text)
        ]

    def kept(self) -> dict[str, Any]:
        """Return the settings that `digest` is of: all but the axes."""
        settings = self._settings()
        for axis in _AXES:
            del settings[axis]
        return settings

    def digest(self) -> str:
        """Return 12 hexadecimal digits that change with any setting but the axes.

        Leaving out the axes lets a benchmark grow: more seeds, models or strategies
        add units to the same folder.

        Returns
        -------
        str
        """
        text = json.dumps(self.kept(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def units(
        self, finished: Callable[[Unit], bool] = lambda unit: False
    ) -> list[Unit]:
        """List the runs, seed by seed, so that early results compare.

        Parameters
        ----------
        finished : callable, optional
            Says what is. A call fits all labels for the first of its own seeds, which
            need not be the folder's first: one that is finished stands for the others.

        Returns
        -------
        list of Unit
        """
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
            for model in self.models:
                full = [Unit(model, FULL, seed) for seed in self.seeds]
                units.append(next(filter(finished, full), full[0]))
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


def _as_text(value: Any) -> Any:
    """Return what stands for a value that JSON does not have, mostly a text.

    A function's own text holds its place in memory, another one in every process. That
    of one without a name or a source is kept: nothing else tells it from the next one.
    """
    if isinstance(value, FunctionType) and "<" not in value.__qualname__:
        with contextlib.suppress(OSError):  # typed in at a prompt
            source = inspect.getsource(value)  # which may be edited between runs
            code = hashlib.sha256(source.encode()).hexdigest()[:12]
            return f"{value.__module__}:{value.__qualname__} {code}"
    if isinstance(value, functools.partial):
        named = {key: value.keywords[key] for key in sorted(value.keywords)}
        parts = [value.func, value.args, named]
        return f"partial {json.dumps(parts, default=_as_text)}"
    if hasattr(value, "tolist") and not isinstance(value, type):
        # NumPy's numbers are Python's, and the texts of arrays and tensors leave out
        # digits and rows, so that others would count as the same.
        plain = value.tolist()
        if type(plain) is not type(value):  # as np.longdouble's is
            return plain
    return str(value)
