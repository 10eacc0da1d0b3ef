"""Records and a pool whose files moved, changed, and came back."""

import pytest

from modal_pretrain.labelling.label_file import OPEN, Record
from modal_pretrain.labelling.ledger import Ledger
from modal_pretrain.labelling.pool import FilePool


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
