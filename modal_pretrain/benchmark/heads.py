"""What the head does with the exceptions: part of a strategy's name, after a plus.

``disambiguation`` asks with the plain head, ``disambiguation+errors:2`` with one whose
rows weigh by errors (``error_weighting=2``), ``disambiguation+tags:30`` with one that
is told the attribute of the first 30 labelled rows (``tags:all``: of all). So records,
folders and reports know heads without knowing of them, and those of plain ones stay as
they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from modal_pretrain._checks import did_you_mean, take_rows

if TYPE_CHECKING:  # settings are checked, and help is shown, without data sets
    from modal_pretrain.datasets import GroupedDataset

PLAIN = "plain"
_STRENGTH = 4.0  # of "errors", which names none
_HEAD = re.compile(r"errors(:[0-9]+(\.[0-9]+)?)?|tags:(all|0*[1-9][0-9]*)")


def join(strategy: str, head: str) -> str:
    """Return the name of a strategy with a head."""
    check_head(head)
    if head == PLAIN:
        return strategy
    if isinstance(strategy, str) and "+" in strategy:
        raise ValueError(
            f"strategies: {strategy!r} names a head, and heads would give it {head!r} "
            "as well. Name heads in one of the two places."
        )
    return f"{strategy}+{head}"


def split(name: str) -> tuple[str, str]:
    """Return a strategy's own name and its head, which is "plain" if none is named."""
    strategy, plus, head = name.rpartition("+")
    if not plus:
        return name, PLAIN
    check_head(head)
    return strategy, head


def check_head(head: Any) -> None:
    """Raise ValueError unless it is plain, errors, errors:S, tags:all or tags:N."""
    if head == PLAIN or (isinstance(head, str) and _HEAD.fullmatch(head)):
        return
    hint = did_you_mean(head, (PLAIN, "errors", "errors:2", "tags:all", "tags:30"))
    raise ValueError(
        "heads may be 'plain', 'errors', 'errors:S' with S for error_weighting=S, "
        "'tags:all' or 'tags:N' with N the number of labelled rows that are tagged, "
        f"got {head!r}.{hint}"
    )


def canonical(head: str) -> str:
    """Return one spelling of a head: that of "errors" is "errors:4.0"."""
    kind, _, strength = head.partition(":")
    if kind == "errors":
        return f"errors:{float(strength or _STRENGTH)}"
    return f"tags:{int(strength)}" if strength.isdecimal() else head


def prepared(estimator: Any, head: str) -> Any:
    """Return the classifier with the parameters of a head."""
    kind, _, strength = head.partition(":")
    if kind != "errors":
        return estimator
    return estimator.set_params(error_weighting=float(strength or _STRENGTH))


def tag(
    estimator: Any, head: str, data: GroupedDataset, rows: Iterable[int], before: int
) -> None:
    """Tell the classifier what a head knows about rows that were just labelled.

    Parameters
    ----------
    estimator : BaseClassifier
    head : str
    data : GroupedDataset
    rows : iterable of int
    before : int
        How many were labelled before them.
    """
    kind, _, number = head.partition(":")
    if kind != "tags":
        return
    rows = np.asarray(rows, dtype=np.intp)
    if number != "all":
        rows = rows[: max(int(number) - before, 0)]
    if len(rows):
        values = np.asarray(data.attribute)[rows]
        if values.dtype.kind == "f":  # a tag is no fraction: it counts which value
            values = data.groups[rows] % len(data.attributes)
        estimator.tag(take_rows(data.X, rows), values)
