"""``modal-pretrain bench``: flags and files become settings, settings become a run."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from modal_pretrain._identity import expanded
from modal_pretrain.benchmark.config import REFERENCES
from modal_pretrain.benchmark.registry import MODELS, strategy_names
from modal_pretrain.cli.flags import settings_of
from modal_pretrain.cli.report import left_out, names
from modal_pretrain.cli.stop import STOP
from modal_pretrain.datasets import registry

DEFAULT_OUT = "results"


def add(commands: Any) -> None:
    """Add the subcommand and its flags."""
    parser = commands.add_parser(
        "bench",
        help="run models and query strategies on a data set",
        description="Compare query strategies and models by the labels they need. What "
        "is finished is not done again: the same command goes on where it was stopped.",
        epilog="Flags win over --config. Several values for --dataset, --seed-set, "
        "--batch, --backbone or --tune make a grid. A flag that takes several may be "
        "given several times, too.",
        argument_default=argparse.SUPPRESS,
    )
    add = parser.add_argument
    add("--config", metavar="FILE", help="settings in TOML or YAML, see configs/")
    add("--dataset", nargs="+", metavar="NAME", help="shapes (default), " + _names())
    add("--root", metavar="DIR", help="where the data set lies")
    add(
        "--data",
        nargs="+",
        metavar="KEY=VALUE",
        help="other parameters of the data set's loader, such as target=label",
    )
    add("--models", nargs="+", metavar="NAME", help=f"of {', '.join(MODELS)} (both)")
    add(
        "--strategies",
        nargs="+",
        metavar="NAME",
        help="uncertainty, random (default), or of: " + ", ".join(strategy_names()),
    )
    add(
        "--heads",
        nargs="+",
        metavar="HEAD",
        help="what the classifier does with the exceptions: plain (default), errors, "
        "errors:S for error_weighting=S, tags:all, or tags:N for N tagged labels",
    )
    add("--seeds", type=int, metavar="N", help="how many (5)")
    add("--seed-set", type=int, nargs="+", metavar="N", help="labels at the start (10)")
    add(
        "--seed-set-atypical",
        type=int,
        metavar="N",
        help="how many of them are disambiguating (by chance)",
    )
    add("--batch", type=int, nargs="+", metavar="N", help="labels per round (10)")
    add("--rounds", type=int, metavar="N", help="acquisitions (20)")
    add("--budget", type=int, metavar="N", help="labels to acquire, instead of rounds")
    add("--pool-sample", type=int, metavar="N", help="pool examples seen per round")
    add("--image-size", type=int, metavar="PX", help="pixels (own; shapes 64)")
    add(
        "--backbone",
        nargs="+",
        metavar="NAME",
        help="timm models; of texts, those of Hugging Face",
    )
    add("--tune", nargs="+", metavar="HOW", help="head (default), all, or a number")
    add(
        "--augment",
        action="store_true",
        default=argparse.SUPPRESS,
        help="random crops and flips in training; needs --tune all or a number",
    )
    add(
        "--references",
        nargs="*",
        metavar="NAME",
        help=f"lines for scale, of {', '.join(REFERENCES)} (both; none: no value)",
    )
    add("--audit", type=int, metavar="N", help="labels that measure each round (none)")
    add(
        "--audit-apart",
        action="store_true",
        default=argparse.SUPPRESS,
        help="the same ones in all rounds, left out of the pool",
    )
    add("--out", default=DEFAULT_OUT, metavar="DIR", help=f"results ({DEFAULT_OUT})")
    add("--jobs", "-j", type=int, default=None, metavar="N", help="units at a time (1)")
    add("--cache", default=None, metavar="DIR", help="folder that keeps embeddings")
    add("--examples", type=int, default=20, metavar="N", help="pictures to keep (20)")
    add("--quiet", action="store_true", default=False, help="no progress")
    parser.set_defaults(do=bench)


def _names() -> str:
    return (
        ", ".join(sorted(set(registry.names()) - {"shapes"})) + ", or module:function"
    )


def bench(args: argparse.Namespace) -> None:
    """Run, report, and say in a few lines what came out and where it lies."""
    start = time.perf_counter()
    for place in (args.out, getattr(args, "root", None)):
        str(place or "").encode()  # or the report fails, at the end of all work
    # Modules of the user's own may go to another folder when they are imported.
    shown = expanded(args.out)
    out = shown.absolute()
    cache = None if args.cache is None else expanded(args.cache).absolute()
    with STOP.importing():
        from modal_pretrain.benchmark.report.claims import unfinished
        from modal_pretrain.benchmark.report.markdown import to_markdown
        from modal_pretrain.benchmark.report.page import write_report
        from modal_pretrain.benchmark.runner import run

    run(
        settings_of(args),
        out,
        n_jobs=args.jobs,
        cache=cache,
        examples=args.examples,
        verbose=not args.quiet,
    )
    report = write_report(out, out)
    tables = [summary.table for summary in report.summaries]
    for summary, name in zip(report.summaries, names(report), strict=True):
        what = f"{name}\n" if name else ""
        table = to_markdown(summary.table, tables)
        parts = [summary.title, *unfinished(summary), table]
        sys.stdout.write(f"\n{what}" + "\n\n".join(parts) + "\n")
    sys.stdout.write(
        f"\nRecords: {shown}\n{left_out(report)}"
        f"Report: {shown / report.html.name} (open it in a browser), "
        f"{shown / report.markdown.name}\n"
        f"Done in {time.perf_counter() - start:.0f} s.\n"
    )
