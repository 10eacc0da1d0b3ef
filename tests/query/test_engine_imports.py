"""What strategies import."""

import ast
import pathlib

import pytest

from modal_pretrain import query


@pytest.mark.parametrize(
    "path",
    sorted(pathlib.Path(query.__file__).parent.glob("*.py")),
    ids=lambda path: path.name,
)
def test_nothing_imports_torch(path):
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            found.add(node.module.split(".")[0])
            if node.module.startswith("modal_pretrain"):
                assert node.module.startswith("modal_pretrain.query")
    assert not found & {"torch", "torchvision", "timm", "skorch", "modAL", "PIL"}
