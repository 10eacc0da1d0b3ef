"""The benchmark's figure: what is asked, and how many labels it takes."""

from __future__ import annotations

import io
import textwrap
from pathlib import Path

import numpy as np
from PIL import Image

from modal_pretrain._disk import write_whole
from modal_pretrain._identity import expanded
from modal_pretrain.benchmark.config import FULL, ORACLE
from modal_pretrain.benchmark.report.charts import curve_panel
from modal_pretrain.benchmark.report.plot import HEIGHT, WIDTH, line_chart, shortened
from modal_pretrain.benchmark.report.raster import to_image
from modal_pretrain.benchmark.report.shapes import (
    Drawing,
    Picture,
    Shape,
    Text,
    placed,
)
from modal_pretrain.benchmark.report.summary import BASELINE, Summary
from modal_pretrain.benchmark.report.svg import to_svg
from modal_pretrain.benchmark.report.thumbnails import thumbnail

MAX_EXAMPLES = 9
_TITLES = {"pretrained": "Pretrained", "random-init": "Randomly initialised"}
# Networks of runs that name none, by modality. Here, as a report needs no extra.
_DEFAULTS = {"image": "EfficientNet-Lite0", "text": "all-MiniLM-L6-v2"}
_GAP, _CAPTION, _LINE = 16.0, 34.0, 15.0
_LETTERS = 66  # of a note, above a chart
_WHAT = "Accuracy on atypical examples, by labels"


def figure_path(path: str | Path) -> Path:
    """Return where a figure goes; raise ValueError if it is no ``.png`` or ``.svg``."""
    path = expanded(path)
    if path.suffix.lower() not in (".png", ".svg"):
        raise ValueError(
            f"The figure is a picture (.png) or a drawing (.svg), got {str(path)!r}. "
            "Let the name end in one of them."
        )
    return path


def draw(summary: Summary, path: str | Path) -> Path:
    """Draw learning curves beside example pictures and what was asked about.

    Parameters
    ----------
    summary : Summary
        Of data whose examples were kept; without them the pictures are left out.
    path : str or Path
        Where the figure goes, a ``.png`` or a ``.svg``.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        If the file is neither, or cannot be written.
    """
    path = figure_path(path)
    drawing = figure(summary)
    if path.suffix.lower() == ".svg":
        svg = str(to_svg(drawing, standalone=True))
        content = svg.encode(errors="replace") + b"\n"
    else:
        file = io.BytesIO()
        to_image(drawing).save(file, "PNG", optimize=True)
        content = file.getvalue()
    try:
        write_whole(path, content)
    except OSError as error:
        raise ValueError(
            f"The figure cannot be written to {str(path)!r}: "
            f"{error.strerror or error}. Name another file."
        ) from error
    return path


def figure(summary: Summary) -> Drawing:
    """Place pictures of the groups at the left and a chart for each model beside them.

    Parameters
    ----------
    summary : Summary

    Returns
    -------
    Drawing

    Raises
    ------
    ValueError
        If no test example is atypical.
    """
    if not summary.data["splits"]["test"]["atypical"]:
        raise ValueError(
            "The figure shows accuracy on atypical examples, and the test split of "
            f"{summary.data['name']!r} has none. The report's curves show all examples."
        )
    notes = {model: _notes(summary, model) for model in summary.store.config.models}
    top = 2 * _GAP + _LINE * (1 + max(map(len, notes.values())))
    height = top + HEIGHT + _GAP
    shapes, x = _examples(summary, height)
    x += _GAP
    for model, lines in notes.items():
        panel = curve_panel(summary, model, "atypical_accuracy", _WHAT)
        if not panel.series:
            continue
        title = f"{_TITLES.get(model, model)} {_backbone(summary)}".rstrip()
        shapes.append(Text(x + 8, _GAP + 8, shortened(title, 48), "title"))
        shapes += [
            Text(x + 8, 2 * _GAP + 10 + _LINE * i, line, "note")
            for i, line in enumerate(lines)
        ]
        chart = line_chart(panel.series, panel.levels, title=_WHAT, y_range=(0, 1))
        shapes += placed(chart.shapes, x, top)
        x += WIDTH + _GAP
    return Drawing(x, height, _WHAT, shapes)


def _backbone(summary: Summary) -> str:
    """Name the network; nothing for the default one of a modality of one's own."""
    params = summary.store.config.estimator_params
    default = _DEFAULTS.get(summary.data["modality"], "")
    return str(params.get("backbone", default))


def _notes(summary: Summary, model: str) -> list[str]:
    """Say above the curves how far fewer labels went, and what they were spent on."""
    lines = [f"{_WHAT}."]
    for row in summary.table[summary.table.model == model].itertuples():
        if row.strategy in (FULL, ORACLE) or np.isnan(row.atypical_share):
            continue
        line = f"{row.strategy}: {row.atypical_share:.0%} of its questions atypical"
        if row.strategy != BASELINE and not np.isnan(row.multiple):
            line += f", {row.multiple:.1f}x label efficiency"
        lines += textwrap.wrap(line, _LETTERS)
    return lines


def _examples(summary: Summary, height: float) -> tuple[list[Shape], float]:
    """Return a picture of each group that was kept, and how wide they lie."""
    found = _one_of_each_group(summary)
    if not found:
        return [], 0.0
    columns = 2 if len(found) <= 4 else 3
    down = (height - _GAP) / -(-len(found) // columns)
    side = min(down - _CAPTION - 8, 132.0)
    across = max(side, 96.0) + _GAP
    shapes: list[Shape] = []
    for i, (group, share, image) in enumerate(found):
        x, y = _GAP + i % columns * across, _GAP + i // columns * down
        name = shortened(" ".join(group.split()), 18)
        for j, line in enumerate((name, f"{share:.1%} of the pool")):
            middle = x + side / 2
            shapes.append(
                Text(middle, y + 8 + j * _LINE, line, "note", anchor="middle")
            )
        shapes.append(Picture(x, y + _CAPTION - 4, side, side, image))
    return shapes, columns * across


def _one_of_each_group(summary: Summary) -> list[tuple[str, float, Image.Image]]:
    """Return name, share of the pool and a thumbnail of each group that was kept."""
    train = summary.data["splits"]["train"]
    first: dict[str, Image.Image] = {}
    for row, entry in summary.examples.items():
        if entry["group"] not in first and (image := thumbnail(summary, row)):
            first[entry["group"]] = image
    return [
        (group, count / train["rows"], first[group])
        for group, count in train["groups"].items()
        if group in first
    ][:MAX_EXAMPLES]
