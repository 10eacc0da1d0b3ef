"""Asking, answering, taking back, and going on, without a page."""

import functools
import threading
import time
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from modAL.uncertainty import uncertainty_sampling

from modal_pretrain import PretrainedClassifier
from modal_pretrain.labelling import AnsweredError, LabelSession, NotAskedError
from modal_pretrain.query import least_confidence_sampling
from tests.labelling.conftest import label


def test_first_questions_come_before_anything_is_embedded(folder, start, monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(
        PretrainedClassifier, "embed", lambda self, X: release.wait(60) and 1 / 0
    )
    session = start(folder)
    asked = session.ask(3)
    session.answer(asked[0].row, "circle")
    assert [question.reason for question in asked] == ["first"] * 3
    assert len({question.row for question in asked}) == 3
    assert session.progress().embedded == 0
    release.set()


def test_the_same_questions_come_until_they_are_answered(folder, start, truth):
    session = start(folder)
    first = session.ask(5)
    assert session.ask(5) == first and session.ask(2) == first[:2]
    session.answer(first[0].row, truth(first[0].row))
    assert session.ask(4) == first[1:]


def test_an_answer_is_in_the_file_when_answer_returns(folder, start):
    session = start(folder)
    row = session.ask()[0].row
    session.answer(row, "circle")
    last = session.path.read_text("utf-8").splitlines()[-1].split(",")
    assert last[1:5] == [f"{row:03}.png", "circle", "", "labelled"]
    assert session.path == folder.with_name("pictures-labels.csv")


def test_the_model_takes_over(folder, start, truth):
    session = label(start(folder, audit_share=0), truth, 16)
    progress = session.progress()
    assert progress.labelled == progress.learnt == 16
    assert progress.embedded == progress.n == 80
    asked = session.labels()["asked"].tolist()
    assert set(asked[:10]) == {"first"}
    assert set(asked[10:]) <= {"unsure", "at odds", "unlike"}
    why = session.why(session.ask()[0].row)
    assert why.words.startswith(("The model", "Far from"))
    assert {near.label for near in why.near} == {"circle", "square"}
    assert why.near[0].similarity >= why.near[1].similarity


def test_a_question_keeps_its_reason_when_the_model_learns(folder, start, truth):
    """The page shows questions for a while, and nobody has seen them before."""
    session = label(start(folder, audit_share=0), truth, 16)
    shown = session.ask(20)
    for question in shown[:8]:
        session.answer(question.row, truth(question.row))
    session.wait()
    left = {question.row: question.reason for question in shown[8:]}
    gone = set(left) - {question.row for question in session.ask(12)}
    assert "unsure" in {left[row] for row in gone}
    for row in gone:
        why = session.why(row)
        assert why.reason == left[row] and "see it again" not in why.words
        assert len(why.near) == 2


def test_the_loop_is_the_strategy_by_hand(shapes, tmp_path, start, truth):
    """The session asks what modAL's loop with the same labels would ask."""
    session = start(
        shapes.X,
        labels=tmp_path / "l.csv",
        strategy=least_confidence_sampling,
        audit_share=0,
    )
    label(session, truth, 14)
    known = session.labels()
    rows = known["row"].to_numpy()
    estimator = session.estimator.fit(shapes.X[rows], known["label"].to_numpy(str))
    rest = np.setdiff1d(np.arange(80), rows)
    chosen, _ = least_confidence_sampling(estimator, shapes.X[rest], n_instances=3)
    assert [q.row for q in session.ask(3)] == rest[chosen].tolist()


def test_a_session_goes_on_where_it_ended(folder, start, truth):
    session = label(start(folder), truth, 12)
    session.skip(session.ask()[0].row)
    session.wait(60)
    before = session.progress(), session.labels(), session.ask(5)
    session.close()
    again = start(folder)
    again.wait(60)
    number = before[0].model  # of fits, which depends on how fast answers came
    assert again.progress()._replace(model=number) == before[0]
    assert again.labels().equals(before[1])
    assert again.ask(5) == before[2]
    assert again.lost == ([], [], [])


def test_undo(folder, start, truth):
    session = start(folder)
    rows = [question.row for question in session.ask(6)]
    session.answer(rows[:4], "circle", tags=["red", None, "", "blue"])
    session.answer(rows[4], "square")
    session.cannot_tell(rows[5])
    assert session.undo() == [rows[5]]
    assert session.undo() == [rows[4]]
    session.answer(rows[4], "circle")
    session.close()
    again = start(folder)
    assert again.undo() == [rows[4]]
    assert sorted(again.undo()) == sorted(rows[:4])  # many at once are one answer
    assert again.undo() == []
    assert again.progress().labelled == 0
    assert {question.row for question in again.ask(6)} == set(rows)


def test_undoing_brings_back_a_class_that_nothing_else_has(folder, start, truth):
    session = label(start(folder, None, audit_share=0), truth, 12)
    row = session.ask()[0].row
    session.answer(row, "cicrle", "gray")
    session.ask(rows=[row])
    session.answer(row, "circle", "grey")
    session.close()
    session = start(folder, None, audit_share=0)
    before = session.classes
    assert (sorted(before), session.tags) == (["circle", "square"], ["grey"])
    assert session.undo() == [row]
    assert session.classes == [*before, "cicrle"]
    assert session.tags == ["grey", "gray"]
    session.wait(60)  # the model knows it, too
    assert session.progress().by_class["cicrle"] == 1


def test_undoing_a_correction_brings_the_first_answer_back(folder, start):
    session = start(folder)
    row = session.ask()[0].row
    session.answer(row, "circle")
    session.ask(rows=[row])
    session.answer(row, "square")
    assert session.progress().by_class == {"circle": 0, "square": 1}
    session.undo()
    assert session.progress().by_class == {"circle": 1, "square": 0}
    session.undo()
    assert session.progress().labelled == 0


def test_skipped_rows_come_last_and_unknowable_ones_never(shapes, tmp_path, start):
    session = start(shapes.X[:6], labels=tmp_path / "l.csv")
    rows = [question.row for question in session.ask(6)]
    session.skip(rows[0])
    session.cannot_tell(rows[1])
    assert [question.row for question in session.ask(10)] == [*rows[2:], rows[0]]
    session.answer(rows[2:], "circle")
    assert session.ask(10) == [(rows[0], "left")]
    session.answer(rows[0], "square")
    assert session.ask(10) == []
    # It was drawn at random all the same.
    assert set(session.labels()["asked"]) == {"first"}


def test_what_is_skipped_once_more_comes_after_the_others(shapes, tmp_path, start):
    session = start(shapes.X[:3], labels=tmp_path / "labels.csv")
    seen = []
    for number in range(9):
        if number == 7:
            session.close()
            session = start(shapes.X[:3], labels=tmp_path / "labels.csv")
        seen.append(session.ask()[0].row)
        session.skip(seen[-1])
    assert seen == seen[:3] * 3


def test_skipping_a_row_that_is_looked_at_again_leaves_its_label(folder, start):
    session = start(folder)
    first, second = (question.row for question in session.ask(2))
    session.answer(first, "circle", "red")
    before = session.labels()
    session.ask(rows=[first])
    session.skip([first, second])
    pd.testing.assert_frame_equal(session.labels(), before)
    assert session.progress().skipped == 1
    assert session.undo() == [second, first]  # the skipping, not the label
    pd.testing.assert_frame_equal(session.labels(), before)
    session.skip(first)
    session.close()
    again = start(folder)
    pd.testing.assert_frame_equal(again.labels(), before)
    assert [again.undo(), again.undo()] == [[first], [first]]
    assert again.labels().empty
    assert again.ask()[0] == (first, "first")


def test_only_open_questions_are_answered(folder, start):
    session = start(folder)
    first, second = (question.row for question in session.ask(2))
    other = next(row for row in range(80) if row not in (first, second))
    with pytest.raises(NotAskedError, match=r"was not asked about.*ask\(rows="):
        session.answer(other, "circle")
    session.answer(first, "circle")
    with pytest.raises(AnsweredError, match="answered meanwhile: circle"):
        session.answer(first, "square")
    with pytest.raises(AnsweredError):
        session.answer([second, first], "square")
    with pytest.raises(AnsweredError):
        session.skip(first)
    assert session.progress().labelled == 1  # all or nothing
    session.ask(rows=[other])
    session.answer(other, "square")
    assert session.labels()["asked"].tolist() == ["first", "chosen"]


@pytest.mark.parametrize(
    "rows", [80, -1, 1.5, "1", True, [], [0, 0], [[0]], None, [0, 80]], ids=str
)
def test_rows_that_are_none(folder, start, rows):
    session = start(folder)
    session.ask(80)
    with pytest.raises((ValueError, TypeError)):
        session.answer(rows, "circle")
    assert session.progress().labelled == 0


def test_random_questions_measure_the_model_and_do_not_teach_it(folder, start, truth):
    session = label(start(folder, audit_share=0.25), truth, 30)
    asked = Counter(session.labels()["asked"])
    assert asked["first"] == 10 and asked["audit"] == 5
    assert session.progress().learnt == 25
    while (question := session.ask()[0]).reason != "audit":
        label(session, truth, 1)
    assert session.guess(question.row) is None
    session.answer(question.row, truth(question.row))
    session.wait(60)
    # Nor do those that were looked at again, which would be those that it has wrong.
    session.ask(rows=[question.row])
    assert session.guess(question.row) is None
    session.answer(question.row, truth(question.row))
    session.wait(60)
    labels = session.labels().set_index("row")
    assert labels.loc[question.row, "asked"] == "audit"
    assert session.progress().learnt == (labels["asked"] != "audit").sum()
    guess, probability = session.guess(session.ask()[0].row)
    assert guess in ("circle", "square") and 0.5 <= probability <= 1


def test_answers_are_taken_while_the_model_is_busy(folder, start):
    busy, release = threading.Event(), threading.Event()

    def slow(classifier, X, n_instances, random_state):
        busy.set()
        release.wait(60)
        return np.arange(n_instances), np.zeros(n_instances)

    session = start(folder, strategy=slow, first=2)
    first, second = (question.row for question in session.ask(2))
    session.answer([first, second], ["circle", "square"])
    assert busy.wait(60)
    begin = time.perf_counter()
    for _ in range(20):
        row = session.ask()[0].row
        session.answer(row, "circle")
    session.undo()
    spent = time.perf_counter() - begin
    release.set()
    assert spent < 5
    assert session.wait(60) and session.progress().learnt == 21


def test_many_threads_answer(folder, start):
    session = start(folder, first=4)
    refused = []

    def person(number):
        for _ in range(8):
            for row, _ in session.ask(4):
                try:
                    session.answer(row, ("circle", "square")[row % 2])
                    break
                except AnsweredError:
                    refused.append(row)

    people = [threading.Thread(target=person, args=(k,)) for k in range(4)]
    for thread in people:
        thread.start()
    for thread in people:
        thread.join(60)
        assert not thread.is_alive()
    labels = session.labels()
    assert labels["row"].is_unique and len(labels) >= 16
    assert session.wait(60)


def test_labels_of_a_table_in_another_order(folder, start):
    # They went to the rows by their places, one label to another row.
    session = start(folder)
    rows = sorted((row for row, _ in session.ask(3)), reverse=True)
    labels = ["circle", "square", "square"]
    table = pd.DataFrame({"label": labels, "tag": list("abc")}, index=sorted(rows))
    with pytest.raises(ValueError, match=r"labels\.loc\[rows\]"):
        session.answer(rows, table["label"])
    with pytest.raises(ValueError, match=r"tags has, by its index, rows"):
        session.answer(rows, labels, table["tag"])
    assert session.labels().empty
    session.answer(rows, table["label"].loc[rows], table["tag"].loc[rows])
    found = session.labels().set_index("row")
    found = found.loc[table.index, ["label", "tag"]]
    assert found.to_numpy().tolist() == table.to_numpy().tolist()


def test_two_sessions_on_one_file(folder, start):
    start(folder)
    with pytest.raises(TimeoutError, match=r"or a session of this one .*close\(\)"):
        start(folder)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"audit_share": 1}, "audit_share must be"),
        ({"first": 1}, "first must be a whole number of at least 2"),
        ({"random_state": None}, "random_state must be"),
        ({"classes": ["a", "a"]}, "there is 'a' already"),
        ({"classes": "ab"}, "classes must be a list of str"),
        ({"classes": 5}, "classes must be a list of str"),
        ({"classes": {"a", "b"}}, "classes must be a list of str, whose order"),
        ({"classes": ["é", "e\u0301"]}, "there is 'é' already"),
        ({"classes": ["cat", "cat\u200b"]}, "none that can't be seen"),
        ({"estimator": "x"}, "estimator must be a scikit-learn classifier"),
        ({"estimator": PretrainedClassifier(image_size=0)}, "image_size must be"),
        ({"strategy": "margin"}, "strategy must be a query strategy"),
        ({"labels": None, "pool": ["a.png"]}, "labels must name the file"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_arguments_that_do_not_fit(folder, params, message):
    with pytest.raises((ValueError, TypeError), match=message):
        LabelSession(**{"pool": folder, **params})
    assert not folder.with_name("pictures-labels.csv").exists()


def test_tags_do_not_decide(folder, start, truth, monkeypatch):
    given = []
    fit = PretrainedClassifier.fit

    @functools.wraps(fit)
    def recorded(self, X, y, *args, **kwargs):
        given.append((len(y), kwargs.get("ignore")))
        return fit(self, X, y, *args, **kwargs)

    monkeypatch.setattr(PretrainedClassifier, "fit", recorded)
    session = start(folder, audit_share=0)
    for number, question in enumerate(session.ask(12)):
        tag = None if number % 3 == 2 else "dark" if number % 2 else "light"
        session.answer(question.row, truth(question.row), tags=tag)
    assert session.wait(60)
    session.export(folder.parent / "out")
    tags = session.labels()["tag"].fillna("").tolist()
    assert set(tags) == {"", "dark", "light"}
    # By the thread after the last answer, and for the model that is kept.
    expected = (12, [tag or None for tag in tags])
    assert given.count(expected) >= 2


def test_a_strategy_that_asks_for_tags_gets_them(folder, start, truth):
    given = []

    def strategy(classifier, X, n_instances, tags_labelled):
        given.append(tags_labelled)
        return np.arange(n_instances), np.zeros(n_instances)

    session = start(folder, audit_share=0, strategy=strategy)
    for number, question in enumerate(session.ask(12)):
        tag = None if number % 3 == 2 else "dark" if number % 2 else "light"
        session.answer(question.row, truth(question.row), tags=tag)
    assert session.wait(60)
    tags = session.labels()["tag"].fillna("").tolist()
    assert given[-1] == [tag or None for tag in tags]


def test_labels_without_an_order(folder, start):
    session = start(folder)
    rows = [question.row for question in session.ask(2)]
    for odd in ({"circle", "square"}, {"circle": 0, "square": 1}):
        with pytest.raises(TypeError, match="in the order of the rows"):
            session.answer(rows, odd)
    assert session.labels().empty


@pytest.mark.parametrize(
    ("strategy", "problem"),
    [
        (
            lambda classifier, X, n_instances: np.full(n_instances, -1),
            "returned row -1",
        ),
        (lambda classifier, X, n_instances: [0, 0], "returned 2 rows"),
        (uncertainty_sampling, ""),  # modAL's own knows no random_state
    ],
)
def test_what_a_strategy_returns_is_checked(folder, start, truth, strategy, problem):
    session = start(folder, strategy=strategy, audit_share=0)
    for question in session.ask(12):
        session.answer(question.row, truth(question.row))
    if problem:
        with pytest.raises(RuntimeError, match=problem):
            session.wait(60)
    else:
        assert session.wait(60)


def test_a_closed_session_does_not_say_that_the_model_knows_all(
    folder, start, truth, monkeypatch
):
    begun, release = threading.Event(), threading.Event()
    embed = PretrainedClassifier.embed

    def slow(self, X):
        begun.set()
        release.wait(60)
        return embed(self, X)

    monkeypatch.setattr(PretrainedClassifier, "embed", slow)
    session = start(folder)
    for question in session.ask(12):
        session.answer(question.row, truth(question.row))
    assert begun.wait(60)
    closing = threading.Thread(target=session.close)
    closing.start()
    while not session._background._closed:
        time.sleep(0.01)
    release.set()
    closing.join(60)
    assert session.progress().learnt == 0
    assert not session.wait(60)
