"""The report: one HTML page that needs nothing else, and a Markdown summary.

Both are made from the records' folders alone; no data set is loaded, nothing is
fetched. What the page looks like stands in ``page.html.jinja`` and ``page.css``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from modal_pretrain._disk import write_whole
from modal_pretrain._identity import expanded
from modal_pretrain.benchmark.folder import open_stores
from modal_pretrain.benchmark.report.charts import (
    Panel,
    curve_panel,
    draw_together,
    enrichment_panel,
)
from modal_pretrain.benchmark.report.claims import claims, lead, protocol
from modal_pretrain.benchmark.report.markdown import markdown
from modal_pretrain.benchmark.report.stopping import audits, stops
from modal_pretrain.benchmark.report.style import sheet
from modal_pretrain.benchmark.report.summary import Summary, summary
from modal_pretrain.benchmark.report.svg import to_svg
from modal_pretrain.benchmark.report.tables import (
    LAST_ROUND,
    SECONDS,
    overview,
    probes,
    results,
    saved,
    settings,
)
from modal_pretrain.benchmark.report.thumbnails import N_SHOWN, sheets

MAX_GROUP_CHARTS = 8
_ACCURACIES = {
    "accuracy": "All test examples",
    "atypical_accuracy": "Atypical examples only",
    "worst_group_accuracy": "The worst group",
}


class Report(NamedTuple):
    """The files of a report, what they were made from, and folders without runs."""

    html: Path
    markdown: Path
    summaries: list[Summary]
    without_runs: list[Path]


def write_report(folder: str | Path, out: str | Path) -> Report:
    """Write ``report.html`` and ``report.md`` about all records in a folder.

    A configuration of which no run has finished, such as one that failed, is left out.

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
        If there are no records of a finished run, or nothing can be written to `out`.
    """
    stores = open_stores(folder)
    without = [store.folder for store in stores if store.load().empty]
    # With nothing at all to report, the first says so.
    chosen = [s for s in stores if s.folder not in without] or stores
    summaries = [summary(store) for store in chosen]
    out = expanded(out, "out")
    report = Report(out / "report.html", out / "report.md", summaries, without)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for path, text in (
            (report.html, page(summaries)),
            (report.markdown, markdown(summaries)),
        ):
            # Names of files may hold what is no text.
            write_whole(path, text.encode(errors="replace"))
    except OSError as error:
        raise ValueError(
            f"out must be a folder that can be written to, got {str(out)!r}: "
            f"{error.strerror or error}. Name another (--out DIR)."
        ) from error
    return report


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("modal_pretrain.benchmark.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("page.html.jinja")


def page(summaries: list[Summary]) -> str:
    """Return the report's page.

    Parameters
    ----------
    summaries : list of Summary

    Returns
    -------
    str
    """
    return _template().render(
        names=", ".join(dict.fromkeys(s.data["name"] for s in summaries)),
        style=Markup(sheet("charts.css") + sheet("page.css")),
        overview=overview(summaries) if len(summaries) > 1 else None,
        sections=[
            _section(s, name)
            for s, name in zip(summaries, settings(summaries), strict=True)
        ],
    )


def _section(s: Summary, name: str) -> dict[str, Any]:
    """Return what the template shows of one configuration."""
    config = s.store.config
    models = list(config.models)
    calibration = [
        curve_panel(s, m, "calibration_error", "Calibration error") for m in models
    ]
    return {
        "id": s.store.folder.name,
        "settings": name,
        "title": s.title,
        "lead": lead(s),
        "protocol": protocol(s),
        "left_out": s.left_out,
        "accuracy": [
            _figures(
                [curve_panel(s, model, value, title) for model in models],
                [f"{title}, {model}" for model in models],
            )
            for value, title in _ACCURACIES.items()
        ],
        "saved": saved(s),
        "enrichment": _figures([enrichment_panel(s, m) for m in models], models),
        "sheets": sheets(s) if s.examples else [],
        "n_shown": N_SHOWN,
        "seed": config.seeds[0],
        "attribute": s.data["attribute_name"],
        "groups": _group_figures(s),
        "stops": stops(s),
        "audits": audits(s),
        "probes": probes(s) if s.probes else None,
        "calibration": _figures(calibration, models),
        "results": results(s.table, LAST_ROUND, s),
        "claims": claims(s),
        "seconds": results(s.table, SECONDS, s),
        "digest": config.digest(),
        "config": json.dumps(json.loads(config.to_json()), indent=2),
        "runs": [_run(run) for run in s.runs],
    }


def _figures(panels: list[Panel], captions: Iterable[str]) -> list[dict[str, str]]:
    return [
        {"caption": caption, "svg": to_svg(drawing)}
        for drawing, caption in zip(draw_together(panels), captions, strict=True)
        if drawing
    ]


def _group_figures(s: Summary) -> dict[str, list[dict[str, str]]]:
    groups = list(s.data["splits"].get("test", {"groups": {}})["groups"])
    if not 2 <= len(groups) <= MAX_GROUP_CHARTS:
        return {}
    train = s.data["splits"]["train"]
    captions = [
        f"{group} ({train['groups'].get(group, 0) / train['rows']:.1%})"
        for group in groups
    ]
    return {
        model: _figures(
            [curve_panel(s, model, f"group:{g}", g, full=False) for g in groups],
            captions,
        )
        for model in s.store.config.models
    }


def _run(run: dict[str, Any]) -> dict[str, str]:
    kept = {key: run[key] for key in ("started", "seconds", "hardware", "versions")}
    return {"command": run["command"], "details": json.dumps(kept, indent=2)}
