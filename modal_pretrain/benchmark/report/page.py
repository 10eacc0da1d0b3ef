"""The report: one HTML page that needs nothing else, and a Markdown summary.

Both are made from the records' folders alone; no data set is loaded, nothing is
fetched.
"""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from modal_pretrain.benchmark.config import FULL, Unit
from modal_pretrain.benchmark.loop import PHASES
from modal_pretrain.benchmark.report.charts import (
    curve_panel,
    draw_together,
    enrichment_panel,
    style_of,
)
from modal_pretrain.benchmark.report.claims import claims, lead, protocol
from modal_pretrain.benchmark.report.examples import first_acquired
from modal_pretrain.benchmark.report.style import STYLE
from modal_pretrain.benchmark.report.summary import (
    BASELINE,
    TARGETS,
    Summary,
    markdown_table,
    strategies_of,
    strategy_title,
    summary,
    to_markdown,
)
from modal_pretrain.benchmark.runner import open_stores
from modal_pretrain.benchmark.store import write

MAX_GROUP_CHARTS = 8
N_SHOWN = 20


class Report(NamedTuple):
    """The files of a report, and what they were made from."""

    html: Path
    markdown: Path
    summaries: list[Summary]


def write_report(folder: str | Path, out: str | Path) -> Report:
    """Write ``report.html`` and ``report.md`` about all records in a folder.

    Parameters
    ----------
    folder : str or Path
        What `run` was given, or the folder of one configuration.
    out : str or Path
        Where the report goes.

    Returns
    -------
    Report

    Raises
    ------
    ValueError
        If there are no records of a finished run.
    """
    summaries = [summary(store) for store in open_stores(folder)]
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    report = Report(out / "report.html", out / "report.md", summaries)
    write(report.html, _page(summaries))
    write(report.markdown, _markdown(summaries))
    return report


def _page(summaries: list[Summary]) -> str:
    names = ", ".join(dict.fromkeys(s.data["name"] for s in summaries))
    body = "".join(_section(s, one=len(summaries) == 1) for s in summaries)
    overview = _contents(summaries) if len(summaries) > 1 else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>Active learning on {escape(names)}</title><style>{STYLE}</style>"
        f"</head><body><main><h1>Active learning on {escape(names)}: what was asked, "
        "and how many labels it took</h1>"
        f"{overview}{body}{_glossary()}</main></body></html>\n"
    )


def _contents(summaries: list[Summary]) -> str:
    rows = []
    for s in summaries:
        for row in s.table.itertuples():
            if row.strategy in (BASELINE, FULL):
                continue
            link = f'<a href="#{s.store.folder.name}">{escape(_settings(s))}</a>'
            rows.append(
                [
                    link,
                    escape(row.model),
                    escape(strategy_title(row.strategy)),
                    _number(row.accuracy, ".3f"),
                    _number(row.worst_group, ".3f"),
                    _number(row.enrichment, ".1f"),
                    _number(row.multiple, ".1f", "x"),
                ]
            )
    header = ["settings", "model", "strategy", "accuracy", "worst group"]
    header += ["enrichment", "label efficiency"]
    return f"<h2>All settings</h2>{_table(header, rows, n_text=3)}"


def _settings(s: Summary) -> str:
    config = s.store.config
    params = config.estimator_params
    parts = [s.data["name"], f"seed set {config.seed_set}", f"batch {config.batch}"]
    parts += [f"tune {params.get('tune', 'head')}"]
    if "backbone" in params:
        parts.append(str(params["backbone"]))
    return ", ".join(parts)


def _section(s: Summary, *, one: bool) -> str:
    heading = "What this shows" if one else escape(_settings(s))
    sentences = "".join(f"<p>{escape(text)}</p>" for text in lead(s))
    models = s.store.config.models
    parts = [
        f'<h2 id="{escape(s.store.folder.name)}">{heading}</h2>',
        f'<div class="lead">{sentences}</div>',
        f'<p class="note">{escape(s.title)}. {escape(protocol(s))}</p>',
        "<h3>How accuracy grows with labels</h3>",
    ]
    for value, title in (
        ("accuracy", "All test examples"),
        ("atypical_accuracy", "Atypical examples only"),
        ("worst_group_accuracy", "The worst group"),
    ):
        panels = [curve_panel(s, model, value, title) for model in models]
        charts = draw_together(panels)
        parts.append(_charts(charts, [f"{title}, {model}" for model in models]))
    parts.append("<h3>Labels saved</h3>" + _levels(s))
    parts.append(
        "<h3>What was asked about</h3><p>Share of atypical examples among those "
        "asked about so far.</p>"
    )
    charts = draw_together([enrichment_panel(s, model) for model in models])
    parts.append(_charts(charts, list(models)))
    parts.append(_contact_sheets(s))
    parts += _group_charts(s)
    parts.append("<h3>What a linear probe reads off the embeddings</h3>" + _probes(s))
    parts.append(
        "<h3>Calibration</h3><p>How far the model's stated confidence is from its "
        "accuracy on the test split; 0 is calibrated.</p>"
    )
    panels = [
        curve_panel(s, m, "calibration_error", "Calibration error") for m in models
    ]
    charts = draw_together(panels)
    parts.append(_charts(charts, list(models)))
    parts.append("<h3>All numbers</h3>" + _numbers(s))
    parts.append(_claims(s))
    parts.append("<h3>Time per run</h3>" + _times(s))
    parts.append("<h3>How it was run</h3>" + _provenance(s))
    return "".join(parts)


def _charts(charts: list[str], captions: list[str], kind: str = "") -> str:
    figures = "".join(
        f"<figure><figcaption>{escape(caption)}</figcaption>{chart}</figure>"
        for chart, caption in zip(charts, captions, strict=True)
        if chart
    )
    return f'<div class="charts {kind}">{figures}</div>'


def _group_charts(s: Summary) -> list[str]:
    groups = list(s.data["splits"].get("test", {"groups": {}})["groups"])
    if not 2 <= len(groups) <= MAX_GROUP_CHARTS:
        return []
    train = s.data["splits"]["train"]
    parts = ["<h3>Group by group</h3><p>A group is a class and a "]
    parts += [f"{escape(s.data['attribute_name'])}; its share of the pool is "]
    parts += ["in brackets.</p>"]
    for model in s.store.config.models:
        charts = draw_together(
            [curve_panel(s, model, f"group:{g}", g, full=False) for g in groups]
        )
        captions = [
            f"{group} ({train['groups'].get(group, 0) / train['rows']:.1%})"
            for group in groups
        ]
        parts.append(f"<h4>{escape(model)}</h4>")
        parts.append(_charts(charts, captions, "small"))
    return parts


def _levels(s: Summary) -> str:
    rows = [
        [
            escape(model),
            _key(strategy, s),
            escape(level.name),
            _number(level.level, ".3f"),
            _number(level.labels_random, ",.0f", none="never"),
            _number(level.labels_strategy, ",.0f", none="never"),
            escape(str(level)),
        ]
        for (model, strategy), levels in s.levels.items()
        for level in levels
    ]
    header = ["model", "strategy", "to reach", "accuracy", "random needs", "it needs"]
    note = (
        "<p>Labels that random questions need over labels that the strategy needs for "
        "the same accuracy. “never”: not within the labels of this run; "
        "the multiple is then a bound (&lt; or &gt;).</p>"
    )
    return note + _table([*header, "labels saved (95 %)"], rows, n_text=3)


def _contact_sheets(s: Summary) -> str:
    index_path = s.store.folder / "examples" / "index.json"
    if not index_path.exists():
        return ""
    index = json.loads(index_path.read_text())
    parts = [
        f"<h3>The first {N_SHOWN} questions</h3><p>In the order they were asked, after "
        f"the seed set, with seed {s.store.config.seeds[0]}. Framed: atypical.</p>"
    ]
    for model in s.store.config.models:
        for strategy in strategies_of(s.store):
            unit = Unit(model, strategy, s.store.config.seeds[0])
            if not s.store.is_finished(unit):
                continue
            rows = first_acquired(s.store.path(unit), N_SHOWN)
            kept = itertools.takewhile(lambda row: str(row) in index, rows)
            entries = [(row, index[str(row)]) for row in kept]
            odd = sum(entry["atypical"] for _, entry in entries)
            parts.append(
                f"<h4>{escape(model)}, {escape(strategy_title(strategy))}: "
                f"{odd} of {len(entries)} atypical</h4>"
            )
            parts.append(_sheet(entries, s.store.folder / "examples"))
    return "".join(parts)


def _sheet(entries: list[tuple[int, dict[str, Any]]], folder: Path) -> str:
    cells = []
    texts = any("text" in entry for _, entry in entries)
    for row, entry in entries:
        kind = ' class="atypical"' if entry["atypical"] else ""
        group = escape(entry["group"])
        shown = group.replace("/", "/<wbr>")
        if texts:
            cells.append(f"<li{kind}>{escape(entry['text'])} <em>({group})</em></li>")
            continue
        path = folder / f"{row}.jpg"
        if path.exists():
            data = base64.b64encode(path.read_bytes()).decode()
            cells.append(
                f'<figure{kind}><img alt="{group}" loading="lazy" '
                f'src="data:image/jpeg;base64,{data}"><figcaption>{shown}</figcaption>'
                "</figure>"
            )
    if texts:
        return f'<ol class="texts">{"".join(cells)}</ol>'
    return f'<div class="sheet">{"".join(cells)}</div>'


def _probes(s: Summary) -> str:
    if not s.probes:
        return "<p>Not measured.</p>"
    rows = []
    for model in s.store.config.models:
        cells = []
        for target in TARGETS:
            value = s.probes.get(model, {}).get(target)
            bar = "" if value is None else _bar(value)
            cells.append(bar + _number(np.nan if value is None else value, ".2f"))
        rows.append([escape(model), *cells])
    return (
        "<p>Cross-validated balanced accuracy on the test split, before any training. "
        "“Mismatch”: is the example atypical? A model that can tell has "
        "something to be unsure about.</p>"
        + _table(["model", *TARGETS], rows, n_text=1)
    )


def _bar(value: float) -> str:
    return f'<span class="bar" style="width:{60 * value:.0f}px"></span>'


def _numbers(s: Summary) -> str:
    rows = [
        [
            escape(row.model),
            _key(row.strategy, s),
            f"{row.seeds}",
            f"{row.labels:,}",
            _number(row.accuracy, ".3f"),
            _number(row.worst_group, ".3f"),
            _number(row.atypical, ".3f"),
            _number(row.atypical_share, ".1%"),
            _number(row.enrichment, ".1f"),
            _number(row.calibration_error, ".3f"),
        ]
        for row in s.table.itertuples()
    ]
    header = ["model", "strategy", "seeds", "labels", "accuracy", "worst group"]
    header += ["atypical", "atypical share asked", "enrich- ment", "calibration error"]
    return "<p>After the last round.</p>" + _table(header, rows, n_text=2)


def _claims(s: Summary) -> str:
    items = "".join(
        f"<li><strong>{escape(claim)}</strong>: {escape(found)}.</li>"
        for claim, found in claims(s)
    )
    return (
        "<h3>The paper's claims, in this benchmark's numbers</h3><p>Claims of "
        "“Active Learning Helps Pretrained Models Learn the Intended Task” "
        f"(arXiv 2204.08491).</p><ul>{items}</ul>"
    )


def _times(s: Summary) -> str:
    rows = []
    for row in s.table.itertuples():
        seconds = [getattr(row, f"seconds_{phase}") for phase in PHASES]
        rows.append(
            [
                escape(row.model),
                _key(row.strategy, s),
                *(_number(value, ",.1f") for value in seconds),
                _number(float(np.sum(seconds)), ",.1f"),
            ]
        )
    return (
        "<p>Seconds, on average over seeds. Embedding is paid by the first run that "
        "needs it.</p>" + _table(["model", "strategy", *PHASES, "all"], rows, n_text=2)
    )


def _provenance(s: Summary) -> str:
    runs = [
        json.loads(path.read_text())
        for path in sorted((s.store.folder / "runs").glob("*.json"))
    ]
    config = json.dumps(json.loads(s.store.config.to_json()), indent=2)
    parts = [
        f"<p>Configuration {escape(s.store.config.digest())}; the hash changes with "
        "any setting but models, strategies, seeds and references.</p>"
        f"<details><summary>All settings</summary><pre>{escape(config)}</pre></details>"
    ]
    for run in runs:
        text = json.dumps(
            {key: run[key] for key in ("started", "seconds", "hardware", "versions")},
            indent=2,
        )
        parts.append(
            f"<pre>{escape(run['command'])}</pre><details><summary>Hardware and "
            f"versions</summary><pre>{escape(text)}</pre></details>"
        )
    return "".join(parts)


def _key(strategy: str, s: Summary) -> str:
    return (
        f'<span class="key {style_of(strategy, s)}"></span>'
        f"{escape(strategy_title(strategy))}"
    )


def _table(header: list[str], rows: Iterable[list[str]], *, n_text: int) -> str:
    def line(cells: list[str], tag: str) -> str:
        kinds = [' class="text"' if i < n_text else "" for i in range(len(cells))]
        return "".join(
            f"<{tag}{kind}>{cell}</{tag}>"
            for cell, kind in zip(cells, kinds, strict=True)
        )

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return (
        f'<div class="scroll"><table><thead><tr>{line(header, "th")}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _number(value: float, spec: str, unit: str = "", none: str = "-") -> str:
    if np.isnan(value):
        return none
    return f"{value:{spec}}{unit}".replace("%", " %")


def _glossary() -> str:
    return (
        "<h2>Words</h2><ul>"
        "<li><strong>Atypical</strong> (disambiguating): an example whose attribute "
        "does not go with its class as it usually does, or is rare.</li>"
        "<li><strong>Worst group</strong>: accuracy on the class and attribute pair "
        "that the model does worst on.</li>"
        "<li><strong>Enrichment</strong>: share of atypical examples among those asked "
        "about, over their share of the pool; random questions get 1.</li>"
        "<li><strong>Oracle</strong>: is shown class and attribute of the whole pool "
        "and balances them: what perfect questions could do.</li>"
        "<li><strong>All labels</strong>: the same model, given every label of the "
        "pool.</li></ul>"
    )


def levels_markdown(s: Summary) -> str:
    """Return the labels saved at each level as a Markdown table."""
    rows = [
        [
            model,
            strategy_title(strategy),
            level.name,
            f"{level.level:.3f}",
            _number(level.labels_random, ",.0f", none="never"),
            _number(level.labels_strategy, ",.0f", none="never"),
            str(level),
        ]
        for (model, strategy), levels in s.levels.items()
        for level in levels
    ]
    header = ["model", "strategy", "to reach", "accuracy", "random needs", "it needs"]
    return markdown_table([*header, "labels saved"], rows)


def _markdown(summaries: list[Summary]) -> str:
    parts = ["# Active learning: what was asked, and how many labels it took"]
    for s in summaries:
        parts.append(f"## {_settings(s)}\n\n{s.title}.")
        parts += lead(s)
        parts += [protocol(s), to_markdown(s.table)]
        if s.levels:
            parts.append(levels_markdown(s))
        parts.append(
            "\n".join(f"- **{claim}**: {found}." for claim, found in claims(s))
        )
        commands = {
            json.loads(path.read_text())["command"]
            for path in (s.store.folder / "runs").glob("*.json")
        }
        lines = "\n".join(sorted(commands))
        parts.append(f"```sh\n{lines}\n```")
    return "\n\n".join(parts) + "\n"
