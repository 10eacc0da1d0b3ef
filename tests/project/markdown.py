"""What the tests of README.md and of docs/ know about Markdown."""

import re
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).parents[2]
# An opening fence with its language, the code, and the same fence again.
FENCE = re.compile(
    r"^(?P<fence>`{3,}|~{3,})(?P<language>[\w{}-]*).*?\n(?P<code>.*?)^(?P=fence)\s*$",
    re.DOTALL | re.MULTILINE,
)


def python_blocks(path):
    """Compiled blocks, each with the page's own line numbers in its tracebacks."""
    text = path.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        if match["language"] == "python":
            above = "\n" * text.count("\n", 0, match.start("code"))
            yield compile(above + match["code"], str(path), "exec")


def local_links(path):
    """Targets of links, pictures and references that are no URLs."""
    text = path.read_text(encoding="utf-8")
    prose = re.sub(r"`[^`\n]+`", "", FENCE.sub("", text))
    links = {
        *re.findall(r"\]\(\s*<?([^)\s>]+)", prose),  # [text](target), ![alt](target)
        *re.findall(r"^\[[^\]]+\]:\s*<?([^\s>]+)", prose, re.MULTILINE),
        *re.findall(r"""\b(?:src|href|srcset)=["']([^"']+)""", prose),
    }
    return sorted(link for link in links if not re.match(r"[a-z][a-z0-9+.-]*:", link))


def anchors(path):
    """Anchors of the headings of a Markdown file, as GitHub and MyST make them."""
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    titles = re.findall(r"^#{1,6}\s+(.+?)\s*#*$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}


def check_local_link(path, link):
    """Fail if a link of a page leads nowhere."""
    target, _, anchor = unquote(link).partition("#")
    place = (path.parent / target).resolve() if target else path
    # The gallery's pages are made from the scripts.
    if place.parent.name == "auto_examples":
        script = ROOT / "examples" / f"{place.stem}.py"
        assert place.stem == "index" or script.exists(), f"{path.name}: no {script}"
        return
    assert place.exists(), f"{path.name} links to {target}, which does not exist"
    assert place.is_relative_to(ROOT.resolve())
    if anchor and place.suffix == ".md":
        assert anchor in anchors(place), f"{path.name}: {place.name} has no #{anchor}"
