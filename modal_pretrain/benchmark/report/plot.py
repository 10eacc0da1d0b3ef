"""Line charts: curves with intervals, placed on a sheet and named at their ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from modal_pretrain.benchmark.report.shapes import Band, Drawing, Line, Shape, Text

WIDTH, HEIGHT = 400, 270
LEFT, RIGHT, TOP, BOTTOM = 44, 92, 12, 40
_CHARACTER = 7.4  # width of a bold letter of a name
_LONGEST = 28  # characters of a name
_LINE = 13.0  # least distance between two labels


class Series(NamedTuple):
    """A mean curve with its interval.

    Attributes
    ----------
    name : str
    tone : str
        A name of `style`: colour and dashes.
    x, mean, low, high : numpy.ndarray of shape (n,)
    """

    name: str
    tone: str
    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


class Level(NamedTuple):
    """A horizontal line for scale."""

    name: str
    tone: str
    y: float


def line_chart(
    series: Sequence[Series],
    levels: Sequence[Level] = (),
    *,
    title: str,
    x_label: str = "labels",
    y_range: tuple[float, float] | None = None,
) -> Drawing:
    """Draw curves with intervals, named at their ends.

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
    Drawing
    """
    low, high = y_range or needed_range(series, levels)
    x_min = min(float(s.x[0]) for s in series)
    x_max = max(float(s.x[-1]) for s in series)
    span = (x_max - x_min) or 1.0
    names = [
        shortened(name) for name in [s.name for s in series] + [v.name for v in levels]
    ]
    edge = WIDTH - max(RIGHT, 10 + _CHARACTER * max(map(len, names)))

    def px(x: float) -> float:
        return LEFT + (x - x_min) / span * (edge - LEFT)

    def py(y: float) -> float:
        y = min(max(y, low), high)
        return TOP + (high - y) / (high - low) * (HEIGHT - TOP - BOTTOM)

    def path(x: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
        return [(px(a), py(b)) for a, b in zip(x, y, strict=True)]

    shapes: list[Shape] = []
    for y in _ticks(low, high, 0.001):
        shapes.append(Line([(LEFT, py(y)), (edge, py(y))], "grid"))
        label = _percent(y, high - low)
        shapes.append(Text(LEFT - 6, py(y) + 4, label, "tick", anchor="end"))
    shapes += [
        Text(px(x), HEIGHT - BOTTOM + 16, f"{x:,.0f}", "tick", anchor="middle")
        for x in _ticks(x_min, x_max, 1.0, 4)
    ]
    middle = (LEFT + edge) / 2
    shapes.append(Text(middle, HEIGHT - 6, x_label, "axis", anchor="middle"))
    ends = []
    for level in levels:
        y = py(level.y)
        shapes.append(Line([(LEFT, y), (edge, y)], "line", level.tone))
        ends.append((y, level.name, level.tone))
    for s in series:
        outline = path(s.x, s.high) + path(s.x, s.low)[::-1]
        last = f"{s.name}: {s.mean[-1]:.3f} at {s.x[-1]:,.0f}"
        shapes.append(Band(outline, s.tone))
        shapes.append(Line(path(s.x, s.mean), "line", s.tone, last))
        ends.append((py(float(s.mean[-1])), s.name, s.tone))
    positions = spread([y for y, _, _ in ends], TOP + 4, HEIGHT - BOTTOM)
    shapes += [
        Text(edge + 6, y + 4, shortened(name), "name", tone)
        for (_, name, tone), y in zip(ends, positions, strict=True)
    ]
    return Drawing(WIDTH, HEIGHT, title, shapes)


def shortened(name: str, most: int = _LONGEST) -> str:
    """Return a name in so many characters, the end cut off."""
    return name if len(name) <= most else f"{name[: most - 3]}..."


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


def _ticks(low: float, high: float, least: float, n: int = 5) -> list[float]:
    """Return about `n` round numbers between two, `least` apart at the least.

    So round that nothing is lost where they are written down.
    """
    if high <= low:
        return [low]
    raw = (high - low) / n
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= 0.8 * raw)
    step = max(step, least)
    first = np.ceil(low / step - 1e-9)
    count = int(np.floor(high / step + 1e-9) - first) + 1
    return [float((first + i) * step) for i in range(count)]


def _percent(value: float, span: float) -> str:
    digits = 0 if span >= 0.05 else 1
    return f"{value:.{digits}%}".replace("%", " %").replace("-0 %", "0 %")
