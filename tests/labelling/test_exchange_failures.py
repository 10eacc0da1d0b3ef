"""Exports that hold what is no word, and copies that fail half way."""

import errno
import json
import shutil

import pytest
from PIL import Image

from modal_pretrain.labelling.exchange import from_label_studio, to_folders


def test_what_is_no_word_is_left_out_by_task(folder, start, tmp_path):
    long = 101 * "x"
    said = [
        ("cat", " \n"),
        ("cat", long),
        (long, "red"),
        (" ", ""),
        ("=a", ""),
        ("é", ""),
    ]
    tasks = [
        {"image": f"{row:03}.png", "choice": label, "tag": tag}
        for row, (label, tag) in enumerate(said)
    ]
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    session = start(folder, None)
    left_out = from_label_studio(session, tmp_path / "export.json")
    assert [line.partition(",")[0] for line in left_out] == [
        "task 2: tag must have 1 to 100 letters",
        "task 3: label must have 1 to 100 letters",
        "task 4: label must have 1 to 100 letters",
        "task 5: label must not begin with = + - @",
    ]
    table = session.labels()[["row", "label", "tag"]]
    assert table.to_numpy().tolist() == [[0, "cat", ""], [1, "cat", ""], [5, "é", ""]]


@pytest.mark.parametrize("metadata", [False, True])
def test_folders_are_whole_or_not_there(folder, start, tmp_path, monkeypatch, metadata):
    labelled = start(folder)
    rows = [question.row for question in labelled.ask(12)]
    labelled.answer(rows, ["circle", "square"] * 6)

    def full(source, target):
        copy(source, target)
        if len(list((tmp_path / "out").rglob("*.png"))) == 3:
            raise OSError(errno.ENOSPC, "No space left on device", str(target))

    copy = shutil.copyfile
    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left"):
        to_folders(labelled, tmp_path / "out", metadata=metadata)
    assert not (tmp_path / "out").exists()
    monkeypatch.undo()
    assert to_folders(labelled, tmp_path / "out", metadata=metadata).is_dir()


def test_long_names_end_as_they_did(start, tmp_path):
    folder = tmp_path / "/".join(["pictures", *5 * ["é" * 50]])
    folder.mkdir(parents=True)
    Image.new("RGB", (9, 9)).save(folder / "a.png")
    session = start(tmp_path / "pictures")
    session.ask(rows=[0])
    session.answer(0, "circle")
    (copied,) = (to_folders(session, tmp_path / "out") / "circle").iterdir()
    assert copied.name.endswith("é__a.png") and len(copied.name.encode()) <= 240
