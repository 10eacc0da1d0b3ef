"""``modal-pretrain status``: what is done, running, left and damaged."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from typing import Any

from modal_pretrain.cli.stop import STOP

UNFINISHED, DAMAGED = 3, 4


def add(commands: Any) -> None:
    """Add the subcommand and its flags."""
    parser = commands.add_parser(
        "status",
        help="say what is done, running and left in a folder of records",
        description="Say of each benchmark in a folder how many runs are done, "
        "running, left and damaged, and name those that are not done.",
        epilog=f"Exit status: 0 all done; {UNFINISHED} runs are left or running; "
        f"{DAMAGED} a file is damaged.",
    )
    parser.add_argument("folder", help="what bench was given as --out")
    parser.set_defaults(do=write)


def write(args: argparse.Namespace) -> int:
    """Write where the runs stand and return the exit status."""
    with STOP.importing():
        from modal_pretrain.benchmark.folder import open_stores
        from modal_pretrain.benchmark.records import DamagedRecords
        from modal_pretrain.benchmark.status import STATES, status

    try:
        stores = open_stores(args.folder)
        found = {store.folder: (status(store), store.left_out()) for store in stores}
    except DamagedRecords as error:
        sys.stdout.write(f"damaged  {error}\n")
        return DAMAGED
    counts: Counter[str] = Counter()
    for folder, (units, others) in found.items():
        own = Counter(unit.state for unit in units)
        counts += own
        numbers = ", ".join(f"{own[state]} {state}" for state in STATES)
        sys.stdout.write(f"{folder}: {numbers} of {len(units)} runs\n")
        for unit in units:
            if unit.state == "damaged":
                sys.stdout.write(f"  damaged  {unit.problem}\n")
            elif unit.state != "done":
                model, strategy, seed = unit.unit
                sys.stdout.write(
                    f"  {unit.state:8} {model}, {strategy}, seed {seed}: "
                    f"{unit.rounds} of {unit.total} rounds\n"
                )
        if others:  # copied here from another folder
            sys.stdout.write(
                f"  {len(others)} finished besides, which config.json does not name "
                f"and no report counts: {', '.join(others)}. Run bench with their "
                "models, strategies and seeds, which adds them.\n"
            )
    if counts["damaged"]:
        return DAMAGED
    return UNFINISHED if counts["left"] or counts["running"] else 0
