"""The command line: ``python -m modal_pretrain.benchmark``."""

from __future__ import annotations

import argparse
import sys
import time

from modal_pretrain.benchmark.config import BenchmarkConfig
from modal_pretrain.benchmark.figure import draw
from modal_pretrain.benchmark.registry import DATASETS, MODELS, strategy_names
from modal_pretrain.benchmark.runner import run
from modal_pretrain.benchmark.summary import summarise, to_markdown


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m modal_pretrain.benchmark",
        description="Compare query strategies and models by the labels they need.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--dataset", choices=sorted(DATASETS), default="shapes")
    parser.add_argument(
        "--models", nargs="+", choices=sorted(MODELS), default=sorted(MODELS)
    )
    parser.add_argument(
        "--strategies",
        nargs="+",
        default=["uncertainty", "random"],
        metavar="NAME",
        help="of: " + ", ".join(strategy_names()),
    )
    parser.add_argument("--seeds", type=int, default=5, help="how many")
    parser.add_argument("--seed-set", type=int, default=10, help="labels at the start")
    parser.add_argument("--batch", type=int, default=10, help="labels per round")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--image-size", type=int, default=64, help="pixels")
    parser.add_argument("--backbone", default=None, help="a timm model")
    parser.add_argument("--tune", default="head", help="head, all or a number")
    parser.add_argument("--out", default="demo", help="folder for the results")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark that the arguments describe and print its table.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the process.

    Returns
    -------
    int
        Exit status: 0, or 2 where a setting is not possible.
    """
    args = parser().parse_args(arguments)
    estimator_params = {
        "image_size": args.image_size,
        "tune": int(args.tune) if args.tune.isdigit() else args.tune,
    }
    if args.backbone:
        estimator_params["backbone"] = args.backbone
    start = time.perf_counter()
    try:
        config = BenchmarkConfig(
            dataset=args.dataset,
            models=args.models,
            strategies=args.strategies,
            seeds=tuple(range(args.seeds)),
            seed_set=args.seed_set,
            batch=args.batch,
            rounds=args.rounds,
            estimator_params=estimator_params,
        )
        store, data = run(config, args.out, verbose=not args.quiet)
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    table = to_markdown(summarise(store, data))
    (store.folder / "summary.md").write_text(f"{data.summary()}\n\n{table}\n")
    try:
        figure = str(draw(store, data, store.folder / "figure.png"))
    except ImportError as error:  # a table without its figure is worth having
        figure = str(error)
    sys.stdout.write(
        f"\n{data.summary()}\n\n{table}\n\n"
        f"Figure: {figure}\nRecords: {store.folder / 'records'}\n"
        f"Done in {time.perf_counter() - start:.0f} s.\n"
    )
    return 0
