"""What the tests of the page share."""

import shutil
from contextlib import contextmanager

import pytest

from tests.labelling.conftest import open_session, serving


@pytest.fixture
def page(folder, start, serve):
    """A session with nothing answered, its client, and its first question."""
    return _asked(start(folder), serve)


@pytest.fixture(scope="module")
def untouched(files, tmp_path_factory):
    """The same for all tests of a file: only for those where nothing happens."""
    folder = tmp_path_factory.mktemp("untouched") / "pictures"
    shutil.copytree(files, folder)
    with open_session(folder) as session, contextmanager(serving)() as serve:
        yield _asked(session, serve)


def _asked(session, serve):
    client = serve(session)
    client.session = session
    client.row = client.get("api/state?n=4")[1]["questions"][0]["row"]
    return client


def nothing_happened(page):
    return (
        page.session.progress().labelled == 0
        and len(page.session.path.read_text().splitlines()) == 1
    )
