"""Where the pictures of a label file are."""

import os
from pathlib import Path

import pandas as pd
import pytest

from modal_pretrain.labelling.places import places


@pytest.mark.skipif(os.name == "nt", reason="there '..' is resolved in the text")
def test_beside_a_label_file_reached_up_from_a_link(tmp_path):
    (tmp_path / "disk" / "data").mkdir(parents=True)
    (tmp_path / "data").symlink_to(tmp_path / "disk" / "data")
    (tmp_path / "disk" / "a.png").write_text("right")
    (tmp_path / "a.png").write_text("wrong")
    folder = tmp_path / "data" / ".."
    table = pd.DataFrame({"item": ["a.png"], "label": ["x"]})
    (found,) = places(table, folder / "labels.csv", folder)
    assert Path(found).read_text() == "right"
