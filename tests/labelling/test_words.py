"""Classes and tags, given or grown, and their keys."""

import enum

import numpy as np
import pandas as pd
import pytest

from modal_pretrain.labelling.words import Words


@pytest.mark.parametrize(
    "word", ["", " ", "a\nb", "x" * 101, "=1+1", "@sum", "\x00", None], ids=repr
)
def test_words_that_are_none(folder, start, word):
    session = start(folder, classes=None)
    row = session.ask()[0].row
    with pytest.raises((ValueError, TypeError)):
        session.answer(row, word)
    with pytest.raises((ValueError, TypeError)):
        session.add_class(word)
    with pytest.raises((ValueError, TypeError)):
        session.answer(row, "circle", tags=[word or "=0"])
    assert session.classes == session.tags == []


def test_classes_are_given_or_grow(folder, start, tmp_path):
    session = start(folder)
    row, other = (question.row for question in session.ask(2))
    with pytest.raises(ValueError, match="Did you mean 'circle'"):
        session.answer(row, "circel")
    session.add_class("star")
    with pytest.raises(ValueError, match="there is 'star' already"):
        session.add_class("star")
    session.answer(row, "star", tags="red")
    session.close()
    again = start(folder)
    assert again.classes == ["circle", "square", "star"] and again.tags == ["red"]
    again.close()
    free = start(folder, classes=None, labels=tmp_path / "free.csv")
    free.ask(2)
    free.answer([row, other], ["cat", "dog"])
    assert free.classes == ["cat", "dog"]


def test_keys_keep_their_classes_and_tags_where_answers_are_corrected(folder, start):
    session = start(folder, classes=None)
    session.ask(4)
    for row, name in enumerate(("slip", "one", "two", "three")):
        session.ask(rows=[row])
        session.answer(row, name, f"tag of {name}")
    for row, name in ((1, "one"), (0, "two")):
        session.ask(rows=[row])
        session.answer(row, name, f"tag of {name}")
    session.close()
    again = start(folder, classes=None)
    assert again.classes == ["one", "two", "three"]
    assert again.tags == ["tag of one", "tag of two", "tag of three"]


def test_one_number_in_two_spellings_is_no_two_classes(folder, start):
    session = start(folder, ["1", "2"])
    rows = [question.row for question in session.ask(3)]
    session.answer(rows[:2], ["1", "2"])
    session.cannot_tell(rows[2])
    with pytest.raises(ValueError, match=r"'1' and '1.0' are two spellings"):
        session.add_class("1.0")
    session.close()
    # Without dtype=str, pandas writes 1.0 where some have no label.
    pd.read_csv(session.path).to_csv(session.path, index=False)
    with pytest.raises(ValueError, match=r"labels.csv, classes: '1' and '1.0'"):
        start(folder, ["1", "2"])
    free = start(folder, None)
    assert set(free.classes) == {"1.0", "2.0"}
    free.ask(rows=rows[2:])
    with pytest.raises(ValueError, match="dtype=str"):
        free.answer(rows[2], "2")
    free.answer(rows[2], "2.0")


def test_kinds_of_spaces_are_one(folder, start):
    session = start(folder, ["polar bear", "seal"])
    rows = [question.row for question in session.ask(3)]
    session.answer(rows, ["polar\u00a0bear", "polar  bear", "polar bear"])
    assert session.progress().by_class == {"polar bear": 3, "seal": 0}
    with pytest.raises(ValueError, match="there is 'polar bear' already"):
        session.add_class("polar\u202fbear")


def test_words_that_differ_in_how_they_are_typed_only(folder, start):
    with pytest.warns(UserWarning, match="classes: 'Cat' and 'cat', .* count as two"):
        session = start(folder, ["Cat", "cat", "dog"])
    with pytest.raises(ValueError, match="there is 'dog' already, from which 'DOG'"):
        session.add_class("DOG")
    rows = [question.row for question in session.ask(3)]
    session.answer(rows, ["cat", "dog", "dog"])
    session.close()
    path = session.path
    path.write_text(path.read_text().replace(",dog,", ",Dog,", 1))
    with pytest.warns(UserWarning, match="classes: 'dog' and 'Dog', .* count as two"):
        again = start(folder, ["dog", "cat"])
    assert set(again.classes) == {"dog", "cat", "Dog"}
    again.close()
    assert Words("classes", ["a", "A"]).known == ["a", "A"]  # letters may be two


class Shape(str, enum.Enum):
    CIRCLE = "circle"
    SQUARE = "square"


@pytest.mark.parametrize("classes", [list(Shape), None])
def test_members_of_an_enumeration_are_the_texts_that_they_are(folder, start, classes):
    session = start(folder, classes=classes)
    session.ask(rows=[0, 1, 2])
    session.answer(0, Shape.CIRCLE)
    session.answer([1, 2], [Shape.SQUARE, "circle"])
    assert session.classes == ["circle", "square"]
    assert session.labels()["label"].tolist() == ["circle", "square", "circle"]


@pytest.mark.parametrize("label", [b"A", np.bytes_(b"A"), bytearray(b"A")], ids=repr)
def test_bytes_are_no_label(folder, start, label):
    session = start(folder, None)
    session.ask(rows=[0])
    with pytest.raises(TypeError, match=r"labels must be a str, got .*b'A'"):
        session.answer(0, label)
    assert session.classes == []


@pytest.mark.parametrize("n", [1, 2])
def test_columns_of_a_table_are_no_labels(folder, start, n):
    session = start(folder, None)
    session.ask(rows=list(range(n)))
    table = pd.DataFrame({"label": ["a"] * n, "tag": ["b"] * n}).iloc[:, :n]
    with pytest.raises(TypeError, match=r"type DataFrame and shape .*table\[column\]"):
        session.answer(list(range(n)), table)
    with pytest.raises(TypeError, match=r"tags must be .* DataFrame"):
        session.answer(list(range(n)), "a", table)
    with pytest.raises(TypeError, match=r"value\.item\(\)"):
        session.answer(list(range(n)), np.array("a"))
    assert session.classes == []


def test_missing_tags_are_named(folder, start):
    session = start(folder, None)
    session.ask(rows=[0, 1])
    with pytest.raises(TypeError, match="tags must be a str, got <NA>"):
        session.answer([0, 1], "a", pd.Series(["x", None], dtype="string"))


def test_each_pair_that_differs_in_capitals_only_is_warned_of_once():
    words = Words("classes", None)
    with pytest.warns(UserWarning, match="'cat' and 'Cat'"):
        words.learn(["cat", "Cat"])
    with pytest.warns(UserWarning, match="'dog' and 'Dog'") as told:
        words.learn(["dog", "Dog"])
    with pytest.warns(UserWarning, match="'cat' and 'CAT'") as more:
        words.learn(["CAT"])
    assert len(told) == len(more) == 1


def test_a_table_has_no_order_of_classes():
    table = pd.DataFrame({"label": ["red", "blue"]})
    with pytest.raises(TypeError, match="classes must be a list of str"):
        Words("classes", table)
    assert Words("classes", table["label"]).known == ["red", "blue"]
