"""Every example runs as a script, anywhere, without a warning, and leaves no files.

`make test` leaves that to the pages, for which `docs/conf.py` runs them as strictly.
"""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples"
EXAMPLES = sorted(FOLDER.glob("plot_*.py"))

pytest.importorskip("matplotlib")


def test_there_are_examples():
    assert EXAMPLES
    others = {path.name for path in FOLDER.glob("*.py")} - {p.name for p in EXAMPLES}
    assert not others, "examples are named plot_<verb>_<thing>.py, or nobody runs them"


@pytest.mark.slow
@pytest.mark.pages
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_runs(path, tmp_path):
    folder, temporary = tmp_path / "empty", tmp_path / "temporary"
    folder.mkdir()
    temporary.mkdir()
    command = [sys.executable, "-W", "error"]
    # Later options win. PyTorch and what it imports announce removals of their own; on
    # a desktop Agg complains that it has no window.
    for ignored in (
        "ignore::DeprecationWarning",
        "ignore::FutureWarning",
        "ignore:FigureCanvasAgg is non-interactive",
    ):
        command += ["-W", ignored]
    result = subprocess.run(
        [*command, str(path)],
        cwd=folder,
        env={
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "MPLBACKEND": "Agg",
            "TMPDIR": str(temporary),
        },
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert result.returncode == 0, result.stderr
    # What is swallowed in destructors and threads ends up here, as warnings do.
    assert "Exception ignored" not in result.stderr
    assert not list(folder.iterdir())
    assert not [p for p in temporary.rglob("*") if p.suffix in (".png", ".csv")]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_form(path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    title, underline = (ast.get_docstring(tree) or "\n").splitlines()[:2]
    assert title
    assert set(underline) == {"="}
    assert len(title) == len(underline)
    assert len(text.splitlines()) <= 120
    assert "\n# %%\n" in text
    printed = ast.unparse(tree.body[-1])
    assert printed.startswith("print(f") and "{" in printed, "it ends with one number"
    shown = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in ("show", "savefig")
    ]
    assert [node.attr for node in shown] == ["show"], "one figure, shown and not saved"
