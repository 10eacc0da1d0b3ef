"""The report in words: what was asked, what came out, and how sure that is."""

from __future__ import annotations

import numpy as np
import pandas as pd

from modal_pretrain.benchmark import heads
from modal_pretrain.benchmark.config import FULL, ORACLE
from modal_pretrain.benchmark.report.summary import (
    BASELINE,
    TARGETS,
    Summary,
    paired_curves,
    questions,
    shared_seeds,
)
from modal_pretrain.benchmark.report.tables import number
from modal_pretrain.metrics import labels_needed
from modal_pretrain.metrics.efficiency import NEAR

MODEL_TITLES = {
    "pretrained": "the pretrained model",
    "random-init": "the same network without pretraining",
}
MIN_GAIN = 0.02  # as in `label_efficiency`
_FEW_LEFT = 0.05  # of the pool, at the end: strategies end alike then


def protocol(summary: Summary) -> str:
    """Say in a sentence what every run did."""
    config = summary.store.config
    tune = config.estimator_params.get("tune", "head")
    warm = config.estimator_params.get("warm_start", False)
    start = ", again from their initial values each round" if tune == "all" else ""
    if warm:
        start = ", each round on from the weights of the round before"
    how = {
        "head": "only the last layer is trained, on embeddings of a frozen backbone",
        "all": f"all weights are trained{start}",
    }.get(tune, f"the last {tune} stages and the head are trained{start}")
    in_all = f"in each of {config.rounds} rounds"
    if _pool_left(summary) == 0:
        in_all = f"a round, {config.rounds} times or until the pool is empty"
    if config.pool_sample is not None:
        in_all += f", chosen from {config.pool_sample:,} random rows of the pool"
    first = f"{config.seed_set} labels"
    if config.seed_set_atypical is not None:
        first += f" ({config.seed_set_atypical} of them atypical)"
    seeds = summary.n_seeds
    runs = f"{seeds} seed sets" if seeds != 1 else "a single seed set"
    same = "the same"
    own = summary.records[summary.records.strategy != FULL]
    if len({frozenset(run.seed) for _, run in own.groupby(["model", "strategy"])}) > 1:
        runs, same = f"at least {runs}", "not the same"  # see `unfinished`
    asks = f"asks for {config.batch} more {in_all}"
    told = f"Each run starts with {first} and {asks}; {how}."
    if not seeds:  # all labels alone: none that asked is finished
        return told
    return (
        f"{told} {runs.capitalize()}, {same} for every model and strategy; bands and "
        "brackets are 95 % bootstrap intervals over them."
    )


def lead(summary: Summary) -> list[str]:
    """Return what the benchmark shows as a few sentences for anybody."""
    sentences = [_pool(summary), *_ends_alike(summary), *unfinished(summary)]
    for model in summary.store.config.models:
        for strategy in summary.store.config.strategies:
            if strategy not in (BASELINE, ORACLE):
                sentences += _finding(summary, model, strategy)
    few, what, where = summary.n_seeds, "", "anything here"
    if few >= 5 and 0 < summary.n_compared < 5:
        few, where = summary.n_compared, "them"
        what = "Comparisons with random questions, some at least, are over "
    if 0 < few < 5:
        sentences.append(
            f"{what}{few} seed{'s' if few > 1 else ''}: too few to trust the second "
            f"digit of {where}, and intervals are too narrow."
        )
    return sentences


def unfinished(summary: Summary) -> list[str]:
    """Say how many runs are not there: curves and means may be of different seeds."""
    if not summary.n_left:
        return []
    total, compared = len(summary.store.config.units()), ""
    if n := summary.n_compared:
        least = f", at least {n}" if n != 1 else ", in places a single one"
        compared = (
            " Comparisons with random questions, as of labels, are over the seeds that "
            f"both have{least}."
        )
    return [
        f"{summary.n_left} of {total} runs (each model with each strategy and seed "
        "that the folder knows) are not there, or not finished: what follows is "
        f"about the others alone, and curves may be of different seeds.{compared}"
    ]


def _pool(summary: Summary) -> str:
    """Say what there is to find in the pool, if there is anything."""
    n_rows = summary.data["splits"]["train"]["rows"]
    what, share = summary.data["attribute_name"], summary.pool_share
    rare, start = _percent(share), f"The pool holds {n_rows:,} unlabelled examples. "
    if not share:
        return (
            f"{start}None of them counts as atypical, so nothing here tells the class "
            f"from something else ({what}): what follows says nothing of such rows."
        )
    if share > 0.5:
        return (
            f"{start}{rare} of them count as atypical: the class goes together with "
            f"something else ({what}) in the lesser part only, so what follows says "
            "little about examples that are rare."
        )
    return (
        f"{start}In most of them the class goes together with something else ({what}), "
        f"so a few labels rarely say which of the two is meant. The {rare} atypical "
        "examples would tell: the question is which model and which way of asking "
        "finds them."
    )


def _pool_left(summary: Summary) -> int:
    """Return how many rows the longest runs leave that could have been asked about."""
    config, records = summary.store.config, summary.records
    n_labels = records.n_labels[records.strategy != FULL].max()
    apart = config.audit if config.audit_apart else 0
    n_rows = summary.data["splits"]["train"]["rows"]
    return n_rows if np.isnan(n_labels) else max(int(n_rows - apart - n_labels), 0)


def _ends_alike(summary: Summary) -> list[str]:
    """Say where strategies end alike, as hardly a row is left to choose."""
    n_rows, left = summary.data["splits"]["train"]["rows"], _pool_left(summary)
    if left > _FEW_LEFT * n_rows or not summary.store.config.rounds:
        return []
    some = f"only {left:,}" if left else "none"
    # Heads learn otherwise from the same rows; the oracle has a plain one.
    used = {heads.split(name)[1] for name in summary.table.strategy if name != FULL}
    which = " of one head" if len(used) > 1 else ""
    return [
        f"At the end {some} of the pool can still be asked about, whichever the "
        f"strategy: final accuracies{which}, and what the questions were about in all, "
        "hardly differ then. Compare the curves before, or run it with fewer labels "
        "(rounds, batch)."
    ]


def _finding(summary: Summary, model: str, strategy: str) -> list[str]:
    rows = summary.table[
        (summary.table.model == model) & (summary.table.strategy == strategy)
    ]
    if rows.empty:
        return []
    row = rows.iloc[0]
    who = MODEL_TITLES.get(model, model)
    labels, mine, random = paired_curves(summary.records, model, strategy)
    compared = len(labels) > 1 and len(random) > 0
    runs = summary.records[
        (summary.records.model == model) & (summary.records.strategy == strategy)
    ]
    accuracy = row.accuracy
    if compared:  # all numbers of a sentence are of the same runs
        shared = shared_seeds(summary.records, model, strategy)
        runs, accuracy = runs[runs.seed.isin(shared)], mine.mean(axis=0)[-1]
    share, richer = questions(runs, summary.pool_share).values()
    told = not np.isnan(share) and not np.isnan(richer)
    asked = (
        f"{_percent(share)} of its questions were about atypical "
        f"examples ({richer:.1f} times their share of the pool)"
        if told
        else f"it ended at an accuracy of {_percent(accuracy)}"
    )
    if not compared:
        end = f"{_percent(row.accuracy)}; {asked}" if told else _percent(row.accuracy)
        return [f"With {strategy}, {who} ends at {end}."]
    ends = mine.mean(axis=0)[-1], random.mean(axis=0)[-1]
    starts = mine.mean(axis=0)[0], random.mean(axis=0)[0]
    gained = max(ends[0] - starts[0], ends[1] - starts[1]) >= MIN_GAIN - NEAR
    # One that lost what the seed set gave learned no "next to nothing".
    if not gained and ends[1] - ends[0] < MIN_GAIN - NEAR:
        return [
            f"{_upper(who)} learned next to nothing after its first {labels[0]:,} "
            f"labels, whether chosen by {strategy} or at random (accuracy "
            f"{_percent(ends[0])} and {_percent(ends[1])}); {asked}."
        ]
    if ends[0] < ends[1] - NEAR:
        return [
            f"{_upper(who)} did worse with {strategy} than with random questions: "
            f"{_percent(ends[0])} against {_percent(ends[1])} accuracy with "
            f"{labels[-1]:,} labels; {asked}."
        ]
    needed = labels_needed(labels, mine, ends[1])
    at_random = labels_needed(labels, random, ends[1])
    interval, further = f"{row.multiple:.1f} times fewer", ""
    if row.multiple < 1.05:
        interval = f"{row.multiple:.1f} times, so nothing is gained"
        # Random questions may have led nowhere, which says little of the strategy.
        if ends[0] - ends[1] >= MIN_GAIN - NEAR:
            interval += " up to there"
            further = f", and ends at {_percent(ends[0])} with {labels[-1]:,}"
    if mine.shape[0] > 1:
        interval += f", interval {row.multiple_low:.1f} to {row.multiple_high:.1f}"
    return [
        f"With {strategy}, {who} needs {needed:,.0f} labels for what takes random "
        f"questions {at_random:,.0f} ({interval}; accuracy {_percent(ends[1])})"
        f"{further}; {asked}."
    ]


def claims(summary: Summary) -> list[tuple[str, str]]:
    """Return the paper's claims and what the records say about each, in numbers."""
    table = summary.table

    def value(model: str, column: str, strategy: str) -> float:
        rows = table[(table.model == model) & (table.strategy == strategy)]
        return float(rows[column].iloc[0]) if len(rows) else np.nan

    config = summary.store.config
    models = config.models
    # What was asked with decides, not how a head makes use of it: so plain heads first.
    own = sorted(config.strategies, key=lambda s: heads.split(s)[1] != heads.PLAIN)
    # One of which no run is finished, such as one that failed, says nothing.
    own = [s for s in own if (table.strategy == s).any()] or own
    strategy = next(
        (s for s in own if heads.split(s)[0] not in (BASELINE, ORACLE)),
        next((s for s in own if s != BASELINE), BASELINE),
    )

    def per_model(column: str, form: str) -> str:
        return ", ".join(
            f"{model} {value(model, column, strategy):{form}}" for model in models
        ).replace("nan", "not measured")

    probes = "; ".join(
        f"{model} "
        + " / ".join(
            "-" if v is None or np.isnan(v) else f"{v:.2f}"
            # Of a model, whichever of its runs are finished.
            for v in (summary.probes.get(model, {}).get(t) for t in TARGETS)
        )
        for model in models
    )
    return [
        (
            "C1: few labels leave the task ambiguous",
            _start(summary, models[0]),
        ),
        (
            "C2, C3: labels saved against random questions, and without pretraining",
            f"{strategy}: {per_model('multiple', '.1f')}",
        ),
        (
            "C4: because of what is asked (enrichment; 1 is random)",
            f"{strategy}: {per_model('enrichment', '.1f')}",
        ),
        (
            "C5: linear probes for class / attribute / mismatch (chance is 1 over the "
            "number of values)",
            probes,
        ),
    ]


def _start(summary: Summary, model: str) -> str:
    """Say what a model gets with the seed set alone, each seed once.

    All strategies share that model, but heads do not: one that was told attributes is
    no measure of what the labels leave open. It counts only where there is no other.
    """
    records = summary.records
    first = records[
        (records["round"] == 0) & (records.strategy != FULL) & (records.model == model)
    ]
    used = first.strategy.map(lambda name: heads.split(name)[1])
    head = heads.PLAIN if first.empty or (used == heads.PLAIN).any() else used.min()
    start = first[used == head].drop_duplicates("seed")
    who = model if head == heads.PLAIN else f"{model} with the head {head}"
    accuracy, atypical = (
        pd.to_numeric(start[f"{which}accuracy"]).mean() for which in ("", "atypical_")
    )
    return (
        f"{who} with the seed set alone: accuracy "
        f"{number(accuracy, '.2f', 'not measured')}, on atypical examples "
        f"{number(atypical, '.2f', 'not measured')}"
    )


def _percent(value: float) -> str:
    return f"{value:.1%}".replace("%", " %")


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]
