"""The page on query strategies runs, and names every strategy."""

import pathlib
import re

from modal_pretrain import query

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "query-strategies.md"


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
