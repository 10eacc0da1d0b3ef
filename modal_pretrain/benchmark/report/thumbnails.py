"""Examples that a results folder brings, shown without trusting them.

A results folder may come from somebody else. So pictures are those that lie in its
``examples`` under the number of a row, are files and not links, can be decoded, and are
encoded anew; nothing else of the folder's gets onto a page.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

from PIL import Image

from modal_pretrain.benchmark.config import Unit
from modal_pretrain.benchmark.report.examples import SIZE, first_acquired
from modal_pretrain.benchmark.report.summary import (
    Summary,
    strategies_of,
    strategy_title,
)
from modal_pretrain.benchmark.report.svg import data_uri

N_SHOWN = 20
_LARGEST = 2048  # pixels of a side; a thumbnail has SIZE


class Example(NamedTuple):
    """One question: its group, and a text or a picture (empty if it can't be shown)."""

    group: str
    atypical: bool
    text: str
    picture: str


class Sheet(NamedTuple):
    """The first questions of one model and strategy."""

    title: str
    examples: list[Example]

    @property
    def n_atypical(self) -> int:
        """Number of atypical examples among them."""
        return sum(example.atypical for example in self.examples)


def thumbnail(s: Summary, row: Any) -> Image.Image | None:
    """Return the picture that was kept of a row.

    Parameters
    ----------
    s : Summary
    row : int or str
        A number; anything else has no picture.

    Returns
    -------
    PIL.Image.Image or None
        RGB; None if there is none that can be shown.
    """
    if not str(row).isdecimal():
        return None
    path = s.store.folder / "examples" / f"{row}.jpg"
    if path.is_symlink() or path.parent.is_symlink() or not path.is_file():
        return None
    try:
        with Image.open(path, formats=("JPEG",)) as picture:
            if max(picture.size) > _LARGEST:
                return None
            picture.thumbnail((SIZE, SIZE))
            found = picture.convert("RGB")
    except (OSError, ValueError, SyntaxError):  # what Pillow raises for damaged files
        return None
    found.info.clear()  # a comment would be written again
    return found


def sheets(s: Summary) -> list[Sheet]:
    """Return the first questions of each model and strategy, with the first seed."""
    found = []
    for model in s.store.config.models:
        for strategy in strategies_of(s.store):
            unit = Unit(model, strategy, s.store.config.seeds[0])
            if not s.store.is_finished(unit):
                continue
            rows = first_acquired(s.store, unit, N_SHOWN)
            kept = itertools.takewhile(lambda row: str(row) in s.examples, rows)
            title = f"{model}, {strategy_title(strategy)}"
            found.append(Sheet(title, [_example(s, row) for row in kept]))
    return found


def _example(s: Summary, row: int) -> Example:
    entry = s.examples[str(row)]
    text = entry.get("text", "")
    picture = None if text else thumbnail(s, row)
    return Example(
        entry["group"], entry["atypical"], text, data_uri(picture) if picture else ""
    )
