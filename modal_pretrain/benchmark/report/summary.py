"""From records to the numbers that the paper's claims are about."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from modal_pretrain.benchmark.config import FULL, ORACLE
from modal_pretrain.benchmark.loop import PHASES
from modal_pretrain.benchmark.report.multiples import Multiple, multiples
from modal_pretrain.benchmark.store import RecordStore
from modal_pretrain.metrics import label_efficiency, paired_bootstrap

BASELINE = "random"
TARGETS = ("class", "attribute", "mismatch")


class Summary(NamedTuple):
    """Everything that a report of one configuration needs.

    Attributes
    ----------
    store : RecordStore
    title : str
        What was run, in one line.
    data : dict
        ``data.json``: names and counts.
    records : pandas.DataFrame
    table : pandas.DataFrame
        A row per model and strategy: what C1 to C5 of the paper compare.
        ``accuracy``, ``worst_group``, ``atypical``, ``calibration_error``: means over
        seeds after the last round, in [0, 1]. ``atypical_share``: of the acquired
        examples; ``enrichment``: that share over the pool's. ``multiple``,
        ``multiple_low``, ``multiple_high``: labels that random sampling needs over
        those that the strategy needs, with a 95 % bootstrap interval over seeds (nan
        where random sampling was not run). ``probe_class``, ``probe_attribute``,
        ``probe_mismatch``: balanced accuracy of linear probes. ``seconds_<phase>``:
        per run.
    levels : dict
        (model, strategy) -> list of `Multiple`.
    probes : dict
        Model -> target -> balanced accuracy, or None where it cannot be measured.
    examples : dict
        Row -> what was kept of it, see `keep_examples`.
    runs : list of dict
        Command, versions and hardware of each call.
    left_out : list of str
        Files of finished runs that the configuration does not name.
    n_left : int
        Runs that the configuration names and that are not finished.
    """

    store: RecordStore
    title: str
    data: dict[str, Any]
    records: pd.DataFrame
    table: pd.DataFrame
    levels: dict[tuple[str, str], list[Multiple]]
    probes: dict[str, dict[str, float | None]]
    examples: dict[str, dict[str, Any]]
    runs: list[dict[str, Any]]
    left_out: list[str]
    n_left: int

    @property
    def pool_share(self) -> float:
        """Share of disambiguating examples in the train split."""
        train = self.data["splits"]["train"]
        return train["atypical"] / train["rows"]

    @property
    def n_seeds(self) -> int:
        """Seeds of the curve that has the fewest; some may not be finished."""
        own = self.records[self.records.strategy != FULL]
        of_each = own.groupby(["model", "strategy"]).seed.nunique()
        return int(of_each.min()) if len(of_each) else 0

    @property
    def n_compared(self) -> int:
        """Seeds of the comparison with random sampling that has the fewest, 0 if none.

        Of a strategy and of random sampling, other seeds may be finished.
        """
        return min(
            (len(shared_seeds(self.records, *one)) for one in self.levels), default=0
        )


def curves(
    records: pd.DataFrame, model: str, strategy: str, value: str = "accuracy"
) -> tuple[np.ndarray, np.ndarray]:
    """Return the learning curves of a model and strategy.

    Parameters
    ----------
    records : pandas.DataFrame
        As `RecordStore.load` returns them.
    model, strategy : str
    value : str, default="accuracy"
        A column of the records, or the name of a group after "group:".

    Returns
    -------
    labels : numpy.ndarray of shape (rounds,)
    values : numpy.ndarray of shape (seeds, rounds)
        In the order of the seeds.
    """
    chosen = records[(records.model == model) & (records.strategy == strategy)]
    if value.startswith("group:"):
        group = value.removeprefix("group:")
        chosen = chosen.assign(
            **{value: [g.get(group, np.nan) for g in chosen.group_accuracy]}
        )
    table = chosen.pivot(index="seed", columns="n_labels", values=value)
    return table.columns.to_numpy(), table.to_numpy(dtype=float)


def shared_seeds(records: pd.DataFrame, model: str, strategy: str) -> set[int]:
    """Return the seeds for which a strategy and random sampling are finished."""
    mine, random = (
        set(records.seed[(records.model == model) & (records.strategy == name)])
        for name in (strategy, BASELINE)
    )
    return mine & random


def paired_curves(
    records: pd.DataFrame, model: str, strategy: str, value: str = "accuracy"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, and curves of a strategy and of random sampling, seed by seed.

    Parameters
    ----------
    records : pandas.DataFrame
    model, strategy : str
    value : str, default="accuracy"

    Returns
    -------
    labels : numpy.ndarray of shape (rounds,)
    strategy, random : numpy.ndarray of shape (seeds, rounds)
        Of the seeds for which both are finished.
    """
    shared = records[records.seed.isin(shared_seeds(records, model, strategy))]
    if shared.empty:
        return np.zeros(0), np.zeros((0, 0)), np.zeros((0, 0))
    labels, values = curves(shared, model, strategy, value)
    return labels, values, curves(shared, model, BASELINE, value)[1]


def strategies_of(store: RecordStore) -> list[str]:
    """List the strategies of a configuration that have curves, the oracle last."""
    names = [name for name in store.config.strategies if name != ORACLE]
    oracle = ORACLE in store.config.strategies or "oracle" in store.config.references
    return [*names, ORACLE] if oracle else names


def summary(store: RecordStore) -> Summary:
    """Return everything that a report of one configuration needs, from its folder.

    Raises
    ------
    ValueError
        If there is nothing to report.
    """
    records = store.load()
    if records.empty:
        raise ValueError(f"{store.folder} holds no finished run yet.")
    data, probes = store.description(), store.probes()
    train = data["splits"]["train"]
    pool_share = train["atypical"] / train["rows"]
    rows, levels = [], {}
    for model in store.config.models:
        for strategy in [*strategies_of(store), FULL]:
            chosen = records[(records.model == model) & (records.strategy == strategy)]
            if chosen.empty:
                continue
            row = {"model": model, "strategy": strategy, **_last(chosen)}
            row |= questions(chosen, pool_share)
            row |= _efficiency(records, model, strategy)
            labels, mine, random = paired_curves(records, model, strategy)
            if strategy not in (BASELINE, FULL) and len(labels) > 1 and len(random):
                levels[model, strategy] = multiples(labels, mine, random)
            for target in TARGETS:
                value = probes.get(model, {}).get(target)
                row[f"probe_{target}"] = np.nan if value is None else value
            rows.append(row)
    return Summary(
        store,
        f"{data['summary']}",
        data,
        records,
        pd.DataFrame(rows),
        levels,
        probes,
        store.examples(),
        store.runs(),
        store.left_out(),
        sum(
            not store.is_finished(unit)
            for unit in store.config.units(store.is_finished)
        ),
    )


def _last(chosen: pd.DataFrame) -> dict[str, Any]:
    """Return means over seeds after the last round, and seconds of a run."""
    last = chosen[chosen["round"] == chosen["round"].max()]
    columns = {
        "accuracy": "accuracy",
        "worst_group": "worst_group_accuracy",
        "atypical": "atypical_accuracy",
        "calibration_error": "calibration_error",
    }
    row: dict[str, Any] = {"seeds": len(last), "labels": int(last.n_labels.iloc[0])}
    for name, column in columns.items():
        row[name] = pd.to_numeric(last[column]).mean()
    for phase in PHASES:
        column = f"seconds_{phase}"
        row[column] = np.nan
        if column in chosen:  # of the runs whose timings are there: some may be lost
            row[column] = chosen.groupby("seed")[column].sum(min_count=1).mean()
    return row


def questions(chosen: pd.DataFrame, pool_share: float) -> dict[str, float]:
    """Return what runs asked about: share of atypical examples, over the pool's too."""
    asked = chosen[chosen["round"] > 0]
    n = sum(map(len, asked.acquired))
    share = asked.acquired_atypical.sum() / n if n else np.nan
    richer = share / pool_share if pool_share else np.nan
    return {"atypical_share": share, "enrichment": richer}


def _efficiency(records: pd.DataFrame, model: str, strategy: str) -> dict[str, float]:
    names = ("multiple", "multiple_low", "multiple_high")
    if strategy == FULL:
        return dict.fromkeys(names, np.nan)
    labels, mine, random = paired_curves(records, model, strategy)
    if len(labels) < 2 or not len(random):
        return dict.fromkeys(names, np.nan)
    interval = paired_bootstrap(
        mine,
        random,
        lambda a, b: label_efficiency(labels, a, b),
        n_resamples=1000,
        random_state=0,
    )
    return dict(zip(names, interval, strict=True))


def strategy_title(name: str) -> str:
    """Return a strategy's name as tables and figures show it."""
    return {ORACLE: "oracle (sees the groups)", FULL: "all labels"}.get(name, name)
