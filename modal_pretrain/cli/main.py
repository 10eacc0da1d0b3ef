"""The command line: ``modal-pretrain`` label, bench, report, embed and list."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from modal_pretrain.backbones.packages import PACKAGED_TEXT_WEIGHTS, PACKAGED_WEIGHTS
from modal_pretrain.benchmark.registry import MODELS, strategy_names
from modal_pretrain.benchmark.report.figure import draw
from modal_pretrain.benchmark.report.page import write_report
from modal_pretrain.cli.bench import add_bench, bench
from modal_pretrain.cli.embed import add_embed, embed
from modal_pretrain.cli.label import add_label, label
from modal_pretrain.datasets import registry


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="modal-pretrain",
        description="Pretrained models as active learners: benchmark and tools.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_label(commands)
    add_bench(commands)
    report = commands.add_parser(
        "report",
        help="write report.html and report.md from records",
        description="Write report.html, one page that needs nothing else, and "
        "report.md from the records in a folder.",
    )
    report.add_argument("folder", help="what bench was given as --out")
    report.add_argument("--out", help="folder for the report; default: the records'")
    report.add_argument(
        "--figure", metavar="FILE", help="also draw the first benchmark, as PNG or SVG"
    )
    add_embed(commands)
    commands.add_parser(
        "list", help="name the data sets, models, strategies and packaged weights"
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Do what the arguments say.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the process.

    Returns
    -------
    int
        Exit status: 0, 2 where something that was asked for is not possible, 130 after
        Ctrl-C.
    """
    args = parser().parse_args(arguments)
    commands: dict[str, Callable[[argparse.Namespace], None]] = {
        "label": label,
        "bench": bench,
        "report": _report,
        "embed": embed,
        "list": _list,
    }
    try:
        commands[args.command](args)
    except (ValueError, ImportError, FileNotFoundError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped. The same command goes on from here.\n")
        return 130
    return 0


def _report(args: argparse.Namespace) -> None:
    report = write_report(args.folder, args.out or args.folder)
    sys.stdout.write(f"{report.html}\n{report.markdown}\n")
    if args.figure:
        sys.stdout.write(f"{draw(report.summaries[0], args.figure)}\n")


def _list(args: argparse.Namespace) -> None:
    packaged = [
        f"{name} ({weights.distribution})"
        for known in (PACKAGED_WEIGHTS, PACKAGED_TEXT_WEIGHTS)
        for name, weights in known.items()
    ]
    for title, names in (
        ("Data sets", registry.names()),
        ("Models", list(MODELS)),
        ("Strategies", strategy_names()),
        ("Backbones whose weights come as a package", packaged),
    ):
        lines = "\n".join(f"  {name}" for name in names)
        sys.stdout.write(f"{title}\n{lines}\n\n")
    sys.stdout.write(
        'Any timm model is a backbone too, and "module:function" a data set or a '
        "strategy.\n"
    )
