"""Records of texts whose rows moved, and label files that somebody has edited."""

import itertools
import re
import time
from pathlib import Path

import pandas as pd
import pytest

from modal_pretrain.labelling import LabelSession
from modal_pretrain.labelling.moved import rows_of
from modal_pretrain.labelling.pools import TextPool
from modal_pretrain.labelling.records import FIELDS, Record, cells_of, parse


def test_what_was_corrected_comes_back_on_no_copy(start, tmp_path):
    """Of a table that grows at the top, and holds one text twice in the end."""

    def day(texts):
        return start(TextPool(texts), classes=None, labels=tmp_path / "l.csv")

    for texts, label in (
        (["ok", "x", "y"], "bad"),
        (["new", "ok", "x", "y"], "good"),
    ):
        with day(texts) as session:
            row = texts.index("ok")
            session.ask(rows=[row])
            session.answer(row, label)
    with day(["newer", "ok", "new", "ok", "x", "y"]) as session:
        assert session.labels()["label"].tolist() == ["good"]


def test_copies_of_a_text_that_move_keep_what_was_said_alike(start, tmp_path):
    def day(texts):
        return start(TextPool(texts), classes=None, labels=tmp_path / "l.csv")

    with day(["ok", "ok", "x", "ok"]) as session:
        for row in (0, 1):
            session.ask(rows=[row])
            session.answer(row, "good")
        session.ask(rows=[3])
        session.skip(3)
    with day(["new", "x", "ok", "ok", "newer", "ok"]) as session:
        assert session.labels()["label"].tolist() == ["good"] * 2


def test_rows_inserted_above_labelled_texts(start, tmp_path):
    path = tmp_path / "texts.csv"
    path.write_text("text\nfirst\nsecond\n")
    params = {"column": "text", "estimator": None}
    pytest.importorskip("transformers")
    with start(path, ["a", "b"], **params) as session:
        session.ask(rows=[1])
        session.answer(1, "a")
    path.write_text("text\nnew\nfirst\nsecond\n")
    for _ in range(2):
        with start(path, ["a", "b"], **params) as session:
            labels = session.labels().set_index("row")["label"].to_dict()
            assert labels.pop(2) == "a"
            if not labels:
                session.ask(rows=[1])
                session.answer(1, "b")
            else:
                assert labels == {1: "b"}


def test_rows_of_texts_are_what_they_hold(start, tmp_path):
    """Of a table that is sorted each day, now this way and now that."""

    def day(texts):
        return start(TextPool(texts), classes=None, labels=tmp_path / "l.csv")

    forth, back = ["a", "b", "c"], ["c", "a", "b"]
    for texts, label in ((forth, "bad"), (back, "good"), (forth, "fair")):
        with day(texts) as session:
            row = texts.index("a")
            session.ask(rows=[row])
            session.answer(row, label)
    with day(back) as session:
        assert session.labels()["label"].tolist() == ["fair"]
        assert session.undo() == [1]
        assert session.labels()["label"].tolist() == ["good"]
    with day(forth) as session:
        assert session.labels()["label"].tolist() == ["good"]


def test_what_is_away_can_be_taken_back_later(start, tmp_path):
    def day(texts):
        return start(TextPool(texts), classes=None, labels=tmp_path / "l.csv")

    with day(["a", "b"]) as session:
        session.ask(rows=[0, 1])
        session.answer([0, 1], "good")
    with day(["a", "x"]) as session:
        assert session.undo() == [0]
        assert session.undo() == []
    with day(["a", "b"]) as session:
        assert session.labels()["item"].tolist() == ["row 2"]
        assert session.undo() == [1]
        assert session.labels().empty


def test_thousands_of_equal_texts_that_moved_take_no_minutes():
    texts = ["good", "bad"] * 5000
    pool = TextPool(texts)
    records = [
        Record(row + 1, pool.names[row], text, content=pool.content(row))
        for row, text in enumerate(texts)
    ]
    began = time.monotonic()
    rows, lost = rows_of(records, TextPool(sorted(texts)))
    assert time.monotonic() - began < 8
    assert sorted(rows) == list(range(len(texts)))
    assert not lost.changed


def _texts(path, texts):
    """Begin a session on texts; say a label, a skip or an undo, in order."""
    session = LabelSession(TextPool(texts), labels=path, first=1000)

    def say(*words):
        for row, word in words:
            if word == "undo":
                session.undo()
                continue
            session.ask(rows=[row])
            session.skip([row]) if word == "skip" else session.answer([row], word)
        table = session.labels()
        assert table["item"].tolist() == [f"row {row + 1}" for row in table["row"]]
        return dict(zip(table["row"], table["label"], strict=True))

    return session, say


@pytest.mark.parametrize(
    ("said", "left", "row"),
    [
        ([(0, "cat"), (2, "skip")], ["same", "other"], 0),
        # Likewise after an answer to the copy was taken back.
        (
            [(2, "cat"), (0, "skip"), (0, "dog"), (0, "undo")],
            ["other", "same"],
            1,
        ),
    ],
)
def test_to_skip_a_copy_that_is_gone_leaves_the_label(tmp_path, said, left, row):
    path = tmp_path / "labels.csv"
    session, say = _texts(path, ["same", "other", "same"])
    with session:
        say(*said)
    session, say = _texts(path, left)
    with session:
        assert say() == {row: "cat"}
        assert say((row, "dog"), (row, "undo")) == {row: "cat"}


def test_copies_that_were_answered_at_once_and_taken_back(tmp_path):
    path = tmp_path / "labels.csv"
    session, say = _texts(path, ["same", "other", "same"])
    with session:
        say((2, "cat"))
        session.ask(rows=[0, 2])
        session.answer([0, 2], "dog")
        say((0, "undo"))
    session, say = _texts(path, ["same", "other"])
    with session:
        assert say() == {0: "cat"}


@pytest.mark.parametrize("last_lines_alone", [False, True])
def test_the_last_line_counts_where_the_file_was_edited(tmp_path, last_lines_alone):
    """Also where it is one of undoing, and lines before it say something else."""
    path, texts = tmp_path / "labels.csv", ["one", "other", "third"]
    session, say = _texts(path, texts)
    with session:
        said = [(0, "cat"), (0, "dog"), (0, "undo"), (1, "dog"), (1, "undo")]
        assert say(*said) == {0: "cat"}
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table.loc[2, "label"] = "cow"
    table.loc[4, ["label", "status"]] = ["owl", "labelled"]
    if last_lines_alone:
        table = table.drop_duplicates("item", keep="last")
    table.to_csv(path, index=False)
    session, say = _texts(path, texts)
    with session:
        assert say() == {0: "cow", 1: "owl"}
        assert say((0, "dog"), (0, "undo")) == {0: "cow", 1: "owl"}


def test_of_a_file_without_its_first_lines_the_rest_counts(tmp_path):
    path, texts = tmp_path / "labels.csv", ["one", "other"]
    session, say = _texts(path, texts)
    with session:
        say((0, "cat"), (0, "dog"), (0, "undo"))
    pd.read_csv(path, dtype=str).iloc[1:].to_csv(path, index=False)
    session, say = _texts(path, texts)
    with session:
        assert say() == {0: "cat"}


def test_a_line_by_hand_that_skips_takes_the_label_away(tmp_path):
    path, texts = tmp_path / "labels.csv", ["one", "other"]
    session, say = _texts(path, texts)
    with session:
        say((0, "cat"), (1, "cat"))
    with path.open("a") as file:
        file.write("3,row 1,,,skipped,,0,,\n")
    session, say = _texts(path, texts)
    with session:
        assert say() == {1: "cat"}


@pytest.mark.parametrize("pattern", [r"\d+", r"\d+e\d+"])
def test_a_hash_that_looks_like_a_number_survives_a_spreadsheet(
    start, tmp_path, pattern
):
    path = tmp_path / "l.csv"
    names = (f"ticket {i}" for i in itertools.count())
    text = next(t for t in names if re.fullmatch(pattern, TextPool([t]).content(0)))
    with start(TextPool([text]), ["a", "b"], labels=path) as session:
        session.ask(rows=[0])
        session.answer(0, "a")
    table = pd.read_csv(path, dtype=str)
    seen = pd.to_numeric(table["content"], errors="coerce")
    table["content"] = seen.map("{:.14E}".format).where(seen.notna(), table["content"])
    table.to_csv(path, index=False)
    with start(TextPool(["new", text]), ["a", "b"], labels=path) as session:
        assert session.labels()["row"].tolist() == [1]
        assert session.lost.changed == []
    # A file of before has them as they are.
    told = TextPool([text]).content(0)
    path.write_text(path.read_text().replace(f"{told}h", told))
    with start(TextPool([text]), ["a", "b"], labels=path) as session:
        assert session.labels()["row"].tolist() == [0]


@pytest.mark.parametrize("content", ["12", "1e5", "12h", "1e5hh", "earth", "h", ""])
def test_any_content_comes_back(content):
    """A pool of the user's own says what its rows hold in any words."""
    record = Record(1, "a", "x", content=content)
    rows = [FIELDS, map(str, cells_of(record))]
    _, (read,) = parse("\n".join(map(",".join, rows)).encode(), Path("l.csv"))
    assert read == record


@pytest.mark.parametrize("undone", [False, True])
def test_a_line_by_hand_is_of_what_is_there_and_of_nothing_else(tmp_path, undone):
    """Not of the text that was labelled under that name before the table was sorted."""
    path = tmp_path / "l.csv"
    with LabelSession(TextPool(["a", "b", "c"]), labels=path) as session:
        session.ask(rows=[0])
        session.answer(0, "cat")
    with path.open("a") as file:
        file.write(f"2,row 1,dog{',' * (len(FIELDS) - 3)}\n")
    sorted_anew = TextPool(["b", "c", "a"])
    if undone:
        with LabelSession(sorted_anew, labels=path) as session:
            assert session.undo() == [0]
    with LabelSession(sorted_anew, labels=path) as session:
        found = session.labels().set_index("row")["label"].to_dict()
    assert found == ({2: "cat"} if undone else {0: "dog", 2: "cat"})


@pytest.mark.parametrize("column", ["item", "label"])
def test_lines_that_a_spreadsheet_sorted_of_a_text_that_moved(tmp_path, start, column):
    """Each item has one line, so none of them says that the order is another."""
    path = tmp_path / "l.csv"
    for texts, label in ((["x", "y", "bad"], "z"), (["bad", "x", "y"], "a")):
        with start(TextPool(texts), classes=None, labels=path) as session:
            session.ask(rows=[texts.index("bad")])
            session.answer(texts.index("bad"), label)
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table.sort_values(column).to_csv(path, index=False)
    session = start(TextPool(["bad", "x", "y"]), classes=None, labels=path)
    assert session.labels()["label"].tolist() == ["a"]
    assert session.undo() == [0]
    assert session.labels()["label"].tolist() == ["z"]
