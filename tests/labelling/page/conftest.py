"""What the tests of the page share."""

import pytest


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
