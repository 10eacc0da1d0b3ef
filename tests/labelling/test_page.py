"""What the page asks its server, and everything that must not work."""

import contextlib
import io
import json
import os
import signal
import socket
import sys
import threading
from asyncio.selector_events import BaseSelectorEventLoop
from http.client import HTTPException
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from tests.labelling.conftest import Client, label

EVIL = "http://evil.example"


@pytest.fixture
def page(folder, start, serve):
    """A session with nothing answered, its client, and its first question."""
    session = start(folder)
    client = serve(session)
    client.session = session
    client.row = client.get("api/state?n=4")[1]["questions"][0]["row"]
    return client


def nothing_happened(page):
    return (
        page.session.progress().labelled == 0
        and len(page.session.path.read_text().splitlines()) == 1
    )


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
    ("headers", "status"),
    [
        ({"Origin": EVIL}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": None}, 403),
        ({"Origin": "https://127.0.0.1"}, 403),
        ({"Host": "evil.example"}, 400),
        ({"Host": "127.0.0.1.evil.example"}, 400),
        ({"Host": None}, 400),
        ({"Host": ""}, 400),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "multipart/form-data"}, 415),
        ({"Content_Type": None}, 415),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
    ],
    ids=str,
)
def test_another_site_can_answer_nothing(page, headers, status):
    """By form, by script, or under a name of its own (DNS rebinding)."""
    said = {"rows": [page.row], "label": "circle"}
    for name in ("answer", "skip", "undo", "class", "export"):
        try:
            found = page.post(f"api/{name}", said, **headers)[0]
        except ConnectionResetError:  # refused before the body was read
            found = status
        assert found == status
    assert nothing_happened(page)


def test_another_site_sees_nothing(page):
    for path in ("", "api/state", f"picture/320/{page.row}"):
        assert page.send("GET", path, Host="evil.example")[0] == 400
        assert page.send("GET", path, Origin=EVIL)[0] == 403
        status, headers, _ = page.send("GET", path)
        assert status == 200
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers
    assert page.send("OPTIONS", "api/answer", Origin=page.origin)[0] == 405


@pytest.mark.parametrize("token", ["", "x", "{}x", "{}/../{}x", "..", "%2e%2e"])
def test_a_wrong_token_opens_nothing(page, token):
    token = token.format(*[page.path.strip("/")] * 2)
    for path in ("", "page.js", "api/state", f"picture/320/{page.row}"):
        whole = f"/{token}/{path}" if token else f"/{path}"
        if whole.startswith(page.path):
            assert page.send("GET", whole, whole_path=True)[0] == 404
        else:
            status, _, content = page.send("GET", whole, whole_path=True)
            assert status == 403 and b"token" in content
    said = {"rows": [page.row], "label": "circle"}
    sent = page.send("POST", f"/{token}/api/answer", said, whole_path=True)
    assert sent[0] in (403, 404)
    assert nothing_happened(page)


def test_tokens_differ_and_are_long(folder, start, serve, tmp_path):
    tokens = {serve(start(folder, labels=tmp_path / f"{k}.csv")).path for k in range(3)}
    assert len(tokens) == 3 and all(len(token) >= 26 for token in tokens)


@pytest.mark.parametrize(
    "path",
    [
        "picture/320/../../../etc/passwd",
        "picture/320/..%2f..%2fetc%2fpasswd",
        "picture/320/000.png",
        "picture/..%2f320/0",
        "picture/99999/0",
        "picture/320/-1",
        "picture/320/80",
        "picture/320/99999999999999999999",
        pytest.param("picture/320/" + 5000 * "9", id="a row of 5000 digits"),
        pytest.param("picture/" + 5000 * "9" + "/0", id="a size of 5000 digits"),
        "picture/320/0x1",
        "../page.js",
        "..%2fguard.py",
        "static/page.js",
        "../../../../../../etc/passwd",
        "app.py",
        "api/why?row=../0",
        "api/why?row=80",
        "api/why?row=-1",
        "api/why",
        "api/guess?row=1.5",
        "api/state?n=0",
        "api/state?n=201",
        "api/state?n=1e9",
    ],
)
def test_paths_lead_nowhere(page, path):
    status, _, content = page.send("GET", path)
    assert status in (400, 403, 404, 414)
    assert b"root:" not in content and b"import" not in content


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
def test_answers_that_are_none(page, said):
    status, reply = page.post(
        "api/answer", {"rows": [page.row], "label": "circle", **said}
    )
    assert status in (400, 403) and reply["error"]
    assert nothing_happened(page) or "n" in said


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 60_000, b'"rows"'], ids=repr
)
def test_bodies_that_are_no_object(page, body):
    assert page.post("api/answer", body)[0] == 400
    assert nothing_happened(page)


def test_ten_thousand_answers_at_once(page):
    page.session.ask(80)
    said = {"rows": list(range(10_000)), "label": "circle"}
    status, _ = page.post("api/answer", said)
    assert status in (400, 413)
    rows = page.session.ask(80)
    said["rows"] = [question.row for question in rows] * 125
    assert page.post("api/answer", said)[0] in (400, 413)
    assert page.post("api/answer", b"x" * 70_000)[0] == 413
    assert page.post("api/answer", b"{}", Content_Length=None)[0] == 411
    # In chunks it would be longer than it says.
    body = b"0\r\n\r\n"
    kind = {"Transfer_Encoding": "chunked", "Content_Length": "5"}
    assert page.post("api/answer", body, **kind)[0] == 411
    # Without a body: one that is left unread may reset the connection.
    assert page.post("api/answer", b"", Content_Length="many")[0] in (400, 411)
    assert nothing_happened(page)


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
    assert page.session.progress().labelled == 1
    assert len(page.session.path.read_text().splitlines()) == 2


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


def picture(page, row, size=1280):
    status, headers, content = page.send("GET", f"picture/{size}/{row}")
    return status, headers, content


def test_pictures_are_scaled_and_upright(folder, start, serve):
    big = Image.fromarray(
        np.linspace(0, 255, 4000 * 3000).astype(np.uint8).reshape(3000, 4000)
    ).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    big.save(folder / "000.png.jpg", quality=95, exif=exif)
    small = Image.open(folder / "001.png")
    page = serve(start(folder))
    asked = page.get("api/state?n=81")[1]["questions"]
    rows = {question["name"]: question["row"] for question in asked}
    status, headers, content = picture(page, rows["000.png.jpg"])
    shown = Image.open(io.BytesIO(content))
    assert status == 200 and shown.size == (960, 1280)
    assert headers["content-type"] == "image/jpeg" and len(content) < 300_000
    assert "max-age" in headers["cache-control"]
    tile = Image.open(io.BytesIO(picture(page, rows["000.png.jpg"], 320)[2]))
    assert tile.size == (240, 320)
    # Little ones come pixel by pixel.
    same = Image.open(io.BytesIO(picture(page, rows["001.png"])[2]))
    assert np.array_equal(np.asarray(same), np.asarray(small))


def test_pictures_that_do_not_decode(folder, start, serve, monkeypatch):
    bomb = Image.new("1", (20_000, 10_000))
    bomb.save(folder / "000.png")
    (folder / "001.png").write_bytes(b"<svg onload=alert(1)>")
    data = (folder / "002.png").read_bytes()
    (folder / "002.png").write_bytes(data[: len(data) // 2])
    (folder / "003.png").unlink()
    (folder / "003.png").symlink_to(folder / "absent.png")
    # Before the model comes upon them.
    monkeypatch.setattr("modal_pretrain.labelling.background._BLOCK", 0)
    session = start(folder)
    page = serve(session)
    names = {q["name"]: q["row"] for q in page.get("api/state?n=80")[1]["questions"]}
    bad = [names[f"{k:03}.png"] for k in range(3)]
    for row, words in zip(
        bad, ("suspiciously large", "not a picture", ""), strict=True
    ):
        status, _, content = picture(page, row)
        assert status == 422 and words in json.loads(content)["error"]
    state = page.get("api/state?n=80")[1]
    assert {q["row"] for q in state["questions"]}.isdisjoint(bad)
    assert state["progress"]["unreadable"] == 3


def test_a_full_disk_is_said(page, monkeypatch):
    def full(self, records):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(page.session._answers.file), "append", full)
    status, reply = page.post("api/answer", {"rows": [page.row], "label": "circle"})
    assert status == 507 and "No space left" in reply["error"]
    monkeypatch.undo()
    assert nothing_happened(page)
    assert page.post("api/answer", {"rows": [page.row], "label": "circle"})[0] == 200


def test_a_notebook_of_this_machine_may_frame_it(folder, start, serve):
    page = serve(start(folder), framed=True)
    policy = page.send("GET", "")[1]["content-security-policy"]
    assert policy.endswith("frame-ancestors http://localhost:* http://127.0.0.1:*")


def test_it_listens_on_this_machine_only(page):
    host, port = page.host.split(":")
    assert host == "127.0.0.1"
    assert page.get("api/state", Host=f"localhost:{port}")[0] == 200
    with open("/proc/net/tcp") as table:
        listening = [line.split()[1] for line in table if line.split()[3] == "0A"]
    wanted = f"{int(port):04X}"
    assert [a for a in listening if a.endswith(wanted)] == [f"0100007F:{wanted}"]


def test_in_a_notebook(folder, start, monkeypatch):
    frames = ModuleType("IPython.display")
    frames.IFrame = lambda address, width, height: (address, width, height)
    monkeypatch.setitem(sys.modules, "IPython.display", frames)
    session = start(folder)
    address, width, height = session.show(height=500)
    assert (width, height) == ("100%", 500)
    assert session.show()[0] == address  # one server, however often
    client = Client(address)
    status, headers, _ = client.send("GET", "")
    assert status == 200 and "localhost:*" in headers["content-security-policy"]
    row = client.get("api/state?n=1")[1]["questions"][0]["row"]
    assert client.post("api/answer", {"rows": [row], "label": "circle"})[0] == 200
    session.close()
    with pytest.raises(OSError):
        client.send("GET", "")


def test_it_ends_without_a_word_while_a_request_is_under_way(
    folder, start, monkeypatch, capfd
):
    from modal_pretrain.labelling.page.serve import PageServer

    begun, release = threading.Event(), threading.Event()
    session = start(folder)
    monkeypatch.setattr(
        type(session), "advice", lambda self: begun.set() or release.wait(60)
    )
    server = PageServer(session)
    server.start()

    def ask():
        with contextlib.suppress(OSError, HTTPException):
            Client(server.address).send("GET", "api/advice")

    waiting = threading.Thread(target=ask)
    waiting.start()
    assert begun.wait(30)
    threading.Timer(4, release.set).start()
    server.stop()
    release.set()
    waiting.join()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("127.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("LOCALHOST", "localhost"),
        ("0:0:0:0:0:0:0:1", "[::1]"),
        ("0", None),
    ],
)
def test_the_address_is_spelt_as_browsers_do(folder, start, serve, host, name):
    try:
        page = serve(start(folder), host=host)
    except OSError as error:
        pytest.skip(str(error))
    assert page.host.rpartition(":")[0] == (name or socket.gethostname().lower())
    port = page.host.rpartition(":")[2]
    page.host = f"{name or '127.0.0.1'}:{port}"
    assert page.get("api/state")[0] == 200


def test_browsers_leave_out_the_usual_port(folder, start, serve):
    try:
        page = serve(start(folder), port=80)
    except OSError as error:
        pytest.skip(str(error))
    assert page.host == "127.0.0.1"
    row = page.get("api/state")[1]["questions"][0]["row"]
    assert page.post("api/answer", {"rows": [row], "label": "circle"})[0] == 200


@pytest.mark.parametrize(
    "given", [{"host": 5}, {"host": None}, {"port": True}, {"port": "80"}, {"port": -1}]
)
def test_hosts_and_ports_that_are_none(folder, start, given):
    pytest.importorskip("uvicorn")
    from modal_pretrain.labelling.page.serve import PageServer

    with pytest.raises((TypeError, ValueError), match=f"^{next(iter(given))} must be"):
        PageServer(start(folder), **given)


def test_ctrl_c_while_the_loop_is_made_ends_it_without_a_word(
    folder, start, monkeypatch, capfd
):
    pytest.importorskip("uvicorn")
    from modal_pretrain.labelling.page.serve import PageServer

    def interrupted(self):
        signal.raise_signal(signal.SIGINT)
        made(self)

    made = BaseSelectorEventLoop._make_self_pipe
    monkeypatch.setattr(BaseSelectorEventLoop, "_make_self_pipe", interrupted)
    server = PageServer(start(folder))
    server._server.config.loop = "asyncio"
    server.run()
    assert capfd.readouterr().err == ""
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
