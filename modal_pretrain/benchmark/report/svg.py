"""Drawings as SVG: text that stays text, colours that follow the page's theme.

Without a plotting package, because a report must be one page without other files,
legible on a phone and in the dark.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable

from markupsafe import Markup
from PIL import Image

from modal_pretrain.benchmark.report.shapes import (
    Band,
    Drawing,
    Line,
    Picture,
    Point,
    Shape,
)
from modal_pretrain.benchmark.report.style import BAND, BOLD, SIZES, sheet, stroke


def to_svg(drawing: Drawing, *, standalone: bool = False) -> Markup:
    """Write a drawing as an SVG element.

    Parameters
    ----------
    drawing : Drawing
    standalone : bool, default=False
        Whether it is a file of its own, with a style sheet and a background, instead
        of a part of a page.

    Returns
    -------
    markupsafe.Markup
    """
    size = f"{drawing.width:g} {drawing.height:g}"
    head = Markup(
        '<svg class="chart" viewBox="0 0 {}" role="img" aria-label="{}">'
    ).format(size, drawing.title)
    if standalone:
        head = Markup(
            '<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {}" '
            'width="{:g}" height="{:g}" role="img" aria-label="{}"><style>{}</style>'
        ).format(
            size,
            drawing.width,
            drawing.height,
            drawing.title,
            Markup(sheet("charts.css") + ".chart { background: var(--paper); }\n"),
        )
    return head + Markup("").join(map(_element, drawing.shapes)) + Markup("</svg>")


def _element(shape: Shape) -> Markup:
    if isinstance(shape, Line):
        width, dashes = stroke(shape.kind, shape.tone)
        dashed = Markup(' stroke-dasharray="{}"').format(" ".join(map(str, dashes)))
        title = Markup("<title>{}</title>").format(shape.title)
        return Markup(
            '<polyline class="{} {}" stroke-width="{:g}"{} points="{}">{}</polyline>'
        ).format(
            shape.kind,
            shape.tone,
            width,
            dashed if dashes else "",
            _points(shape.points),
            title if shape.title else "",
        )
    if isinstance(shape, Band):
        return Markup('<polygon class="band {}" opacity="{}" points="{}"/>').format(
            shape.tone, BAND, _points(shape.points)
        )
    if isinstance(shape, Picture):
        return Markup(
            '<image x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" href="{}"/>'
        ).format(shape.x, shape.y, shape.width, shape.height, data_uri(shape.image))
    return Markup(
        '<text class="{} {}" x="{:.1f}" y="{:.1f}" font-size="{}" font-weight="{}" '
        'text-anchor="{}">{}</text>'
    ).format(
        shape.kind,
        shape.tone,
        shape.x,
        shape.y,
        SIZES[shape.kind],
        600 if shape.kind in BOLD else 400,
        shape.anchor,
        shape.text,
    )


def _points(points: Iterable[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def data_uri(image: Image.Image) -> str:
    """Return a picture as a URI that holds it, encoded anew as JPEG."""
    file = io.BytesIO()
    image.convert("RGB").save(file, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
