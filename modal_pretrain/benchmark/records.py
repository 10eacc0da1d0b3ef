"""Files of a results folder, read without trust: each is what it should be, or named.

A folder may be damaged, edited by hand, or somebody else's. Whatever reads records goes
through this module, so that nothing else has to check again.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from modal_pretrain._checks import is_number
from modal_pretrain._identity import read_whole
from modal_pretrain.benchmark.run_check import RunCheck, are_counts, is_count, short

_AGAIN = "Delete it and run the same command again: that run is done anew."
_REMAKE = "Delete it and run the same command again, which writes it anew."
_MERGED = (
    f"{_REMAKE} But if two groups had one name when the folder was made, its records "
    "mix them: then use another folder, or delete this one."
)
_SECONDS = "Delete it: how long the run took is lost, its results are not."
_OTHERS = (
    "Put the right one back, or delete it and run again with all models, strategies "
    "and seeds that the folder's records have."
)
_MADE_ON = ("hardware", "versions")


class DamagedRecords(ValueError):
    """A file of a results folder does not hold what it should.

    Parameters
    ----------
    path : Path
        The file.
    problem : str
        What is wrong with it.
    fix : str
        What to do about it.

    Attributes
    ----------
    path : Path
    """

    def __init__(self, path: Path, problem: str, fix: str) -> None:
        super().__init__(path, problem, fix)
        self.path = path

    def __str__(self) -> str:
        path, problem, fix = self.args
        return f"{path} {problem}. {fix}"


def other_settings(path: Path, digest: str) -> DamagedRecords:
    """Return the error about settings that are not those of the folder's name."""
    return DamagedRecords(
        path,
        f"holds settings whose folder ends in {digest}, so the runs there were made "
        "with others",
        "Put the right one back, or rename the folder if they are right.",
    )


def other_start(path: Path, other: Path) -> DamagedRecords:
    """Return the error about two runs of one seed with different first labels."""
    return DamagedRecords(
        path,
        f"starts from other labels than {other.name}, though all runs of a seed start "
        "from the same",
        "Delete both and run the same command again: these runs are done anew.",
    )


def other_rows(path: Path, row: int) -> DamagedRecords:
    """Return the error about a run with a row that is not there to be asked for."""
    problem = f"names row {row}, which is not in the train split"
    return DamagedRecords(path, problem, _AGAIN)


def other_flags(path: Path, found: int, odd: int) -> DamagedRecords:
    """Return the error about a run whose rows are other ones than in the data."""
    problem = (
        f"has acquired_atypical={found} for rows of which {odd} are disambiguating"
    )
    return DamagedRecords(path, problem, _AGAIN)


def read_config(path: Path, make: Callable[[str], Any]) -> Any:
    """Return the configuration in ``config.json``, made by a function of its text."""
    text = _text(path, _OTHERS)
    try:
        return make(text)
    except (ValueError, RecursionError) as error:
        problem = str(error).rstrip(".")
        raise DamagedRecords(
            path, f"is no configuration: {problem}", _OTHERS
        ) from error


def read_description(path: Path) -> dict[str, Any]:
    """Return ``data.json``: names and counts of the data, see `describe`."""
    data = _mapping(path, _REMAKE)
    for key in ("name", "modality", "summary", "attribute_name", "fingerprint"):
        if not isinstance(data.get(key), str):
            raise _wrong(path, key, "a text", data, _REMAKE)
    if not _is_list_of(data.get("classes"), str):
        raise _wrong(path, "classes", "a list of names", data, _REMAKE)
    splits = data.get("splits")
    if not isinstance(splits, dict) or not {"train", "test"} <= splits.keys():
        raise _wrong(path, "splits", "the counts of the splits", data, _REMAKE)
    for name, split in splits.items():
        counts = split if isinstance(split, dict) else {}
        if not (
            is_count(counts.get("rows"), 1)
            and is_count(counts.get("atypical"))
            and counts["atypical"] <= counts["rows"]
            and are_counts(counts.get("groups"))
            and sum(counts["groups"].values()) <= counts["rows"]
        ):
            raise _wrong(path, name, "counts that agree", splits, _REMAKE)
        if sum(counts["groups"].values()) < counts["rows"]:
            raise _wrong(path, name, "counts that agree", splits, _MERGED)
    return data


def read_probes(path: Path) -> dict[str, dict[str, float | None]]:
    """Return ``probes.json``, by model and target; empty if there is none."""
    probes = _mapping(path, _REMAKE) if path.exists() else {}
    for model, values in probes.items():
        if not isinstance(values, dict) or not all(
            value is None or (is_number(value) and 0 <= value <= 1)
            for value in values.values()
        ):
            raise _wrong(path, model, "shares from 0 to 1", probes, _REMAKE)
    return probes


def read_examples(path: Path) -> dict[str, dict[str, Any]]:
    """Return ``examples/index.json``, by row; empty if there is none."""
    index = _mapping(path, _REMAKE) if path.exists() else {}
    for row, entry in index.items():
        if not row.isdecimal():
            raise DamagedRecords(path, f"holds {row!r}, which is no row", _REMAKE)
        if not (
            isinstance(entry, dict)
            and isinstance(entry.get("group"), str)
            and isinstance(entry.get("atypical"), bool)
            and isinstance(entry.get("text", ""), str)
        ):
            raise _wrong(path, row, "a group and what is shown", index, _REMAKE)
    return index


def read_runs(folder: Path) -> list[dict[str, Any]]:
    """Return what the folder ``runs`` knows of each call, oldest first."""
    fix = "Delete it: it says how the records were made, no more."
    runs = []
    for path in sorted(folder.glob("*.json")):
        run = _mapping(path, fix)
        if not isinstance(run.get("command"), str):
            raise _wrong(path, "command", "a command", run, fix)
        runs.append({**dict.fromkeys(("started", "seconds", *_MADE_ON)), **run})
    return runs


def read_timings(path: Path, n_rounds: int) -> list[dict[str, float]]:
    """Return the seconds of a run by round and phase; empty if there are none."""
    if not path.exists():
        return []
    try:
        table = pd.read_csv(io.BytesIO(read_whole(path)))
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise DamagedRecords(path, f"is no table ({error})", _SECONDS) from error
    numeric = all(pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes)
    if (
        "round" not in table
        or not numeric
        or ((table < 0) | (table == float("inf"))).any(axis=None)
        or table["round"].tolist() != list(range(n_rounds))
    ):
        problem = f"is no table of the seconds of {n_rounds} rounds"
        raise DamagedRecords(path, problem, _SECONDS)
    return table.drop(columns="round").to_dict("records")


def read_run(
    path: Path,
    key: Mapping[str, Any],
    data: Mapping[str, Any] | None,
    n_rounds: int,
    sizes: tuple[int, int] | None,
) -> list[dict[str, Any]]:
    """Return the records of a finished run, a dict for each round.

    Parameters
    ----------
    path : Path
    key : mapping
        ``dataset``, ``model``, ``strategy`` and ``seed``, which all lines repeat.
    data : mapping or None
        What `read_description` returned; None checks no row numbers against it.
    n_rounds : int
        Rounds of the whole run; a pool that runs out ends it earlier.
    sizes : (int, int) or None
        Labels of the seed set and of a later round; None is all of the train split.

    Raises
    ------
    DamagedRecords
        Names the file, the line and what is wrong there.
    """
    lines = _text(path, _AGAIN).splitlines()
    if not lines:
        raise DamagedRecords(path, "is empty", _AGAIN)
    check, records = RunCheck(key, data, sizes), []
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            problem = check.problem(record)
        except (ValueError, RecursionError) as error:
            problem = f"is no JSON ({error})"
        if problem:
            raise DamagedRecords(path, f"is damaged: line {number} {problem}", _AGAIN)
        records.append(record)
    whole = len(records) == n_rounds or check.pool_is_used_up
    if not whole:
        problem = f"holds {len(records)} rounds of {n_rounds}"
        raise DamagedRecords(path, problem, _AGAIN)
    return records


def whole_rounds(
    path: Path,
    key: Mapping[str, Any],
    data: Mapping[str, Any] | None,
    n_rounds: int,
    sizes: tuple[int, int] | None,
) -> list[tuple[str, dict[str, Any]]]:
    """Return the rounds of an unfinished run: each line and what it says.

    The arguments are those of `read_run`. A process may have been killed while it
    wrote. So the rounds end with the first line that is not whole or not right, and
    are done anew from there.
    """
    rounds: list[tuple[str, dict[str, Any]]] = []
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:  # it has just got its final name
        return rounds
    check = RunCheck(key, data, sizes)
    for line in text.splitlines(keepends=True)[:n_rounds]:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not line.endswith("\n") or check.problem(record):
            break
        seconds = record.get("seconds")
        if not isinstance(seconds, dict) or not all(map(is_number, seconds.values())):
            break
        rounds.append((line.rstrip("\n"), record))
    return rounds


def _text(path: Path, fix: str) -> str:
    try:
        return read_whole(path).decode()
    except FileNotFoundError as error:
        fix = "Run the same command again, which writes it anew."
        raise DamagedRecords(path, "is missing", fix) from error
    except UnicodeDecodeError as error:
        raise DamagedRecords(path, f"is no text ({error})", fix) from error
    except OSError as error:
        if isinstance(error, PermissionError):  # what it holds may be right
            fix = "Have its owner let you read it."
        problem = f"cannot be read ({error.strerror or error})"
        raise DamagedRecords(path, problem, fix) from error


def _mapping(path: Path, fix: str) -> dict[str, Any]:
    try:
        found = json.loads(_text(path, fix))
    except (json.JSONDecodeError, RecursionError) as error:
        raise DamagedRecords(path, f"is no JSON ({error})", fix) from error
    if not isinstance(found, dict):
        raise DamagedRecords(path, "holds no names and values", fix)
    return found


def _wrong(path: Path, key: str, words: str, found: Any, fix: str) -> DamagedRecords:
    value = short(found.get(key)) if key in found else "nothing"
    return DamagedRecords(path, f"has {value} under {key!r} instead of {words}", fix)


def _is_list_of(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(entry, kind) for entry in value)
