"""Colours and strokes of charts, the same on pages and in pictures.

The colours stand in ``charts.css``, light and dark; a picture has the light ones.
Strokes and letters are here, because a picture knows no style sheet.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

# Width of a line, and lengths of dashes and gaps.
_PLAIN = (2.2, ())
_STROKES: dict[str, tuple[float, tuple[float, ...]]] = {
    "s-group-balanced": (1.6, (5, 3)),
    "s-full": (1.6, (1.5, 3.5)),
    "s-pool": (1.6, (1.5, 3.5)),
}
SIZES = {"tick": 12, "axis": 12, "name": 12, "title": 14, "note": 11}
BOLD = ("name", "title")
BAND = 0.16  # opacity
# What a kind of shape is drawn in, if it has no tone of its own.
_KINDS = {"grid": "line", "title": "ink"}


def stroke(kind: str, tone: str) -> tuple[float, tuple[float, ...]]:
    """Return width and dashes of a line."""
    return (1.0, ()) if kind == "grid" else _STROKES.get(tone, _PLAIN)


@cache
def sheet(name: str) -> str:
    """Return a style sheet of the report."""
    folder = resources.files("modal_pretrain.benchmark.report")
    return folder.joinpath(name).read_text(encoding="utf-8")


@cache
def colours() -> dict[str, str]:
    """Return the light theme's colours by tone, and by the names of variables."""
    text = sheet("charts.css")
    light = text[: text.index("@media")]
    named = dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", light))
    tones = re.findall(r"^\.(s-[\w-]+) \{ --tone: var\(--(\w+)\); \}", text, re.M)
    return named | {tone: named[name] for tone, name in tones}


def colour(kind: str, tone: str) -> str:
    """Return a shape's colour in the light theme, as ``#rrggbb``."""
    return colours()[tone or _KINDS.get(kind, "soft")]
