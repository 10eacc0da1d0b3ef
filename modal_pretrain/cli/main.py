"""The command line: one module a command, and what they have in common."""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys
from contextlib import suppress
from typing import Any

from modal_pretrain.cli.stop import STATUS, STOP

# A module each, which adds its parser and names the function that does the work. What
# takes seconds they import in that function, so that help is there at once. They
# themselves are imported once Ctrl-C is watched for.
COMMANDS = ("label", "compare", "bench", "report", "embed", "status", "listing")


_CURE = "Check the name, or give another place."
_CURES = {
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS),
        "Give a place where you may read and write.",
    ),
    **dict.fromkeys(
        (errno.ENOSPC, errno.EDQUOT), "Make room there, or give another place."
    ),
    errno.EPIPE: "What reads it has ended.",
}


class _Parser(argparse.ArgumentParser):
    """A parser whose flags with several values may be given several times, too.

    Of the others the last one counts, as everywhere, but not without a word.
    """

    def add_argument(self, *names: str, **settings: Any) -> argparse.Action:
        several = settings.get("nargs") in ("+", "*")
        if names[0].startswith("-"):
            settings.setdefault("action", "extend" if several else _Last)
        return super().add_argument(*names, **settings)


class _Last(argparse.Action):
    """Keep the value that came last, and say so where another one came before."""

    def __init__(self, *names: Any, **settings: Any) -> None:
        super().__init__(*names, **settings)
        self._before: Any = None

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        if self._before not in (None, values):
            shown, before = (
                " ".join(map(str, value)) if isinstance(value, list) else value
                for value in (values, self._before)
            )
            _say(
                f"warning: {self.option_strings[0]} was given again: {shown} counts, "
                f"{before} does not.\n"
            )
        self._before = values
        setattr(namespace, self.dest, values)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = _Parser(
        prog="modal-pretrain",
        description="Pretrained models as active learners: benchmark and tools.",
        epilog="Exit status: 0 done; 2 what was asked for is not possible; 3 and 4 see "
        "modal-pretrain status; 130 stopped by Ctrl-C (label, once its page is there: "
        "0).",
    )
    version = sys.modules["modal_pretrain"].__version__
    parser.add_argument(
        "--version", action="version", version=f"modal_pretrain {version}"
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
    _open_streams()
    with STOP.watching():
        try:
            return _run(arguments)
        except KeyboardInterrupt:
            return _stopped()


def _run(arguments: list[str] | None) -> int:
    try:
        args = parser().parse_args(arguments)
        _check_not_empty(vars(args))
        status = args.do(args) or 0
        _flush()
        return status
    except Exception as error:
        if STOP.asked:
            return _stopped()
        message = _message(error)
        if message is None:  # a fault of this package, or in the user's own module
            raise
        _say(f"error: {message}\n")
        return 2
    finally:
        with suppress(OSError):
            _flush()


def _open_streams() -> None:
    """Make everything writable: letters, and what a shell has closed (``>&-``)."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, for good
            setattr(sys, name, nowhere)
        elif hasattr(getattr(sys, name), "reconfigure"):
            # A terminal that has no letter for a file's name is no reason to fail, nor
            # is a stream that cannot be changed any more. Python may have been told to
            # buffer nothing: then `write` would fail, before the work is done.
            with suppress(OSError):
                getattr(sys, name).reconfigure(
                    errors="backslashreplace", write_through=name == "stderr"
                )


def _flush() -> None:
    """Write out what was said; what can't be written is said to be so, once.

    Python would try again at its end, and complain with an exception.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        with suppress(OSError), open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        error.filename = "standard output"
        raise


def _of_output(error: OSError) -> OSError:
    """Return what standard output says, if it takes nothing: it may not be named."""
    try:
        sys.stdout.write("\n")
        _flush()
    except OSError as named:
        return named
    return error


def _folder_is_gone() -> bool:
    """Say whether there is nothing that relative paths could start from."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def _say(words: str) -> None:
    """Write to standard error; where it takes nothing, the exit status has to do."""
    with suppress(OSError):
        sys.stderr.write(words)


def _check_not_empty(given: dict[str, Any]) -> None:
    """Refuse empty values, such as of a shell's variable that is not set.

    Where a folder is meant, they would stand for the one that the command runs in.
    """
    for name, value in given.items():
        if "" in (value if isinstance(value, list | tuple) else [value]):
            flag = f"--{name.replace('_', '-')}"
            raise ValueError(
                f"{name} (or {flag}) is empty: give it a value, or leave it out."
            )


def _stopped() -> int:
    # An interrupt of code that was given as text, as dataclasses are made of, makes
    # ``python -m`` end by the signal, whoever caught it, unless more of it runs then.
    exec("")
    STOP.at_once()
    _say("\nStopped. The same command goes on from here.\n")
    return STATUS


def _message(error: Exception) -> str | None:
    """Return what to tell the user, None if the error is not about what was asked."""
    if isinstance(error, FileNotFoundError) and _folder_is_gone():
        return "the working directory has been deleted. Go to one that is there (cd)."
    if isinstance(error, OSError) and error.filename is None:
        error = _of_output(error)
    if isinstance(error, OSError) and error.filename is not None:
        what = error.strerror or str(error)
        return f"{error.filename}: {what}. {_CURES.get(error.errno or 0, _CURE)}"
    if isinstance(error, UnicodeEncodeError):
        near = error.object[max(error.start - 40, 0) : error.end + 20]
        return (
            "a name has a byte that is no letter, which can't be written down: "
            f"{near!a}. Rename that file or folder."
        )
    if isinstance(error, ValueError | ImportError | OSError):
        return str(error)
    from concurrent.futures.process import BrokenProcessPool

    if isinstance(error, BrokenProcessPool):
        return (
            "a worker process was killed, most likely as memory ran out. Give fewer "
            "--jobs or smaller pictures; the same command goes on from here."
        )
    from modal_pretrain.backbones.weights import BackboneWeightsError

    return str(error) if isinstance(error, BackboneWeightsError) else None
