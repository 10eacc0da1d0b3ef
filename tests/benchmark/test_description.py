"""Data that changed under a folder of records."""

import json

import numpy as np
import pytest
from PIL import Image

from modal_pretrain.benchmark import RecordStore
from modal_pretrain.benchmark.description import contents, keep_description
from modal_pretrain.benchmark.report.examples import keep_examples
from modal_pretrain.datasets import GroupedDataset, make_shapes


def pictures(folder, shade):
    paths = []
    for i in range(8):
        paths.append(str(folder / f"{i}.png"))
        Image.fromarray(np.full((8, 8, 3), shade + i, np.uint8)).save(paths[-1])
    return GroupedDataset(
        X=paths,
        y=[0, 1] * 4,
        attribute=[0, 0, 1, 1] * 2,
        split=["train"] * 4 + ["test"] * 4,
    )


def test_pictures_replaced_under_the_same_names(small, tmp_path):
    store = RecordStore(tmp_path / "out", small())
    store.create()
    keep_description(store, pictures(tmp_path, 10))
    keep_description(store, pictures(tmp_path, 10))
    with pytest.raises(ValueError, match="other data: what the rows hold"):
        keep_description(store, pictures(tmp_path, 90))


def test_a_folder_from_before_contents_counted(small, tmp_path):
    store = RecordStore(tmp_path / "out", small())
    store.create()
    keep_description(store, pictures(tmp_path, 10))
    path = store.folder / "data.json"
    known = json.loads(path.read_text())
    del known["contents"]
    path.write_text(json.dumps(known))
    keep_description(store, pictures(tmp_path, 90))
    assert json.loads(path.read_text()) == known
    known["fingerprint"] = "0"
    path.write_text(json.dumps(known))
    with pytest.raises(ValueError, match="other data: rows, labels"):
        keep_description(store, pictures(tmp_path, 10))


def test_contents():
    shapes = make_shapes(20, 10, image_size=16, random_state=0).X
    other = shapes.copy()
    other[0, 0, 0] ^= 1
    assert contents(shapes) == contents(shapes.copy()) != contents(other)
    assert contents(["a text", "b"]) != contents(["a text", "c"])
    assert contents(np.array(["ab", "c"])) != contents(np.array(["a", "bc"]))
    # Floats may differ in the last bits from machine to machine.
    floats = np.linspace(0, 1, 12).reshape(4, 3)
    assert contents(floats) == contents(floats + 1e-12)
    assert contents(floats) != contents(floats[:, :2])
    many = np.arange(5000)
    assert contents(many) != contents(many + 1)


def test_names_of_groups_are_made_once(small, tmp_path, monkeypatch):
    """Data sets as iWildCam have 50,000."""
    made = []
    names = GroupedDataset.group_names.fget
    counted = property(lambda data: made.append(data) or names(data))
    monkeypatch.setattr(GroupedDataset, "group_names", counted)
    data = pictures(tmp_path, 10)
    store = RecordStore(tmp_path / "out", small())
    store.create()
    keep_description(store, data)
    keep_examples(store, data, 1)
    assert len(made) == 2
    assert len(store.description()["splits"]["test"]["groups"]) == 4
    assert len(store.examples()) == 4
