"""From flags, and the file they name, to settings as `expand` takes them."""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from modal_pretrain._modalities import lookup
from modal_pretrain.benchmark.settings import read_settings
from modal_pretrain.datasets import registry

_GIVEN = (
    *("models", "strategies", "seeds", "seed_set", "seed_set_atypical", "batch"),
    *("rounds", "budget", "pool_sample", "references", "audit", "audit_apart"),
    "heads",
)


def settings_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that the flags, and the file they name, describe."""
    given = vars(args)
    settings = read_settings(given["config"]) if "config" in given else {}
    for name in _GIVEN:
        if name in given:
            settings[name] = given[name]
            settings.pop({"rounds": "budget", "budget": "rounds"}.get(name, ""), None)
    if "rounds" in given and "budget" in given:
        raise ValueError("give --rounds or --budget, not both.")
    _set_dataset(settings, given)
    _set_estimator(settings, given)
    return settings


def as_number(text: str) -> int | str:
    """Return what up to nine digits say; anything else as it is, to be refused."""
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else text


def _set_estimator(settings: dict[str, Any], given: dict[str, Any]) -> None:
    if not isinstance(settings.get("estimator", {}), dict):
        return  # which `expand` refuses
    estimator = settings["estimator"] = dict(settings.get("estimator", {}))
    if "backbone" in given:
        estimator["backbone"] = given["backbone"]
    if "tune" in given:
        estimator["tune"] = [as_number(t) for t in given["tune"]]
    if "augment" in given:
        estimator["augment"] = given["augment"]
    if "image_size" in given:
        estimator["image_size"] = given["image_size"]
    elif "config" not in given:
        tables = settings["dataset"]
        modalities = {registry.modality_of(table["name"], table) for table in tables}
        if len(modalities) == 1:
            estimator.update(lookup(modalities.pop()).command_line)
        if {table["name"] for table in tables} == {"shapes"}:
            estimator["image_size"] = 64  # with more, no shape is ambiguous


def _set_dataset(settings: dict[str, Any], given: dict[str, Any]) -> None:
    _warn_of_doubles(given.get("data", ()))
    tables = settings.get("dataset", "shapes")
    tables = tables if isinstance(tables, list) else [tables]
    for table in tables:
        if not isinstance(table, str | dict):
            raise ValueError(
                f"dataset must be a name or a table with a name, or a list of them, "
                f"got {table!r}."
            )
        if isinstance(table, dict) and "name" not in table:
            # Or --dataset, which takes the tables of its name, would leave it out.
            raise ValueError(
                f"a table of a data set has no name: {table!r:.80}. Give it one, such "
                'as name = "csv".'
            )
    tables = [{"name": t} if isinstance(t, str) else dict(t) for t in tables]
    if "dataset" in given:
        # A file may have several tables of one name, such as two CSV files.
        known = [[t for t in tables if t.get("name") == n] for n in given["dataset"]]
        tables = [
            table
            for name, own in zip(given["dataset"], known, strict=True)
            for table in own or [{"name": name}]
        ]
    for table in tables:
        place = _root_name(table.get("name", "")) if "root" in given else None
        if place is not None:
            table[place] = given["root"]
        for pair in given.get("data", ()):
            key, equals, value = pair.partition("=")
            if not equals:
                raise ValueError(f"--data needs KEY=VALUE, got {pair!r}.")
            if key == "name":
                raise ValueError(
                    f"--data {pair}: the name of a data set is given with --dataset, "
                    "and reports have it from the data."
                )
            if key == place:
                more = " The folder of a list's pictures is --data root=DIR."
                raise ValueError(
                    f"--root {given['root']} and --data {pair} both say where "
                    f"{table['name']} lies; give one of them."
                    f"{more if place == 'path' else ''}"
                )
            table[key] = _literal(value)
    settings["dataset"] = tables


def _warn_of_doubles(pairs: Iterable[str]) -> None:
    """Say which pair counts where --data gives one key two values."""
    last: dict[str, str] = {}
    for pair in pairs:
        key = pair.partition("=")[0]
        if last.get(key, pair) != pair:
            with suppress(OSError):  # closed, or full
                sys.stderr.write(
                    f"warning: --data {key} was given again: {pair} counts, "
                    f"{last[key]} does not.\n"
                )
        last[key] = pair


def _root_name(name: str) -> str:
    """Return what a loader calls its folder or file: what it cannot do without."""
    parameters = inspect.signature(registry.loader(name)).parameters
    known = [key for key in ("path", "root") if key in parameters]
    needed = [
        key for key in known if parameters[key].default is inspect.Parameter.empty
    ]
    return [*needed, *known, "root"][0]


def _literal(value: str) -> Any:
    try:
        return ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        # TypeError of a list as a key, the last two where brackets or signs never end.
        return value
