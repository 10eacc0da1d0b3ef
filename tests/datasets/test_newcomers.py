"""Slips of newcomers that ran through with other labels or texts."""

import warnings

import numpy as np
import pytest
from PIL import Image

from modal_pretrain.datasets import load_csv, load_folder

HEADER = "answer,item,label,tag,status,asked,undoes,content,time\n"


def test_answers_taken_back_in_a_label_file_are_no_labels(tmp_path):
    lines = [f"{i},{i}.png,{'ab'[i % 2]},,labelled,first,0,,\n" for i in range(1, 9)]
    lines.append("9,3.png,,,open,,3,,\n")  # undone
    lines.append("10,4.png,b,,labelled,first,0,,\n")  # corrected
    path = tmp_path / "pictures-labels.csv"
    path.write_text(HEADER + "".join(lines))
    for i in range(1, 9):
        Image.new("RGB", (4, 4)).save(tmp_path / f"{i}.png")
    columns = {"image": "item", "target": "label", "test_size": 0}
    with pytest.warns(UserWarning, match="1 of 8 rows .* empty cell, in label"):
        data = load_csv(path, **columns, missing="drop")
    labels = {x[-5]: y for x, y in zip(data.X, data.y, strict=True)}
    assert labels == dict(zip("1245678", "babbaba", strict=True))
    path.write_text(HEADER + "".join(reversed(lines)))
    with pytest.raises(ValueError, match="were sorted"):
        load_csv(path, **columns, missing="drop")


def test_utf8_read_in_another_encoding_is_warned_of(tmp_path):
    path = tmp_path / "texts.csv"
    text = "t;l\nFüchse;süß\nÄpfel;sauer\nx;süß\ny;sauer\n"
    options = {"sep": ";", "encoding": "cp1252"}
    path.write_bytes(text.encode())
    with pytest.warns(UserWarning, match="seems to be UTF-8.*'FÃ¼chse' where 'Füchse'"):
        load_csv(path, text="t", target="l", read_options=options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for encoding in ("cp1252", "utf-16", "utf-8"):
            path.write_bytes(text.encode(encoding))
            options["encoding"] = encoding
            data = load_csv(path, text="t", target="l", read_options=options)
            assert set(data.y) == {"süß", "sauer"}


def test_train_and_test_taken_for_classes_are_warned_of(tmp_path):
    for part in ("train", "test"):
        for label in "ab":
            folder = tmp_path / part / label
            folder.mkdir(parents=True)
            Image.new("RGB", (4, 4)).save(folder / "1.png")
    with pytest.warns(UserWarning, match="folders 'test', 'train' .* for classes") as w:
        data = load_folder(tmp_path, split="random", test_size=0)
    assert w[0].filename == __file__
    assert np.unique(data.y).tolist() == ["test", "train"]
