"""The data sets of the disambiguation study: a class, and an attribute that confounds.

Pictures and sentences come from a folder with roadwater, rare_subclasses and snippets
(`--data` of disambiguation_study.py); digits and shapes need none. Unless a name says
otherwise, 5 % of the training rows are atypical, and the test set is balanced.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter
from sklearn.datasets import load_digits

from modal_pretrain.datasets import make_shapes

# Which sets took part in the choice of disambiguation_sampling: the first ones, and in
# the end the second ones too. The blind ones were built after it and used once.
FIRST = (
    "roadwater 0.90",
    "roadwater 0.95",
    "roadwater 0.98",
    "rare_subclasses",
    "rare_subclasses, others rare",
    "rare_subclasses, 3 classes",
    "cat/horse on places",
    "dog/truck on places",
    "cat/dog on places",
    "4 classes on places",
    "deer/horse, grey",
    "car/truck, blurred",
    "4 classes, 4 frames",
)
SECOND = (
    "cat/horse, dark",
    "digits, colour",
    "4 digits, 4 textures",
    "shapes 2 x 2 0.90",
    "shapes 2 x 2 0.95",
    "shapes 2 x 2 0.98",
    "shapes 3 x 3 0.95",
    "shapes 4 x 4 0.95",
    "sentiment, domain",
    "sentiment, rare domains",
)
BLIND = (
    "places, vehicle",
    "cat/dog, saturated",
    "car/truck, turned",
    "deer/dog, marked",
    "horse/truck, noise",
    "3 classes, 3 tints",
    "rare_subclasses, 3 of 6 rare",
    "domain, sentiment",
)
# Anyone with the folder's first two data sets, or none, knows these by their names.
NAMED = (*FIRST[:4], *SECOND[3:6], SECOND[7])
TEXTS = ("sentiment, domain", "sentiment, rare domains", "domain, sentiment")
PICTURES = tuple(name for name in (*FIRST, *SECOND, *BLIND) if name not in TEXTS)


class Sample(NamedTuple):
    """Rows with a class, an attribute, whether they are atypical, and two splits."""

    X: Sequence[Any]
    y: np.ndarray
    attribute: np.ndarray
    atypical: np.ndarray
    train: np.ndarray
    test: np.ndarray
    text: bool = False


def thin(train, atypical, rate, seed=0):
    """Drop typical or atypical training rows until `rate` of them are typical."""
    rng = np.random.default_rng(seed)
    odd, usual = train[atypical[train]], train[~atypical[train]]
    n_odd = round(len(usual) * (1 - rate) / rate)
    if n_odd <= len(odd):
        odd = rng.choice(odd, n_odd, replace=False)
    else:
        usual = rng.choice(usual, round(len(odd) * rate / (1 - rate)), replace=False)
    return np.sort(np.r_[odd, usual])


def codes(values):
    return np.unique(values, return_inverse=True)[1]


def from_grouped(data):
    train = np.asarray(data.split) == "train"
    parts = np.flatnonzero(train), np.flatnonzero(~train)
    odd = np.asarray(data.disambiguating)
    return Sample(data.X, codes(data.y), codes(data.attribute), odd, *parts)


def confounded(pictures, draw, per_class, seed=0):
    """Give class i the attribute i in 95 % of the training rows, any in the test rows.

    `pictures` lists (training pictures, test pictures) of each class; ``draw(picture,
    attribute, rng)`` returns uint8 (96, 96, 3).
    """
    rng = np.random.default_rng(seed)
    k, rows = len(pictures), []
    for i, (train, test) in enumerate(pictures):
        some = [train[j] for j in rng.permutation(len(train))[:per_class]]
        n_odd = round(0.05 * len(some))
        odd = [(i + 1 + j % (k - 1)) % k for j in range(n_odd)]
        kinds = odd + [i] * (len(some) - n_odd)
        rows += [(p, i, a, 0) for p, a in zip(some, kinds, strict=True)]
        rows += [(p, i, j % k, 1) for j, p in enumerate(test)]
    X = np.stack([draw(picture, a, rng) for picture, _, a, _ in rows])
    y, attribute, split = np.array([row[1:] for row in rows]).T
    parts = np.flatnonzero(split == 0), np.flatnonzero(split == 1)
    return Sample(X, y, attribute, y != attribute, *parts)


class Folder:
    """The data sets read from a folder, each once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name):
        path = self.folder / name / "metadata.csv"
        with path.open(encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def column(self, name, key):
        return np.array([row[key] for row in self.read(name)])

    @cached_property
    def roadwater(self):
        names = self.column("roadwater", "img_filename")
        paths = [str(self.folder / "roadwater" / name) for name in names]
        y, a, split = (
            self.column("roadwater", key).astype(int) for key in ("y", "place", "split")
        )
        return paths, y, a, split

    def vehicles(self, rate):
        paths, y, a, split = self.roadwater
        part = thin(np.flatnonzero(split == 0), y != a, rate)
        return Sample(paths, y, a, y != a, part, np.flatnonzero(split == 2))

    def places(self):
        paths, y, a, odd, train, test = self.vehicles(0.95)[:6]
        return Sample(paths, a, y, odd, train, test)

    @cached_property
    def photographs(self):
        names = self.column("rare_subclasses", "filename")
        paths = np.array([str(self.folder / "rare_subclasses" / n) for n in names])
        train = self.column("rare_subclasses", "split") == "train"
        return paths, self.column("rare_subclasses", "subclass"), train

    def rare(self, classes, rare, n_rare=40):
        """Classes of several subclasses, some of them with `n_rare` training rows."""
        paths, subclass, train = self.photographs
        rng = np.random.default_rng(0)
        label = {name: i for i, names in enumerate(classes) for name in names.split()}
        part = []
        for name in label:
            rows = np.flatnonzero(train & (subclass == name))
            few = name in rare and len(rows) > n_rare
            part.append(rng.choice(rows, n_rare, replace=False) if few else rows)
        test = np.flatnonzero(~train & np.isin(subclass, list(label)))
        y = np.array([label.get(name, 0) for name in subclass])
        odd = np.isin(subclass, list(rare))
        return Sample(
            paths.tolist(), y, codes(subclass), odd, np.sort(np.concatenate(part)), test
        )

    def drawn(self, names, draw, per_class=700):
        paths, subclass, train = self.photographs
        pictures = [
            tuple(paths[side & (subclass == name)].tolist() for side in (train, ~train))
            for name in names.split()
        ]
        return confounded(pictures, draw, per_class)

    @cached_property
    def backgrounds(self):
        """Typical pictures of each kind of place, and of two halves of each kind."""
        paths, y, a, _ = self.roadwater
        place = self.column("roadwater", "place_filename")
        two = [[p for p, c, b in zip(paths, y, a, strict=True) if c == b == k]
               for k in (0, 1)]  # fmt: skip
        four = []
        for half in (0, 1):
            for k in (0, 1):
                names = np.unique(place[a == k])
                some = np.array_split(names, [len(names) // 2])[half]
                rows = np.flatnonzero(np.isin(place, some) & (y == k))
                four.append([paths[i] for i in rows])
        return {2: two, 4: four}

    def on_place(self, n_kinds, path, kind, rng):
        pictures = self.backgrounds[n_kinds][kind]
        scene = Image.open(pictures[rng.integers(len(pictures))]).convert("RGB")
        if rng.random() < 0.5:
            scene = scene.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        thing = enlarged(path, 72)
        scene.paste(thing, tuple(int(v) for v in rng.integers(10, 46, 2)))
        return np.asarray(scene.resize((96, 96), Image.Resampling.BICUBIC))

    @cached_property
    def sentences(self):
        text, target, domain = (
            self.column("snippets", key) for key in ("text", "target", "domain")
        )
        rare = self.column("snippets", "rare") == "1"
        train = self.column("snippets", "split") == "train"
        return text.tolist(), codes(target), codes(domain), rare, train

    def rare_domains(self):
        text, y, domain, rare, train = self.sentences
        parts = np.flatnonzero(train), np.flatnonzero(~train)
        return Sample(text, y, domain, rare, *parts, text=True)

    def domains(self, swap):
        text, y, domain, rare, train = self.sentences
        kinds = np.setdiff1d(domain, domain[rare])
        used, a = np.isin(domain, kinds), (domain == kinds[1]).astype(int)
        odd = y != a
        part = thin(np.flatnonzero(train & used), odd, 0.95)
        test = np.flatnonzero(~train & used)
        first, second = (a, y) if swap else (y, a)
        return Sample(text, first, second, odd, part, test, text=True)


def enlarged(path, size=96):
    image = Image.open(path).convert("RGB")
    return image.resize((size, size), Image.Resampling.BICUBIC)


def altered(change: Callable[[Any], Any], path, kind, rng):
    """Change the pictures of kind 1."""
    image = enlarged(path)
    return np.asarray(change(image) if kind else image)


def saturated(path, kind, rng):
    factor = 2.2 if kind else 0.35
    return np.asarray(ImageEnhance.Color(enlarged(path)).enhance(factor))


def framed(path, kind, rng):
    colour = ((200, 40, 40), (40, 180, 60), (50, 70, 210), (220, 200, 40))[kind]
    frame = Image.new("RGB", (96, 96), colour)
    frame.paste(enlarged(path, 80), (8, 8))
    return np.asarray(frame)


def tinted(path, kind, rng):
    tint = ((1.25, 0.8, 0.8), (0.8, 1.2, 0.8), (0.8, 0.85, 1.3))[kind]
    return np.clip(np.asarray(enlarged(path)) * tint, 0, 255).astype(np.uint8)


def marked(path, kind, rng):
    x = np.array(enlarged(path))
    if kind:
        top, left = rng.integers(0, 76, 2)
        x[top : top + 18, left : left + 18] = 250
        x[top + 4 : top + 14, left + 4 : left + 14] = 20
    return x


def noisy(path, kind, rng):
    x = np.asarray(enlarged(path)).astype(float)
    if kind:
        x += rng.normal(0, 35, x.shape)
    return np.clip(x, 0, 255).astype(np.uint8)


def digits(classes, draw):
    """Handwritten digits, the rows of each class repeated up to 1,400 / n_classes."""
    found, k, pictures = load_digits(), len(classes), []
    rng = np.random.default_rng(0)
    for names in classes:
        rows = rng.permutation(np.flatnonzero(np.isin(found.target, names)))
        images = list(found.images[rows])
        test, train = images[: len(rows) // 4], images[len(rows) // 4 :]
        repeats = -(-1400 // (k * len(train)))
        pictures.append((train * repeats, test * 4))
    return confounded(pictures, draw, 10**6)


def strokes(image):
    small = Image.fromarray((image * 15.9).astype(np.uint8))
    return np.asarray(small.resize((96, 96), Image.Resampling.BICUBIC)) / 255


def coloured(image, kind, rng):
    colour = np.array(((230, 60, 50), (60, 200, 80))[kind]) + rng.normal(0, 15, 3)
    x = strokes(image)[..., None] * colour + rng.normal(0, 8, (96, 96, 3))
    return np.clip(x, 0, 255).astype(np.uint8)


def textured(image, kind, rng):
    row, column = np.mgrid[:96, :96]
    phase = rng.random() * 9
    wave = (
        lambda: np.sin(column / 3 + phase),
        lambda: np.sin(row / 3 + phase),
        lambda: np.sin((row + column) / 4 + phase),
        lambda: np.sign(np.sin(column / 5 + phase) * np.sin(row / 5 + phase)),
    )[kind]()
    x = strokes(image)
    ground = 90 + 45 * wave + rng.normal(0, 10, (96, 96))
    grey = np.clip(ground * (1 - x) + 235 * x, 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def samples(
    folder: Path | None, names: Sequence[str]
) -> Iterator[tuple[str, Callable[[], Sample]]]:
    """Give what builds these data sets; those of the folder only if there is one."""
    makers = dict(_without_folder())
    if folder is not None:
        makers.update(_of_folder(Folder(folder)))
    for name in names:
        if name in makers:
            yield name, makers[name]


def _without_folder():
    for n_classes, rate in ((2, 0.9), (2, 0.95), (2, 0.98), (3, 0.95), (4, 0.95)):
        name = f"shapes {n_classes} x {n_classes} {rate:.2f}"
        yield name, partial(_shapes, n_classes, rate)
    yield "digits, colour", partial(digits, [[3], [8]], coloured)
    four = [[1, 7], [3], [5], [8, 9]]
    yield "4 digits, 4 textures", partial(digits, four, textured)


def _shapes(n_classes, rate):
    return from_grouped(make_shapes(n_classes=n_classes, match_rate=rate))


def _of_folder(of: Folder):
    for rate in (0.90, 0.95, 0.98):
        yield f"roadwater {rate:.2f}", partial(of.vehicles, rate)
    yield "places, vehicle", of.places
    animals, vehicles = "bird cat deer dog frog horse", "airplane automobile ship truck"
    rare = ("bird", "frog", "airplane", "ship")
    yield "rare_subclasses", partial(of.rare, (animals, vehicles), rare)
    others = ("cat dog deer horse", "automobile truck ship")
    fewer = ("cat", "horse", "truck", "ship")
    yield "rare_subclasses, others rare", partial(of.rare, others, fewer)
    three = ("cat dog frog", "deer horse bird", vehicles)
    yield "rare_subclasses, 3 classes", partial(of.rare, three, rare)
    six, half = (
        ("cat dog deer horse", "automobile truck"),
        ("dog", "deer", "automobile"),
    )
    yield "rare_subclasses, 3 of 6 rare", partial(of.rare, six, half)
    four = "cat truck horse automobile"
    for names in ("cat horse", "dog truck", "cat dog"):
        name = names.replace(" ", "/") + " on places"
        yield name, partial(of.drawn, names, partial(of.on_place, 2))
    on_four = partial(of.on_place, 4)
    yield "4 classes on places", partial(of.drawn, four, on_four, per_class=500)
    yield "4 classes, 4 frames", partial(of.drawn, four, framed, per_class=500)
    changes = {
        "deer/horse, grey": lambda image: image.convert("L").convert("RGB"),
        "car/truck, blurred": lambda image: image.filter(ImageFilter.GaussianBlur(2.5)),
        "cat/horse, dark": lambda image: ImageEnhance.Brightness(image).enhance(0.35),
        "car/truck, turned": lambda image: image.transpose(Image.Transpose.ROTATE_180),
    }
    for name, change in changes.items():
        classes = name.split(",")[0].replace("/", " ").replace("car", "automobile")
        yield name, partial(of.drawn, classes, partial(altered, change))
    yield "cat/dog, saturated", partial(of.drawn, "cat dog", saturated)
    yield "deer/dog, marked", partial(of.drawn, "deer dog", marked)
    yield "horse/truck, noise", partial(of.drawn, "horse truck", noisy)
    tints = partial(of.drawn, "dog deer truck", tinted, per_class=600)
    yield "3 classes, 3 tints", tints
    yield "sentiment, rare domains", of.rare_domains
    yield "sentiment, domain", partial(of.domains, swap=False)
    yield "domain, sentiment", partial(of.domains, swap=True)
