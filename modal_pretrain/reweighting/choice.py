"""What to do about tags: decided by how well each head does on the other folds."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modal_pretrain._blas import one_thread
from modal_pretrain._checks import OneOf
from modal_pretrain.reweighting._inputs import BALANCE, STRENGTH, check_rows
from modal_pretrain.reweighting.errors import equal_mass
from modal_pretrain.reweighting.guess import with_guesses
from modal_pretrain.reweighting.logistic import coordinates
from modal_pretrain.reweighting.out_of_fold import (
    folds,
    out_of_fold_logits,
    own_proba,
)
from modal_pretrain.reweighting.tags import (
    balanced,
    cells,
    is_confounded,
    tag_codes,
    tag_table,
)

CHOICES = ("nothing", "tags", "errors", "tags and errors")


class Weighing(NamedTuple):
    """Weights of rows, and what they follow: one of `CHOICES`."""

    weight: NDArray[np.float64]
    choice: str


def tag_weights(
    X: ArrayLike,
    y: ArrayLike,
    ignore: Any,
    *,
    strength: float = 4.0,
    balance: float = 1.0,
    C: float = 0.005,
    sample_weight: ArrayLike | None = None,
    offset: NDArray[Any] | None = None,
    otherwise: str = "nothing",
    n_folds: int = 5,
) -> Weighing:
    """Weigh labelled rows of which a person has said what may be ignored.

    An attribute whose tags mislead about the class, crossed with it but not evenly,
    leaves four ways to weigh rows: not at all; all cells of class x tag alike (DFR's
    group balance [1]_); by errors (`error_weights`); or by errors in cells that weigh
    alike. Each is tried on the labelled rows themselves: the one is taken whose heads,
    trained on the other folds, give the labels the highest probability, averaged over
    the cells. (Accuracy is the same idea, but cells hold too few rows to tell heads
    apart by counting.)

    Parameters
    ----------
    X : array-like of shape (n, d)
        Embeddings, centred and scaled as the head will take them.
    y : array-like of shape (n,)
        Labels.
    ignore : array-like of shape (n,) or (n, k)
        A tag for each row: a string, a whole number or a truth value; None or NaN where
        nobody said. A linear probe on the tagged rows guesses the others where it can
        tell tagged rows apart that it has not seen; else they count for their class
        only. Of several misleading attributes the weights are averaged.
    strength : float, default=4.0
        Of the weights by errors.
    balance : float, default=1.0
        How far the weights go from those that rows have without tags (0) to those that
        the tags ask for (1): the loss is this mixture of the two losses. Less than 1
        where accuracy on the mixture that the rows come from matters, too.
    C : float, default=0.005
        Of the heads.
    sample_weight : array-like of shape (n,), number or None, default=None
        What rows weigh anyway.
    offset : array-like of shape (n, n_classes) or None, default=None
        Logits that training starts from; y are column numbers then.
    otherwise : {"nothing", "errors"}, default="nothing"
        What to do where no attribute misleads: tags that are constant, all unknown, the
        class itself, nested in the class, or unrelated to it.
    n_folds : int, default=5

    Returns
    -------
    weight : numpy.ndarray
        float64 (n,), with the sum of `sample_weight`.
    choice : str
        "nothing", "tags", "errors" or "tags and errors".

    Raises
    ------
    ValueError, TypeError
        As `error_weights`; and if the tags of an attribute are of several kinds.

    References
    ----------
    .. [1] Kirichenko, Izmailov and Wilson, "Last layer re-training is sufficient for
       robustness to spurious correlations", ICLR 2023, arXiv:2204.02937.

    Examples
    --------
    >>> import numpy as np
    >>> from modal_pretrain.reweighting import tag_weights
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(0, 2, 200)
    >>> place = np.where(rng.random(200) < 0.1, 1 - y, y)  # misleads for a tenth
    >>> X = np.stack([4.0 * place - 2, 2.0 * y - 1], axis=1)
    >>> X += rng.normal(0, 0.5, X.shape)
    >>> weight, choice = tag_weights(X, y, place, C=0.05)
    >>> choice
    'tags'
    >>> bool(weight[place != y].mean() > 3 * weight[place == y].mean())
    True
    """
    STRENGTH.check("strength", strength)
    BALANCE.check("balance", balance)
    OneOf(("nothing", "errors")).check("otherwise", otherwise)
    X, y, given, offset = check_rows(X, y, sample_weight, offset, C=C, n_folds=n_folds)
    codes = tag_codes(tag_table(ignore, len(y)))
    misleading = []
    for tags in codes.T if balance else ():
        filled = with_guesses(X, tags, y, C=C)
        if is_confounded(filled, y):
            misleading.append((tags, filled))
    if not misleading and otherwise == "nothing":
        return Weighing(given, "nothing")
    # Rows are told apart, and their span is found, once for all heads.
    fitting: dict[str, Any] = {"C": C, "offset": offset, "fold": folds(X, y, n_folds)}
    with one_thread():
        X = coordinates(X)
    plain = out_of_fold_logits(X, y, weight=given, **fitting)
    driven = given * np.exp(-strength * own_proba(plain, y))
    weights = {
        "nothing": given,
        "errors": equal_mass(driven, y, given.sum()),
    }
    if not misleading:
        return Weighing(weights[otherwise], otherwise)
    for name, start in (("tags", given), ("tags and errors", driven)):
        each = [balanced(filled, y, start) for _, filled in misleading]
        weights[name] = np.mean(each, axis=0) * (given.sum() / start.sum())
    scores = {}
    for name in (otherwise, *(name for name in CHOICES if name != otherwise)):
        logits = plain
        if name != "nothing":
            logits = out_of_fold_logits(X, y, weight=weights[name], **fitting)
        p = own_proba(logits, y)
        scores[name] = np.mean([_by_cell(p, tags, y) for tags, _ in misleading])
    best = max(scores, key=lambda name: scores[name])  # the first of equals
    mixed = (1 - balance) * weights[otherwise] + balance * weights[best]
    return Weighing(mixed, best)


def _by_cell(
    p: NDArray[np.float64], codes: NDArray[np.int64], y: NDArray[np.int64]
) -> float:
    """Average over the cells of class x tag, of tagged rows alone."""
    said = codes >= 0
    cell = cells(codes[said], y[said])
    return float((np.bincount(cell, p[said]) / np.bincount(cell)).mean())
