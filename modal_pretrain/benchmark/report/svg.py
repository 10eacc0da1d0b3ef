"""Line charts as SVG: text that stays text, colours that follow the page's theme.

Written by hand because a report must be one page without other files, legible on a
phone and in the dark, and made where matplotlib is not installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np

WIDTH, HEIGHT = 400, 270
LEFT, RIGHT, TOP, BOTTOM = 44, 92, 12, 40
_CHARACTER = 7.4  # width of a bold letter of a name
_LINE = 13.0  # least distance between two labels


class Series(NamedTuple):
    """A mean curve with its interval.

    Attributes
    ----------
    name : str
    style : str
        A class of the page's style sheet: colour and dashes.
    x, mean, low, high : numpy.ndarray of shape (n,)
    """

    name: str
    style: str
    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


class Level(NamedTuple):
    """A horizontal line for scale."""

    name: str
    style: str
    y: float


def line_chart(
    series: Sequence[Series],
    levels: Sequence[Level] = (),
    *,
    title: str,
    x_label: str = "labels",
    y_range: tuple[float, float] | None = None,
) -> str:
    """Return curves with intervals, named at their ends, as an SVG element.

    Parameters
    ----------
    series : sequence of Series
    levels : sequence of Level
    title : str
        What the chart shows, for those who cannot see it.
    x_label : str, default="labels"
    y_range : (float, float), optional
        By default what the curves need, within [0, 1].

    Returns
    -------
    str
    """
    low, high = y_range or needed_range(series, levels)
    x_min = min(float(s.x[0]) for s in series)
    x_max = max(float(s.x[-1]) for s in series)
    span = (x_max - x_min) or 1.0
    names = [s.name for s in series] + [level.name for level in levels]
    edge = WIDTH - max(RIGHT, 10 + _CHARACTER * max(map(len, names)))

    def px(x: float) -> float:
        return LEFT + (x - x_min) / span * (edge - LEFT)

    def py(y: float) -> float:
        y = min(max(y, low), high)
        return TOP + (high - y) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}">'
    ]
    parts += [
        f'<line class="grid" x1="{LEFT}" x2="{edge:.1f}" y1="{py(y):.1f}" '
        f'y2="{py(y):.1f}"/><text class="tick" x="{LEFT - 6}" y="{py(y) + 4:.1f}" '
        f'text-anchor="end">{_percent(y, high - low)}</text>'
        for y in _ticks(low, high)
    ]
    parts += [
        f'<text class="tick" x="{px(x):.1f}" y="{HEIGHT - BOTTOM + 16}" '
        f'text-anchor="middle">{x:,.0f}</text>'
        for x in _ticks(x_min, x_max, 4)
    ]
    middle = (LEFT + edge) / 2
    parts.append(
        f'<text class="axis" x="{middle:.1f}" y="{HEIGHT - 6}" text-anchor="middle">'
        f"{escape(x_label)}</text>"
    )
    ends = []
    for level in levels:
        y = py(level.y)
        parts.append(
            f'<line class="line {level.style}" x1="{LEFT}" x2="{edge:.1f}" '
            f'y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        ends.append((y, level.name, level.style))
    for s in series:
        upper = [f"{px(x):.1f},{py(y):.1f}" for x, y in zip(s.x, s.high, strict=True)]
        lower = [f"{px(x):.1f},{py(y):.1f}" for x, y in zip(s.x, s.low, strict=True)]
        points = [f"{px(x):.1f},{py(y):.1f}" for x, y in zip(s.x, s.mean, strict=True)]
        outline = " ".join(upper + lower[::-1])
        parts.append(f'<polygon class="band {s.style}" points="{outline}"/>')
        parts.append(
            f'<polyline class="line {s.style}" points="{" ".join(points)}">'
            f"<title>{escape(s.name)}: {s.mean[-1]:.3f} at {s.x[-1]:,.0f}</title>"
            "</polyline>"
        )
        ends.append((py(float(s.mean[-1])), s.name, s.style))
    positions = spread([y for y, _, _ in ends], TOP + 4, HEIGHT - BOTTOM)
    for (_, name, style), y in zip(ends, positions, strict=True):
        parts.append(
            f'<text class="name {style}" x="{edge + 6:.1f}" y="{y + 4:.1f}">'
            f"{escape(name)}</text>"
        )
    return "".join([*parts, "</svg>"])


def spread(wanted: Sequence[float], low: float, high: float) -> list[float]:
    """Move labels apart, as little as needed, in the order of their places.

    Parameters
    ----------
    wanted : sequence of float
        Where each label would like to be.
    low, high : float
        Where they may be.

    Returns
    -------
    list of float
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed = list(wanted)
    floor = low
    for i in order:
        placed[i] = floor = max(placed[i], floor)
        floor += _LINE
    ceiling = high
    for i in reversed(order):
        placed[i] = ceiling = min(placed[i], ceiling)
        ceiling -= _LINE
    return placed


def needed_range(
    series: Sequence[Series], levels: Sequence[Level]
) -> tuple[float, float]:
    """Return the range that curves and lines need, with a little room."""
    values = np.concatenate(
        [*(s.low for s in series), *(s.high for s in series), [v.y for v in levels]]
    )
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    pad = 0.05 * max(high - low, 0.05)
    return max(0.0, low - pad), min(1.0, high + pad) if high <= 1 else high + pad


def _ticks(low: float, high: float, n: int = 5) -> list[float]:
    """Return about `n` round numbers between two."""
    if high <= low:
        return [low]
    raw = (high - low) / n
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= 0.8 * raw)
    first = np.ceil(low / step - 1e-9)
    count = int(np.floor(high / step + 1e-9) - first) + 1
    return [float((first + i) * step) for i in range(count)]


def _percent(value: float, span: float) -> str:
    digits = 0 if span >= 0.05 else 1
    return f"{value:.{digits}%}".replace("%", " %").replace("-0 %", "0 %")
