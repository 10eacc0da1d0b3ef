"""The report in Markdown, where names of data, models and groups stay plain text."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pandas as pd

from modal_pretrain.benchmark.report.claims import claims, lead, protocol
from modal_pretrain.benchmark.report.stopping import audits, stops
from modal_pretrain.benchmark.report.summary import Summary
from modal_pretrain.benchmark.report.tables import (
    MAIN,
    Table,
    differing,
    results,
    saved,
    settings,
)

# What may begin a tag, a link, a code span, emphasis, a cell, an entity or an escape.
# "<1.0x" and "a_b" are none of these.
_MARKUP = re.compile(
    r"[\\`*\[\]|]|<(?=[A-Za-z/!?])|&(?=#?\w+;)|(?<!\w)_|_(?!\w)|~(?=~)|(?<=~)~"
)
# What makes a heading, a quotation, a list or a rule at the beginning of a line.
_START = re.compile(r"^(\s*)([#>+=-]|\d+(?=[.)]\s))")


def plain(text: str) -> str:
    """Return text such that Markdown shows it as it is, within a line."""
    text = " ".join(str(text).splitlines())
    return _MARKUP.sub(lambda found: "\\" + found.group(), text)


def _paragraph(text: str) -> str:
    return _START.sub(_start_escaped, plain(text))


def _start_escaped(found: re.Match[str]) -> str:
    space, mark = found.groups()
    # A number's dot carries the backslash.
    return f"{space}{mark}\\" if mark.isdigit() else f"{space}\\{mark}"


def to_markdown(table: pd.DataFrame, beside: Iterable[pd.DataFrame] = ()) -> str:
    """Return a summary's table in Markdown, for people.

    It has a column with the seeds where not all strategies have equally many.

    Parameters
    ----------
    table : pandas.DataFrame
        See `Summary`.
    beside : iterable of pandas.DataFrame, default=()
        Tables that are read beside it, whose strategies may have other seeds.

    Returns
    -------
    str
    """
    seeds = differing([table, *beside], ["seeds"])
    return markdown_table(results(table, [*seeds, *MAIN]))


def markdown_table(table: Table) -> str:
    """Return a table in Markdown."""
    rows = [[plain(str(cell)) for cell in row] for row in table.rows]
    lines = [table.header, ["---"] * len(table.header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def markdown(summaries: Iterable[Summary]) -> str:
    """Return the whole report in Markdown.

    Parameters
    ----------
    summaries : iterable of Summary

    Returns
    -------
    str
    """
    parts = ["# Active learning: what was asked, and how many labels it took"]
    summaries = list(summaries)
    every = [s.table for s in summaries]
    for s, name in zip(summaries, settings(summaries), strict=True):
        parts.append(f"## {plain(name)}\n\n{_paragraph(s.title)}.")
        if s.left_out:
            names = ", ".join(map(plain, s.left_out))
            parts.append(
                f"**Left out**, because config.json does not name them: {names}."
            )
        parts += map(_paragraph, [*lead(s), protocol(s)])
        parts.append(to_markdown(s.table, every))
        if s.levels:
            parts.append(markdown_table(saved(s)))
        parts += [markdown_table(table) for table in (stops(s), audits(s)) if table]
        parts.append(
            "\n".join(
                f"- **{plain(claim)}**: {plain(found)}." for claim, found in claims(s)
            )
        )
        parts.append(_code(sorted({run["command"] for run in s.runs})))
    return "\n\n".join(parts) + "\n"


def _code(lines: list[str]) -> str:
    """Return a block of code whose fence is longer than any in it."""
    text = "\n".join(lines)
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}sh\n{text}\n{fence}"
