"""The benchmark's figure: what is asked, and how many labels it takes.

Needs the extra ``report`` (matplotlib).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from modal_pretrain.benchmark.config import FULL, ORACLE
from modal_pretrain.benchmark.report.charts import interval
from modal_pretrain.benchmark.report.summary import BASELINE, Summary, curves

# Okabe and Ito's, as in the report.
_COLOURS = ("#0072b2", "#d55e00", "#007a59", "#a8497f", "#9a6700", "#5b4bb5")
_GREY = "#78716c"
MAX_EXAMPLES = 9
_TITLES = {"pretrained": "Pretrained", "random-init": "Randomly initialised"}


def draw(summary: Summary, path: str | Path) -> Path:
    """Draw learning curves beside example pictures and what was asked about.

    Parameters
    ----------
    summary : Summary
        Of data whose examples were kept; without them the pictures are left out.
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

    config, records, table = summary.store.config, summary.records, summary.table
    colours = {
        name: _GREY if name == BASELINE else _COLOURS[i % len(_COLOURS)]
        for i, name in enumerate(config.strategies)
    }
    n_models = len(config.models)
    examples = _one_of_each_group(summary)
    left = int(bool(examples))
    width = 4.6 * left + 3.9 * n_models
    figure = Figure(figsize=(width, 4.4), dpi=150, layout="constrained")
    ratios = [1.15] * left + [1.25] * n_models
    grid = figure.add_gridspec(1, n_models + left, width_ratios=ratios)
    if examples:
        _draw_examples(figure, grid[0], examples)
    first = None
    for i, model in enumerate(config.models):
        axes = figure.add_subplot(grid[i + left], sharey=first, sharex=first)
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
    mean, low, high = interval(values)
    axes.plot(labels, mean, color=colour, linewidth=2.2, label=name)
    if len(values) > 1:
        axes.fill_between(labels, low, high, color=colour, alpha=0.18, linewidth=0)


def _annotate(axes, table) -> None:
    """Say above the curves how far fewer labels went, and what they were spent on."""
    lines = []
    for row in table.itertuples():
        if row.strategy in (FULL, ORACLE):
            continue
        line = f"{row.strategy}: {row.atypical_share:.0%} of its questions atypical"
        if row.strategy != BASELINE and not np.isnan(row.multiple):
            line += f", {row.multiple:.1f}x label efficiency"
        lines.append(line)
    axes.text(
        0, 1.02, "\n".join(lines), transform=axes.transAxes, va="bottom", fontsize=8.5
    )


def _one_of_each_group(summary: Summary) -> list[tuple[str, float, Path]]:
    """Return name, share of the pool and a thumbnail of each group that was kept."""
    folder = summary.store.folder / "examples"
    if not (folder / "index.json").exists():
        return []
    train = summary.data["splits"]["train"]
    first: dict[str, Path] = {}
    for row, entry in json.loads((folder / "index.json").read_text()).items():
        path = folder / f"{row}.jpg"
        if path.exists():
            first.setdefault(entry["group"], path)
    return [
        (group, count / train["rows"], first[group])
        for group, count in train["groups"].items()
        if group in first
    ][:MAX_EXAMPLES]


def _draw_examples(figure, cell, examples: list[tuple[str, float, Path]]) -> None:
    columns = 2 if len(examples) <= 4 else 3
    rows = int(np.ceil(len(examples) / columns))
    inner = cell.subgridspec(rows, columns, hspace=0.05, wspace=0.05)
    for i, (group, share, path) in enumerate(examples):
        axes = figure.add_subplot(inner[divmod(i, columns)])
        with Image.open(path) as picture:
            axes.imshow(np.asarray(picture.convert("RGB")))
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(f"{group}\n{share:.1%} of the pool", fontsize=8.5)
