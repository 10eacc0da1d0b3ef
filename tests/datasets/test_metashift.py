"""MetaShift, on small trees in the official layouts."""

import os
import pickle
from pathlib import Path

import pytest

from modal_pretrain.datasets import (
    load_metashift,
)
from tests.datasets.official import picture


def test_metashift_mixed(tmp_path):
    folder = tmp_path / "MetaShift-subpopulation-shift"
    groups = {"1": ["cat(indoor)"], "2": ["cat(outdoor)"], "3": ["dog(outdoor)"]}
    groups |= {"4": ["dog(indoor)"], "5": ["cat(indoor)"]}
    for name in ("train/cat/1", "train/cat/2", "train/dog/3"):
        picture(folder / f"{name}.jpg")
    for name in ("val_out_of_domain/dog/4", "val_out_of_domain/cat/5"):
        picture(folder / f"{name}.jpg")
    (folder / "imageID_to_group.pkl").write_bytes(pickle.dumps(groups))
    data = load_metashift(tmp_path)
    assert [Path(path).stem for path in data.X] == ["1", "2", "3", "5", "4"]
    assert data.y.tolist() == ["cat", "cat", "dog", "cat", "dog"]
    assert data.attribute.tolist() == [groups[Path(p).stem][0][4:-1] for p in data.X]
    assert data.disambiguating.tolist() == [False, True, False, False, True]
    assert data.split.tolist() == ["train"] * 3 + ["test"] * 2

    # The script makes links, which may lead nowhere.
    try:
        os.symlink(tmp_path / "gone.jpg", folder / "train" / "cat" / "5.jpg")
    except OSError:
        pytest.skip("no links here")
    with pytest.raises(FileNotFoundError, match="1 of 6 images"):
        load_metashift(folder)
    with pytest.warns(UserWarning, match="1 of 6 images"):
        assert len(load_metashift(folder, missing="drop")) == 5
    (folder / "train" / "cat" / "5.jpg").unlink()

    picture(folder / "train" / "cat" / "99.jpg")
    with pytest.raises(ValueError, match=r"place of .*99\.jpg is unknown: .*not list"):
        load_metashift(folder)
    (folder / "imageID_to_group.pkl").unlink()
    with pytest.raises(ValueError, match=r"1\.jpg is unknown: .* is missing"):
        load_metashift(folder)


def test_metashift_by_folders(tmp_path):
    picture(tmp_path / "train" / "cat" / "cat(indoor)" / "1.jpg")
    picture(tmp_path / "train" / "dog" / "dog(outdoor)" / "2.jpg")
    with pytest.raises(FileNotFoundError, match="one of the folders val_out_of_domain"):
        load_metashift(tmp_path)
    picture(tmp_path / "test" / "cat" / "cat(outdoor)" / "3.jpg")
    picture(tmp_path / "test" / "dog" / "dog(indoor)" / "4.jpg")
    data = load_metashift(tmp_path)
    assert data.disambiguating.tolist() == [False, False, True, True]
    picture(tmp_path / "test" / "dog" / "dog(shelf)" / "5.jpg")
    with pytest.raises(ValueError, match=r"in the group 'dog\(shelf\)'"):
        load_metashift(tmp_path)


def test_metashift_runs_no_code_from_the_pickle(tmp_path):
    class Attack:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "attacked"),)

    for part in ("train", "test"):
        picture(tmp_path / part / "cat" / "1.jpg")
        picture(tmp_path / part / "dog" / "2.jpg")
    (tmp_path / "imageID_to_group.pkl").write_bytes(pickle.dumps(Attack()))
    with pytest.raises(ValueError, match="wants to import"):
        load_metashift(tmp_path)
    assert not (tmp_path / "attacked").exists()


def test_metashift_that_was_copied_in_part(tmp_path):
    for name in ("train/cat/1.jpg", "train/dog/2.jpg", "test/cat/3.jpg"):
        picture(tmp_path / name)
    groups = {"1": ["dog(outdoor)", "cat(indoor)"], "2": "dog(outdoor)"}
    groups |= {"3": ["cat(outdoor)"], "4": ["dog(indoor)"]}
    table = tmp_path / "imageID_to_group.pkl"
    table.write_bytes(pickle.dumps(groups))
    with pytest.raises(FileNotFoundError, match=r"test.dog has no pictures; was every"):
        load_metashift(tmp_path)
    picture(tmp_path / "test" / "dog" / "4.jpg")
    assert load_metashift(tmp_path).disambiguating.tolist() == [False] * 2 + [True] * 2
    (tmp_path / "train" / "dog" / "2.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"train.dog has no pictures"):
        load_metashift(tmp_path)
    table.write_bytes(pickle.dumps({"1": ["cat(outdoor)", "cat(indoor)"]}))
    with pytest.raises(ValueError, match=r"'1' in the groups cat\(outdoor\) and cat"):
        load_metashift(tmp_path)


@pytest.mark.parametrize("entry", [5, {"a": 1}, [5], None, []])
def test_metashift_names_odd_groups(tmp_path, entry):
    for name in ("train/cat/1.jpg", "train/dog/2.jpg", "test/cat/3.jpg"):
        picture(tmp_path / name)
    table = tmp_path / "imageID_to_group.pkl"
    table.write_bytes(pickle.dumps({"1": entry}))
    with pytest.raises(ValueError, match=r"cat.1\.jpg (is in the group|is unknown)"):
        load_metashift(tmp_path)
