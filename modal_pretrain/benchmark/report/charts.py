"""The report's charts: which curves, with which intervals, under which name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from modal_pretrain.benchmark.config import FULL, ORACLE
from modal_pretrain.benchmark.report.plot import Level, Series, line_chart, needed_range
from modal_pretrain.benchmark.report.shapes import Drawing
from modal_pretrain.benchmark.report.summary import (
    BASELINE,
    Summary,
    curves,
    strategies_of,
)

N_COLOURS = 6
_SHORT = {ORACLE: "oracle", FULL: "all labels"}


def tone_of(strategy: str, summary: Summary) -> str:
    """Return the name of a strategy's colour, the same all over a report."""
    if strategy in (BASELINE, ORACLE, FULL):
        return f"s-{strategy.replace('_', '-')}"
    own = [s for s in strategies_of(summary.store) if s not in (BASELINE, ORACLE)]
    return f"s-{own.index(strategy) % N_COLOURS}"


def interval(values: np.ndarray, n_resamples: int = 1000) -> tuple[np.ndarray, ...]:
    """Return the mean curve over seeds and a 95 % bootstrap interval around it.

    Every call resamples the same seeds, so that curves of one benchmark compare.

    Parameters
    ----------
    values : numpy.ndarray of shape (seeds, rounds)
    n_resamples : int, default=1000

    Returns
    -------
    mean, low, high : numpy.ndarray of shape (rounds,)
    """
    mean = np.nanmean(values, axis=0)
    rng = np.random.default_rng(0)
    draws = rng.integers(len(values), size=(n_resamples, len(values)))
    means = np.nanmean(values[draws], axis=1)
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    return mean, low, high


class Panel(NamedTuple):
    """The curves and lines of one chart, before it is drawn."""

    title: str
    series: list[Series]
    levels: list[Level]


def draw_together(panels: Sequence[Panel]) -> list[Drawing | None]:
    """Draw panels to one scale, so that they compare.

    Parameters
    ----------
    panels : sequence of Panel

    Returns
    -------
    list of Drawing or None
        None where there is nothing to draw.
    """
    ranges = [needed_range(p.series, p.levels) for p in panels if p.series]
    if not ranges:
        return [None] * len(panels)
    y_range = min(low for low, _ in ranges), max(high for _, high in ranges)
    return [
        line_chart(p.series, p.levels, title=p.title, y_range=y_range)
        if p.series
        else None
        for p in panels
    ]


def curve_panel(
    summary: Summary, model: str, value: str, title: str, *, full: bool = True
) -> Panel:
    """Return one measure of one model by labels, a curve for each strategy.

    Parameters
    ----------
    summary : Summary
    model : str
    value : str
        See `curves`.
    title : str
    full : bool, default=True
        Draw what a fit on the whole train split reaches.

    Returns
    -------
    Panel
    """
    series = _series(summary, summary.records, model, value)
    levels = []
    _, reference = curves(summary.records, model, FULL, value)
    if full and reference.size and not np.isnan(reference).all():
        levels = [Level(_SHORT[FULL], f"s-{FULL}", float(reference.mean()))]
    return Panel(f"{title}, {model}", series, levels)


def enrichment_panel(summary: Summary, model: str) -> Panel:
    """Return how many of the examples asked about so far were disambiguating.

    Parameters
    ----------
    summary : Summary
    model : str

    Returns
    -------
    Panel
    """
    records = summary.records[summary.records["round"] > 0]
    asked = records[records.strategy != FULL].sort_values("round")
    run = [asked.model, asked.strategy, asked.seed]
    # Where nothing was asked, columns are of no type.
    n_atypical = asked.acquired_atypical.astype(float).groupby(run).cumsum()
    n_asked = asked.acquired.map(len).astype(float).groupby(run).cumsum()
    asked = asked.assign(share=n_atypical / n_asked)
    return Panel(
        f"Share of atypical examples among those asked about so far, {model}",
        _series(summary, asked, model, "share"),
        [Level("the pool", "s-pool", summary.pool_share)],
    )


def _series(
    summary: Summary, records: pd.DataFrame, model: str, value: str
) -> list[Series]:
    series = []
    for strategy in strategies_of(summary.store):
        labels, values = curves(records, model, strategy, value)
        # A run whose pool ran out, or a strategy still at work, has fewer rounds.
        complete = ~np.isnan(values).any(axis=0)
        if values.size == 0 or not complete.any():
            continue
        name = _SHORT.get(strategy, strategy)
        tone = tone_of(strategy, summary)
        points = interval(values[:, complete])
        series.append(Series(name, tone, labels[complete], *points))
    return series
