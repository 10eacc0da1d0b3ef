"""The command line: one module a command, and what they have in common."""

from __future__ import annotations

import argparse
import importlib
import sys

from modal_pretrain.cli.stop import STATUS, STOP

# A module each, which adds its parser and names the function that does the work. What
# takes seconds they import in that function, so that help is there at once. They
# themselves are imported once Ctrl-C is watched for.
COMMANDS = ("label", "compare", "bench", "report", "embed", "status", "listing")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="modal-pretrain",
        description="Pretrained models as active learners: benchmark and tools.",
        epilog="Exit status: 0 done; 2 what was asked for is not possible; 3 and 4 see "
        "modal-pretrain status; 130 stopped by Ctrl-C.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    with STOP.importing():
        modules = [importlib.import_module(f"modal_pretrain.cli.{c}") for c in COMMANDS]
    for module in modules:
        module.add(commands)
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
        Exit status: 0, 2 where something that was asked for is not possible, 3 and 4
        see `modal_pretrain.cli.status`, 130 after Ctrl-C.
    """
    STOP.asked = False
    with STOP.watching():
        try:
            args = parser().parse_args(arguments)
            return args.do(args) or 0
        except KeyboardInterrupt:
            return _stopped()
        except Exception as error:
            if STOP.asked:
                return _stopped()
            message = _message(error)
            if message is None:  # a fault of this package, or in the user's own module
                raise
            sys.stderr.write(f"error: {message}\n")
            return 2


def _stopped() -> int:
    sys.stderr.write("\nStopped. The same command goes on from here.\n")
    return STATUS


def _message(error: Exception) -> str | None:
    """Return what to tell the user, None if the error is not about what was asked."""
    if isinstance(error, OSError) and error.filename is not None:
        return (
            f"{error.filename}: {error.strerror or error}. Give a place where you may "
            "write and that has room."
        )
    if isinstance(error, ValueError | ImportError | OSError):
        return str(error)
    from modal_pretrain.backbones.weights import BackboneWeightsError

    return str(error) if isinstance(error, BackboneWeightsError) else None
