"""An audit of rows that were drawn at random before, by whoever asked for labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from modal_pretrain.stopping._inputs import as_predictions, check_rows
from modal_pretrain.stopping._intervals import Sample
from modal_pretrain.stopping.audit import Audit


def audit_of(
    proba: Any, rows: Any, *, classes: Any = None, taught: Any = None
) -> Audit:
    """Take rows that were drawn at random, and not taught, for an audit.

    For loops that ask for a random row now and then. `draw_audit` chooses rows itself,
    which can say more with as many labels.

    Parameters
    ----------
    proba : array-like of shape (n, n_classes) or Predictions
        The present model's class probabilities of every row.
    rows : array-like of int of shape (budget,)
        Rows of the n that were drawn, every row with the same chance.
    classes : array-like of shape (n_classes,) or None, default=None
        Labels of the columns; None is 0, 1, ...
    taught : array-like of int or mask, or None, default=None
        Rows that the model has learnt.

    Returns
    -------
    Audit
        Of the design "random": its intervals are Wilson's.

    Raises
    ------
    ValueError
        If `rows` is empty, or no row numbers of the pool, or one of them was taught.

    Examples
    --------
    >>> import numpy as np
    >>> proba = np.tile([0.9, 0.1], (200, 1))
    >>> audit = audit_of(proba, rows=[3, 50, 120, 180])
    >>> audit.estimate([0, 0, 1, 0]).accuracy.value
    0.75
    """
    now = as_predictions(proba, classes)
    drawn = check_rows("rows", rows, len(now.proba))
    away = check_rows("taught", taught, len(now.proba))
    if not len(drawn):
        raise ValueError("rows is empty: an audit needs at least one random row.")
    both = np.intersect1d(drawn, away)
    if len(both):
        raise ValueError(
            f"rows holds {len(both)} rows that were taught, first {both[0]}: what the "
            "model has learnt cannot measure it. Leave them out of one of the two."
        )
    size = len(now.proba) - len(away)
    chance = np.full(len(now.proba), len(drawn) / size)
    return Audit(now, (Sample(drawn, chance, size),), "random", away)
