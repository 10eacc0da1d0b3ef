"""Pictures that cannot be read, for good or for a while."""

import time

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from modal_pretrain.labelling.pool import Pool
from modal_pretrain.query import least_confidence_sampling
from tests.labelling.conftest import label


def test_pictures_that_cannot_be_read_are_left_out(folder, start, truth):
    (folder / "007.png").write_bytes(b"no picture")
    (folder / "070.png").write_bytes((folder / "070.png").read_bytes()[:100])
    session = label(start(folder), truth, 12)
    assert session.unreadable() == {7, 70}
    assert session.progress().unreadable == 2
    assert session.progress().embedded == 78
    assert session.predictions()["look"].tolist()[7] == "unreadable"
    assert {7, 70}.isdisjoint(question.row for question in session.ask(80))


def test_a_file_that_came_back_before_it_was_looked_for(folder, start):
    session = start(folder, ["circle", "square"])
    assert session.wait(60)
    session.set_unreadable(3, FileNotFoundError("no such file"))  # and is there again
    deadline = time.monotonic() + 20
    while session.unreadable() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not session.unreadable()


def test_a_folder_that_is_away_is_not_tried_file_by_file(
    folder, start, tmp_path, monkeypatch
):
    tried = []
    take = Pool.take
    monkeypatch.setattr(Pool, "take", lambda *given: tried.append(1) or take(*given))
    paths = [*sorted(folder.iterdir()), *(tmp_path / f"{i}.png" for i in range(500))]
    n_there = len(paths) - 500
    session = start(paths, ["circle", "square"], labels=tmp_path / "l.csv")
    assert session.wait(60)
    assert session.unreadable() == set(range(n_there, len(paths)))
    assert len(tried) < 60


def test_files_that_were_away_for_a_while_are_read_after_all(folder, start, truth):
    paths = sorted(folder.iterdir())
    away = folder.rename(folder.with_name("away"))  # as a network drive may be
    session = start(paths, labels=folder.with_name("labels.csv"))
    session.wait(60)
    assert session.progress().unreadable == 80
    away.rename(folder)
    end = time.monotonic() + 30
    while session.unreadable() and time.monotonic() < end:
        time.sleep(0.05)
    label(session, truth, 12)
    assert session.progress().embedded == 80 and session.progress().learnt == 12
    assert set(session.predictions()["predicted"]) == {"circle", "square"}


def test_a_file_that_was_half_copied_is_read_when_it_is_whole(folder, start, truth):
    whole = (folder / "070.png").read_bytes()
    (folder / "070.png").write_bytes(whole[:100])
    (folder / "007.png").write_bytes(b"no picture")  # for good
    session = start(folder)
    assert session.wait(60)
    assert session.unreadable() == {7, 70}
    (folder / "070.png").write_bytes(whole)
    end = time.monotonic() + 30
    while 70 in session.unreadable() and time.monotonic() < end:
        time.sleep(0.05)
    label(session, truth, 12)
    assert session.unreadable() == {7}
    assert session.progress().embedded == 79


def test_a_picture_is_learnt_as_it_was_when_it_was_answered(folder, start, truth):
    session = label(start(folder), truth, 12)
    (question,) = session.ask(1)
    path = folder / session.pool.names[question.row]
    Image.open(path).rotate(90).save(path)  # by another program, before the answer
    session.answer(question.row, truth(question.row))
    assert session.wait(60)
    background = session._background
    known = background.features[question.row]
    fresh = background._embed(session.pool.take(np.array([question.row])))[0]
    np.testing.assert_allclose(known, fresh, atol=1e-4)
    assert session.progress().learnt == 13


@pytest.mark.parametrize("before", ["skip", "label"])
def test_a_picture_that_changed_between_two_answers_is_learnt_anew(
    folder, start, truth, before
):
    session = label(start(folder), truth, 12)
    (question,) = session.ask(1)
    row = question.row
    session.skip(row) if before == "skip" else session.answer(row, truth(row))
    assert session.wait(60)
    path = folder / session.pool.names[row]
    Image.open(path).rotate(90).save(path)
    session.ask(rows=[row])
    session.answer(row, "square" if truth(row) == "circle" else "circle")
    assert session.wait(60)
    background = session._background
    fresh = background._embed(session.pool.take(np.array([row])))[0]
    np.testing.assert_allclose(background.features[row], fresh, atol=1e-4)


def _colours(paths):
    return np.array([np.asarray(Image.open(path)).mean((0, 1)) for path in paths])


def test_an_estimator_that_reads_files_itself_is_given_none_that_is_unreadable(
    folder, start, truth, tmp_path
):
    session = start(
        folder,
        estimator=make_pipeline(FunctionTransformer(_colours), LogisticRegression()),
        strategy=least_confidence_sampling,
        audit_share=0.5,
    )
    label(session, truth, 24)
    measuring = session.labels().query("asked == 'audit'")["row"].to_numpy()
    gone = [int(measuring[0]), int(session.labels()["row"][0]), session.ask()[0].row]
    for row in gone:
        (folder / f"{row:03}.png").unlink()
        session.set_unreadable(row, FileNotFoundError("no such file"))
    label(session, truth, 2)
    found = session.predictions()
    measuring = session.labels().query("asked == 'audit'")["row"]
    measured = found.loc[measuring[~measuring.isin(gone)]]
    share = np.mean(measured["predicted"] == measured["label"])
    assert session.advice().accuracy.startswith(f"{100 * share:.0f} % (")
    assert session.guess(gone[-1]) is None
    assert set(found.index[found["predicted"] == ""]) == set(gone)
    assert set(found.index[found["look"] == "unreadable"]) == set(gone)
    session.export(tmp_path / "out")
