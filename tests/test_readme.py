"""The README's code runs from top to bottom, and its local links lead somewhere."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text(encoding="utf-8")
# An opening fence with its language, the code, and the same fence again.
FENCE = re.compile(
    r"^(?P<fence>`{3,}|~{3,})(?P<language>\w*).*?\n(?P<code>.*?)^(?P=fence)\s*$",
    re.DOTALL | re.MULTILINE,
)
PROSE = re.sub(r"`[^`\n]+`", "", FENCE.sub("", TEXT))
LINKS = sorted(
    {
        *re.findall(r"\]\(\s*<?([^)\s>]+)", PROSE),  # [text](target), ![alt](target)
        *re.findall(r"^\[[^\]]+\]:\s*<?([^\s>]+)", PROSE, re.MULTILINE),
        *re.findall(r"""\b(?:src|href)=["']([^"']+)""", PROSE),
    }
)
LOCAL_LINKS = [link for link in LINKS if not re.match(r"[a-z][a-z0-9+.-]*:", link)]


def python_blocks():
    """Compiled blocks, each with the README's own line numbers in its tracebacks."""
    for match in FENCE.finditer(TEXT):
        if match["language"] == "python":
            above = "\n" * TEXT.count("\n", 0, match.start("code"))
            yield compile(above + match["code"], str(README), "exec")


def test_code_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    blocks = list(python_blocks())
    assert blocks, "the README has no ```python block"
    namespace = {"__name__": "readme"}
    for block in blocks:
        exec(block, namespace)


def anchors(path):
    """GitHub's anchors of the headings of a Markdown file."""
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    titles = re.findall(r"^#{1,6}\s+(.+?)\s*#*$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}


@pytest.mark.parametrize("link", LOCAL_LINKS)
def test_local_link(link):
    target, _, anchor = unquote(link).partition("#")
    path = (README.parent / target).resolve() if target else README
    assert path.exists(), f"README.md links to {target}, which does not exist"
    assert path.is_relative_to(README.parent.resolve())
    if anchor and path.suffix == ".md":
        assert anchor in anchors(path)
