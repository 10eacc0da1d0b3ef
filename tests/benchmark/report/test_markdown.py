"""What comes from records and settings is plain text in report.md."""

import json

import pytest

from modal_pretrain.benchmark.report.markdown import markdown, plain
from modal_pretrain.benchmark.report.summary import summary


@pytest.mark.parametrize(
    "text, expected",
    [
        ("<i>place</i>", r"\<i>place\</i>"),
        ("<!-- x", r"\<!-- x"),
        ("a|b", r"a\|b"),
        ("[x](http://y)", r"\[x\](http://y)"),
        ("*b* `c`", r"\*b\* \`c\`"),
        ("&lt;b", r"\&lt;b"),
        ("back\\slash", r"back\\slash"),
        ("_em_", r"\_em\_"),
        ("~~gone~~", r"\~\~gone\~\~"),
        ("two\nlines\r\nthree", "two lines three"),
        # These mean nothing in Markdown and stay as they are.
        ("<1.0x (0.9-1.1)", "<1.0x (0.9-1.1)"),
        ("group_balanced", "group_balanced"),
        ("5 & 6 < 7, ~1", "5 & 6 < 7, ~1"),
    ],
)
def test_plain(text, expected):
    assert plain(text) == expected


def test_names_cannot_bring_markup(store):
    path = store.folder / "data.json"
    data = json.loads(path.read_text())
    data["attribute_name"] = "<i>place</i>"
    data["name"] = "# shapes](http://x)"
    data["summary"] = "# a heading\n\n<script>alert(1)</script>"
    path.write_text(json.dumps(data))
    (store.folder / "runs" / "a.json").write_text(
        json.dumps({"command": "bench\n```\n<b>out of the block</b>"})
    )
    text = markdown([summary(store)])
    assert r"(\<i>place\</i>)" in text
    assert "\n\n\\# a heading  \\<script>alert(1)\\</script>." in text
    assert r"## # shapes\](http://x), seed set" in text
    # The fence is longer than what the command has.
    assert "````sh\nbench\n```\n<b>out of the block</b>\n````\n" in text


@pytest.mark.parametrize(
    "summary_of_data, expected",
    [
        ("1. item", r"1\. item"),
        ("- item", r"\- item"),
        ("> said", r"\> said"),
        ("+ plus", r"\+ plus"),
        ("2400 rows", "2400 rows"),
    ],
)
def test_no_line_becomes_a_list(store, summary_of_data, expected):
    s = summary(store)._replace(title=summary_of_data)
    assert f"\n\n{expected}.\n" in markdown([s])


def test_runs_that_the_configuration_does_not_name(store):
    assert "Left out" not in markdown([summary(store)])
    records = store.folder / "records"
    one = next(records.glob("*random--1.jsonl"))
    (records / one.name.replace("random", "my_own")).write_bytes(one.read_bytes())
    text = markdown([summary(store)])
    assert "**Left out**, because config.json does not name them: " in text
    assert "pretrained--my_own--1.jsonl" in text
