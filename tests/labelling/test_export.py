"""What a session leaves behind."""

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from modal_pretrain.labelling.exchange import to_folders, to_label_studio
from modal_pretrain.labelling.pools import TextPool
from modal_pretrain.query import margin_sampling
from tests import processes
from tests.labelling.conftest import accuracy, label


def test_labels_predictions_and_a_model_that_loads(folder, start, truth, tmp_path):
    session = label(start(folder, audit_share=0.2), truth, 25)
    done = session.export(tmp_path / "out")
    labels = pd.read_csv(done.labels)
    assert list(labels.columns) == ["item", "label", "tag"]
    assert len(labels) == 25
    table = pd.read_csv(done.predictions)
    assert table["item"].tolist() == [f"{row:03}.png" for row in range(80)]
    assert table["probability"].between(0.5, 1).all()
    assert set(table["label"].dropna()) == {"circle", "square"}
    model = joblib.load(done.model)
    # All labels, also the random ones that the session's own model does not learn.
    assert model.classes_.tolist() == ["circle", "square"]
    paths = [str(path) for path in sorted(folder.glob("*.png"))]
    exec(done.code, space := {"paths": paths})
    assert np.array_equal(space["model"].predict(paths), model.predict(paths))


def test_one_class_makes_no_model(folder, start, tmp_path):
    session = start(folder)
    session.answer(session.ask()[0].row, "circle")
    done = session.export(tmp_path / "out")
    assert done.model is None
    assert len(pd.read_csv(done.labels)) == 1
    assert pd.read_csv(done.predictions)["predicted"].isna().all()


def test_predictions_of_an_earlier_model_are_told_of(folder, start, truth, tmp_path):
    fails = set()

    def strategy(classifier, X, n_instances, random_state, y_labelled):
        if fails:
            raise ZeroDivisionError("oh no")
        return np.arange(n_instances)

    session = label(start(folder, None, strategy=strategy), truth, 12)
    fails.add("now")
    session.answer([question.row for question in session.ask(3)], "star")
    with pytest.raises(RuntimeError, match="oh no"):
        session.wait(60)
    learnt = session.progress().learnt
    words = f"ZeroDivisionError: oh no. predictions.csv is .* knows {learnt} labels"
    with pytest.warns(UserWarning, match=words):
        done = session.export(tmp_path / "out")
    assert "star" in joblib.load(done.model).classes_
    assert "star" not in set(pd.read_csv(done.predictions)["predicted"])


def test_rows_that_the_model_has_not_seen_are_counted(folder, start, truth, tmp_path):
    """A short session replaces yesterday's predictions by fewer, and says so."""
    (folder / "079.png").write_bytes(b"damaged")
    session = label(start(folder), truth, 9)
    assert session.export(tmp_path / "out").unseen == 79
    label(session, truth, 3)
    assert session.export(tmp_path / "out").unseen == 0
    session._background.embedded[20:50] = False  # as if it were at them
    done = session.export(tmp_path / "out")
    missing = pd.read_csv(done.predictions)["predicted"].isna()
    assert done.unseen == 30 and missing.sum() == 31


def test_predictions_say_where_to_look(shapes, start, truth, tmp_path):
    session = start(shapes.X, labels=tmp_path / "l.csv", strategy=margin_sampling)
    label(session, truth, 30)
    assert accuracy(session, shapes.y) > 0.9
    table = session.predictions()
    row = session.labels()["row"][0]
    assert table.loc[row, "look"] == "" and table.loc[row, "label"] == truth(row)
    unsure = table["probability"] < 0.6
    given = session.labels().set_index("row")["label"].reindex(table.index)
    contradicts = given.notna() & (given != table["predicted"])
    assert unsure.any() and (table.loc[unsure & ~contradicts, "look"] == "unsure").all()
    assert (table.loc[contradicts, "look"] == "contradicts").all()


def test_kill_loses_nothing(folder, start):
    """A process that answers is killed in the middle; all it reported is there."""
    code = (
        "import sys\n"
        "from modal_pretrain.labelling import LabelSession\n"
        "session = LabelSession(sys.argv[1], ['circle', 'square'])\n"
        "while True:\n"
        "    row = session.ask()[0].row\n"
        "    session.answer(row, 'circle')\n"
        "    print(row, flush=True)\n"
    )
    process = processes.start(code, folder)
    reported = [int(process.stdout.readline()) for _ in range(15)]
    process.kill()
    said, _ = process.communicate()
    reported += [int(line) for line in said.split("\n")[:-1]]
    session = start(folder)
    found = session.labels()["row"].tolist()
    assert found[: len(reported)] == reported
    assert len(found) <= len(reported) + 1
    assert session.undo() == [found[-1]]


def test_a_model_of_an_earlier_export_does_not_stay(folder, start, truth, tmp_path):
    session = start(folder)
    session.ask(rows=[0, 1, 2, 3])
    session.answer([0, 1], ["circle", "square"])
    assert session.export(tmp_path / "out").model.exists()
    session.undo()
    session.answer([0], "circle")
    assert session.export(tmp_path / "out").model is None
    assert not (tmp_path / "out" / "model.joblib").exists()


def test_tables_that_somebody_edited_are_kept(folder, start, tmp_path):
    session = start(folder)
    session.ask(rows=[0, 1, 2, 3])
    session.answer([0, 1], ["circle", "square"])
    out = tmp_path / "out"
    out.mkdir()
    (out / "labels.csv").write_text("mine")  # of somebody who exports to it first
    with pytest.warns(UserWarning, match="now labels-edited-1.csv.* do not count"):
        session.export(out)
    session.answer([2], "circle")
    done = session.export(out)  # what an export wrote is replaced without a word
    assert len(pd.read_csv(done.labels)) == 3
    for path in done.labels, done.predictions:
        edited = path.read_text(encoding="utf-8").replace("circle", "square")
        path.write_text(edited, encoding="utf-8")
    session.answer([3], "circle")
    with pytest.warns(UserWarning, match="labels-edited-2.csv and predictions-edited"):
        session.export(out)
    assert (out / "labels-edited-1.csv").read_text() == "mine"
    assert pd.read_csv(out / "labels-edited-2.csv")["label"].eq("square").all()
    assert len(pd.read_csv(done.labels)) == 4
    (out / ".written.json").write_text("{")
    with pytest.warns(UserWarning, match="edited-3"):
        session.undo()
        session.export(out)


def test_the_code_loads_from_any_folder(folder, start, tmp_path):
    session = start(folder)
    session.ask(rows=[0, 1])
    session.answer([0, 1], ["circle", "square"])
    done = session.export(tmp_path / 'a "b" \\n')
    exec(done.code, space := {"paths": [str(folder / "000.png")]})
    assert space["model"].classes_.tolist() == ["circle", "square"]


def test_an_export_never_replaces_the_label_file(folder, start, tmp_path):
    session = start(folder, labels=tmp_path / "labels.csv")
    session.answer(session.ask()[0].row, "circle")
    before = session.path.read_bytes()
    for write in (session.export, lambda p: to_label_studio(session, p / "labels.csv")):
        with pytest.raises(ValueError, match="is the label file of this session"):
            write(tmp_path)
    assert session.path.read_bytes() == before
    assert not (tmp_path / "model.joblib").exists()


def test_where_an_export_goes(folder, start, truth, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    session = label(start(folder), truth, 2)
    assert to_label_studio(session, "~/tasks.json") == tmp_path / "home/tasks.json"
    with pytest.raises(ValueError, match=r"folder is empty; write '.'"):
        session.export("")


def test_a_labelled_picture_that_is_gone(folder, start, truth, tmp_path):
    session = label(start(folder), truth, 12)
    first, *others = session.labels()["row"]
    (folder / f"{first:03}.png").unlink()
    done = session.export(tmp_path / "out")
    table = pd.read_csv(done.predictions)
    assert table["look"][first] == "unreadable"
    paths = [folder / f"{row:03}.png" for row in others]
    known = session.estimator.fit(paths, [truth(row) for row in others])
    model = joblib.load(done.model)
    answers = (one.predict_proba(paths) for one in (model, known))
    assert np.allclose(*answers, atol=1e-3)
    with pytest.raises(FileNotFoundError, match=r"1 of 12 .* begin another session"):
        to_folders(session, tmp_path / "copies")
    assert not (tmp_path / "copies").exists()
    for path in folder.glob("*.png"):  # as if a drive was taken off
        path.unlink()
    with pytest.raises(FileNotFoundError, match="no such file"):
        session.export(tmp_path / "out")
    assert done.model.exists()


def test_a_labelled_picture_that_is_damaged(folder, start, truth, tmp_path):
    session = label(start(folder), truth, 12)
    assert session.wait(60)
    first, *others = session.labels()["row"]
    path = folder / f"{first:03}.png"
    path.write_bytes(path.read_bytes()[:100])  # as while it is copied anew
    done = session.export(tmp_path / "out")
    assert len(pd.read_csv(done.labels)) == 12
    assert pd.read_csv(done.predictions)["look"][first] == "unreadable"
    paths = [folder / f"{row:03}.png" for row in others]
    known = session.estimator.fit(paths, [truth(row) for row in others])
    model = joblib.load(done.model)
    answers = (one.predict_proba(paths) for one in (model, known))
    assert np.allclose(*answers, atol=1e-3)
    for path in folder.glob("*.png"):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="can't be decoded"):
        session.export(tmp_path / "out")
    assert done.model.exists()


class Failing(LogisticRegression):
    def fit(self, X, y):
        raise RuntimeError("out of memory")


def test_an_estimator_that_fails_is_said_to(start, tmp_path):
    pool, path = TextPool(["a", "b"]), tmp_path / "labels.csv"
    session = start(pool, ["x", "y"], labels=path, estimator=Failing())
    session.ask(rows=[0, 1])
    session.answer([0, 1], ["x", "y"])
    said = "can't be fitted on the 2 labels: RuntimeError: out of memory. The labels"
    with pytest.raises(ValueError, match=said):  # which the page and the command tell
        session.export(tmp_path / "out")


def test_an_estimator_that_cannot_be_written_is_said_to(shapes, start, serve, tmp_path):
    """A lambda is the usual way to look at pixels; Python does not pickle it."""
    pixels = FunctionTransformer(lambda X: np.stack(X).reshape(len(X), -1))
    session = start(
        list(shapes.X),
        estimator=make_pipeline(pixels, GaussianNB()),
        labels=tmp_path / "labels.csv",
    )
    for row in session.ask(12):
        session.answer(row.row, str(shapes.y[row.row]))
    said = "can't be written: .*lambda.* top of a module and imported from there"
    with pytest.raises(ValueError, match=said):
        session.export(tmp_path / "out")
    status, answer = serve(session, out=tmp_path / "out").post("api/export", {})
    assert (status, "top of a module" in answer["error"]) == (400, True)
