"""``modal-pretrain report``: a page from records that are there."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from modal_pretrain.cli.stop import STOP


def add(commands: Any) -> None:
    """Add the subcommand and its flags."""
    parser = commands.add_parser(
        "report",
        help="write report.html and report.md from records",
        description="Write report.html, one page that needs nothing else, and "
        "report.md from the records in a folder.",
    )
    parser.add_argument("folder", help="what bench was given as --out")
    parser.add_argument("--out", help="folder for the report; default: the records'")
    parser.add_argument(
        "--figure", metavar="FILE", help="also draw the first benchmark, as PNG or SVG"
    )
    parser.set_defaults(do=write)


def write(args: argparse.Namespace) -> None:
    """Write the report and say where it lies."""
    with STOP.importing():
        from modal_pretrain.benchmark.report.figure import draw, figure_path
        from modal_pretrain.benchmark.report.page import write_report

    if args.figure:
        figure_path(args.figure)  # before anything is written
    report = write_report(args.folder, args.out or args.folder)
    sys.stdout.write(f"{report.html}\n{report.markdown}\n{left_out(report)}")
    if args.figure:
        drawn, name = draw(report.summaries[0], args.figure), names(report)[0]
        sys.stdout.write(f"{drawn} ({name})\n" if name else f"{drawn}\n")


def names(report: Any) -> list[str]:
    """Return what tells each benchmark of a report from the others, "" if it is one.

    They come in the order of their folders' names, not of what was asked for.
    """
    from modal_pretrain.benchmark.report.tables import settings

    alone = len(report.summaries) == 1
    return [""] if alone else settings(report.summaries)


def left_out(report: Any) -> str:
    """Return a line for each folder that a report says nothing about."""
    folders = report.without_runs
    return "".join(f"Left out: {folder}, no run has finished.\n" for folder in folders)
