"""What is said of texts that look like something else."""

import warnings

import pytest

from modal_pretrain.text.accept import as_texts


def test_names_of_files_in_place_of_texts_are_warned_of(tmp_path):
    paths = []
    for name in ("good", "bad"):
        (tmp_path / name).mkdir()
        paths.append(str(tmp_path / name / "1.txt"))
        (tmp_path / name / "1.txt").write_text("a film", encoding="utf-8")
    with pytest.warns(UserWarning, match=r"names of files.*read_text"):
        assert as_texts(paths).texts() == paths


def test_texts_beside_the_name_of_a_file_are_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("a film", encoding="utf-8")
    (tmp_path / "good").write_text("a film", encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        as_texts(["notes.txt", "a dull film"])
        as_texts(["good"])  # a word that a file is called, too
        as_texts(["a film\0.txt", "x" * 9000 + ".txt"])


def test_texts_that_were_missing_before_they_became_strings_are_warned_of():
    texts = [str(text) for text in ["a fine film", float("nan"), "dull", float("nan")]]
    with pytest.warns(UserWarning, match=r"X holds the text 'nan' \(count: 2\)"):
        assert as_texts(texts).texts() == texts  # a word all the same
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        as_texts(["my nan baked a cake", "None", "Nan", "nano"])
