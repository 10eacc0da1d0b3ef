"""The README's code runs from top to bottom, and its local links lead somewhere."""

import pytest

from tests.project.markdown import ROOT, check_local_link, local_links, python_blocks

README = ROOT / "README.md"


def test_code_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    blocks = list(python_blocks(README))
    assert blocks, "the README has no ```python block"
    namespace = {"__name__": "readme"}
    for block in blocks:
        exec(block, namespace)


@pytest.mark.parametrize("link", local_links(README))
def test_local_link(link):
    check_local_link(README, link)
