"""Draw house.svg, the folders by what they may import: `python docs/images/house.py`.

The floors are those of the map in tests/project/test_imports.py, which is tested, so
the picture can't tell another story. A new folder needs a line in NOTES.
"""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLUE, GREEN, ORANGE, GREY = "#cfe3f7", "#d5efd9", "#fde3c0", "#e8e8e8"
NOTES = {
    "metrics": (GREY, "accuracy of groups, curves"),
    "_modalities": (GREY, "names of modalities"),
    "_decisive": (GREY, "what a fit depends on"),
    "_inputs": (GREY, "labels, numbers, weights"),
    "compat": (GREY, "repairs of modAL"),
    "backbones": (BLUE, "verified weights"),
    "images": (BLUE, "X as 8-bit RGB"),
    "cache": (BLUE, "rows by content"),
    "reweighting": (GREEN, "weights of labels"),
    "query": (ORANGE, "strategies and scores"),
    "stopping": (ORANGE, "audits, when to stop"),
    "embedding": (BLUE, "a frozen network over a source"),
    "datasets": (GREY, "loaders, groups, splits"),
    "modality": (BLUE, "the seam: what a kind of X has to say of itself"),
    "training": (GREEN, "skorch mended; what a pretrained classifier is"),
    "transformer": (BLUE, "a frozen network as a transformer"),
    "images.modality": (BLUE, "pictures"),
    "text": (BLUE, "texts: tokens, estimators"),
    "classifier": (GREEN, "PretrainedClassifier"),
    "encoder": (BLUE, "TimmEncoder"),
    "comparison": (GREY, "models side by side"),
    "benchmark": (GREY, "runs, records, report"),
    "labelling": (ORANGE, "ask, answer, undo"),
    "cli": (GREY, "modal-pretrain"),
}
WIDTH, HEIGHT, GAP, FLOOR, LINE = 1000, 54, 12, 84, "#7d8590"


def below():
    """Read the map of what may import what."""
    text = (ROOT / "tests" / "project" / "test_imports.py").read_text(encoding="utf-8")
    return ast.literal_eval(re.search(r"BELOW = (\{.*?\n\})", text, re.DOTALL)[1])


def floors(below):
    """Put each name one floor above the highest it imports from."""
    found = {}

    def floor(name):
        if name not in found:
            found[name] = 1 + max(map(floor, below[name]), default=-1)
        return found[name]

    rows = [[] for _ in range(1 + max(map(floor, below)))]
    for name in below:
        rows[floor(name)].append(name)
    return rows


def box(x, y, width, fill, title, note):
    middle = x + width / 2
    return (
        f'<rect x="{x:.0f}" y="{y}" width="{width:.0f}" height="{HEIGHT}" rx="7" '
        f'fill="{fill}" stroke="{LINE}"/>'
        f'<text x="{middle:.0f}" y="{y + 23}" font-size="15" font-weight="600">{title}'
        f'</text><text x="{middle:.0f}" y="{y + 41}" font-size="11" fill="#444">{note}'
        "</text>"
    )


def draw():
    """Give the picture as SVG."""
    parts, y = [], 0
    rows = floors(below())
    shared = [name for name in rows[0] if name.startswith("_")]
    for row in reversed(rows):
        boxes = [
            (name, *NOTES[name])
            for name in row
            if not name.endswith("__") and name not in shared
        ]
        if row is rows[0]:
            boxes.insert(0, (", ".join(shared), GREY, "rules that all keep to"))
        if not boxes:
            continue
        # Room in proportion to what is written in it.
        room = [max(len(title) * 1.36, len(note)) + 4 for title, _, note in boxes]
        free = WIDTH - 2 - GAP * (len(boxes) - 1)
        widths = [min(free * size / sum(room), 460) for size in room]
        x = 1 + (free - sum(widths)) / 2
        for (title, fill, note), width in zip(boxes, widths, strict=True):
            parts.append(box(x, y + 1, width, fill, title, note))
            x += width + GAP
        y += FLOOR
        if row is not rows[0]:
            line = y - (FLOOR - HEIGHT) / 2
            parts.append(
                f'<path d="M0 {line}H{WIDTH}" stroke="{LINE}" stroke-dasharray="2 5"/>'
            )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} '
        f'{y - FLOOR + HEIGHT + 2}" font-family="system-ui, sans-serif" '
        f'text-anchor="middle" stroke-width="1.2">{"".join(parts)}</svg>\n'
    ).replace("<text ", '<text stroke="none" ')


if __name__ == "__main__":
    Path(__file__).with_name("house.svg").write_text(draw(), encoding="utf-8")
