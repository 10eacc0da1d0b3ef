"""Red squares and blue circles: an ambiguous task drawn with NumPy.

If every labelled square is red and every labelled circle blue, the labels do not say
whether shape or colour is meant, and a blue square is a question. The pictures here ask
it: the class is the shape, the colour goes with it in most of the training examples,
and in the test split colour says nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from modal_pretrain._checks import is_number
from modal_pretrain.datasets._draws import (
    check_random,
    check_whole,
    even,
    matching_counts,
    shuffled,
)
from modal_pretrain.datasets._modality import holds
from modal_pretrain.datasets.grouped import GroupedDataset

SHAPES = ("square", "circle", "triangle", "star", "cross", "bar")
COLOURS = {
    "red": (0.86, 0.08, 0.10),
    "blue": (0.10, 0.20, 0.90),
    "green": (0.10, 0.70, 0.15),
    "yellow": (0.90, 0.80, 0.10),
    "magenta": (0.80, 0.10, 0.75),
    "cyan": (0.10, 0.75, 0.80),
}
_ANGLES = 1440
_BLOCK = 64
# Up to this size a shape at the upper end of the scale jitter fits into the picture.
_MAX_SIZE = 0.65


@holds("image")
def make_shapes(
    n_train: int = 1500,
    n_test: int = 600,
    *,
    n_classes: int = 2,
    image_size: int = 64,
    match_rate: float = 0.95,
    attribute_strength: float = 1.0,
    difficulty: float = 0.4,
    size: float = 0.5,
    noise: float = 0.5,
    clutter: int = 3,
    random_state: int | np.random.RandomState | None = 0,
) -> GroupedDataset:
    """Draw coloured shapes whose colour goes with the shape in the training split.

    Input: uint8 pictures, one shape each, at any place and angle on a grey texture.
    Class: the shape. Attribute: its colour. Disambiguating: colour and shape do not
    match (square-red, circle-blue, triangle-green, star-yellow, cross-magenta,
    bar-cyan). Splits: "train" and "test". Made for this package; no download, no
    licence but the package's own. Figures for the defaults are in ``docs/shapes.md``.

    Parameters
    ----------
    n_train : int, default=1500
        Training pictures, as evenly as possible over the classes; at least `n_classes`.
    n_test : int, default=600
        Test pictures, as evenly as possible over the cells of class x colour; at least
        one for each.
    n_classes : int, default=2
        Number of shapes and of colours, 2 to 6.
    image_size : int, default=64
        Height and width in pixels, at least 16.
    match_rate : float, default=0.95
        Share of the training pictures with the colour of their class, in [0, 1]:
        exactly ``round((1 - match_rate) * n_train)`` do not match, evenly over the
        other cells.
    attribute_strength : float, default=1.0
        How far the colours are apart, in [0, 1]: at 1 they are red, blue and so on, at
        0 all are the mean of them.
    difficulty : float, default=0.4
        How far the shapes are rounded towards the circle of equal area, in [0, 1]: at 0
        they have corners, at 1 all are circles.
    size : float, default=0.5
        Diameter of the circle of equal area / `image_size`, in (0, 0.65]; each shape is
        up to a fifth smaller or larger.
    noise : float, default=0.5
        Contrast of the texture and of the grain on it, in [0, 1].
    clutter : int, default=3
        Number of small grey shapes of the same kinds, drawn behind.
    random_state : int, RandomState or None, default=0
        The same number gives the same pictures. Place, angle, texture and clutter do
        not depend on `difficulty`, `attribute_strength` or `noise`.

    Returns
    -------
    GroupedDataset
        `X` of shape (n_train + n_test, image_size, image_size, 3), training pictures
        first; classes and colours are strings.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    Notes
    -----
    A shape is a radius that depends on the angle, r(t), with area pi; `difficulty` d
    turns it into r(t)^(1 - d), scaled to the same area, so that neither area nor place
    tells the class. Edges are anti-aliased by the distance to the outline.

    Examples
    --------
    >>> from modal_pretrain.datasets import make_shapes
    >>> data = make_shapes(n_train=200, n_test=40)
    >>> data.summary()
    'shapes: 2 classes x 2 colour; train 200 (5.0 % disambiguating), test 40 (50.0 %)'
    >>> data.X.shape
    (240, 64, 64, 3)
    >>> data.class_names
    ('square', 'circle')
    """
    check_whole("n_classes", n_classes, 2, len(SHAPES))
    check_whole("n_train", n_train, n_classes)
    check_whole("n_test", n_test, n_classes**2)
    check_whole("image_size", image_size, 16)
    check_whole("clutter", clutter, 0)
    for key, value in (
        ("match_rate", match_rate),
        ("attribute_strength", attribute_strength),
        ("difficulty", difficulty),
        ("noise", noise),
    ):
        if not is_number(value) or not 0 <= value <= 1:
            raise ValueError(f"{key} must be in [0, 1], got {value!r}")
    if not is_number(size) or not 0 < size <= _MAX_SIZE:
        raise ValueError(f"size must be in (0, {_MAX_SIZE}], got {size!r}")

    # A RandomState, not a Generator: its stream is frozen for good.
    rng = check_random(random_state)
    cells = [
        shuffled(rng, matching_counts(n_train, n_classes, match_rate)),
        shuffled(rng, even(n_test, n_classes**2)),
    ]
    y, colour = np.divmod(np.concatenate(cells), n_classes)
    outlines = np.stack([_outline(name, difficulty) for name in SHAPES[:n_classes]])
    # Places are drawn for the longest corner of all classes, or they would tell which.
    reach = max(_outline(name, 0.0)[0].max() for name in SHAPES[:n_classes])
    palette = np.array(list(COLOURS.values()))[:n_classes]
    # Towards their mean, not towards grey: a weak attribute must not hide the shape.
    middle = palette.mean(axis=0)
    palette = middle + attribute_strength * (palette - middle)
    X = np.empty((len(y), image_size, image_size, 3), dtype=np.uint8)
    for start in range(0, len(y), _BLOCK):
        block = slice(start, start + _BLOCK)
        X[block] = _draw(
            rng,
            outlines,
            y[block],
            palette[colour[block]],
            width=image_size,
            diameter=size * image_size,
            reach=reach,
            noise=noise,
            clutter=clutter,
        )
    return GroupedDataset(
        X,
        np.array(SHAPES)[y],
        np.array(list(COLOURS))[colour],
        np.repeat(["train", "test"], [n_train, n_test]),
        disambiguating=y != colour,
        name="shapes",
        attribute_name="colour",
        classes=SHAPES[:n_classes],
        attributes=list(COLOURS)[:n_classes],
    )


def _outline(name: str, difficulty: float) -> np.ndarray:
    """Radius at each angle, for area pi, and the cosine that makes it a distance."""
    angle = np.arange(_ANGLES) * (2 * np.pi / _ANGLES)
    if name == "circle":
        radius = np.ones(_ANGLES)
    elif name in ("square", "triangle"):
        sector = 2 * np.pi / {"square": 4, "triangle": 3}[name]
        radius = 1 / np.cos(np.mod(angle, sector) - sector / 2)
    else:
        lobes = {"star": 5, "cross": 4, "bar": 2}[name]
        radius = 1 + 0.35 * np.cos(lobes * angle)
    radius **= 1 - difficulty
    radius /= np.sqrt(np.mean(radius**2))
    around = np.log(np.concatenate([radius[-1:], radius, radius[:1]]))
    slope = (around[2:] - around[:-2]) * (_ANGLES / (4 * np.pi))
    # Rounded, so that the last bit of a library's cosine does not reach the pixels.
    return np.round([radius, 1 / np.sqrt(1 + slope**2)], 9)


def _coverage(
    dx: np.ndarray, dy: np.ndarray, radius: Any, turn: Any, outline: np.ndarray
) -> np.ndarray:
    """Share of each pixel, given relative to the centre, that a shape covers."""
    angle = np.mod(np.arctan2(dy, dx) + turn, 2 * np.pi)
    step = (angle * (_ANGLES / (2 * np.pi))).astype(np.intp) % _ANGLES
    row = np.arange(len(outline))[:, None, None]
    edge, cosine = outline[row, 0, step], outline[row, 1, step]
    outside = (np.sqrt(dx * dx + dy * dy) - radius * edge) * cosine
    return np.clip(0.5 - outside, 0, 1)


def _draw(
    rng: np.random.RandomState,
    outlines: np.ndarray,
    y: np.ndarray,
    colours: np.ndarray,
    *,
    width: int,
    diameter: float,
    reach: float,
    noise: float,
    clutter: int,
) -> np.ndarray:
    """Draw one block of pictures."""
    n = len(y)

    def draw(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, size=(n, 1, 1))

    pixel = np.arange(width) + 0.5
    texture = noise * _texture(rng, n, width)
    grey = draw(0.3, 0.7) + texture
    # Small shapes are drawn in a window of a canvas with a margin, for speed.
    margin = int(np.ceil(0.1 * width * reach)) + 1
    canvas = np.pad(grey, ((0, 0), (margin, margin), (margin, margin)))
    window = np.arange(2 * margin + 1)
    for _ in range(clutter):
        kind = rng.randint(len(outlines), size=n)
        x0, y0 = draw(0, width), draw(0, width)
        radius, turn, tone = draw(0.04, 0.1) * width, draw(0, 2 * np.pi), draw(0, 1)
        left, top = x0.astype(np.intp), y0.astype(np.intp)
        columns, rows = left + window, top + window[:, None]
        dx, dy = columns - margin + 0.5 - x0, rows - margin + 0.5 - y0
        cover = _coverage(dx, dy, radius, turn, outlines[kind])
        where = (np.arange(n)[:, None, None], rows, columns)
        canvas[where] = canvas[where] * (1 - cover) + tone * cover
    grey = canvas[:, margin:-margin, margin:-margin]

    radius = draw(0.8, 1.2) * diameter / 2
    room = np.maximum(width / 2 - radius * reach, 0)
    dx = pixel - width / 2 - draw(-1, 1) * room
    dy = pixel[:, None] - width / 2 - draw(-1, 1) * room
    cover = _coverage(dx, dy, radius, draw(0, 2 * np.pi), outlines[y])[..., None]
    # The shape has the texture and a lightness of its own, so that its colour differs.
    fill = colours[:, None, None] * (draw(0.75, 1.1) * (1 + 0.5 * texture))[..., None]
    grain = noise * 0.2 * rng.uniform(-1, 1, size=grey.shape)
    image = (grey[..., None] * (1 - cover) + fill * cover) + grain[..., None]
    return np.floor(np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def _texture(rng: np.random.RandomState, n: int, width: int) -> np.ndarray:
    """Smooth noise: random grids of three widths, interpolated, in about [-1, 1]."""
    total = np.zeros((n, width, width))
    for cells, height in ((4, 0.3), (8, 0.25), (16, 0.15)):
        grid = rng.uniform(-height, height, size=(n, cells + 1, cells + 1))
        at = (np.arange(width) + 0.5) * (cells / width)
        low = at.astype(np.intp)
        part = at - low
        part = part * part * (3 - 2 * part)
        weight = np.zeros((width, cells + 1))
        weight[np.arange(width), low] = 1 - part
        weight[np.arange(width), low + 1] = part
        total += weight @ grid @ weight.T
    return total
