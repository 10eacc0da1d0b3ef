"""Make the tables and figures of docs/results.md from the committed records.

    python benchmarks/results.py

Writes what stands between the markers in docs/results.md, the figures beside it, and
the README's table. Nothing is run: the commands that made the records are in them.
"""

from __future__ import annotations

import re
from pathlib import Path

from records import studies, unpacked

from modal_pretrain.benchmark import open_stores
from modal_pretrain.benchmark.report.charts import (
    curve_panel,
    draw_together,
    enrichment_panel,
)
from modal_pretrain.benchmark.report.markdown import markdown_table, to_markdown
from modal_pretrain.benchmark.report.plot import HEIGHT, WIDTH
from modal_pretrain.benchmark.report.shapes import Drawing, Text, placed
from modal_pretrain.benchmark.report.summary import Summary, strategy_title, summary
from modal_pretrain.benchmark.report.svg import to_svg
from modal_pretrain.benchmark.report.tables import saved
from modal_pretrain.metrics import paired_bootstrap

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "results.md"
README = ROOT / "README.md"


def summaries() -> dict[str, Summary]:
    """Return the summary of each study whose records are committed."""
    found = {}
    for name in studies():
        with unpacked(name) as folder:
            (store,) = open_stores(folder)
            found[name] = summary(store)
    return found


def tables(s: Summary) -> str:
    """Return a study's tables in Markdown."""
    found = f"{s.title}.\n\n{to_markdown(s.table)}\n\n{markdown_table(saved(s))}"
    if s.store.config.estimator_params.get("tune", "head") != "head":
        found += f"\n\n{differences(s)}"
    return found


MEASURES = {
    "accuracy": "accuracy",
    "worst_group_accuracy": "worst group",
    "atypical_accuracy": "atypical",
}


def differences(s: Summary) -> str:
    """Return how far strategies are ahead of random, seed by seed, in Markdown."""
    lines = [
        "| model | strategy minus random | seeds | mean over the rounds | last round |",
        "| --- | --- | ---: | --- | --- |",
    ]
    records = s.records[s.records["round"] > 0]
    for model in s.store.config.models:
        of = records[records.model == model]
        for strategy in of.strategy.unique():
            if strategy == "random":
                continue
            for measure, name in MEASURES.items():
                ours, base = (
                    of[of.strategy == one].pivot(
                        index="seed", columns="round", values=measure
                    )
                    for one in (strategy, "random")
                )
                seeds = ours.index.intersection(base.index)
                ours, base = ours.loc[seeds].to_numpy(), base.loc[seeds].to_numpy()
                cells = [
                    paired_bootstrap(a, b, random_state=0)
                    for a, b in (
                        (ours.mean(axis=1), base.mean(axis=1)),
                        (ours[:, -1], base[:, -1]),
                    )
                ]
                what = f"{model} | {strategy_title(strategy)}: {name} | {len(seeds)}"
                values = " | ".join(
                    f"{cell.estimate:+.3f} ({cell.low:+.3f} to {cell.high:+.3f})"
                    for cell in cells
                )
                lines.append(f"| {what} | {values} |")
    return "\n".join(lines)


def figure(s: Summary) -> str:
    """Return curves as one SVG: a row for each measure, models side by side."""
    models = s.store.config.models
    rows = [
        ("Accuracy", [curve_panel(s, m, "accuracy", "Accuracy") for m in models]),
        (
            "Accuracy on atypical examples",
            [curve_panel(s, m, "atypical_accuracy", "Atypical") for m in models],
        ),
        ("Atypical share of the questions", [enrichment_panel(s, m) for m in models]),
    ]
    gap = 30
    shapes = []
    for i, (title, panels) in enumerate(rows):
        for j, chart in enumerate(draw_together(panels)):
            x, y = j * (WIDTH + gap), i * (HEIGHT + gap)
            shapes.append(Text(x + 8, y + 18, f"{title}, {models[j]}", "title"))
            shapes += placed(chart.shapes, x, y + gap)
    width, height = len(models) * (WIDTH + gap), len(rows) * (HEIGHT + gap)
    what = f"Learning curves on {s.data['name']}"
    return f"{to_svg(Drawing(width, height, what, shapes), standalone=True)}\n"


def filled(page: str, found: dict[str, Summary]) -> str:
    """Return the page with each study's tables between its markers."""
    for name, s in found.items():
        start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        between = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
        content = f"{start}\n{tables(s)}\n{end}"
        page, n = between.subn(lambda match, content=content: content, page)
        if n > 1:
            raise ValueError(f"{n} places for {name}")
    return page


def main() -> None:
    found = summaries()
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")
    for name, s in found.items():
        path = PAGE.parent / "images" / f"results-{name}.svg"
        path.write_text(figure(s), encoding="utf-8")
    readme = README.read_text(encoding="utf-8")
    README.write_text(readme_filled(readme, found["shapes"]), encoding="utf-8")


def readme_filled(readme: str, s: Summary) -> str:
    """Return the README with the table of the demonstration."""
    table = re.compile(r"\| model \| strategy \|.*?\n(?=\n)", re.DOTALL)
    text, n = table.subn(lambda match: to_markdown(s.table) + "\n", readme)
    if n != 1:
        raise ValueError(f"the README has {n} tables of models and strategies, not 1")
    return text


if __name__ == "__main__":
    main()
