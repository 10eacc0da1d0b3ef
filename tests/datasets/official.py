"""Pictures and tables of small trees in the layouts of published data."""

import csv
from pathlib import Path

from PIL import Image

SHARED = Path(__file__).parents[3] / "shared" / "data"


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), "green").save(path)


def write(path, rows, quoting=csv.QUOTE_MINIMAL):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=quoting, lineterminator="\n").writerows(rows)
