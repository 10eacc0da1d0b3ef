"""Values of arguments that the scripts of this folder share, for argparse's `type`."""

from argparse import ArgumentTypeError
from pathlib import Path


def count(text):
    """Return a whole number of at least 1."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return number


def existing_folder(text):
    """Return the path of a folder that is there."""
    if not Path(text).is_dir():
        raise ArgumentTypeError(f"there is no folder {text!r}")
    return Path(text)


def existing_file(text):
    """Return the path of a file that is there."""
    if not Path(text).is_file():
        raise ArgumentTypeError(f"there is no file {text!r}")
    return Path(text)
