"""Drawings as pictures, painted with Pillow in the light theme's colours."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from math import hypot
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from modal_pretrain.benchmark.report.shapes import (
    Band,
    Drawing,
    Line,
    Picture,
    Point,
    Shape,
)
from modal_pretrain.benchmark.report.style import (
    BAND,
    BOLD,
    SIZES,
    colour,
    colours,
    stroke,
)

_FINER = 3  # painted that much larger and shrunk, which smooths all edges
_ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}
# Pillow finds them where systems keep fonts. Its own, the last resort, has ASCII alone.
_FONTS = {
    False: ("DejaVuSans.ttf", "Arial.ttf", "arial.ttf"),
    True: ("DejaVuSans-Bold.ttf", "Arial Bold.ttf", "arialbd.ttf"),
}


def to_image(drawing: Drawing, *, scale: int = 2) -> Image.Image:
    """Paint a drawing.

    Parameters
    ----------
    drawing : Drawing
    scale : int, default=2
        Pixels per unit of the drawing.

    Returns
    -------
    PIL.Image.Image
    """
    zoom = scale * _FINER
    size = round(drawing.width * zoom), round(drawing.height * zoom)
    image = Image.new("RGB", size, colours()["paper"])
    for shape in drawing.shapes:
        _paint(image, shape, zoom)
    return image.reduce(_FINER)


def _paint(image: Image.Image, shape: Shape, zoom: int) -> None:
    draw = ImageDraw.Draw(image)
    if isinstance(shape, Line):
        width, dashes = stroke(shape.kind, shape.tone)
        points = [(x * zoom, y * zoom) for x, y in shape.points]
        for part in _dashed(points, [d * zoom for d in dashes]):
            fill = colour(shape.kind, shape.tone)
            draw.line(part, fill, round(width * zoom), joint="curve")
    elif isinstance(shape, Band):
        mask = Image.new("L", image.size)
        points = [(x * zoom, y * zoom) for x, y in shape.points]
        ImageDraw.Draw(mask).polygon(points, fill=round(255 * BAND))
        image.paste(colour("band", shape.tone), mask=mask)
    elif isinstance(shape, Picture):
        size = round(shape.width * zoom), round(shape.height * zoom)
        place = round(shape.x * zoom), round(shape.y * zoom)
        image.paste(shape.image.convert("RGB").resize(size), place)
    else:
        draw.text(
            (shape.x * zoom, shape.y * zoom),
            shape.text,
            colour(shape.kind, shape.tone),
            _font(SIZES[shape.kind] * zoom, shape.kind in BOLD),
            anchor=_ANCHORS[shape.anchor],
        )


@cache
def _font(size: int, bold: bool) -> Any:
    for name in _FONTS[bold]:
        with contextlib.suppress(OSError):
            return ImageFont.truetype(name, size)
    return ImageFont.load_default(size)


def _dashed(points: Sequence[Point], lengths: Sequence[float]) -> list[list[Point]]:
    """Cut a line into the parts that are drawn."""
    if not lengths:
        return [list(points)]
    parts, drawn, left, turn = [[points[0]]], True, lengths[0], 0
    for (x0, y0), (x1, y1) in pairwise(points):
        length, done = hypot(x1 - x0, y1 - y0), 0.0
        while length - done > left:
            done += left
            turn = (turn + 1) % len(lengths)
            left, drawn = lengths[turn], not drawn
            cut = x0 + (x1 - x0) * done / length, y0 + (y1 - y0) * done / length
            if drawn:
                parts.append([cut])
            else:
                parts[-1].append(cut)
        left -= length - done
        if drawn:
            parts[-1].append((x1, y1))
    return parts
