"""From records to the numbers that the paper's claims are about."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from modal_pretrain.benchmark.records import RecordStore
from modal_pretrain.datasets import GroupedDataset
from modal_pretrain.metrics import enrichment, label_efficiency, paired_bootstrap

BASELINE = "random"


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
        A column of the records.

    Returns
    -------
    labels : numpy.ndarray of shape (rounds,)
    values : numpy.ndarray of shape (seeds, rounds)
    """
    chosen = records[(records.model == model) & (records.strategy == strategy)]
    table = chosen.pivot(index="seed", columns="n_labels", values=value)
    return table.columns.to_numpy(), table.to_numpy(dtype=float)


def summarise(store: RecordStore, data: GroupedDataset) -> pd.DataFrame:
    """Return a row per model and strategy: what C1 to C5 of the paper compare.

    Parameters
    ----------
    store : RecordStore
    data : GroupedDataset
        The data set that was run, for the share of disambiguating examples in it.

    Returns
    -------
    pandas.DataFrame
        ``accuracy``, ``worst_group``, ``atypical``: means over seeds after the last
        round, in [0, 1]. ``atypical_share``: of the acquired examples; ``enrichment``:
        that share over the pool's. ``multiple``, ``multiple_low``, ``multiple_high``:
        labels that random sampling needs over those that the strategy needs, with a
        95 % bootstrap interval over seeds (nan where random sampling was not run).
        ``probe_class``, ``probe_attribute``, ``probe_mismatch``: balanced accuracy of
        linear probes.
    """
    records = store.load()
    probes = json.loads((store.folder / "probes.json").read_text())
    pool = data.disambiguating[data.split == "train"]
    rows = []
    for model in store.config.models:
        for strategy in store.config.strategies:
            chosen = records[(records.model == model) & (records.strategy == strategy)]
            if chosen.empty:
                continue
            last = chosen[chosen["round"] == chosen["round"].max()]
            acquired = np.concatenate(
                [
                    data.disambiguating[rows]
                    for rows in chosen[chosen["round"] > 0].acquired
                ]
                or [np.zeros(0, dtype=bool)]
            )
            multiple = _multiple(records, model, strategy, store)
            row = {
                "model": model,
                "strategy": strategy,
                "labels": int(last.n_labels.iloc[0]),
                "accuracy": last.accuracy.mean(),
                "worst_group": last.worst_group_accuracy.mean(),
                "atypical": last.atypical_accuracy.mean(),
                "atypical_share": acquired.mean() if len(acquired) else np.nan,
                "enrichment": enrichment(acquired, pool),
                "multiple": multiple[0],
                "multiple_low": multiple[1],
                "multiple_high": multiple[2],
            }
            for target in ("class", "attribute", "mismatch"):
                row[f"probe_{target}"] = probes[model].get(target, np.nan)
            rows.append(row)
    return pd.DataFrame(rows)


def _multiple(records, model, strategy, store) -> tuple[float, ...]:
    if BASELINE not in store.config.strategies or store.config.rounds == 0:
        return (np.nan,) * 3
    labels, values = curves(records, model, strategy)
    _, baseline = curves(records, model, BASELINE)
    return tuple(
        paired_bootstrap(
            values,
            baseline,
            lambda a, b: label_efficiency(labels, a, b),
            n_resamples=500,
            random_state=0,
        )
    )


def to_markdown(table: pd.DataFrame) -> str:
    """Return the summary as a Markdown table for people."""
    shown = pd.DataFrame(
        {
            "model": table.model,
            "strategy": table.strategy,
            "accuracy": table.accuracy.map("{:.3f}".format),
            "worst group": table.worst_group.map("{:.3f}".format),
            "atypical": table.atypical.map("{:.3f}".format),
            "atypical share": table.atypical_share.map("{:.1%}".format),
            "enrichment": table.enrichment.map("{:.1f}".format),
            "label efficiency": [
                "-"
                if np.isnan(m) or s == BASELINE
                else f"{m:.1f}x ({low:.1f}-{high:.1f})"
                for m, low, high, s in zip(
                    table.multiple,
                    table.multiple_low,
                    table.multiple_high,
                    table.strategy,
                    strict=True,
                )
            ],
            "probe class / attribute / mismatch": [
                " / ".join(f"{p:.2f}" for p in probes)
                for probes in zip(
                    table.probe_class,
                    table.probe_attribute,
                    table.probe_mismatch,
                    strict=True,
                )
            ],
        }
    )
    lines = [shown.columns.tolist(), ["---"] * shown.shape[1], *shown.values.tolist()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
