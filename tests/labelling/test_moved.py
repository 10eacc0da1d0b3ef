"""Records and a pool whose files moved, changed, and came back."""

import os
import shutil
import time

import numpy as np
import pytest
from PIL import Image

from modal_pretrain.labelling.file_pool import FilePool
from modal_pretrain.labelling.ledger import Ledger
from modal_pretrain.labelling.moved import Lost
from modal_pretrain.labelling.records import CANNOT_TELL, OPEN, SKIPPED, Record


@pytest.fixture
def load(tmp_path):
    """Load labels (name, content, label) with a pool of names and contents."""

    def load(labels, there):
        pool = FilePool(_write(tmp_path / "pool", there), tmp_path / "pool")
        known = {text: _content(tmp_path, text) for _, text, _ in labels}
        records = [
            Record(number, name, label, content=known[text])
            if label
            else Record(number, name, status=OPEN)
            for number, (name, text, label) in enumerate(labels, start=1)
        ]
        ledger = Ledger()
        lost = ledger.load(records, pool)
        return lost, {pool.names[row]: r.label for row, r in ledger.state.items()}

    return load


def _write(folder, there):
    folder.mkdir(exist_ok=True)
    for name, text in there.items():
        (folder / name).write_text(text)
    return [folder / name for name in sorted(there)]


def _content(folder, text):
    (folder / "one.png").write_text(text)
    return FilePool([folder / "one.png"]).content(0)


def test_a_file_that_came_back_has_its_label(load):
    lost, labels = load([("a", "A", "cat"), ("a", "B", "dog")], {"a": "A"})
    assert labels == {"a": "cat"}
    assert lost == ([], [], [])


def test_what_a_file_is_called_again_goes_to_no_copy(load):
    labels = [("a", "A", "cat"), ("a", "B", "dog"), ("a", "A", "cow")]
    lost, known = load(labels, {"a": "A", "copy": "A"})
    assert known == {"a": "cow"}
    assert lost == ([], [], [])


def test_a_file_that_moved_twice_has_its_last_label(load):
    labels = [("a", "A", "cat"), ("b", "A", "dog")]
    lost, known = load(labels, {"c": "A"})
    assert known == {"c": "dog"}
    assert lost == ([], [("a", "c"), ("b", "c")], [])


def test_a_file_that_moved_and_was_labelled_anew_has_not_vanished(load):
    labels = [("a", "A", "cat"), ("b", "A", "dog")]
    lost, known = load(labels, {"b": "A"})
    assert known == {"b": "dog"}
    assert lost == ([], [("a", "b")], [])


def test_a_copy_that_is_gone_does_not_change_the_other(load):
    labels = [("a", "A", "cat"), ("b", "A", "dog"), ("a", "A", "cow")]
    lost, known = load(labels, {"b": "A"})
    assert known == {"b": "dog"}
    assert lost == (["a"], [], [])


@pytest.mark.parametrize("status", [OPEN, CANNOT_TELL])
def test_what_was_taken_away_stays_away_where_a_picture_moves_back(tmp_path, status):
    """Labelled as a, taken back or away as b, and called a again, or a copy."""
    root = tmp_path / "pool"
    pool = FilePool(_write(root, {"a": "A"}), root)
    first = Record(1, "a", "cat", content=_content(tmp_path, "A"))
    back = Record(2, "b", status=status, content=first.content)
    skipped = Record(3, "b", status=SKIPPED, content=first.content)
    back = back._replace(undoes=1 if status == OPEN else 0)
    for records in ([first, back], [first, back, skipped]):
        ledger = Ledger()
        assert ledger.load(records, pool) == ([], [("b", "a")], [])
        assert ledger.table().empty


def test_what_was_skipped_before_it_was_labelled_and_taken_back(tmp_path):
    """Labelled as a, taken back as b, and called a again."""
    root = tmp_path / "pool"
    pool = FilePool(_write(root, {"a": "A"}), root)
    first = Record(1, "a", status=SKIPPED, content=_content(tmp_path, "A"))
    label = Record(2, "a", "cat", content=first.content)
    ledger = Ledger()
    ledger.load([first, label, first._replace(answer=3, item="b", undoes=2)], pool)
    assert ledger.state[0].status == SKIPPED


def test_what_was_taken_back_of_a_copy_leaves_the_other(tmp_path):
    root = tmp_path / "pool"
    pool = FilePool(_write(root, {"a": "A"}), root)
    first = Record(1, "a", "cat", content=_content(tmp_path, "A"))
    copy = [
        first._replace(answer=2, item="b", label="dog"),
        first._replace(answer=3, item="b", label="", status=OPEN, undoes=2),
        first._replace(answer=4, item="b", label="", status=SKIPPED),
    ]
    for n in (2, 3):
        ledger = Ledger()
        assert ledger.load([first, *copy[:n]], pool) == ([], [], [])
        assert ledger.table()["label"].tolist() == ["cat"]


def test_what_was_taken_back_comes_back_on_no_copy(tmp_path):
    """Labelled as a, taken back as b, of which c is a copy that came later."""
    root = tmp_path / "pool"
    pool = FilePool(_write(root, {"b": "A", "c": "A"}), root)
    first = Record(1, "a", "cat", content=_content(tmp_path, "A"))
    back = Record(2, "b", status=OPEN, undoes=1, content=first.content)
    ledger = Ledger()
    assert ledger.load([first, back], pool) == ([], [("a", "b")], [])
    assert ledger.table().empty


def test_copies_move_in_their_order(load):
    lost, known = load([("a", "A", "cat"), ("b", "A", "dog")], {"c": "A", "d": "A"})
    assert known == {"c": "cat", "d": "dog"}
    assert lost == ([], [("a", "c"), ("b", "d")], [])


def test_what_has_no_label_has_lost_none(load):
    lost, known = load(
        [("a", "A", "cat"), ("a", "A", ""), ("b", "B", "cat"), ("b", "B", "")],
        {"a": "C", "z": "Z"},
    )
    assert known == {}
    assert lost == ([], [], [])


@pytest.mark.parametrize("status", [SKIPPED, CANNOT_TELL])
def test_a_label_is_lost_where_a_file_is_again_what_had_none(tmp_path, status):
    # Skipped, edited, labelled, and the original put back.
    pool = FilePool(_write(tmp_path / "pool", {"a": "A"}), tmp_path / "pool")
    before, edited = (_content(tmp_path, text) for text in "AB")
    ledger = Ledger()
    first = Record(1, "a", status=status, content=before)
    lost = ledger.load([first, Record(2, "a", "dog", content=edited)], pool)
    assert not ledger.labelled()
    assert lost.changed == ["a"]


def test_moved_vanished_and_changed_files_are_reported(folder, start, truth):
    session = start(folder)
    rows = [question.row for question in session.ask(4)]
    for row in rows:
        session.answer(row, truth(row))
    session.close()
    names = [f"{row:03}.png" for row in rows]
    (folder / "moved").mkdir()
    (folder / names[0]).rename(folder / "moved" / "new.png")
    (folder / names[1]).unlink()
    (folder / names[2]).write_bytes(b"something else")
    again = start(folder)
    assert again.lost.moved == [(names[0], "moved/new.png")]
    assert again.lost.vanished == [names[1]]
    assert again.lost.changed == [names[2]]
    assert sorted(again.labels()["item"]) == sorted(["moved/new.png", names[3]])
    assert again.pool.names[again.labels()["row"][0]] == "moved/new.png"


def test_a_picture_of_the_same_size_is_another_picture(tmp_path, start):
    for number in range(4):
        shade = np.full((8, 8, 3), 60 * number, np.uint8)
        Image.fromarray(shade).save(tmp_path / f"{number}.bmp")
    session = start(tmp_path, labels=tmp_path / "labels.csv")
    session.ask(4)
    session.answer([0, 1], ["circle", "square"])
    session.close()
    (tmp_path / "0.bmp").rename(tmp_path / "kept")
    (tmp_path / "1.bmp").rename(tmp_path / "0.bmp")
    (tmp_path / "kept").rename(tmp_path / "1.bmp")
    again = start(tmp_path, labels=tmp_path / "labels.csv")
    assert again.lost.moved == [("0.bmp", "1.bmp"), ("1.bmp", "0.bmp")]
    assert again.labels().set_index("item")["label"].to_dict() == {
        "0.bmp": "square",
        "1.bmp": "circle",
    }


def test_a_name_that_stands_for_something_else_now(folder, start):
    """The label goes with the picture, and what the name was given since stays, too."""
    session = start(folder)
    session.ask(rows=[0])
    session.answer(0, "circle")
    session.close()
    (folder / "000.png").rename(folder / "moved.png")
    (folder / "000.png").write_bytes((folder / "001.png").read_bytes() + b"other")
    for _ in range(2):
        session = start(folder)
        assert session.lost.moved == [("000.png", "moved.png")]
        assert session.lost.changed == session.lost.vanished == []
        labels = session.labels().set_index("item")["label"].to_dict()
        assert labels.pop("moved.png") == "circle"
        if not labels:
            session.ask(rows=[0])
            session.answer(0, "square")
        else:
            assert labels == {"000.png": "square"}
        session.close()


def test_an_answer_that_was_taken_back_keeps_no_row_from_a_label(start, folder):
    pictures = [folder / f"{number:03}.png" for number in range(2)]
    session = start(pictures, labels=folder / "l.csv")
    session.ask(rows=[0, 1])
    session.answer(0, "circle")
    session.answer(1, "square")
    session.undo()
    session.close()
    pictures[0].replace(pictures[1])
    again = start(pictures[1:], labels=folder / "l.csv")
    assert again.labels()["label"].tolist() == ["circle"]
    assert again.lost == ([], [(str(pictures[0]), str(pictures[1]))], [])


def test_a_label_file_by_hand_may_spell_paths_otherwise(folder, start):
    path = folder.with_name("own.csv")
    path.write_text(
        f"item,label\n001.png,square\n./001.png,circle\n{folder}/2.png,square\n"
    )
    (folder / "002.png").rename(folder / "2.png")
    session = start(folder, labels=path)
    found = session.labels().set_index("item")["label"].to_dict()
    assert found == {"001.png": "circle", "2.png": "square"}
    assert not any(session.lost)


def test_folders_that_swap_their_names(tmp_path, start):
    """Pictures of one size, whose files keep their times."""
    pool = tmp_path / "pool"
    for number, name in enumerate(("x", "y")):
        (pool / name).mkdir(parents=True)
        shade = np.full((8, 8, 3), 60 * number, np.uint8)
        Image.fromarray(shade).save(pool / name / "1.bmp")
    time.sleep(3.1)  # what is as old as a label is read in any case
    with start(pool) as session:
        session.ask(2)
        session.answer([0, 1], ["circle", "square"])
    (pool / "x").rename(pool / "kept")
    (pool / "y").rename(pool / "x")
    (pool / "kept").rename(pool / "y")
    again = start(pool)
    found = again.labels().set_index("item")["label"].to_dict()
    assert found == {"x/1.bmp": "square", "y/1.bmp": "circle"}


@pytest.mark.skipif(os.name == "nt", reason="there '..' is resolved in the text")
def test_folders_that_swap_names_in_one_reached_up_from_a_link(tmp_path):
    (tmp_path / "disk" / "data").mkdir(parents=True)
    (tmp_path / "data").symlink_to(tmp_path / "disk" / "data")
    disk = tmp_path / "disk" / "pool"
    for name in ("x", "y"):
        (disk / name / "below").mkdir(parents=True)
        (disk / name / "below" / "1.png").write_text(name)
    pool = FilePool.below(tmp_path / "data" / ".." / "pool")
    content = pool.content(0)
    time.sleep(0.1)
    since = time.time() + 2  # which allows for clocks
    assert pool.same(0, content, since)
    time.sleep(0.1)  # file systems have clocks of their own
    for old, new in (("x", "kept"), ("y", "x"), ("kept", "y")):
        (disk / old).rename(disk / new)
    assert not pool.same(0, content, since)
    # That is another file than the one that the shortened path names.
    assert pool.find(f"{tmp_path}/pool/x/below/1.png") is None


def test_a_picture_put_into_a_folder_has_few_others_read(tmp_path, monkeypatch):
    """Thousands of pictures of megabytes each take minutes, at every start."""
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        for number in range(80):
            (tmp_path / folder / f"{number:02}.png").write_bytes(b"%02d" % number)
    pool = FilePool.below(tmp_path)
    later = time.time() + 60
    contents = [pool.content(row) for row in range(len(pool))]
    os.utime(tmp_path / "x", (2 * later, 2 * later))  # one was added, say
    read, content = [], FilePool.content
    monkeypatch.setattr(
        FilePool, "content", lambda self, row: read.append(row) or content(self, row)
    )
    assert all(pool.same(row, contents[row], later) for row in range(len(pool)))
    assert 0 < len(read) < 80
    assert max(read) < 80  # none of y
    for path in (tmp_path / "x").iterdir():  # another folder, of the same sizes
        with path.open("r+b") as file:
            file.write(b"xx")
    os.utime(tmp_path / "x", (3 * later, 3 * later))
    assert not any(pool.same(row, contents[row], later) for row in range(80))


def test_another_folder_under_the_same_name(tmp_path, start):
    for number, name in enumerate(("first", "second")):
        (tmp_path / name).mkdir()
        shade = np.full((8, 8, 3), 60 * number, np.uint8)
        Image.fromarray(shade).save(tmp_path / name / "1.bmp")
    (tmp_path / "pool").symlink_to(tmp_path / "first")
    time.sleep(3.1)
    with start(tmp_path / "pool") as session:
        session.ask()
        session.answer(0, "circle")
    (tmp_path / "pool").unlink()
    (tmp_path / "pool").symlink_to(tmp_path / "second")
    again = start(tmp_path / "pool")
    assert again.lost.changed == ["1.bmp"]
    assert not len(again.labels())


def test_one_label_file_for_two_folders_with_the_same_names(tmp_path, start):
    """Of a camera that writes frames of one size; both were there before the labels."""
    pools = tmp_path / "first", tmp_path / "second"
    for number, pool in enumerate(pools):
        pool.mkdir()
        for frame in range(6):
            shade = np.full((8, 8, 3), 60 * number + frame, np.uint8)
            Image.fromarray(shade).save(pool / f"{frame}.bmp")
    time.sleep(3.1)

    def known(session):
        return session.labels().set_index("item")["label"].to_dict()

    with start(pools[1], labels=tmp_path / "l.csv") as session:
        session.ask(rows=[0, 1])
        session.answer([0, 1], "square")
    with start(pools[0], labels=tmp_path / "l.csv") as session:
        assert session.lost.changed == ["0.bmp", "1.bmp"]
        session.ask(rows=[1, 2, 3])
        session.answer([1, 2, 3], "circle")
    with start(pools[1], labels=tmp_path / "l.csv") as session:
        assert known(session) == {"0.bmp": "square", "1.bmp": "square"}
    with start(pools[0], labels=tmp_path / "l.csv") as session:
        assert known(session) == dict.fromkeys(["1.bmp", "2.bmp", "3.bmp"], "circle")


def test_an_answer_taken_back_where_its_picture_had_moved(folder, start):
    with start(folder) as session:
        session.ask(rows=[0])
        session.answer(0, "circle")
    (folder / "000.png").rename(folder / "a.png")
    with start(folder) as session:
        (row,) = session.undo()
        assert session.pool.names[row] == "a.png"
    (folder / "001.png").rename(folder / "b.png")
    (folder / "a.png").rename(folder / "001.png")
    (folder / "b.png").rename(folder / "a.png")
    for _ in range(2):
        with start(folder) as session:
            assert not len(session.labels())
            assert session.lost.vanished == session.lost.changed == []
            row = session.pool.find("a.png")
            session.ask(rows=[row])
            session.answer(row, "square")
            session.undo()


def test_a_picture_that_moved_there_and_back_has_its_last_label(load):
    labels = [("a", "A", "cat"), ("b", "A", "dog"), ("b", "B", "cow")]
    lost, known = load(labels, {"a": "A", "b": "B"})
    assert known == {"a": "dog", "b": "cow"}
    assert lost == ([], [("b", "a")], [])


def test_a_picture_that_moved_there_and_back_and_on_has_its_last_label(load):
    labels = [("a", "A", "cat"), ("b", "A", "dog"), ("a", "A", "cow")]
    lost, known = load(labels, {"c": "A"})
    assert known == {"c": "cow"}
    assert lost.moved == [("a", "c")]


def test_an_answer_taken_back_under_another_name_stays_so(folder, start):
    """Also where the picture has its old name again, and is answered again."""

    def day(name, *words):
        with start(folder) as session:
            row = session.pool.find(name)
            for word in words:
                session.ask(rows=[row])
                session.answer(row, word) if word != "undo" else session.undo()
            return session.labels()["label"].tolist()

    assert day("000.png", "circle") == ["circle"]
    (folder / "000.png").rename(folder / "a.png")
    assert day("a.png", "undo") == []
    (folder / "a.png").rename(folder / "000.png")
    assert day("000.png", "square") == ["square"]
    assert day("000.png", "undo") == []


def test_an_answer_about_a_copy_that_was_taken_back_is_not_of_a_new_copy(folder, start):
    shutil.copy(folder / "000.png", folder / "b.png")
    for name, label in (("b.png", "circle"), ("000.png", "square")):
        with start(folder) as session:
            row = session.pool.find(name)
            session.ask(rows=[row])
            session.answer(row, label)
    (folder / "000.png").unlink()
    with start(folder) as session:
        assert session.labels()["label"].tolist() == ["square"]
        session.undo()
        assert session.labels()["label"].tolist() == ["circle"]
    shutil.copy(folder / "b.png", folder / "c.png")
    with start(folder) as session:
        found = session.labels().set_index("item")["label"].to_dict()
        assert found == {"b.png": "circle"}


@pytest.mark.parametrize("undone", [1, 2])
def test_what_is_taken_back_is_of_a_picture_that_was_turned(folder, start, undone):
    """Seen upside down, turned in another program, answered anew, and taken back."""
    with start(folder) as session:
        session.ask(rows=[0])
        session.answer(0, "circle")
        picture = folder / session.pool.names[0]
        Image.open(picture).rotate(90).save(picture)
        session.ask(rows=[0])
        session.answer(0, "square")
        for _ in range(undone):
            session.undo()
        known = session.labels()[["item", "label"]]
    with start(folder) as session:
        assert session.labels()[["item", "label"]].equals(known)
        assert session.lost == ([], [], [])


@pytest.mark.parametrize("lost", [(["a"], [], []), ([], [("a", "b")], [])])
def test_what_is_lost_is_true_where_there_is_any(lost):
    assert Lost(*lost)
    assert not Lost([], [], [])  # a tuple of three lists was true with none, too
