"""Where stop rules would have stopped, and how far audits could be trusted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from modal_pretrain.benchmark.report.charts import tone_of
from modal_pretrain.benchmark.report.summary import (
    Summary,
    strategies_of,
    strategy_title,
)
from modal_pretrain.benchmark.report.tables import Cell, Table, number

_NEAR = 1e-6  # records have six decimals


def stops(s: Summary) -> Table | None:
    """Return where each rule would have stopped, and what the user would have had.

    The end beside it is that of the same runs, or of all where a rule stops none.

    Parameters
    ----------
    s : Summary

    Returns
    -------
    Table or None
        None if no audit was asked for.
    """
    rows = []
    for model, strategy, chosen in _audited(s, "stops"):
        runs = [run for _, run in chosen.groupby("seed")]
        for rule in runs[0]["stops"].iloc[0]:
            at = [
                run[[r.get(rule, False) for r in run["stops"]]].head(1) for run in runs
            ]
            there = pd.concat(at)
            # Those that it did not stop may have ended elsewhere: no comparison then.
            ended = [run for run, stop in zip(runs, at, strict=True) if len(stop)]
            end = pd.concat([_last(s.records, run) for run in ended or runs])
            labels = there["n_labels"].median() if len(there) else np.nan
            rows.append(
                [
                    Cell(model),
                    Cell(strategy_title(strategy), tone_of(strategy, s)),
                    Cell(rule),
                    Cell(f"{len(there)} of {len(runs)}"),
                    Cell(number(labels, ",.0f")),
                    *(
                        Cell(f"{_mean(there, value)} ({_mean(end, value)})")
                        for value in ("accuracy", "worst_group_accuracy")
                    ),
                ]
            )
    header = ["model", "strategy", "rule", "runs stopped", "labels (median)"]
    header += ["accuracy there (at the end)", "worst group there (at the end)"]
    return Table(header, rows, n_text=3) if rows else None


def audits(s: Summary) -> Table | None:
    """Return how often the intervals of audits and forecasts held the truth.

    Parameters
    ----------
    s : Summary

    Returns
    -------
    Table or None
        None if no audit was asked for.
    """
    rows = []
    for model, strategy, chosen in _audited(s, "audit"):
        seen = list(chosen["audit"])
        held = [a["low"] - _NEAR <= a["truth"] <= a["high"] + _NEAR for a in seen]
        widths = [a["high"] - a["low"] for a in seen]
        foretold = [h for _, run in chosen.groupby("seed") for h in _foretold(run)]
        rows.append(
            [
                Cell(model),
                Cell(strategy_title(strategy), tone_of(strategy, s)),
                Cell(f"{len(seen[0]['rows'])}"),
                Cell(f"{np.mean(held):.0%} of {len(held)}"),
                Cell(f"{np.median(widths):.3f}"),
                Cell(
                    f"{np.mean(foretold):.0%} of {len(foretold)}" if foretold else "-"
                ),
            ]
        )
    header = ["model", "strategy", "labels of an audit", "held the truth"]
    header += ["width (median)", "forecasts that held"]
    return Table(header, rows, n_text=2) if rows else None


def _audited(s: Summary, value: str) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Give the rounds with a value of an audit, of each model and strategy."""
    if value not in s.records:
        return
    found = s.records[s.records[value].notna()]
    for model in s.store.config.models:
        for strategy in strategies_of(s.store):
            mine = found[(found.model == model) & (found.strategy == strategy)]
            if len(mine):
                yield model, strategy, mine.sort_values(["seed", "round"])


def _last(records: pd.DataFrame, run: pd.DataFrame) -> pd.DataFrame:
    """Return a run's last round, which has no audit where no row is left to audit."""
    own = ["model", "strategy", "seed"]
    same = (records[own] == run[own].iloc[0]).all(axis=1)
    return records[same].sort_values("round").tail(1)


def _foretold(run: pd.DataFrame) -> list[bool]:
    """Say of each forecast of a run whether its interval held what came."""
    truth = np.array([a["truth"] for a in run["audit"]])
    labels = run["n_labels"].to_numpy()
    held = []
    for forecast in run.get("forecast", pd.Series(dtype=object)):
        if not isinstance(forecast, dict):
            continue
        low, high = (_or_never(forecast.get(key)) for key in ("low", "high"))
        reached = labels[truth >= forecast["target"]]
        if len(reached):
            held.append(bool(low <= reached[0] <= high))
        else:
            held.append(bool(high >= labels[-1]))
    return held


def _or_never(value: float | None) -> float:
    return np.inf if value is None else value


def _mean(rounds: pd.DataFrame, value: str) -> str:
    found: Any = pd.to_numeric(rounds[value]).mean() if len(rounds) else np.nan
    return number(found, ".3f")
