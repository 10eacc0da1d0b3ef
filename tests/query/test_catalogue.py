"""The folder is the catalogue of strategies, each of which can be read alone."""

import ast
import inspect
import pathlib

import pytest

from modal_pretrain import query

FOLDER = pathlib.Path(query.__file__).parent
MODULES = sorted(path for path in FOLDER.glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_no_strategy_stands_on_another(path):
    inputs = [f"_inputs.{name}" for name in ("alikes", "frames", "spelling")]
    names = "_blas", "_checks", "query.scores", *inputs
    allowed = {f"modal_pretrain.{name}" for name in names}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and "modal_pretrain" in node.module:
            engine = node.module.startswith("modal_pretrain.query._engine.")
            assert engine or node.module in allowed, f"{path.name}:{node.lineno}"


def test_every_module_is_a_strategy_or_the_scores():
    homes = {
        pathlib.Path(inspect.getfile(getattr(query, name))).stem
        for name in query.__all__
    }
    assert {path.stem for path in MODULES} == homes
    assert "scores" in homes
