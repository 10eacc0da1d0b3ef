"""What the page asks its server, and answers that are none."""

import json
import os
import threading

import pytest

from tests.labelling.conftest import label
from tests.labelling.page.conftest import nothing_happened


def test_what_the_page_is_made_of(page):
    status, headers, content = page.send("GET", "")
    assert status == 200 and b"<h1" in content
    assert headers["content-type"] == "text/html; charset=utf-8"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy and "http" not in policy
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    for name in ("page.js", "api.js", "grid.js", "panel.js", "view.js", "page.css"):
        status, _, content = page.send("GET", name)
        assert status == 200
        # Works offline: nothing comes from another host, nothing is HTML from outside.
        assert b"http://" not in content and b"https://" not in content
        assert b"innerHTML" not in content


def test_answers(page, truth):
    status, state = page.get("api/state?n=3")
    assert status == 200 and len(state["questions"]) == 3
    assert state["classes"] == ["circle", "square"]
    first, second, third = (question["row"] for question in state["questions"])
    assert state["questions"][0]["name"] == f"{first:03}.png"
    status, state = page.post(
        "api/answer", {"rows": [first, second], "label": "circle", "tag": "red", "n": 2}
    )
    assert status == 200 and len(state["questions"]) == 2
    assert state["progress"]["by_class"] == {"circle": 2, "square": 0}
    assert page.post("api/skip", {"rows": [third]})[1]["progress"]["skipped"] == 1
    (fourth,) = (q["row"] for q in page.get("api/state?n=1")[1]["questions"])
    state = page.post("api/cannot-tell", {"rows": [fourth]})[1]
    assert state["progress"]["cannot_tell"] == 1
    for expected in ([fourth], [third], [second, first], []):
        undone = page.post("api/undo", {})[1]["undone"]
        assert [question["row"] for question in undone] == expected
    assert page.post("api/class", {"name": "star"})[1]["classes"][-1] == "star"
    assert page.post("api/tag", {"name": "blue"})[1]["tags"] == ["red", "blue"]
    assert page.session.progress().labelled == 0


def test_what_is_looked_at_again_comes_with_its_tag(page):
    rows = [q["row"] for q in page.get("api/state?n=2")[1]["questions"]]
    page.post("api/answer", {"rows": rows, "label": "circle", "tag": "red"})
    (found,) = page.post("api/again", {"row": rows[1]})[1]["undone"]
    assert (found["row"], found["tag"]) == (rows[1], "red")
    page.post("api/answer", {"rows": rows[1:], "label": "square", "tag": "blue"})
    for before in (["red"], ["", ""]):  # the correction, then the answer itself
        undone = page.post("api/undo", {})[1]["undone"]
        assert [question["tag"] for question in undone] == before


def test_why_guess_again_export(folder, start, serve, truth, tmp_path):
    session = label(start(folder, audit_share=0), truth, 14)
    page = serve(session, out=tmp_path / "out")
    row = page.get("api/state?n=1")[1]["questions"][0]["row"]
    why = page.get(f"api/why?row={row}")[1]
    assert why["words"] and {near["label"] for near in why["near"]} <= {
        "circle",
        "square",
    }
    guess = page.get(f"api/guess?row={row}")[1]
    assert guess["label"] in ("circle", "square") and guess["probability"] >= 0.5
    labelled = int(session.labels()["row"][0])
    state = page.post("api/again", {"row": labelled})[1]
    assert [question["row"] for question in state["undone"]] == [labelled]
    assert page.post("api/answer", {"rows": [labelled], "label": "square"})[0] == 200
    done = page.post("api/export", {})[1]
    assert len(done["files"]) == 3 and "joblib.load" in done["code"]
    assert (tmp_path / "out" / "predictions.csv").exists()


@pytest.mark.parametrize(
    "said",
    [
        {"rows": ["../0"]},
        {"rows": "../0"},
        {"rows": [0.5]},
        {"rows": [True]},
        {"rows": [None]},
        {"rows": [80]},
        {"rows": [-1]},
        {"rows": []},
        {"rows": {"0": 0}},
        {"rows": [10**30]},
        {"label": "../circle"},
        {"label": 1},
        {"label": None},
        {"label": ["circle"]},
        {"label": "star"},
        {"label": ""},
        {"tag": 7},
        {"tag": "a\nb"},
        {"tag": "=cmd()"},
        {"tag": "x" * 101},
        {"n": 10**9},
        {"n": "8"},
    ],
    ids=str,
)
def test_answers_that_are_none(untouched, said):
    status, reply = untouched.post(
        "api/answer", {"rows": [untouched.row], "label": "circle", **said}
    )
    assert status in (400, 403) and reply["error"]
    assert nothing_happened(untouched)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 60_000, b'"rows"'], ids=repr
)
def test_bodies_that_are_no_object(untouched, body):
    assert untouched.post("api/answer", body)[0] == 400
    assert nothing_happened(untouched)


def test_a_row_that_was_never_asked(page):
    asked = {question.row for question in page.session.ask(4)}
    other = next(row for row in range(80) if row not in asked)
    status, reply = page.post("api/answer", {"rows": [other], "label": "circle"})
    assert status == 403 and "was not asked about" in reply["error"]
    # Nor does the page's way to correct a label open a row that has none.
    assert page.post("api/again", {"row": other})[0] == 403
    assert page.post("api/answer", {"rows": [page.row, other], "label": "circle"})[
        0
    ] == (403)
    assert nothing_happened(page)


def test_two_tabs_answer_the_same_picture(page):
    said = [{"rows": [page.row], "label": name} for name in ("circle", "square")]
    replies = []
    tabs = [
        threading.Thread(target=lambda s=s: replies.append(page.post("api/answer", s)))
        for s in said
    ]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join()
    assert sorted(status for status, _ in replies) == [200, 409]
    (refused,) = (reply for status, reply in replies if status == 409)
    assert "answered meanwhile" in refused["error"]
    assert refused["error"].endswith(". That stays.")  # nobody calls ask() on a page
    assert page.session.progress().labelled == 1
    assert len(page.session.path.read_text().splitlines()) == 2


def test_many_of_which_another_tab_has_answered_one(page):
    rows = [q["row"] for q in page.get("api/state?n=24")[1]["questions"]]
    assert page.post("api/answer", {"rows": rows[3:4], "label": "square"})[0] == 200
    status, reply = page.post("api/answer", {"rows": rows, "label": "circle"})
    assert status == 200
    assert reply["notice"] == "Answered meanwhile, and left as that is: 1 of 24."
    labels = page.session.labels().set_index("row")["label"]
    assert labels[rows[3]] == "square" and (labels.drop(rows[3]) == "circle").all()
    assert reply["progress"]["labelled"] == len(labels) == 24
    assert page.post("api/skip", {"rows": rows[:2]})[0] == 409
    page.post("api/undo", {})
    assert page.session.labels()["row"].tolist() == rows[3:4]


NAME = '<img src=x onerror="alert(1)">\'&.png'


def test_names_and_texts_are_data(folder, start, serve):
    (folder / "000.png").rename(folder / NAME)
    page = serve(start(folder, tags=["<b>"]))
    names = [q["name"] for q in page.get("api/state?n=80")[1]["questions"]]
    assert NAME in names
    _, headers, content = page.send("GET", "api/state?n=80")
    assert headers["content-type"] == "application/json"
    assert headers["x-content-type-options"] == "nosniff"
    assert json.loads(content)["tags"] == ["<b>"]


def test_folders_whose_names_are_no_utf8(folder, start, serve, tmp_path):
    odd = os.fsdecode(b"pi\xff")
    session = start(folder.rename(tmp_path / odd))
    page = serve(session, title=odd, out=tmp_path / f"{odd}-out")
    status, state = page.get("api/state?n=2")
    assert status == 200 and state["title"] == "pi?"
    page.post("api/skip", {"rows": [state["questions"][0]["row"]]})
    status, done = page.post("api/export", {})
    assert status == 200 and done["files"][0].endswith("pi?-out/labels.csv")


def test_texts(serve, start, tmp_path):
    pytest.importorskip("transformers")
    from modal_pretrain import PretrainedTextClassifier

    texts = ["<script>alert(1)</script>", "half a letter", "long " * 10_000]
    session = start(
        texts,
        labels=tmp_path / "l.csv",
        estimator=PretrainedTextClassifier(device="cpu"),
    )
    page = serve(session)
    found = page.get("api/state?n=3")[1]["questions"]
    shown = {question["row"]: question["text"] for question in found}
    assert shown[0] == texts[0] and shown[1] == texts[1]
    assert len(shown[2]) == 20_000 and shown[2].endswith("…")
    assert page.send("GET", "picture/320/0")[0] == 404


def test_a_full_disk_is_said(page, monkeypatch):
    def full(self, records):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(page.session._answers.file), "append", full)
    status, reply = page.post("api/answer", {"rows": [page.row], "label": "circle"})
    assert status == 507 and "No space left" in reply["error"]
    monkeypatch.undo()
    assert nothing_happened(page)
    assert page.post("api/answer", {"rows": [page.row], "label": "circle"})[0] == 200
