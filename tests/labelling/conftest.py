"""Small pools to label, with a model that needs no network and no time."""

import json
import re
import shutil
import signal
from http.client import HTTPConnection
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from modal_pretrain import PretrainedClassifier
from modal_pretrain.datasets import make_shapes
from modal_pretrain.labelling import LabelSession
from tests.processes import start_module


@pytest.fixture(scope="session")
def shapes():
    """80 pictures with their labels."""
    return make_shapes(n_train=80, n_test=4, random_state=0).subset("train")


@pytest.fixture(scope="session")
def files(shapes, tmp_path_factory):
    """The same as files, 000.png and so on; tests work on copies."""
    folder = tmp_path_factory.mktemp("shapes")
    for number, picture in enumerate(shapes.X):
        Image.fromarray(picture).save(folder / f"{number:03}.png")
    return folder


@pytest.fixture
def folder(files, tmp_path):
    """Those, for one test."""
    return shutil.copytree(files, tmp_path / "pictures", copy_function=shutil.copyfile)


@pytest.fixture
def truth(shapes):
    """Label of a row of the folder."""
    return lambda row: str(shapes.y[row])


def open_session(pool, classes=("circle", "square"), **params):
    params.setdefault(
        "estimator",
        PretrainedClassifier(image_size=32, device="cpu", precision="float32"),
    )
    return LabelSession(pool, classes, **params)


@pytest.fixture
def start():
    """Open a session on the CPU; closed after the test."""
    opened = []

    def start(*args, **params):
        opened.append(open_session(*args, **params))
        return opened[-1]

    yield start
    for session in opened:
        session.close()


def label(session, truth, n):
    """Answer n questions, one by one, with the model up to date."""
    for _ in range(n):
        session.wait(60)
        row = session.ask()[0].row
        session.answer(row, truth(row))
    session.wait(60)
    return session


def accuracy(session, y):
    """Share of the pool that the model has right."""
    return np.mean(session.predictions()["predicted"] == y)


class Client:
    """Speaks HTTP to a page as a browser, or somebody else, would."""

    def __init__(self, address):
        self.address = address
        found = urlsplit(address)
        self.host, self.path = found.netloc, found.path
        self.origin = f"http://{self.host}"

    def send(self, method, path, body=None, *, whole_path=False, **headers):
        """Return status, headers and body; headers given as None are not sent."""
        sent = {"Host": self.host}
        if method == "POST":
            sent |= {"Origin": self.origin, "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = HTTPConnection(self.host, timeout=30)
        connection.putrequest(
            method,
            path if whole_path else self.path + path,
            skip_host=True,
            skip_accept_encoding=True,
        )
        data = b"" if body is None else body
        if not isinstance(data, bytes):
            data = json.dumps(data).encode()
        if method == "POST":
            sent.setdefault("Content-Length", str(len(data)))
        for name, value in sent.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders(data)
        reply = connection.getresponse()
        content = reply.read()
        connection.close()
        return reply.status, reply.headers, content

    def get(self, path, **headers):
        """Return status and what the JSON says."""
        status, _, content = self.send("GET", path, **headers)
        return status, json.loads(content)

    def post(self, path, body, **headers):
        """Return status and what the JSON says, if it is some."""
        status, kind, content = self.send("POST", path, body, **headers)
        if kind["content-type"] != "application/json":
            return status, content.decode()
        return status, json.loads(content)


@pytest.fixture
def serve():
    """Serve a session; returns a client."""
    yield from serving()


def serving():
    """Yield a function that serves a session; end all it served."""
    pytest.importorskip("starlette")
    pytest.importorskip("uvicorn")
    from modal_pretrain.labelling.page.serve import PageServer

    servers = []

    def serve(session, **params):
        server = PageServer(session, **params)
        server.start()
        servers.append(server)
        return Client(server.address)

    yield serve
    for server in servers:
        server.stop()


@pytest.fixture
def command():
    """Run ``modal-pretrain label``; ended after the test, however that ends."""
    started = []

    def run(*arguments):
        process = start_module("modal_pretrain", "label", *arguments, "--no-browser")
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def until_address(process):
    """Return what a command has said when its page is there, and the address."""
    said = ""
    for line in process.stdout:
        said += line
        if found := re.search(r"http://\S+", line):
            return said, found[0]
    raise AssertionError(process.stderr.read())


def interrupt(process):
    """End a command with Ctrl-C; return what it has to say."""
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert errors == ""
    return said
