"""iWildCam, on a small tree in the official layout."""

import numpy as np
import pytest

from modal_pretrain.datasets import (
    load_iwildcam,
)
from tests.datasets.official import write


@pytest.fixture
def iwildcam(tmp_path):
    """182 species, one in two images; camera 5 took few pictures."""
    folder = tmp_path / "iwildcam_v2.0"
    categories = [["y", "category_id", "name"]]
    categories += [[y, 2 * y, f"species, {y}"] for y in range(182)]
    categories += [[99999, 7, "start"], [99999, 9, "end"]]
    write(folder / "categories.csv", categories)
    header = (
        ",split,location_remapped,location,sequence_remapped,seq_id,y,category_id,"
        "datetime,filename,image_id"
    )
    rows = []
    for y in range(182):
        for copy, split in enumerate(
            ("train", ["val", "test", "id_val", "id_test"][y % 4])
        ):
            camera = 5 if y < 9 else 3 + copy
            rows.append(
                f"{len(rows)},{split},{camera},{camera + 40},{y},uuid-{y},{y},{2 * y},"
                f"2013-06-05 05:44:19.000,8{y:03}{copy}.jpg,8{y:03}{copy}"
            )
    (folder / "metadata.csv").write_text("\n".join([header, *rows, ""]))
    (folder / "train").mkdir()
    for row in rows:
        (folder / "train" / row.split(",")[9]).touch()
    return folder


def test_iwildcam(iwildcam):
    data = load_iwildcam(iwildcam.parent)
    assert len(data) == 364
    assert len(data.classes) == 182
    assert data.class_names[3] == "species, 3"
    assert data.X[0] == str(iwildcam / "train" / "80000.jpg")
    assert {s: int((data.split == s).sum()) for s in np.unique(data.split)} == {
        "train": 182,
        "validation": 46,
        "test": 46,
        "id_validation": 45,
        "id_test": 45,
    }
    # Camera 5 took 9 of 182 train images; camera 4 none.
    np.testing.assert_array_equal(data.disambiguating, data.attribute != 3)
    assert data.extra["day"][0] == "2013-06-05"
    assert data.extra["sequence"][-1] == 181
    seeds = data.seed_set(182, atypical=None, random_state=0)
    assert set(data.y[seeds].tolist()) == set(range(182))


def test_iwildcam_refuses(iwildcam):
    text = (iwildcam / "metadata.csv").read_text()
    (iwildcam / "metadata.csv").write_text(text.replace("id_val", "cis_val"))
    with pytest.raises(ValueError, match=r"'split' of .* holds 'cis_val' in 45 rows"):
        load_iwildcam(iwildcam)
    (iwildcam / "metadata.csv").write_text(text.replace(",181,362,", ",182,362,"))
    match = r"'y' of .* holds 182 in 2 rows, first in row 363 below"
    with pytest.raises(ValueError, match=match):
        load_iwildcam(iwildcam)
    (iwildcam / "metadata.csv").write_text(text)
    categories = iwildcam / "categories.csv"
    known = categories.read_text()
    for old, new, match in (
        ("start", "x\n3,6,again", "csv names twice 3; each species needs one name"),
        ('"species, 4"', '"species, 3"', "calls two numbers 'species, 3'"),
        ('"species, 4"', "", "has a number with no name"),
    ):
        assert old in known
        categories.write_text(known.replace(old, new))
        with pytest.raises(ValueError, match=match):
            load_iwildcam(iwildcam)


def test_iwildcam_without_dates(iwildcam):
    path = iwildcam / "metadata.csv"
    text = path.read_text()
    path.write_text(text.replace("2013-06-05 05:44:19.000,80030", ",80030"))
    with pytest.warns(UserWarning, match=r"1 of 364 rows of .* have no datetime"):
        data = load_iwildcam(iwildcam)
    assert data.extra["day"][[5, 6]].tolist() == ["2013-06-05", "unknown"]
    for other in ("6/5/2013 5:44", "nan"):  # a spreadsheet's
        path.write_text(text.replace("2013-06-05 05:44:19.000,80030", f"{other},80030"))
        with pytest.raises(ValueError, match=r"dates like .* row 7 below the header"):
            load_iwildcam(iwildcam)
