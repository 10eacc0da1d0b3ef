"""The register of repairs, the need for each, and the errors for a bad install."""

import inspect
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import modAL
import numpy as np
import pandas as pd
import pytest
import sklearn.cluster

from modal_pretrain import compat
from modal_pretrain.compat import _registry, _require
from tests.compat import compat_cases

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
OURS = str(pathlib.Path(compat.__file__).parent)


def run(*arguments, path=(), **environment):
    """Run Python with more folders on its path; return the finished process."""
    parts = [*map(str, path), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment |= {"PYTHONPATH": os.pathsep.join(parts)} if parts else {}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        timeout=300,
    )


def test_apply_is_idempotent():
    first = compat.apply()
    assert first == compat.apply()
    assert isinstance(first, tuple) and len(set(first)) == len(first)


def test_repairs_are_listed_with_a_description():
    listed = compat.repairs()
    assert tuple(name for name, entry in listed.items() if entry.applied) == (
        compat.apply()
    )
    for entry in listed.values():
        assert 10 < len(entry.description) < 90 and entry.description.endswith(".")


def test_docs_list_the_repairs():
    page = ROOT / "docs" / "modal-repairs.md"
    named = re.findall(
        r"^\| `(\w+)` \|", page.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert named == list(compat.repairs())


def test_repairs_stand_down_where_modal_works():
    # On the repaired modAL every probe succeeds, so a second round finds nothing to do.
    assert not [name for name, function in _registry.REPAIRS.items() if function()]


@pytest.mark.parametrize("name", compat.repairs())
def test_with_repair(name):
    compat_cases.CASES[name]()


@pytest.fixture(scope="module")
def errors_without_repairs():
    options = ["-W", "ignore", "-W", "error::FutureWarning"]
    process = run(*options, HERE / "compat_cases.py")
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


@pytest.mark.parametrize("name", compat.repairs())
def test_without_repair(name, errors_without_repairs):
    assert (errors_without_repairs[name] is not None) == (name in compat.apply())


def is_ours(function):
    code = getattr(function, "__code__", None)
    return code is not None and code.co_filename.startswith(OURS)


def test_other_namespaces_are_left_alone():
    assert "float" not in vars(np)
    assert "append" not in vars(pd.DataFrame)
    assert not hasattr(sklearn.cluster, "hierarchical")
    assert "sklearn.cluster.hierarchical" not in sys.modules
    for name in ("numpy", "pandas", "sklearn.utils", "sklearn.pipeline", "scipy.stats"):
        assert not any(map(is_ours, vars(sys.modules[name]).values()))


def test_replacements_keep_names_and_signatures():
    replaced = []
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "modAL":
            for value in list(vars(module).values()):
                members = vars(value).values() if isinstance(value, type) else [value]
                replaced += filter(is_ours, members)
    assert {"check_X_y", "data_vstack", "query", "vote"} <= {
        f.__name__ for f in replaced
    }
    for function in replaced:
        original = inspect.unwrap(function, stop=lambda f: not is_ours(f))
        assert inspect.signature(function) == inspect.signature(original)
        assert function.__qualname__ == original.__qualname__


FRESH_IMPORT = """
import numpy as np
import modAL.utils.data as data
state = np.random.get_state()[1].tolist()
from modal_pretrain import compat
compat.apply()
assert np.random.get_state()[1].tolist() == state, "the generator was used"
assert not hasattr(np, "float"), "np.float was left behind"
import modAL
assert modAL.__file__.startswith({folder!r}), modAL.__file__
"""


def test_import_is_silent_when_modal_is_compiled_for_the_first_time(tmp_path):
    # `loss is 'binary'` makes a SyntaxWarning, but only when there is no bytecode yet.
    source = pathlib.Path(modAL.__file__).parent
    if "expected_error_import" in compat.apply():
        with pytest.warns(SyntaxWarning, match="literal"):
            compile((source / "expected_error.py").read_text(), "modAL", "exec")
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(source, tmp_path / "modAL", ignore=ignore)
    script = FRESH_IMPORT.format(folder=str(tmp_path))
    options = ["-W", "error::SyntaxWarning", "-W", "error::FutureWarning"]
    process = run(*options, "-c", script, path=[tmp_path])
    assert process.returncode == 0, process.stderr


def test_docstrings_that_are_removed():
    # skorch failed: 'NoneType' object has no attribute 'split'.
    process = run("-OO", "-c", "import modal_pretrain")
    assert process.returncode != 0
    assert "can't run under python -OO" in process.stderr.splitlines()[-1]


def test_missing_modal():
    script = "import sys; sys.modules['modAL'] = None; import modal_pretrain"
    process = run("-c", script)
    assert process.returncode == 1
    assert 'pip install --no-deps "modAL-python>=0.4.2"' in process.stderr
    assert "ImportError: modal_pretrain needs modAL" in process.stderr


def test_old_skorch_that_cannot_be_imported(tmp_path):
    (tmp_path / "skorch").mkdir()
    (tmp_path / "skorch" / "__init__.py").write_text("import no_pkg_resources\n")
    (tmp_path / "skorch-0.9.0.dist-info").mkdir()
    metadata = "Metadata-Version: 2.1\nName: skorch\nVersion: 0.9.0\n"
    (tmp_path / "skorch-0.9.0.dist-info" / "METADATA").write_text(metadata)
    process = run("-c", "import modal_pretrain", path=[tmp_path])
    assert process.returncode == 1
    assert "needs skorch 1.2 or later, but 0.9.0 is installed" in process.stderr
    assert 'pip install --upgrade "skorch>=1.2"' in process.stderr
    assert 'pip install --no-deps "modAL-python>=0.4.2"' in process.stderr
    assert "no_pkg_resources" not in process.stderr


@pytest.mark.parametrize(
    ("version", "accepted"),
    [("0.9.0", False), ("1.1.0", False), ("1.2.0", True), ("1.10", True),
     ("2.0.0.dev0", True), ("1.2.1rc1", True), ("unknown", True)],
)  # fmt: skip
def test_skorch_versions(monkeypatch, version, accepted):
    monkeypatch.setattr(_require.metadata, "version", lambda name: version)
    if accepted:
        compat.require_modal()
    else:
        with pytest.raises(ImportError, match=f"{version} is installed"):
            compat.require_modal()


def test_skorch_without_metadata(monkeypatch):
    def version(name):
        raise _require.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(_require.metadata, "version", version)
    compat.require_modal()  # a source checkout on the path
    monkeypatch.setitem(sys.modules, "skorch", None)
    with pytest.raises(ImportError, match="not installed") as caught:
        compat.require_modal()
    assert caught.value.name == "skorch"


def test_modal_from_any_distribution(monkeypatch):
    # Only skorch's metadata is read: modAL may come from a checkout or another name.
    real = _require.metadata.version
    asked = []
    monkeypatch.setattr(
        _require.metadata, "version", lambda name: asked.append(name) or real(name)
    )
    compat.require_modal()
    assert asked == ["skorch"]


def test_modal_before_dropout(monkeypatch):
    monkeypatch.setitem(sys.modules, "modAL.dropout", None)
    with pytest.raises(ImportError, match=r"needs modAL 0\.4\.2 or later"):
        compat.require_modal()


def test_minimum_skorch_is_the_one_in_the_metadata():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    [requirement] = re.findall(r'"(skorch>[^"]*)"', text)
    assert requirement == "skorch>=" + ".".join(map(str, _require.MINIMUM_SKORCH))
    assert requirement in _require.UPGRADE_SKORCH
