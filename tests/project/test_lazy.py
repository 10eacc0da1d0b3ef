"""Names that are imported when they are asked for, and what that saves."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import modal_pretrain
from modal_pretrain._lazy import attach

PACKAGES = ["modal_pretrain"] + [
    f"modal_pretrain.{name}" for name in ("benchmark", "datasets", "query")
]
SLOW = {"torch", "timm", "skorch", "sklearn", "scipy", "pandas", "modAL", "PIL"}


def python(code, *options):
    return subprocess.run(
        [sys.executable, *options, "-c", code], capture_output=True, text=True
    )


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_can_be_had(package):
    module = importlib.import_module(package)
    for name in module.__all__:
        assert getattr(module, name) is vars(module)[name]
        assert name in dir(module)
    listed = {
        alias.name
        for node in ast.walk(ast.parse(Path(module.__file__).read_text()))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(module.__all__) <= listed
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute"):
        module.nonsense  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'nonsense'"):
        exec(f"from {package} import nonsense")


def test_submodules_are_attributes():
    code = "import modal_pretrain as m; print(m.query.badge.badge_sampling.__name__)"
    assert python(code).stdout == "badge_sampling\n"


@pytest.mark.parametrize(
    "statement",
    [
        "import modal_pretrain",
        "import modal_pretrain.datasets.registry as r; r.names()",
        "import modal_pretrain.query as q; q.__all__, dir(q)",
        "import modal_pretrain.benchmark",
    ],
)
def test_importing_loads_nothing_slow(statement):
    code = f"import sys; {statement}; print(*{{m.split('.')[0] for m in sys.modules}})"
    done = python(code, "-W", "error")
    assert done.returncode == 0, done.stderr
    assert not SLOW & set(done.stdout.split())


def test_what_is_attached(tmp_path, monkeypatch):
    folder = tmp_path / "attached"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n"
        "    from json import dumps, loads\n"
        "    from attached.inner import missing\n"
    )
    (folder / "inner.py").write_text("here = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("attached")
    get, names = attach("attached")
    assert get("dumps")([1]) == "[1]"
    assert {"dumps", "loads", "missing"} <= set(names())
    assert "dumps" in vars(module) and "loads" not in vars(module)
    assert get("inner").here == 1
    with pytest.raises(AttributeError, match="missing"):
        get("missing")
    for name in ("nothing", "__path_hooks__"):
        with pytest.raises(AttributeError, match=name):
            get(name)


def test_version_without_imports():
    assert modal_pretrain.__version__
