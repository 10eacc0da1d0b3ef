"""The benchmark's figure: what is asked, and how many labels it takes.

Needs the extra ``report`` (matplotlib).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from modal_pretrain.benchmark.records import RecordStore
from modal_pretrain.benchmark.summary import BASELINE, curves, summarise
from modal_pretrain.datasets import GroupedDataset
from modal_pretrain.images import as_images

_COLOURS = ("#c2410c", "#0369a1", "#4d7c0f", "#7e22ce", "#0f766e", "#b91c1c")
_GREY = "#78716c"
_TITLES = {"pretrained": "Pretrained", "random-init": "Randomly initialised"}


def draw(store: RecordStore, data: GroupedDataset, path: str | Path) -> Path:
    """Draw learning curves beside example pictures and what was asked about.

    Parameters
    ----------
    store : RecordStore
    data : GroupedDataset
        The data set that was run.
    path : str or Path
        Where the figure goes; the suffix names the format.

    Returns
    -------
    Path

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "Figures need matplotlib: pip install 'modal_pretrain[report]'"
        ) from error

    config, records, table = store.config, store.load(), summarise(store, data)
    colours = {
        name: _GREY if name == BASELINE else _COLOURS[i % len(_COLOURS)]
        for i, name in enumerate(config.strategies)
    }
    n_models = len(config.models)
    figure = Figure(figsize=(4.6 + 3.9 * n_models, 4.4), dpi=150, layout="constrained")
    grid = figure.add_gridspec(1, n_models + 1, width_ratios=[1.15] + [1.25] * n_models)
    _draw_examples(figure, grid[0], data)
    first = None
    for i, model in enumerate(config.models):
        axes = figure.add_subplot(grid[i + 1], sharey=first, sharex=first)
        first = first or axes
        for name in config.strategies:
            labels, values = curves(records, model, name, "atypical_accuracy")
            _draw_curve(axes, labels, values, colours[name], name)
        title = f"{_TITLES.get(model, model)} {_backbone(config)}"
        axes.set_title(title, loc="left", fontsize=11, pad=34)
        axes.set_ylim(0, 1)
        _annotate(axes, table[table.model == model])
        axes.set_xlabel("labels")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e7e5e4", linewidth=0.8)
        if i == 0:
            axes.set_ylabel("accuracy on atypical examples")
            axes.legend(frameon=False, loc="lower right", fontsize=9)
    path = Path(path)
    figure.savefig(path)
    return path


def _backbone(config) -> str:
    return str(config.estimator_params.get("backbone", "EfficientNet-Lite0"))


def _draw_curve(axes, labels, values, colour, name) -> None:
    mean = values.mean(axis=0)
    axes.plot(labels, mean, color=colour, linewidth=2.2, label=name)
    if len(values) > 1:
        error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
        axes.fill_between(
            labels, mean - error, mean + error, color=colour, alpha=0.18, linewidth=0
        )


def _annotate(axes, table) -> None:
    """Say above the curves how far fewer labels went, and what they were spent on."""
    lines = []
    for row in table.itertuples():
        line = f"{row.strategy}: {row.atypical_share:.0%} of its questions atypical"
        if row.strategy != BASELINE and not np.isnan(row.multiple):
            line += f", {row.multiple:.1f}x label efficiency"
        lines.append(line)
    axes.text(
        0, 1.02, "\n".join(lines), transform=axes.transAxes, va="bottom", fontsize=8.5
    )


def _draw_examples(figure, cell, data: GroupedDataset) -> None:
    """Show one picture of every group of the pool, with the group's share."""
    train = np.flatnonzero(data.split == "train")
    groups = data.groups[train]
    n_attributes = len(data.attributes)
    names = data.group_names
    present = [g for g in range(len(names)) if (groups == g).any()][: 3 * n_attributes]
    columns = min(n_attributes, 4)
    rows = int(np.ceil(len(present) / columns))
    inner = cell.subgridspec(rows, columns, hspace=0.05, wspace=0.05)
    for i, group in enumerate(present):
        axes = figure.add_subplot(inner[divmod(i, columns)])
        row = train[groups == group][0]
        axes.imshow(as_images(data.X[[row]]).load(0))
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(
            f"{names[group]}\n{np.mean(groups == group):.1%} of the pool", fontsize=8.5
        )
