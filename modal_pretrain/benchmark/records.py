"""Files of a results folder, read without trust: each is what it should be, or named.

A folder may be damaged, edited by hand, or somebody else's. Whatever reads records goes
through this module, so that nothing else has to check again.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from modal_pretrain._checks import is_number, is_whole
from modal_pretrain._identity import read_whole

_AGAIN = "Delete it and run the same command again: that run is done anew."
_REMAKE = "Delete it and run the same command again, which writes it anew."
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


def read_config(path: Path, make: Callable[[str], Any]) -> Any:
    """Return the configuration in ``config.json``, made by a function of its text."""
    text = _text(path, _OTHERS)
    try:
        return make(text)
    except ValueError as error:
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
    if not isinstance(splits, dict) or "train" not in splits:
        raise _wrong(path, "splits", "the counts of the splits", data, _REMAKE)
    for name, split in splits.items():
        counts = split if isinstance(split, dict) else {}
        if not (
            _is_count(counts.get("rows"), 1)
            and _is_count(counts.get("atypical"))
            and _are_counts(counts.get("groups"))
        ):
            raise _wrong(path, f"splits.{name}", "counts", splits, _REMAKE)
    return data


def read_probes(path: Path) -> dict[str, dict[str, float | None]]:
    """Return ``probes.json``, by model and target; empty if there is none."""
    probes = _mapping(path, _REMAKE) if path.exists() else {}
    for model, values in probes.items():
        if not isinstance(values, dict) or not all(
            value is None or is_number(value) for value in values.values()
        ):
            raise _wrong(path, model, "numbers", probes, _REMAKE)
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
        or table["round"].tolist() != list(range(n_rounds))
    ):
        problem = f"is no table of the seconds of {n_rounds} rounds"
        raise DamagedRecords(path, problem, _SECONDS)
    return table.drop(columns="round").to_dict("records")


def read_run(
    path: Path, key: Mapping[str, Any], data: Mapping[str, Any] | None, n_rounds: int
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

    Raises
    ------
    DamagedRecords
        Names the file, the line and what is wrong there.
    """
    lines = _text(path, _AGAIN).splitlines()
    if not lines:
        raise DamagedRecords(path, "is empty", _AGAIN)
    check, records = RunCheck(key, data), []
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


class RunCheck:
    """What is wrong with the records of one run, given one after the other.

    Parameters
    ----------
    key : mapping
    data : mapping or None
        See `read_run`.
    """

    def __init__(self, key: Mapping[str, Any], data: Mapping[str, Any] | None) -> None:
        self._key = key
        splits = data["splits"] if data else {}
        self._n_rows = sum(split["rows"] for split in splits.values()) or math.inf
        self._n_train = splits["train"]["rows"] if data else None
        self._labelled: set[int] = set()
        self._next = self._n_labels = self._n_apart = 0

    @property
    def pool_is_used_up(self) -> bool:
        """Whether all of the train split is labelled."""
        if self._n_train is None:
            return True
        return self._n_labels + self._n_apart == self._n_train

    def problem(self, record: Any) -> str | None:
        """Say what is wrong with the next record, None if nothing is."""
        if not isinstance(record, dict):
            return "is no record"
        for name, value in {**self._key, "round": self._next}.items():
            if name not in record:
                return f"lacks {name!r}"
            if record[name] != value or isinstance(record[name], bool):
                return f"has {name}={record[name]!r} instead of {value!r}"
        for name, (fits, words) in _FIELDS.items():
            if name not in record:
                if name in _LATER:
                    continue
                return f"lacks {name!r}"
            if not fits(record[name]):
                return f"has {name}={_short(record[name])} instead of {words}"
        problem = self._problem_of_rows(record)
        self._next += 1
        return problem

    def _problem_of_rows(self, record: dict[str, Any]) -> str | None:
        for row in record["acquired"]:
            if row >= self._n_rows:
                return f"names row {row} of a data set of {self._n_rows}"
            if row in self._labelled:
                return f"names row {row}, which is labelled already"
            self._labelled.add(row)
        audit = record.get("audit", {})
        if audit.get("apart"):
            self._n_apart = len(audit["rows"])
        before, self._n_labels = self._n_labels, record["n_labels"]
        if self._n_labels <= before:
            return f"has n_labels={_short(self._n_labels)} after {before}"
        if self._next and not record["acquired"]:
            return "has acquired no row"
        return None


def whole_rounds(
    path: Path, key: Mapping[str, Any], data: Mapping[str, Any] | None
) -> list[tuple[str, dict[str, Any]]]:
    """Return the rounds of an unfinished run: each line and what it says.

    A process may have been killed while it wrote. So the rounds end with the first
    line that is not whole or not right, and are done anew from there.
    """
    rounds: list[tuple[str, dict[str, Any]]] = []
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:  # it has just got its final name
        return rounds
    check = RunCheck(key, data)
    for line in text.splitlines(keepends=True):
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
        raise DamagedRecords(path, "is missing", _REMAKE) from error
    except UnicodeDecodeError as error:
        raise DamagedRecords(path, f"is no text ({error})", fix) from error
    except OSError as error:
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
    value = _short(found.get(key)) if key in found else "nothing"
    return DamagedRecords(path, f"has {value} under {key!r} instead of {words}", fix)


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _is_list_of(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(entry, kind) for entry in value)


def _is_count(value: Any, least: int = 0) -> bool:
    return is_whole(value) and value >= least


def _are_counts(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_count, value.values()))


def _is_share(value: Any) -> bool:
    return value is None or (is_number(value) and 0 <= value <= 1)


def _is_loss(value: Any) -> bool:
    return value is None or (is_number(value) and value >= 0)


def _is_audit(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("rows"), list)
        and all(map(_is_count, value["rows"]))
        and isinstance(value.get("apart"), bool)
        and all(
            is_number(value.get(key)) and 0 <= value[key] <= 1
            for key in ("value", "low", "high", "truth")
        )
    )


def _is_forecast(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and is_number(value.get("target"))
        and all(
            value.get(key) is None or is_number(value[key])
            for key in ("value", "low", "high")
        )
    )


# The first records lack some; the others are there if an audit was asked for.
_LATER = (
    *("brier", "log_loss", "acquired_groups"),
    *("audit", "kappa", "expected_error", "stops", "forecast"),
)
_SHARE = (_is_share, "a share from 0 to 1")
_KNOWN_SHARE = (
    lambda value: value is not None and _is_share(value),
    "a share from 0 to 1",
)
_LOSS = (_is_loss, "a number from 0")
_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "n_labels": (lambda value: _is_count(value, 1), "a number of labels"),
    "accuracy": _KNOWN_SHARE,
    "worst_group_accuracy": _KNOWN_SHARE,
    "atypical_accuracy": _SHARE,
    "calibration_error": _SHARE,
    "brier": _LOSS,
    "log_loss": _LOSS,
    "group_accuracy": (
        lambda value: isinstance(value, dict) and all(map(_is_share, value.values())),
        "shares by group",
    ),
    "acquired": (
        lambda value: isinstance(value, list) and all(map(_is_count, value)),
        "a list of row numbers",
    ),
    "acquired_atypical": (_is_count, "a count"),
    "acquired_groups": (_are_counts, "counts by group"),
    "audit": (_is_audit, "rows and what they say"),
    "kappa": (
        lambda value: value is None or (is_number(value) and -1 <= value <= 1),
        "a number from -1 to 1",
    ),
    "expected_error": _SHARE,
    "stops": (
        lambda value: (
            isinstance(value, dict) and all(isinstance(v, bool) for v in value.values())
        ),
        "true or false by rule",
    ),
    "forecast": (_is_forecast, "numbers of labels"),
}
