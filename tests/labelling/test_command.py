"""``modal-pretrain label``: starts, serves, ends with Ctrl-C, goes on."""

import os
import re
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.request import urlopen

import joblib
import pandas as pd
import pytest

from modal_pretrain.cli.label import _leave
from modal_pretrain.cli.main import main
from modal_pretrain.labelling.export import Exported
from tests.labelling.conftest import Client, interrupt, until_address

pytest.importorskip("uvicorn")


def test_from_the_first_picture_to_the_model(folder, truth, command):
    (folder / "079.png").unlink()
    arguments = (folder, "--classes", "circle", "square", "--image-size", 32)
    process = command(*arguments)
    said, address = until_address(process)
    page = Client(address)
    assert "79 pictures, 0 labelled in" in said
    for _ in range(14):
        row = page.get("api/state?n=1")[1]["questions"][0]["row"]
        assert page.send("GET", f"picture/1280/{row}")[0] == 200
        said = {"rows": [row], "label": truth(row)}
        assert page.post("api/answer", said)[0] == 200
    second = command(*arguments)
    _, errors = second.communicate(timeout=120)
    assert second.returncode == 2
    assert "another process is labelling with" in errors
    said = interrupt(process)
    assert f"14 labels in {folder}-labels.csv" in said
    assert "The same command goes on from here." in said
    out = folder.with_name("pictures-labelled")
    assert len(pd.read_csv(out / "labels.csv")) == 14
    assert len(pd.read_csv(out / "predictions.csv")) == 79
    said = said[said.index(str(out / "model.joblib\n")) :]
    code = "\n".join(re.findall(r"^    (.+)$", said, re.M))
    paths = sorted(map(str, folder.glob("*.png")))
    exec(code, {"paths": paths})
    assert set(joblib.load(out / "model.joblib").predict(paths)) <= {"circle", "square"}
    (folder / "000.png").unlink()
    process = command(*arguments)
    said, address = until_address(process)
    assert "78 pictures, 1" in said
    assert Client(address).get("api/state")[1]["progress"]["labelled"] >= 13
    interrupt(process)


def test_predictions_that_are_missing_are_told(folder, command):
    arguments = (folder, "--classes", "circle", "square", "--image-size", 32)
    process = command(*arguments)
    page = Client(until_address(process)[1])
    row = page.get("api/state?n=1")[1]["questions"][0]["row"]
    assert page.post("api/answer", {"rows": [row], "label": "circle"})[0] == 200
    said = interrupt(process)
    assert "none yet for 80 of 80, as there was no model yet" in said


@pytest.mark.parametrize(
    ("labelled", "why"),
    [(20, "the model had not seen them"), (9, "the page's model begins with")],
)
def test_a_command_that_ends_before_its_model_has_learnt(capsys, labelled, why):
    out = Path("out")
    done = Exported(out / "l.csv", out / "p.csv", out / "m.joblib", "", unseen=30)
    progress = SimpleNamespace(labelled=labelled, n=80, learnt=0, first=10)
    _leave(
        SimpleNamespace(
            path="labels.csv", progress=lambda: progress, export=lambda folder: done
        ),
        out,
    )
    said = capsys.readouterr().out
    assert f"30 of 80, as {why}" in said and "m.joblib" in said


def test_texts(tmp_path, command):
    pytest.importorskip("transformers")
    table = tmp_path / "texts.csv"
    table.write_text("review,stars\n" + "".join(f"text {k},{k}\n" for k in range(9)))
    process = command("--text", table, "--column", "review", "--classes", "good")
    said, address = until_address(process)
    assert "9 texts, 0 labelled" in said
    state = Client(address).get("api/state?n=9")[1]
    assert {q["text"] for q in state["questions"]} == {f"text {k}" for k in range(9)}
    assert "0 labels in" in interrupt(process)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name a folder of pictures"),
        (("absent",), "there is no folder"),
        (("absent.csv",), "there is no folder absent.csv"),
        (("t.csv",), "t.csv is a file. Name its folder, or a CSV file as in --text"),
        (("--text", "a.csv"), "--text needs --column"),
        (("t.csv", "--column", "t"), "--column goes with a CSV file: name that with"),
        (("pictures", "--text", "a.csv", "--column", "b"), "name a folder"),
        (("pictures", "--classes", "a", "a"), "there is 'a' already"),
        (("pictures", "--classes", "a, b c"), "by spaces: --classes a 'b c'"),
        (("pictures", "--port", "99999"), "port must be a whole number from 0 to"),
        (("pictures", "--seed", "-1"), "--seed must be a whole number from 0 to"),
        (("pictures", "--seed", str(2**32)), "--seed must be a whole number from 0 to"),
        (("pictures", "--host", "192.0.2.1"), "can't listen on '192.0.2.1'"),
        (("pictures", "--host", "a\0b"), "can't listen on 'a"),
        (("pictures", "--host", 70 * "\u00fc"), "can't listen on"),
        (("pictures", "--labels", "loop"), "loop: "),
        (("pictures", "--out", "t.csv"), "out must be a folder, and t.csv is a file"),
        (("pictures", "--labels", "~nobody-at-all/l.csv"), "there is no folder"),
        (("pictures", "--labels", "labels.csv", "--out", "."), "is the label file"),
        (("--text", "t.csv", "--column", "t", "--labels", "./t.csv"), "pool itself"),
        (("pictures", "--backbone", "resnet81"), "not a timm model. Did you mean"),
        (("pictures", "--labels", "a\0b"), "labels has a NUL character"),
        (("pictures", "--labels", "nowhere/l.csv"), "there is no folder"),
    ],
)
def test_what_is_not_possible(folder, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(folder.parent)
    os.symlink("loop", "loop")
    (folder.parent / "t.csv").write_text("t\nx\n")
    assert main(["label", *arguments, "--no-browser"]) == 2
    assert words in capsys.readouterr().err


def test_a_browser_that_keeps_its_caller_waiting(folder, monkeypatch, capsys):
    seen = []

    def browse(address):
        try:
            with urlopen(address, timeout=3) as page:
                seen.append(page.status)
        except OSError as error:
            seen.append(error)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("webbrowser.open", browse)
    main(["label", str(folder), "--image-size", "32"])
    assert seen == [200]
    assert "0 labels in" in capsys.readouterr().out


def test_without_the_extra(folder, monkeypatch, capsys):
    for name in [m for m in sys.modules if m.startswith("modal_pretrain.labelling.pa")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["label", str(folder)]) == 2
    assert 'pip install "modal_pretrain[label]"' in capsys.readouterr().err


def test_a_folder_behind_the_classes_and_one_beside_a_table(folder, capsys):
    assert main(["label", "--tags", "x", "--classes", "cat", str(folder)]) == 2
    assert (
        "goes before --classes, which takes all that follows" in capsys.readouterr().err
    )
    assert main(["label", str(folder), "--text", "t.csv", "--column", "t"]) == 2
    assert "not both; got" in capsys.readouterr().err
