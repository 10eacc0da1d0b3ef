"""Labels of other tools, and for them."""

import json
import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

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


def test_label_studio_of_another_spelling_of_accents(folder, start, tmp_path):
    (folder / "000.png").rename(folder / "été.png")
    tasks = [{"image": "s3://bucket/e\u0301te\u0301.png", "choice": "circle"}]
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    session = start(folder)
    assert from_label_studio(session, tmp_path / "export.json") == []
    assert session.labels()["item"].tolist() == ["été.png"]


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


@pytest.mark.parametrize("name", ["sorted", "a/b", "."])
def test_copies_do_not_join_what_is_labelled(
    name, labelled, folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(folder)
    before = set(folder.rglob("*"))
    with pytest.raises(ValueError, match=r"within|not empty"):
        to_folders(labelled, name)
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(
        ValueError, match=r"within .*outside, such as .*pictures-sorted"
    ):
        to_folders(labelled, tmp_path / "link" / "new", metadata=True)
    assert set(folder.rglob("*")) == before
    assert to_folders(labelled, tmp_path / "pictures-sorted").is_dir()


def test_copies_may_lie_beside_files_of_a_list(folder, start, truth, tmp_path):
    session = start(sorted(folder.iterdir()), labels=tmp_path / "list.csv")
    row = session.ask()[0].row
    session.answer(row, truth(row))
    assert to_folders(session, folder / "sorted").is_dir()


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


def export_of(image, *choices, **more):
    """As Label Studio writes a task."""
    result = [{"type": "choices", "value": {"choices": list(choices)}, **more}]
    return {"data": {"image": image}, "annotations": [{"result": result}]}


def taken(session, tasks, path):
    """Return labels by item, and why others were not taken."""
    path.write_text(json.dumps(tasks), encoding="utf-8-sig")
    left_out = from_label_studio(session, path)
    found = session.labels()
    labels = dict(zip(found["item"], found["label"], strict=True))
    return labels, [line.split(": ", 1)[1] for line in left_out]


@pytest.fixture
def nested(tmp_path):
    for name in ("cats/1.png", "cats/a-b.png", "3.png", "x/2.png", "y/2.png"):
        path = tmp_path / "nested" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), tuple(map(ord, name[-5:-2]))).save(path)
    return tmp_path / "nested"


@pytest.mark.parametrize(
    ("address", "item"),
    [
        ("/data/local-files/?d=pets/cats/1.png", "cats/1.png"),
        ("1.png", "cats/1.png"),
        ("C:\\pets\\cats\\1.png", "cats/1.png"),
        ("/data/upload/3/0a1b2c3d-a-b.png", "cats/a-b.png"),
        ("/data/local-files/?d=dogs/1.png", None),
        ("http://host/dogs/1.png", None),
        ("/data/local-files/?d=other-3.png", None),
        ("/data/upload/3/a-b.png", None),
        ("2.png", None),
        ("http://[3.png", None),
        ("", None),
    ],
)
def test_a_task_about_another_picture_labels_none(
    nested, start, tmp_path, address, item
):
    session = start(nested)
    labels, why = taken(session, [export_of(address, "circle")], tmp_path / "e.json")
    assert labels == ({} if item is None else {item: "circle"})
    assert len(why) == (item is None)


@pytest.mark.parametrize(
    ("address", "item"),
    [
        ("/data/local-files/?d=a.png", "a.png"),  # and the end of b/a.png
        ("s3://bucket/a.png", "a.png"),
        ("/data/local-files/?d=b/a.png", "b/a.png"),
        ("/data/local-files/?d=./%3Dc.png", "./=c.png"),
        ("/data/local-files/?d=pets/=c.png", "./=c.png"),
        ("/data/local-files/?d=e.png", "b/e.png"),
        ("http://host/b/e.png?d=17", "b/e.png"),
        ("?d=e.png", None),  # no address of Label Studio's
        ("/data/local-files/?d=c.png", None),
        ("/data/local-files/?d=x=c.png", None),
    ],
)
def test_a_whole_name_is_found_before_an_end(start, tmp_path, address, item):
    names = ["a.png", "b/a.png", "=c.png", "b/=c.png", "b/e.png"]
    for number, name in enumerate(names):
        path = tmp_path / "p" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(path)
    session = start(tmp_path / "p")
    labels, why = taken(session, [export_of(address, "circle")], tmp_path / "e.json")
    assert labels == ({} if item is None else {item: "circle"})
    assert why == ([] if item else ["not in the pool"])


def test_names_with_signs_there_and_back(start, tmp_path):
    names = ["a b#1?.png", "100%20.png", "ü.png"]
    for name in names:
        (tmp_path / "p").mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (ord(name[0]), 0, 0)).save(tmp_path / "p" / name)
    first = start(tmp_path / "p", labels=tmp_path / "a.csv")
    first.ask(3)
    first.answer([0, 1, 2], ["circle", "square", "circle"])
    tasks = json.loads(to_label_studio(first, tmp_path / "t.json").read_text())
    for task in tasks:  # as other tools that know addresses only
        del task["data"]["item"]
    second = start(tmp_path / "p", labels=tmp_path / "b.csv")
    assert taken(second, tasks, tmp_path / "u.json")[1] == []
    assert second.labels()["item"].tolist() == sorted(names)


def test_answers_that_disagree_are_not_taken(folder, start, tmp_path):
    def by(*labels):
        tasks = [export_of("000.png", label) for label in labels]
        found = [task["annotations"][0] for task in tasks]
        return {"data": {"image": "000.png"}, "annotations": found}

    quality = {"type": "choices", "from_name": "quality", "value": {"choices": ["bad"]}}
    both = export_of("001.png", "circle", from_name="choice")
    both["annotations"][0]["result"].append(quality)
    unclear = export_of("002.png", "circle", from_name="shape")
    unclear["annotations"][0]["result"].append(quality)
    tasks = [
        by("circle", "square"),
        both,
        unclear,
        export_of("003.png", "circle"),
        export_of("003.png", "square"),
        export_of("004.png", "circle"),
        export_of("004.png", "circle"),
    ]
    labels, why = taken(start(folder), tasks, tmp_path / "e.json")
    assert labels == {"001.png": "circle", "004.png": "circle"}
    assert why == [
        "annotators disagree",
        "several controls, none of which is named 'choice'",
        "several tasks disagree",
    ]


@pytest.mark.parametrize(
    "annotations",
    [
        [[["circle"]], [["circle", "square"]]],  # by two annotators
        [[["circle"], ["square"]]],  # about two regions
    ],
)
def test_several_choices_are_no_label(folder, start, tmp_path, annotations):
    said = [
        {
            "result": [
                {"type": "choices", "from_name": "choice", "value": {"choices": c}}
                for c in results
            ]
        }
        for results in annotations
    ]
    task = {"data": {"image": "000.png"}, "annotations": said}
    session = start(folder)
    assert taken(session, [task], tmp_path / "e.json") == ({}, ["no single choice"])


def test_tags_that_differ_leave_the_label(folder, start, tmp_path):
    def task(name, *tags, label="circle"):
        made = export_of(name, label, from_name="choice")
        for tag in tags:
            text = {"type": "textarea", "from_name": "tag", "value": {"text": [tag]}}
            made["annotations"].append({"result": [text]})
        return made

    tasks = [
        task("000.png", "red"),
        task("000.png"),
        task("001.png", "red"),
        task("001.png", "blue"),
        task("002.png", "red", "blue"),
        task("003.png", "red", ""),
        {"image": "004.png", "choice": "square", "tag": "red"},
        {"image": "004.png", "choice": "square", "tag": ""},
        task("005.png", "red"),
        task("005.png", "red", label="square"),
    ]
    path = tmp_path / "e.json"
    path.write_text(json.dumps(tasks))
    session = start(folder, classes=None)
    assert from_label_studio(session, path) == [
        "001.png: several tags ('blue', 'red'), so its label is taken without one",
        "002.png: several tags ('blue', 'red'), so its label is taken without one",
        "005.png: several tasks disagree",
    ]
    found = session.labels().set_index("item")
    assert found["label"].tolist() == ["circle"] * 4 + ["square"]
    assert found["tag"].to_dict() == {
        "000.png": "red",
        "001.png": "",
        "002.png": "",
        "003.png": "red",
        "004.png": "red",
    }


@pytest.mark.parametrize(
    "annotations",
    [
        5,
        {"result": []},
        [{"result": None}],
        [{"result": ["x"]}],
        [{"result": [{"type": "choices", "value": ["a"]}]}],
        [{"result": [{"type": "choices", "value": {"choices": None}}]}],
        [{"result": [{"type": "choices", "value": {"choices": "circle"}}]}],
        [{"result": [{"type": "choices", "value": {"choices": [None]}}]}],
        [{"result": [{"type": "choices", "value": {"choices": [{"a": 1}]}}]}],
    ],
)
def test_odd_annotations_label_nothing(folder, start, tmp_path, annotations):
    task = {"data": {"image": "000.png"}, "annotations": annotations}
    session = start(folder, classes=None)
    assert taken(session, [task], tmp_path / "e.json") == ({}, ["no single choice"])


def test_exports_that_cannot_be_read(folder, start, tmp_path):
    session = start(folder)
    (tmp_path / "deep.json").write_text("[" * 100_000)
    os.mkfifo(tmp_path / "fifo")
    for name, words in (("deep.json", "is no JSON"), ("fifo", "is a FIFO")):
        with pytest.raises(ValueError, match=f"{name} {words}"):
            from_label_studio(session, tmp_path / name)


def test_texts_are_found_whole_or_not_at_all(start, tmp_path):
    pytest.importorskip("transformers")
    from modal_pretrain import PretrainedTextClassifier

    estimator = PretrainedTextClassifier(device="cpu")
    texts = ["good and/or", "good", "or"]
    session = start(texts, None, labels=tmp_path / "a.csv", estimator=estimator)

    def task(text, **more):
        return {**export_of("", "pos"), "data": {"text": text, **more}}

    tasks = [
        task("bad and/or"),
        task("very-good"),
        task("new", item="row 2"),
        task("or"),
    ]
    labels, why = taken(session, tasks, tmp_path / "e.json")
    assert labels == {"row 3": "pos"}
    assert why == ["not in the pool"] * 3


def test_two_pictures_never_become_one_copy(start, tmp_path):
    for number, name in enumerate(["a__b.png", "a/b.png", "A__B.png"]):
        path = tmp_path / "p" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(path)
    session = start(tmp_path / "p", classes=None)
    session.ask(3)
    session.answer([0, 1, 2], "x")
    for name, metadata in (("one", False), ("two", True)):
        target = to_folders(session, tmp_path / name, metadata=metadata)
        copies = [path.read_bytes() for path in target.rglob("*.png")]
        assert len(copies) == len(set(copies)) == 3


def test_pictures_of_hidden_folders_have_copies_that_can_be_seen(
    start, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for name in (".data/cat/1.png", "2.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
    pool = [".data/cat/1.png", "2.png"]
    session = start(pool, classes=None, labels=tmp_path / "labels.csv")
    session.ask(2)
    session.answer([0, 1], ["cat", "dog"])
    data = load_folder(to_folders(session, tmp_path / "out"), test_size=0)
    assert data.y.tolist() == ["cat", "dog"]


def test_the_control_of_json_min_has_a_name(folder, start, tmp_path):
    task = {"id": 1, "image": "000.png", "sentiment": "circle"}
    session = start(folder)
    expected = ({}, ["no 'choice', as the control must be called in JSON-MIN"])
    assert taken(session, [task], tmp_path / "e.json") == expected
