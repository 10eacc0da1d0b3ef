"""What was given in the place of rows, labels or a pool is named."""

import numpy as np
import pytest

from modal_pretrain.datasets import make_shapes


def test_a_row_in_an_array_of_no_dimension(folder, start):
    session = start(folder)
    row = session.ask()[0].row
    with pytest.raises(TypeError, match=r"rows must be a whole number.*rows\.item\(\)"):
        session.answer(np.array(row), "circle")
    assert session.labels().empty


def test_rows_in_no_order_take_one_label_only(folder, start):
    session = start(folder)
    rows = {question.row for question in session.ask(2)}
    with pytest.raises(TypeError, match="rows must be a list where there are several"):
        session.answer(rows, ["circle", "square"])
    with pytest.raises(TypeError, match="rows must be a list where there are several"):
        session.answer(rows, "circle", ["red", "blue"])
    session.answer(rows, "circle")
    assert session.labels().label.tolist() == ["circle"] * 2


def test_a_question_in_the_place_of_its_row(folder, start):
    session = start(folder)
    (question,) = session.ask()
    for given in (question, [question]):
        with pytest.raises(ValueError, match=r"pass the \.row"):
            session.answer(given, "circle")
    session.answer(question.row, "circle")


def test_a_data_set_in_the_place_of_its_rows(start):
    with pytest.raises(TypeError, match=r"pass the rows to label.*\.X"):
        start(make_shapes(n_train=4, n_test=4))


def test_a_row_as_text(folder, start):
    session = start(folder)
    session.ask(rows=[1])
    with pytest.raises(
        TypeError, match=r"got '10'\. The row of a question is its \.row"
    ):
        session.answer("10", "circle")


def test_an_archive_in_the_place_of_its_folder(tmp_path, start):
    (tmp_path / "pictures.zip").write_bytes(b"PK")
    with pytest.raises(NotADirectoryError, match="is a file: name a folder"):
        start(tmp_path / "pictures.zip")
