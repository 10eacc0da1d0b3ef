"""Make the tables and figures of docs/results.md from the committed records.

    python benchmarks/results.py

Writes what stands between the markers in docs/results.md, the figures beside it, and
the README's table. Nothing is run: the commands that made the records are in them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
from modal_pretrain.benchmark.report.tables import MAIN, probes, results, saved
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
    """Return a study's tables in Markdown, none wider than the page."""
    numbers = results(s.table, [name for name in MAIN if "probe" not in name])
    found = f"{s.title}.\n\n{markdown_table(numbers)}\n\n"
    if s.probes:
        title = "Balanced accuracy of linear probes on the embeddings:"
        found += f"{title}\n\n{markdown_table(probes(s))}\n\n"
    found += markdown_table(saved(s))
    if s.store.config.estimator_params.get("tune", "head") != "head":
        found += f"\n\n{differences(s)}"
    return found


MEASURES = {
    "accuracy": "accuracy",
    "worst_group_accuracy": "worst group",
    "atypical_accuracy": "atypical",
}


def paired(s: Summary, model: str, strategy: str, measure: str) -> list[Any]:
    """Pair a strategy with random by seed: over the rounds, and in the last one.

    Returns
    -------
    list
        Two cells of the difference with its interval (str), and the number of seeds.
    """
    records = s.records[(s.records["round"] > 0) & (s.records.model == model)]
    ours, base = (
        records[records.strategy == one].pivot(
            index="seed", columns="round", values=measure
        )
        for one in (strategy, "random")
    )
    seeds = ours.index.intersection(base.index)
    ours, base = ours.loc[seeds].to_numpy(), base.loc[seeds].to_numpy()
    pairs = (ours.mean(axis=1), base.mean(axis=1)), (ours[:, -1], base[:, -1])
    found = [paired_bootstrap(a, b, random_state=0) for a, b in pairs]
    cells = [f"{x.estimate:+.3f} ({x.low:+.3f} to {x.high:+.3f})" for x in found]
    return [*cells, len(seeds)]


def differences(s: Summary) -> str:
    """Return how far strategies are ahead of random, seed by seed, in Markdown."""
    lines = [
        "| model | strategy minus random | seeds | mean over the rounds | last round |",
        "| --- | --- | ---: | --- | --- |",
    ]
    for model in s.store.config.models:
        of = s.records[s.records.model == model]
        for strategy in of.strategy.unique():
            if strategy == "random":
                continue
            for measure, name in MEASURES.items():
                over, last, seeds = paired(s, model, strategy, measure)
                what = f"{model} | {strategy_title(strategy)}: {name} | {seeds}"
                lines.append(f"| {what} | {over} | {last} |")
    return "\n".join(lines)


ALL_WEIGHTS = {
    "roadwater": "all-weights-roadwater",
    "shapes": "all-weights-shapes",
    "rare subclasses": "all-weights-rare-subclasses",
}


def claims(found: dict[str, Summary]) -> str:
    """Return what the studies with all weights say of each claim, in Markdown."""
    titles = " | ".join(ALL_WEIGHTS)
    lines = [f"| with all weights trained | {titles} |", "| --- " * 4 + "|"]
    studies = [found[name] for name in ALL_WEIGHTS.values()]

    def row(what: str, cell: Callable[[Summary], str]) -> None:
        lines.append(f"| {what} | {' | '.join(map(cell, studies))} |")

    def of(s: Summary, model: str, strategy: str) -> Any:
        kind = (s.table.model == model) & (s.table.strategy == strategy)
        (one,) = s.table[kind].itertuples()
        return one

    def first(s: Summary) -> str:
        r = s.records
        r = r[(r["round"] == 0) & (r.model == "pretrained") & (r.strategy == "random")]
        return f"{r.accuracy.mean():.2f}, {r.atypical_accuracy.mean():.2f}"

    def each(model: str, name: str, form: str) -> Callable[[Summary], str]:
        names = "uncertainty", "random"
        return lambda s: ", ".join(
            format(getattr(of(s, model, n), name), form) for n in names
        )

    def efficiency(s: Summary) -> str:
        one = of(s, "pretrained", "uncertainty")
        return f"{one.multiple:.1f}x ({one.multiple_low:.1f}-{one.multiple_high:.1f})"

    def ahead(
        model: str, measure: str, strategy: str = "uncertainty"
    ) -> Callable[[Summary], str]:
        return lambda s: paired(s, model, strategy, measure)[1]

    n = studies[0].records.n_labels
    start, end = f"{n.min()} labels", f"{n.max()} labels"
    less = "uncertainty less random"
    row(f"C1: accuracy with {start}: all, atypical", first)
    row(
        f"C2: accuracy with {end}: uncertainty, random",
        each("pretrained", "accuracy", ".3f"),
    )
    row(f"C2: {less}", ahead("pretrained", "accuracy"))
    row(f"C2: {less}, worst group", ahead("pretrained", "worst_group_accuracy"))
    row("C2: label efficiency", efficiency)
    row(
        "`disambiguation_sampling` less random",
        ahead("pretrained", "accuracy", "disambiguation"),
    )
    row(
        f"C3: accuracy without pretraining, {end}",
        each("random-init", "accuracy", ".3f"),
    )
    row(f"C3: {less}", ahead("random-init", "accuracy"))
    row("C4: enrichment: uncertainty, random", each("pretrained", "enrichment", ".1f"))
    row("C4: the same without pretraining", each("random-init", "enrichment", ".1f"))
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
    parts = {name: tables(s) for name, s in found.items()}
    for name, part in {"all weights": claims(found), **parts}.items():
        start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        between = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
        content = f"{start}\n{part}\n{end}"
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
