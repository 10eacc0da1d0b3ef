"""What a chart is made of, before it becomes an SVG element or a picture.

Every curve is placed once, as these shapes: `svg` writes them for pages, where colours
follow the theme, and `raster` paints them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from PIL import Image

Point = tuple[float, float]


class Line(NamedTuple):
    """A line through points.

    Attributes
    ----------
    points : list of (x, y)
    kind : {"grid", "line"}
    tone : str
        Name of a colour, see `style`.
    title : str
        What a pointer that rests on it is told.
    """

    points: Sequence[Point]
    kind: str
    tone: str = ""
    title: str = ""


class Band(NamedTuple):
    """A translucent area within an outline."""

    points: Sequence[Point]
    tone: str


class Text(NamedTuple):
    """A line of text.

    Attributes
    ----------
    x, y : float
        Where it is anchored; y is the line that letters stand on.
    text : str
    kind : {"tick", "axis", "name", "title", "note"}
    tone : str
    anchor : {"start", "middle", "end"}
    """

    x: float
    y: float
    text: str
    kind: str
    tone: str = ""
    anchor: str = "start"


class Picture(NamedTuple):
    """A picture whose upper left corner is at (x, y)."""

    x: float
    y: float
    width: float
    height: float
    image: Image.Image


Shape = Line | Band | Text | Picture


class Drawing(NamedTuple):
    """Shapes on a sheet.

    Attributes
    ----------
    width, height : float
    title : str
        What it shows, for those who cannot see it.
    shapes : list of Shape
    """

    width: float
    height: float
    title: str
    shapes: list[Shape]


def placed(shapes: Iterable[Shape], dx: float, dy: float) -> list[Shape]:
    """Return shapes moved to the right and down."""
    moved: list[Shape] = []
    for shape in shapes:
        if isinstance(shape, Line | Band):
            points = [(x + dx, y + dy) for x, y in shape.points]
            moved.append(shape._replace(points=points))
        else:
            moved.append(shape._replace(x=shape.x + dx, y=shape.y + dy))
    return moved
