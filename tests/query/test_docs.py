"""The page on query strategies and the script behind its numbers run."""

import pathlib
import re
import runpy
import sys

from modal_pretrain import query

ROOT = pathlib.Path(__file__).parents[2]
PAGE = ROOT / "docs" / "query-strategies.md"


def test_code_runs():
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert blocks
    names = {}
    for block in blocks:
        exec(block, names)
    assert names["idx"].shape == (10,)


def test_every_strategy_is_named():
    text = PAGE.read_text()
    for name in query.__all__:
        if name not in ("bald_score", "epig_score"):
            assert f"`{name}`" in text, name


def test_speed_script_runs_without_peers(monkeypatch, capsys):
    script = ROOT / "benchmarks" / "query_speed.py"
    options = ["--n", "300", "--repeat", "1", "--no-peers", "core", "badge", "cover"]
    monkeypatch.setattr(sys, "argv", [str(script), *options])
    monkeypatch.syspath_prepend(script.parent)  # as Python does for a script
    runpy.run_path(str(script), run_name="__main__")
    out = capsys.readouterr().out
    for name in ("core_set", "badge", "prob_cover"):
        assert re.search(rf"^{name} +300 x.* not run$", out, flags=re.MULTILINE)
