"""The ceiling: a strategy that is told the groups."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable
from itertools import zip_longest
from numbers import Number
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modal_pretrain._inputs.alikes import frames_of_ours
from modal_pretrain._inputs.frames import check_order
from modal_pretrain._inputs.spelling import near_alikes
from modal_pretrain.query._engine.arguments import (
    RandomState,
    check_groups,
    check_request,
    n_rows,
)
from modal_pretrain.query._engine.classifier import is_learner
from modal_pretrain.query._engine.order import canonical_order
from modal_pretrain.query._engine.select import Answer


def group_balanced_sampling(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    groups: ArrayLike,
    groups_labelled: ArrayLike | None = None,
    random_state: RandomState = None,
) -> Answer:
    """Query so that the labelled set has as many rows of each group: an oracle.

    It sees what no strategy may see, the groups (class and attribute) of pool rows
    before they are labelled. It is a ceiling to measure others by, not a strategy to
    use. Row by row, a row is drawn at random from the group with the fewest labelled
    rows of which the pool has any left.

    Parameters
    ----------
    classifier : any
        Not used, but to warn: of a modAL learner that was taught other rows than
        `groups_labelled` has.
    X : array-like or list
        The pool, n rows.
    n_instances : int, default=1
        In [1, n].
    groups : array-like of shape (n,)
        Group of each row of X: numbers, strings, a list or tuple of tuples, or a Series
        of tuples, lists, sets or members of an enumeration.
    groups_labelled : array-like, optional
        Groups of the rows labelled so far. By default none, so that the batch itself
        is balanced.
    random_state : None, int, SeedSequence, Generator or RandomState
        Drives the draws, and the choice among equally rare groups.

    Returns
    -------
    query_idx : numpy.ndarray of shape (n_instances,), int64
        Rows of X, first queried first.
    scores : numpy.ndarray of shape (n_instances,), float64
        Minus the number of labelled rows of the group when the row was drawn.

    Raises
    ------
    TypeError
        If X has no rows, an argument has a wrong type, or groups are numbers here and
        text there, or sets here and lists there.
    ValueError
        If the pool is empty, `n_instances` is out of range, `groups` has another
        length than X, or a group is missing.

    Notes
    -----
    Taking the most uncertain row of the group instead of a random one was measured to
    be worse.

    Examples
    --------
    >>> import numpy as np
    >>> groups = np.array(["land bird on land"] * 4 + ["land bird on water"])
    >>> idx, _ = group_balanced_sampling(None, np.eye(5), 1, groups=groups,
    ...     groups_labelled=groups[:2], random_state=0)
    >>> idx.tolist()
    [4]
    """
    n, k, rng = check_request(classifier, X, n_instances, random_state)
    check_order(X=X, groups=groups)
    known = check_groups(groups, "groups", n)
    names, codes = _numbered(known)
    count = np.zeros(len(names))
    if groups_labelled is not None:
        before = check_groups(groups_labelled, "groups_labelled")
        _warn_of_stale(classifier, before)
        seen = Counter(before.tolist())  # NumPy would compare tuples by their parts
        count += np.array([seen[name] for name in names])
        if seen and not count.any() and _kinds(names).isdisjoint(_kinds(seen)):
            raise TypeError(
                f"groups holds {names[0]!r} and groups_labelled {next(iter(seen))!r}: "
                "they are of other kinds, so no labelled row would count. Use the same "
                "names in both."
            )
        _warn_of_spelling(names, seen)
    order = canonical_order(X)
    shuffled = order[rng.permutation(n)]
    stacks: list[list[int]] = [[] for _ in names]
    for row in shuffled:
        stacks[codes[row]].append(int(row))
    luck: NDArray[np.float64] = rng.random(len(names))
    chosen, scores = [], []
    for _ in range(k):
        wanted = np.where([bool(stack) for stack in stacks], count, np.inf)
        rarest = np.flatnonzero(wanted == wanted.min())
        group = int(rarest[luck[rarest].argmin()])
        chosen.append(stacks[group].pop())
        scores.append(-float(count[group]))
        count[group] += 1
    return np.array(chosen, dtype=np.int64), np.array(scores)


def _warn_of_stale(classifier: Any, before: NDArray[Any]) -> None:
    """Warn of groups that were left behind when a learner was taught more rows."""
    X = getattr(classifier, "X_training", None) if is_learner(classifier) else None
    taught = len(before) if X is None else n_rows(X, "X_training")
    if taught > len(before):
        warnings.warn(
            f"groups_labelled has {len(before)} entries, and the learner was taught "
            f"{taught} rows. Add the groups of what was asked after each teach: "
            "groups_labelled = np.append(groups_labelled, groups[asked]).",
            UserWarning,
            stacklevel=frames_of_ours() + 1,
        )


def _warn_of_spelling(names: Iterable[Any], labelled: Iterable[Any]) -> None:
    """Warn of a labelled group whose name, or part of it, is typed in another way."""
    known = set(names)
    strange = [name for name in labelled if name not in known]
    rows = [n if isinstance(n, tuple) else (n,) for n in [*known, *strange]]
    for parts in zip_longest(*rows) if strange else ():  # class by class, and so on
        alike = near_alikes(dict.fromkeys(p for p in parts if isinstance(p, str)))
        if alike is not None:
            warnings.warn(
                f"groups and groups_labelled hold {alike[0]!r} and {alike[1]!r}, which "
                "count as two groups. If they are one, give it one spelling.",
                UserWarning,
                stacklevel=frames_of_ours() + 1,
            )


def _kinds(names: Iterable[Any]) -> set[type]:
    """List the types of groups; all numbers are of one, and all tuples."""
    wide: tuple[type, ...] = (Number, tuple)  # each frame has named tuples of its own
    return {next((k for k in wide if isinstance(n, k)), type(n)) for n in names}


def _numbered(groups: NDArray[Any]) -> tuple[list[Any], NDArray[Any]]:
    """List the groups that there are, and give each row the number of its own."""
    if groups.dtype != object:
        plain, codes = np.unique(groups, return_inverse=True)
        return list(plain.tolist()), codes
    # Not by their order: sets have none that sorts them, members of an Enum none.
    found = list(dict.fromkeys(groups.tolist()))
    names = [found[i] for i in canonical_order(found)]
    number = {name: i for i, name in enumerate(names)}
    return names, np.array([number[name] for name in groups.tolist()], dtype=np.intp)
