"""Data that changed under a folder of records."""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from modal_pretrain.benchmark import DamagedRecords, RecordStore
from modal_pretrain.benchmark.description import (
    check_rows,
    contents,
    keep_description,
    weights,
)
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


def test_contents_of_a_frame_are_its_rows(tmp_path):
    path = tmp_path / "a.txt"
    frame = pd.DataFrame({"file": [str(path), "b"], "n": [1, 2]}, index=[7, 3])
    path.write_text("one")
    before = contents(frame)
    assert before == contents(frame.reset_index(drop=True))
    assert before != contents(frame.assign(n=[1, 3]))
    path.write_text("two")
    assert before != contents(frame)


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


def test_half_a_thumbnail_is_never_kept(small, tmp_path, monkeypatch):
    store = RecordStore(tmp_path / "out", small())
    store.create()
    data = pictures(tmp_path, 10)
    save = Image.Image.save

    def cut(image, file, *args, **kwargs):
        save(image, file, *args, **kwargs)
        if isinstance(file, Path):
            os.truncate(file, 100)
        raise KeyboardInterrupt  # or a kill, or a full disk

    monkeypatch.setattr(Image.Image, "save", cut)
    with pytest.raises(KeyboardInterrupt):
        keep_examples(store, data, 1)
    monkeypatch.undo()
    keep_examples(store, data, 1)
    for row in store.examples():
        Image.open(store.folder / "examples" / f"{row}.jpg").load()


def test_names_of_classes_that_changed(small, tmp_path):
    store = RecordStore(tmp_path / "out", small())
    store.create()
    data = pictures(tmp_path, 10)
    keep_description(store, data)
    renamed = dataclasses.replace(data, class_names=["cat", "dog"])
    with pytest.raises(ValueError, match="other data: the names of classes"):
        keep_description(store, renamed)


@pytest.mark.parametrize("which", ["class_names", "attribute_names"])
def test_names_that_change_places(which, small, tmp_path):
    """Where all groups are of one size, no count tells."""
    store = RecordStore(tmp_path / "out", small())
    store.create()
    data = dataclasses.replace(pictures(tmp_path, 10), **{which: ["one", "two"]})
    keep_description(store, data)
    keep_description(store, data)
    swapped = dataclasses.replace(data, **{which: ["two", "one"]})
    with pytest.raises(ValueError, match="other data: the names of classes"):
        keep_description(store, swapped)


@pytest.mark.parametrize("classes", [["fish", "bird"], ["bird", "fish", "worm"]])
def test_classes_in_another_order(classes, small, tmp_path):
    store = RecordStore(tmp_path / "out", small())
    store.create()
    data = pictures(tmp_path, 10)
    named = [str(name) for name in np.where(data.y == 0, "bird", "fish")]
    known, other = (
        GroupedDataset(data.X, named, data.attribute, data.split, classes=order)
        for order in (["bird", "fish"], classes)
    )
    keep_description(store, known)
    keep_description(store, known)
    # Their seed sets, or the classifier's columns, would be others.
    with pytest.raises(ValueError, match="other data: the classes, or their order"):
        keep_description(store, other)


def test_a_folder_of_a_frame_that_was_begun_when_its_columns_counted(small, tmp_path):
    store = RecordStore(tmp_path / "out", small())
    store.create()
    data = pictures(tmp_path, 10)
    data = dataclasses.replace(data, X=pd.DataFrame({"n": range(len(data.y))}))
    keep_description(store, data)
    path = store.folder / "data.json"
    known = json.loads(path.read_text())
    before = {**known, "contents": contents(["n"])}
    path.write_text(json.dumps(before))
    with pytest.raises(ValueError, match="what the rows hold"):
        keep_description(store, data)
    del before["names"]
    path.write_text(json.dumps(before))
    keep_description(store, data)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_weights_replaced_under_the_same_name(small, tmp_path, kind):
    place = tmp_path / "weights"
    if kind == "folder":
        place.mkdir()
        (place / "config.json").write_text("{}")
    file = place / "model.bin" if kind == "folder" else place
    file.write_bytes(b"one")
    key = "backbone" if kind == "folder" else "pretrained"
    data = pictures(tmp_path, 10)
    store = RecordStore(tmp_path / "out", small(estimator_params={key: str(place)}))
    store.create()
    keep_description(store, data)
    keep_description(store, data)
    if kind == "folder":  # says nothing of the network
        (place / "README.md").write_text("a word")
        (place / ".DS_Store").write_text("a mark")
        keep_description(store, data)
    file.write_bytes(b"two")
    with pytest.raises(ValueError, match="other weights: the file of weights"):
        keep_description(store, data)
    file.rename(tmp_path / "elsewhere")  # nothing to compare
    path = store.folder / "data.json"
    if kind == "file":
        keep_description(store, data)
    known = json.loads(path.read_text())
    del known["weights"]  # a folder from before they counted
    path.write_text(json.dumps(known))
    keep_description(store, data)


def test_weights_of_sentence_transformers_have_a_way_to_pool(small, tmp_path):
    config = small(estimator_params={"backbone": str(tmp_path)})
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "1_Pooling").mkdir()
    pooling = tmp_path / "1_Pooling" / "config.json"
    pooling.write_text('{"pooling_mode_cls_token": true}')
    plain = weights(config)
    (tmp_path / "modules.json").write_text("[]")
    first = weights(config)
    (tmp_path / "checkpoint-500").mkdir()  # of a training that goes on
    (tmp_path / "checkpoint-500" / "config.json").write_text("{}")
    assert weights(config) == first != plain
    pooling.write_text('{"pooling_mode_mean_tokens": true}')
    assert weights(config) != first


def test_weights_of_a_network_have_the_way_to_pool_that_lies_beside(small, tmp_path):
    network, pooling = tmp_path / "0_Transformer", tmp_path / "1_Pooling"
    config = small(estimator_params={"backbone": str(network)})
    for place in (network, pooling):
        place.mkdir()
        (place / "config.json").write_text("{}")
    (tmp_path / "modules.json").write_text("[]")
    first = weights(config)
    assert weights(config) == first
    (pooling / "config.json").write_text('{"pooling_mode_cls_token": true}')
    assert weights(config) != first
    os.symlink(network, tmp_path / "link")
    linked = small(estimator_params={"backbone": str(tmp_path / "link")})
    assert weights(linked) == weights(config)


def test_weights_are_looked_for_where_backbones_are(small, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.bin").write_bytes(b"one")
    names = [str(tmp_path), "~", f"local-dir:{tmp_path}", "Local-Dir:~"]
    found = {weights(small(estimator_params={"backbone": name})) for name in names}
    assert len(found) == 1 and None not in found
    for name in ("~nobody/model.bin", "nowhere/model.safetensors.index.json"):
        assert weights(small(estimator_params={"pretrained": name})) is None


def test_rows_of_other_data(small, tabular, tmp_path):
    """Such as records of another machine, whose data have the same names."""
    config = small(models=("pretrained",), strategies=("random",), seeds=(0,), rounds=0)
    store = RecordStore(tmp_path, config)
    store.create()
    keep_description(store, tabular)
    with store.working_on(config.units()[0]) as writer:
        names = tabular.group_names
        writer.append(
            {
                "round": 0,
                "n_labels": 4,
                "accuracy": 0.5,
                "worst_group_accuracy": 0.5,
                "atypical_accuracy": 0.5,
                "calibration_error": 0.1,
                "group_accuracy": {
                    names[g]: 0.5 for g in tabular.subset("test").groups
                },
                "acquired": [1, 2, 3, 4],
                "acquired_atypical": 1,
                "seconds": {},
            }
        )
        writer.finish()
    message = "acquired_atypical=1 for rows of which 0 are disambiguating. Delete it"
    with pytest.raises(DamagedRecords, match=message):
        check_rows(store, tabular)
