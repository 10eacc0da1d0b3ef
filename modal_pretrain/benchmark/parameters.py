"""A data set's parameters as text: what travels to workers and is kept with records."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Mapping
from typing import Any


def as_text(params: Mapping[str, Any]) -> str:
    """Return the parameters of a data set as JSON, sorted.

    Raises
    ------
    ValueError
        If one of them cannot be written down, such as a function or a regular
        expression: the loader would get another thing.
    """
    # As it is read again: then all names are texts, and can be sorted.
    plain = {name: json.loads(_written(name, params[name])) for name in params}
    return json.dumps(plain, sort_keys=True)


def _written(name: str, value: Any) -> str:
    try:
        return json.dumps(value, default=_plain)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"dataset: {name}={value!r:.80} cannot be kept with the records: {error}. "
            "A benchmark's data set is named by texts, Python's numbers (no NumPy's), "
            "lists and tables. For anything else name a function of your own, "
            "'module:function', that loads the data with it."
        ) from error


def _plain(value: Any) -> str:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, datetime.date | datetime.time):  # as TOML and YAML have them
        return str(value)
    raise TypeError(f"it is, or holds, something of type {type(value).__name__}")
