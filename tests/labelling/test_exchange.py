"""Labels of other tools, and for them."""

import json

import numpy as np
import pandas as pd
import pytest

from modal_pretrain.datasets import load_folder
from modal_pretrain.labelling.exchange import (
    from_label_studio,
    to_folders,
    to_label_studio,
)


@pytest.fixture
def labelled(folder, start, truth):
    session = start(folder)
    rows = [question.row for question in session.ask(12)]
    tags = ["red" if row % 2 else None for row in rows]
    session.answer(rows, [truth(row) for row in rows], tags)
    return session


def test_label_studio_there_and_back(labelled, folder, start, tmp_path):
    path = to_label_studio(labelled, tmp_path / "tasks.json")
    tasks = json.loads(path.read_text())
    first = labelled.labels().iloc[0]
    assert tasks[0]["data"]["image"] == f"/data/local-files/?d={first['item']}"
    (result, *_) = tasks[0]["annotations"][0]["result"]
    assert result["value"] == {"choices": [first["label"]]}
    other = start(folder, labels=tmp_path / "other.csv")
    assert from_label_studio(other, path) == []
    columns = ["item", "label", "tag"]
    assert other.labels()[columns].equals(labelled.labels()[columns])
    again = from_label_studio(other, path)
    assert len(again) == 12 and again[0].endswith("labelled here")
    other.undo()
    assert other.progress().labelled == 0


def test_label_studio_from_elsewhere(folder, start, tmp_path):
    """As its own exports look: uploaded files, remote storage, JSON-MIN, skips."""

    def task(image, *choices, **more):
        result = [{"type": "choices", "value": {"choices": list(choices)}}]
        annotation = {"result": result, **more}
        return {"data": {"image": image}, "annotations": [annotation]}

    tasks = [
        task("/data/upload/3/0a1b2c3d-000.png", "circle"),
        task("https://bucket.example/pictures/001.png?X=1", "square"),
        task("/data/local-files/?d=pictures/002.png", "circle"),
        {"image": "s3://bucket/003.png", "choice": "square", "id": 7},
        task("004.png", "circle", was_cancelled=True),
        task("005.png", "circle", "square"),
        task("../../../etc/passwd", "circle"),
        {"data": None},
    ]
    path = tmp_path / "export.json"
    path.write_text(json.dumps(tasks))
    session = start(folder)
    left_out = from_label_studio(session, path)
    found = session.labels()
    assert dict(zip(found["item"], found["label"], strict=True)) == {
        "000.png": "circle",
        "001.png": "square",
        "002.png": "circle",
        "003.png": "square",
    }
    assert [line.split(": ")[1] for line in left_out] == [
        "no single choice",
        "no single choice",
        "not in the pool",
        "not in the pool",
    ]


@pytest.mark.parametrize("text", ["", "{}", "[1]", '"a"'])
def test_what_is_no_export(folder, start, tmp_path, text):
    path = tmp_path / "export.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="is no"):
        from_label_studio(start(folder), path)


def test_texts_there_and_back(start, tmp_path):
    pytest.importorskip("transformers")
    from modal_pretrain import PretrainedTextClassifier

    def session(name):
        estimator = PretrainedTextClassifier(device="cpu")
        texts = ["good film", "bad film", "a/b"]
        return start(texts, None, labels=tmp_path / name, estimator=estimator)

    first = session("a.csv")
    first.ask(3)
    first.answer([0, 1, 2], ["pos", "neg", "pos"])
    path = to_label_studio(first, tmp_path / "tasks.json")
    second = session("b.csv")
    assert from_label_studio(second, path) == []
    assert second.labels()["label"].tolist() == ["pos", "neg", "pos"]
    with pytest.raises(ValueError, match="only picture files"):
        to_folders(first, tmp_path / "out")


def test_a_folder_for_each_class(labelled, tmp_path):
    target = to_folders(labelled, tmp_path / "out")
    data = load_folder(target, test_size=0)
    assert sorted(set(data.y)) == ["circle", "square"] and len(data.X) == 12
    known = labelled.labels().set_index("item")["label"]
    for path, label in zip(data.X, data.y, strict=True):
        assert known[str(path).rsplit("/", 1)[1]] == label
    with pytest.raises(ValueError, match="is not empty"):
        to_folders(labelled, target)


def test_image_folder_with_metadata(labelled, tmp_path):
    target = to_folders(labelled, tmp_path / "out", metadata=True)
    table = pd.read_csv(target / "metadata.csv")
    assert np.array_equal(table["label"], labelled.labels()["label"])
    assert all((target / name).exists() for name in table["file_name"])
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset("imagefolder", data_dir=str(target), split="train")
    assert sorted(loaded["label"]) == sorted(table["label"])


def test_classes_that_name_no_folder(folder, start, tmp_path):
    session = start(folder, classes=["../up", "ok"])
    row = session.ask()[0].row
    session.answer(row, "../up")
    with pytest.raises(ValueError, match="can't name a folder"):
        to_folders(session, tmp_path / "out")
    target = to_folders(session, tmp_path / "out", metadata=True)
    assert pd.read_csv(target / "metadata.csv")["label"].tolist() == ["../up"]
