"""``modal-pretrain list``: the names that there are."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from modal_pretrain.backbones.packages import PACKAGED_TEXT_WEIGHTS, PACKAGED_WEIGHTS
from modal_pretrain.benchmark.registry import MODELS, strategy_names
from modal_pretrain.datasets import registry


def add(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "list", help="name the data sets, models, strategies and packaged weights"
    )
    parser.set_defaults(do=write)


def write(args: argparse.Namespace) -> None:
    """Write all names."""
    packaged = [
        f"{name}: {weights.install} ({weights.licence})"
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
