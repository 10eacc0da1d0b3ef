"""Things pasted on backgrounds that mostly go with them, as in Waterbirds."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from modal_pretrain._checks import Number
from modal_pretrain.datasets._cut_outs import background, cut_out
from modal_pretrain.datasets._draws import (
    check_random,
    check_whole,
    even,
    matching_counts,
    shuffled,
)
from modal_pretrain.datasets.grouped import GroupedDataset


def make_composites(
    foregrounds: Mapping[Any, Sequence[Any]],
    backgrounds: Mapping[Any, Sequence[Any]],
    match_rate: float = 0.95,
    *,
    n_train: int = 1500,
    n_test: int = 600,
    image_size: int = 96,
    size: tuple[float, float] = (0.4, 0.7),
    flip: bool = True,
    held_out: float = 0.3,
    attribute_name: str = "background",
    name: str = "composites",
    random_state: int | np.random.RandomState | None = 0,
) -> GroupedDataset:
    """Paste pictures of things on pictures of places, mostly of the matching kind.

    Input: uint8 pictures. Class: the kind of the thing. Attribute: the kind of the
    background. Disambiguating: they do not match; the first kind of things matches the
    first kind of backgrounds, and so on. Splits: "train" and "test", where every pair
    is as frequent as every other. This is how Waterbirds [1]_ was made. Photographs are
    turned upright, as their EXIF says.

    Parameters
    ----------
    foregrounds : mapping of label to sequence of pictures
        Cut-out things of each kind: RGBA arrays of uint8 (h, w, 4), Pillow images or
        paths of pictures with transparency, or pairs (picture, mask). The mask, an
        array, Pillow image or path, is as large as the upright picture; where the thing
        is, it is true or up to 1, or up to 255.
    backgrounds : mapping of label to sequence of pictures
        As many kinds: uint8 arrays (h, w, 3), Pillow images or paths. An array
        (n, h, w, 3) is a sequence of them.
    match_rate : float, default=0.95
        Share of the training pictures with the matching background, in [0, 1]: exactly
        ``round((1 - match_rate) * n_train)`` do not match, evenly over the other pairs.
    n_train, n_test : int, default=1500 and 600
        Number of pictures, as evenly as possible over the classes.
    image_size : int, default=96
        Height and width of the result; backgrounds are cropped to their middle square.
    size : (float, float), default=(0.4, 0.7)
        The longer side of a thing is drawn between these shares of `image_size`, up to
        1. It keeps its proportions and lies anywhere inside the picture.
    flip : bool, default=True
        Mirror things and backgrounds at random.
    held_out : float, default=0.3
        Share of the things and backgrounds of each kind that only the test split has,
        at least one; train has the rest. 0: both splits have all.
    attribute_name, name : str
        See `GroupedDataset`.
    random_state : int, RandomState or None, default=0
        The same number gives the same pictures.

    Returns
    -------
    GroupedDataset
        `X` of shape (n_train + n_test, image_size, image_size, 3), training pictures
        first.

    Raises
    ------
    ValueError
        If a parameter is out of its range, a picture is not as described, or a kind has
        too few.

    References
    ----------
    .. [1] S. Sagawa et al., Distributionally Robust Neural Networks for Group Shifts,
       ICLR 2020, arXiv:1911.08731.

    Examples
    --------
    >>> import numpy as np
    >>> from modal_pretrain.datasets import make_composites
    >>> block, ring = np.zeros((2, 9, 9, 4), np.uint8)
    >>> block[2:7, 2:7, 3] = ring[1:8, 1:8, 3] = 255
    >>> ring[3:6, 3:6, 3] = 0
    >>> noise = np.random.default_rng(0).integers(0, 256, (2, 10, 32, 32, 3), np.uint8)
    >>> data = make_composites(
    ...     {"block": [block] * 4, "ring": [ring] * 4},
    ...     {"dark": noise[0] // 2, "light": 255 - noise[1] // 2},
    ...     n_train=100, n_test=40, image_size=32,
    ... )
    >>> print(data)
    <GroupedDataset composites: 2 classes x 2 background;
    train 100 (5.0 % disambiguating), test 40 (50.0 %)>
    """
    k = len(foregrounds)
    if k != len(backgrounds) or k < 2:
        raise ValueError(
            "foregrounds and backgrounds must have the same number of kinds, at least "
            f"2, got {k} and {len(backgrounds)}"
        )
    check_whole("n_train", n_train, k)
    check_whole("n_test", n_test, k**2)
    check_whole("image_size", image_size, 8)
    Number(least=0, most=1).check("match_rate", match_rate)
    Number(least=0, below=1).check("held_out", held_out)
    smallest, largest = _sizes(size)
    rng = check_random(random_state)
    counts = [matching_counts(n_train, k, match_rate), even(n_test, k**2)]
    cells = [shuffled(rng, some) for some in counts]
    things = [_parts(rng, key, foregrounds[key], held_out) for key in foregrounds]
    places = [_parts(rng, key, backgrounds[key], held_out) for key in backgrounds]
    X = np.empty((n_train + n_test, image_size, image_size, 3), dtype=np.uint8)
    y, place = np.divmod(np.concatenate(cells), k)
    for i in range(len(X)):
        side = int(i >= n_train)
        # All is drawn first, in this order: pictures do not depend on the files.
        which, where = rng.uniform(size=2)
        share, left, top, mirror, turn = rng.uniform(size=5)
        thing = _pick(things[y[i]][side], which)
        scene = _pick(places[place[i]][side], where)
        X[i] = _paste(
            cut_out(*thing),
            _square(background(*scene), image_size),
            round((smallest + share * (largest - smallest)) * image_size),
            (left, top),
            (flip and mirror < 0.5, flip and turn < 0.5),
        )
    return GroupedDataset(
        X,
        np.array(list(foregrounds))[y],
        np.array(list(backgrounds))[place],
        np.repeat(["train", "test"], [n_train, n_test]),
        disambiguating=y != place,
        name=name,
        attribute_name=attribute_name,
        classes=list(foregrounds),
        attributes=list(backgrounds),
    )


# A picture and what to call it in a message.
_Named = tuple[Any, str]


def _parts(
    rng: np.random.RandomState, key: Any, pictures: Sequence[Any], held_out: float
) -> tuple[list[_Named], list[_Named]]:
    """Pictures of one kind for train and for test."""
    if isinstance(pictures, (str, os.PathLike, Mapping)) or not (
        hasattr(pictures, "__len__") and hasattr(pictures, "__getitem__")
    ):
        raise ValueError(
            f"{key!r} must be a list of pictures, got {pictures!r:.80} of type "
            f"{type(pictures).__name__}; of a folder it is "
            "sorted(Path(folder).glob('*.png'))"
        )
    pictures = list(pictures)
    n = len(pictures)
    if n < (1 if held_out == 0 else 2):
        raise ValueError(
            f"{key!r} has {n} pictures; with held_out={held_out} it needs at least "
            f"{1 if held_out == 0 else 2}"
        )
    named = [(pictures[i], f"picture {i} of {key!r}") for i in rng.permutation(n)]
    if held_out == 0:
        return named, named
    cut = min(max(1, round(held_out * n)), n - 1)
    return named[cut:], named[:cut]


def _sizes(size: Any) -> tuple[float, float]:
    try:
        smallest, largest = map(float, size)
    except (TypeError, ValueError):
        smallest = largest = np.nan
    if not 0 < smallest <= largest <= 1:
        raise ValueError(f"size must be two numbers in (0, 1], rising, got {size!r}")
    return smallest, largest


def _pick(pictures: list[_Named], share: float) -> _Named:
    return pictures[int(share * len(pictures))]


def _square(image: Image.Image, size: int) -> Image.Image:
    """Cut the middle square out and resize it."""
    edge = min(image.size)
    left, top = (image.width - edge) // 2, (image.height - edge) // 2
    box = (left, top, left + edge, top + edge)
    return image.resize((size, size), Image.Resampling.BICUBIC, box=box)


def _paste(
    thing: Image.Image,
    scene: Image.Image,
    longer: int,
    place: tuple[float, float],
    mirrored: tuple[bool, bool],
) -> np.ndarray:
    ratio = longer / max(thing.size)
    width, height = (max(1, round(ratio * edge)) for edge in thing.size)
    # Pillow resizes RGBA with colours weighted by alpha: no dark rim.
    thing = thing.resize((width, height), Image.Resampling.BICUBIC)
    if mirrored[0]:
        thing = thing.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if mirrored[1]:
        scene = scene.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    left = round(place[0] * (scene.width - width))
    top = round(place[1] * (scene.height - height))
    scene.paste(thing, (left, top), thing)
    return np.asarray(scene)
