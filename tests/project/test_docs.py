"""Pages in docs/: their code runs, their links lead somewhere, the API is complete."""

import importlib
import re

import numpy as np
import pytest
from PIL import Image

from modal_pretrain._modalities import KNOWN
from modal_pretrain.datasets import make_shapes
from tests.project.markdown import (
    FENCE,
    ROOT,
    check_local_link,
    local_links,
    python_blocks,
)

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
# Pages whose blocks do not follow from one another, and where they are tested.
ELSEWHERE = {
    "benchmark": "runs for minutes; tests/benchmark/",
    "clusters": "needs a cluster; tests/embedding/test_workers.py",
    "embedding-cache": "fragments; tests/cache/test_disk.py",
    "query-strategies": "tests/query/test_docs.py",
    "speed": "a fragment; tests/embedding/test_encoder.py",
}
RUN = [p for p in PAGES if p.stem not in ELSEWHERE and any(python_blocks(p))]


def test_there_are_pages():
    names = {page.stem for page in RUN}
    assert {"install", "tutorial", "guide", "extending", "faq"} <= names
    assert set(ELSEWHERE) <= {page.stem for page in PAGES}


@pytest.fixture
def person(monkeypatch):
    """Somebody at the keyboard: sees a picture, types what it shows, at times wrong."""
    data = make_shapes(n_train=300, n_test=4, random_state=0).subset("train")
    shown = []
    monkeypatch.setattr(Image.Image, "show", lambda self: shown.append(self))

    def answer(prompt):
        assert len(shown) > 0, "asked before a picture was shown"
        if len(answers) == 3:
            answers.append("cirle")
        else:
            number = int(re.search(r"(\d+)\.png", prompt)[1])
            np.testing.assert_array_equal(np.asarray(shown[-1]), data.X[number])
            answers.append(str(data.y[number]))
        return answers[-1]

    answers = []
    monkeypatch.setattr("builtins.input", answer)
    return answers


@pytest.fixture
def own_modalities():
    # Pages add to what is known; other tests may have done so before. Our own stay as
    # they are: a module that a page imports registers what it has once.
    ours = {"image", "text"}
    others = {name: KNOWN.pop(name) for name in KNOWN.keys() - ours}
    yield
    for name in KNOWN.keys() - ours:
        del KNOWN[name]
    KNOWN.update(others)


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.stem)
def test_code_runs(page, tmp_path, monkeypatch, person, own_modalities):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    namespace = {"__name__": "page"}
    for block in python_blocks(page):
        exec(block, namespace)
    if page.stem == "tutorial":
        assert len(person) == 51 and "cirle" in person
        predicted = namespace["table"].set_index("path")["label"]
        data = make_shapes(n_train=300, n_test=4, random_state=0).subset("train")
        truth = [data.y[int(path[-7:-4])] for path in predicted.index]
        assert len(predicted) == 250
        assert np.mean(predicted.to_numpy() == np.array(truth)) > 0.8


@pytest.mark.parametrize(
    ("page", "link"),
    [(page, link) for page in PAGES for link in local_links(page)],
    ids=lambda value: getattr(value, "stem", value),
)
def test_local_link(page, link):
    check_local_link(page, link)


def test_every_page_is_in_the_contents():
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    listed = set()
    for match in FENCE.finditer(index):
        if match["language"] == "{toctree}":
            listed |= {line for line in match["code"].splitlines() if line[:1] != ":"}
    missing = {page.stem for page in PAGES} - listed - {"index"}
    assert not missing, f"docs/index.md lists no {', '.join(sorted(missing))}"


def public_names():
    """Names by module that the API page has to list."""
    for name in (
        "",
        ".query",
        ".metrics",
        ".datasets",
        ".compat",
        ".benchmark",
        ".reweighting",
        ".stopping",
    ):
        module = importlib.import_module(f"modal_pretrain{name}")
        yield module.__name__, {*module.__all__}


API = dict(public_names())


@pytest.mark.parametrize("module", API)
def test_api_is_complete(module):
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    listed: dict[str, set[str]] = {}
    here = None
    for line in text.splitlines():
        if found := re.match(r"\.\. currentmodule:: (\S+)", line):
            here = found[1]
        elif found := re.match(r"   (\w+)$", line):
            listed.setdefault(here, set()).add(found[1])
    assert listed[module] == API[module]
