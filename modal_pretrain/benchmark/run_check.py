"""What one round's record may hold, and how it follows the one before it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from modal_pretrain._checks import is_number, is_whole


class RunCheck:
    """What is wrong with the records of one run, given one after the other.

    Parameters
    ----------
    key : mapping
    data : mapping or None
    sizes : (int, int) or None
        See `read_run`.
    """

    def __init__(
        self,
        key: Mapping[str, Any],
        data: Mapping[str, Any] | None,
        sizes: tuple[int, int] | None,
    ) -> None:
        self._key, self._sizes = key, sizes
        self._splits = data["splits"] if data else {}
        n_rows = sum(split["rows"] for split in self._splits.values())
        self._n_rows = n_rows or math.inf
        self._n_train = self._splits["train"]["rows"] if data else None
        self._labelled: set[int] = set()
        self._apart: list[int] = []
        self._next = self._n_labels = 0

    @property
    def pool_is_used_up(self) -> bool:
        """Whether all of the train split is labelled."""
        if self._n_train is None:
            return True
        return self._n_labels + len(self._apart) == self._n_train

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
                return f"has {name}={short(record[name])} instead of {words}"
        problem = self._problem_of_rows(record) or self._problem_of_groups(record)
        self._next += 1
        return problem

    def _problem_of_rows(self, record: dict[str, Any]) -> str | None:
        for row in record["acquired"]:
            if row >= self._n_rows:
                return f"names row {row} of a data set of {self._n_rows}"
            if row in self._labelled:
                return f"names row {row}, which is labelled already"
            self._labelled.add(row)
        problem = self._problem_of_audit(record.get("audit"))
        if problem:
            return problem
        before, self._n_labels = self._n_labels, record["n_labels"]
        n_new = self._n_labels - before
        if n_new <= 0:
            return f"has n_labels={short(self._n_labels)} after {before}"
        return self._problem_of_size(n_new, len(record["acquired"])) or (
            self._problem_of_counts(record, n_new)
        )

    def _problem_of_audit(self, audit: dict[str, Any] | None) -> str | None:
        """Say why these cannot be rows that measured this round's model."""
        if audit is None:
            return None
        rows = audit["rows"]
        wrong = [row for row in rows if row in self._labelled or row >= self._n_rows]
        if wrong or len(set(rows)) < len(rows):
            return "has an audit whose rows are taught, named twice or not in the data"
        if audit["apart"] and self._next and rows != self._apart:
            return "has an audit of other rows than the round before it"
        self._apart = rows if audit["apart"] else []
        return None

    def _problem_of_size(self, n_new: int, n_acquired: int) -> str | None:
        if self._sizes is None:  # all of the train split, whose rows are not listed
            wrong = n_acquired or self._n_labels != (self._n_train or self._n_labels)
            return "is not of all of the train split" if wrong else None
        if n_new != n_acquired:
            return f"has acquired {n_acquired} rows, and n_labels grows by {n_new}"
        wanted = self._sizes[min(self._next, 1)]
        if n_new > wanted or (n_new < wanted and not self.pool_is_used_up):
            return f"has acquired {n_new} rows instead of {wanted}"
        return None

    def _problem_of_counts(self, record: dict[str, Any], n_new: int) -> str | None:
        if record["acquired_atypical"] > n_new:
            n_odd = record["acquired_atypical"]
            return f"has acquired_atypical={n_odd} of {n_new} rows"
        groups = record.get("acquired_groups")
        if groups is None:
            return None
        known = self._splits["train"]["groups"] if self._splits else groups
        if sum(groups.values()) != n_new or not groups.keys() <= known.keys():
            return f"has acquired_groups={short(groups)} for {n_new} rows of the pool"
        return None

    def _problem_of_groups(self, record: dict[str, Any]) -> str | None:
        """Say where the accuracies contradict each other."""
        found = record["group_accuracy"]
        known = self._splits.get("test", {}).get("groups", found)
        if not found or found.keys() != known.keys():
            return f"has group_accuracy={short(found)} of other groups than the data"
        worst, all_rows = min(found.values()), record["accuracy"]
        if abs(worst - record["worst_group_accuracy"]) > _ROUNDED:
            return (
                f"has worst_group_accuracy={record['worst_group_accuracy']}, but its "
                f"groups say {worst}"
            )
        if known is not found:
            said = sum(found[name] * n for name, n in known.items())
            said /= sum(known.values())
            if abs(said - all_rows) > _ROUNDED:
                return f"has accuracy={all_rows}, but its groups say {said:.6f}"
        return None


def is_count(value: Any, least: int = 0) -> bool:
    """Say whether a value is a whole number of at least `least`."""
    return is_whole(value) and value >= least


def are_counts(value: Any) -> bool:
    """Say whether a value is a mapping to counts."""
    return isinstance(value, dict) and all(map(is_count, value.values()))


def short(value: Any) -> str:
    """Show a value in at most 60 characters."""
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _is_known_share(value: Any) -> bool:
    return is_number(value) and 0 <= value <= 1


def _is_share(value: Any) -> bool:
    return value is None or _is_known_share(value)


def _is_loss(value: Any) -> bool:
    return value is None or (is_number(value) and value >= 0)


def _is_audit(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("rows"), list)
        and len(value["rows"]) > 0
        and all(map(is_count, value["rows"]))
        and isinstance(value.get("apart"), bool)
        and all(
            _is_known_share(value.get(key)) for key in ("value", "low", "high", "truth")
        )
        and value["low"] <= value["value"] <= value["high"]
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


_ROUNDED = 2e-6  # records have six decimals
# The first records lack some; the others are there if an audit was asked for.
_LATER = (
    *("brier", "log_loss", "acquired_groups"),
    *("audit", "kappa", "expected_error", "stops", "forecast"),
)
_SHARE = (_is_share, "a share from 0 to 1")
_KNOWN_SHARE = (_is_known_share, "a share from 0 to 1")
_LOSS = (_is_loss, "a number from 0")
_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "n_labels": (lambda value: is_count(value, 1), "a number of labels"),
    "accuracy": _KNOWN_SHARE,
    "worst_group_accuracy": _KNOWN_SHARE,
    "atypical_accuracy": _SHARE,
    "calibration_error": _SHARE,
    "brier": (
        lambda value: value is None or (_is_loss(value) and value <= 2 + 1e-6),
        "a number from 0 to 2",
    ),
    "log_loss": _LOSS,
    "group_accuracy": (
        # No group is without rows, so none is unknown.
        lambda value: (
            isinstance(value, dict) and all(map(_is_known_share, value.values()))
        ),
        "shares by group",
    ),
    "acquired": (
        lambda value: isinstance(value, list) and all(map(is_count, value)),
        "a list of row numbers",
    ),
    "acquired_atypical": (is_count, "a count"),
    "acquired_groups": (are_counts, "counts by group"),
    "audit": (_is_audit, "rows, one at least, and a figure within its bounds"),
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
