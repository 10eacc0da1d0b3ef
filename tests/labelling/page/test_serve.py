"""Where the page listens, how its address is spelt, and how it ends."""

import contextlib
import signal
import socket
import sys
import threading
from asyncio.selector_events import BaseSelectorEventLoop
from http.client import HTTPException
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from tests.labelling.conftest import Client


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


def test_pages_of_a_notebook_export_apart(folder, start, monkeypatch, tmp_path):
    frames = ModuleType("IPython.display")
    frames.IFrame = lambda address, width, height: address
    monkeypatch.setitem(sys.modules, "IPython.display", frames)
    monkeypatch.chdir(tmp_path)
    wanted = {}
    for name, label in (("shape-labels", "circle"), ("topic", "square")):
        session = start(folder, labels=tmp_path / f"{name}.csv")
        row = session.ask()[0].row
        session.answer(row, label)
        files = Client(session.show()).post("api/export", {})[1]["files"]
        place = tmp_path / f"{name.removesuffix('-labels')}-labelled"
        assert {Path(file).parent for file in files} == {place}
        wanted[place / "labels.csv"] = label
    for path, label in wanted.items():  # the second has not replaced the first
        assert pd.read_csv(path)["label"].tolist() == [label]


def test_outside_of_a_notebook_no_server_is_left(folder, start, monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython.display", None)  # as if not installed
    session = start(folder)
    with pytest.raises(ImportError, match=r"notebooks.*IPython.*modal-pretrain label"):
        session.show()
    assert session._server is None


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
