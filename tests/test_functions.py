"""Functions by the name of their module, wherever that lies."""

import sys

import pytest

from modal_pretrain._functions import imported


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A working directory that Python does not look in, as an installed command's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    return tmp_path


def test_functions_of_modules_in_the_working_directory(elsewhere):
    code = "def ask():\n    import mine_2 as m\n    return m"
    (elsewhere / "mine_1.py").write_text(code)
    (elsewhere / "mine_2.py").touch()
    ask = imported("mine_1:ask", "strategy")
    assert ask().__name__ == "mine_2"
    assert sys.path[-1] == str(elsewhere) and sys.path.count(str(elsewhere)) == 1


def test_functions_of_a_script_are_not_there_in_other_processes():
    with pytest.raises(ValueError, match=r"not in those of n_jobs: move it to a mod"):
        imported("__main__:ask_of_a_script", "strategy")


def test_functions_that_are_nowhere(elsewhere):
    before = list(sys.path)
    with pytest.raises(ValueError, match="looked for in the working directory"):
        imported("mine_3:ask", "strategy")
    assert sys.path == before
    # What is missing is another module: nothing about where this one was looked for.
    (elsewhere / "mine_4.py").write_text("import mine_5")
    with pytest.raises(ValueError, match=r"No module named 'mine_5'\.$"):
        imported("mine_4:ask", "strategy")
    # No installed package is hidden.
    (elsewhere / "json").mkdir()
    (elsewhere / "json" / "__init__.py").touch()
    import json

    assert imported("json:dumps", "strategy") is json.dumps
