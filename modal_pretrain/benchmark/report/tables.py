"""The report's tables, built once for the page and for Markdown."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from modal_pretrain.benchmark.config import FULL
from modal_pretrain.benchmark.folder import settings_by_name
from modal_pretrain.benchmark.loop import PHASES
from modal_pretrain.benchmark.report.charts import tone_of
from modal_pretrain.benchmark.report.summary import (
    BASELINE,
    TARGETS,
    Summary,
    strategy_title,
)


class Cell(NamedTuple):
    """What a table says, and how the page shows it.

    Attributes
    ----------
    text : str
    tone : str
        Of the square before a strategy's name.
    link : str
        Where on the page a click leads.
    bar : float
        Length of a bar before the text, 1 at most.
    """

    text: str
    tone: str = ""
    link: str = ""
    bar: float = 0.0

    def __str__(self) -> str:
        return self.text


class Table(NamedTuple):
    """Rows of text under a header, the first `n_text` columns aligned to the left."""

    header: list[str]
    rows: list[list[Cell]]
    n_text: int


def number(value: float, spec: str, none: str = "-") -> str:
    """Format a number, or say that there is none."""
    return none if np.isnan(value) else format(value, spec)


def _efficiency(row: Any) -> str:
    if np.isnan(row.multiple) or row.strategy == BASELINE:
        return "-"
    return f"{row.multiple:.1f}x ({row.multiple_low:.1f}-{row.multiple_high:.1f})"


def _seconds(row: Any, phases: Sequence[str]) -> str:
    total = sum(getattr(row, f"seconds_{phase}") for phase in phases)
    return number(total, ",.1f")


_COLUMNS: dict[str, Callable[[Any], str]] = {
    "seeds": lambda row: f"{row.seeds}",
    "labels": lambda row: f"{row.labels:,}",
    "accuracy": lambda row: number(row.accuracy, ".3f"),
    "worst group": lambda row: number(row.worst_group, ".3f"),
    "atypical": lambda row: number(row.atypical, ".3f"),
    "atypical share": lambda row: number(row.atypical_share, ".1%"),
    "enrichment": lambda row: number(row.enrichment, ".1f"),
    "calibration error": lambda row: number(row.calibration_error, ".3f"),
    "label efficiency": _efficiency,
    "probe class / attribute / mismatch": lambda row: " / ".join(
        number(getattr(row, f"probe_{target}"), ".2f") for target in TARGETS
    ),
    **{phase: partial(_seconds, phases=(phase,)) for phase in PHASES},
    "all": partial(_seconds, phases=PHASES),
}
MAIN = (
    "labels",
    "accuracy",
    "worst group",
    "atypical",
    "atypical share",
    "enrichment",
    "label efficiency",
    "probe class / attribute / mismatch",
)
LAST_ROUND = (
    "seeds",
    "labels",
    "accuracy",
    "worst group",
    "atypical",
    "atypical share",
    "enrichment",
    "calibration error",
)
SECONDS = (*PHASES, "all")


def results(
    table: pd.DataFrame, columns: Iterable[str], s: Summary | None = None
) -> Table:
    """Return columns of a summary's table, a row per model and strategy.

    Parameters
    ----------
    table : pandas.DataFrame
        See `Summary`.
    columns : iterable of str
        Such as `MAIN`.
    s : Summary, optional
        For the strategies' colours.

    Returns
    -------
    Table
    """
    columns = list(columns)
    rows = [
        [
            Cell(row.model),
            Cell(strategy_title(row.strategy), tone_of(row.strategy, s) if s else ""),
            *(Cell(_COLUMNS[name](row)) for name in columns),
        ]
        for row in table.itertuples()
    ]
    return Table(["model", "strategy", *columns], rows, n_text=2)


def differing(tables: Iterable[pd.DataFrame], names: Iterable[str]) -> list[str]:
    """Return those of some columns in which strategies, here or there, differ."""
    every = pd.concat(list(tables))
    every = every[every.strategy != FULL]
    return [name for name in names if every[name].nunique() > 1]


def saved(s: Summary) -> Table:
    """Return the labels saved at each level of accuracy."""
    rows = [
        [
            Cell(model),
            Cell(strategy_title(strategy), tone_of(strategy, s)),
            Cell(level.name),
            Cell(number(level.level, ".3f")),
            Cell(number(level.labels_random, ",.0f", none="never")),
            Cell(number(level.labels_strategy, ",.0f", none="never")),
            Cell(str(level)),
        ]
        for (model, strategy), levels in s.levels.items()
        for level in levels
    ]
    header = ["model", "strategy", "to reach", "accuracy", "random needs", "it needs"]
    return Table([*header, "labels saved"], rows, n_text=3)


def probes(s: Summary) -> Table:
    """Return what linear probes read off the embeddings of each model."""

    def cell(value: float | None) -> Cell:
        return Cell("-") if value is None else Cell(f"{value:.2f}", bar=value)

    rows = [
        [
            Cell(model),
            *(cell(s.probes.get(model, {}).get(target)) for target in TARGETS),
        ]
        for model in s.store.config.models
    ]
    return Table(["model", *TARGETS], rows, n_text=1)


def overview(summaries: Iterable[Summary]) -> Table:
    """Return the main numbers of all strategies but the baselines, settings by name.

    Means over other seeds, or after other numbers of labels, are told as such.
    """
    rows, summaries = [], list(summaries)
    columns = differing([s.table for s in summaries], ("seeds", "labels"))
    columns += ["accuracy", "worst group", "enrichment", "label efficiency"]
    for s, name in zip(summaries, settings(summaries), strict=True):
        own = s.table[~s.table.strategy.isin([BASELINE, FULL])]
        link = Cell(name, link=f"#{s.store.folder.name}")
        rows += [[link, *row] for row in results(own, columns, s).rows]
    return Table(["settings", "model", "strategy", *columns], rows, n_text=3)


def settings(summaries: Sequence[Summary]) -> list[str]:
    """Name configurations such that they can be told apart.

    Parameters
    ----------
    summaries : sequence of Summary

    Returns
    -------
    list of str
        What is told of any, and what else differs from others of that name.
    """
    names = list(map(_settings, summaries))
    further = [
        {key: _as_text(value) for key, value in own.items()}
        for own in settings_by_name([s.store for s in summaries])
    ]
    shown = []
    for name, own in zip(names, further, strict=True):
        others = [f for n, f in zip(names, further, strict=True) if n == name]
        parts = [
            f"{key} {value}"
            for key, value in own.items()
            if any(other.get(key) != value for other in others)
        ]
        shown.append(", ".join([name, *parts]))
    return shown


def _settings(s: Summary) -> str:
    config = s.store.config
    params = config.estimator_params
    parts = [s.data["name"], f"seed set {config.seed_set}", f"batch {config.batch}"]
    parts += [f"tune {params.get('tune', 'head')}"]
    if "backbone" in params:
        parts.append(str(params["backbone"]))
    size = params.get("image_size")
    if isinstance(size, list | tuple):  # not one run for each, as of other lists
        parts.append(f"pictures of {' x '.join(map(str, size))}")
    return ", ".join(parts)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
