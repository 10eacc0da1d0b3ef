"""Fixtures of this folder."""

import pytest
from PIL import Image

from tests.datasets.tables import CSV


@pytest.fixture
def table(tmp_path):
    folder = tmp_path / "pets"
    folder.mkdir()
    for name in ("a.png", "b.png", "c, d.png", "e.png", "f.png"):
        Image.new("RGB", (8, 8)).save(folder / name)
    path = folder / "metadata.csv"
    path.write_text(CSV)
    return path
