"""What to do about tags: cells that weigh alike, where an attribute misleads."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modal_pretrain._checks import OneOf
from modal_pretrain._inputs.frames import check_order
from modal_pretrain.reweighting._inputs import BALANCE, STRENGTH, check_rows, spread
from modal_pretrain.reweighting.errors import equal_mass
from modal_pretrain.reweighting.guess import with_guesses
from modal_pretrain.reweighting.out_of_fold import out_of_fold_logits, own_proba
from modal_pretrain.reweighting.tags import (
    LEVEL,
    balanced,
    is_confounded,
    tag_codes,
    tag_table,
)

CHOICES = ("nothing", "errors", "tags and errors")
# How much less rows weigh in all that a head knows: the penalty of a head by tags.
_KNOWN = 2.0


class Weighing(NamedTuple):
    """Weights of rows, and what they follow: one of `CHOICES`."""

    weight: NDArray[np.float64]
    choice: str


def tag_weights(
    X: ArrayLike,
    y: ArrayLike,
    ignore: Any,
    *,
    strength: float = 2.0,
    balance: float = 1.0,
    C: float = 0.005,
    sample_weight: ArrayLike | None = None,
    offset: NDArray[Any] | None = None,
    otherwise: str = "nothing",
    n_folds: int = 5,
) -> Weighing:
    """Weigh labelled rows of which a person has said what may be ignored.

    An attribute misleads if it is crossed with the class, but not evenly: the two go
    together more than chance has it (chi-squared test at 5 %, shared by all attributes
    where there are several). Then classes weigh alike, and in each the tags that it
    has (DFR's group balance [1]_ if all have the same), and within a cell of class x
    tag rows weigh by errors (as in `error_weights`), so that its own exceptions count,
    and rows with a wrong tag, which the others explain well, count little. The sum of
    these weights is smaller than that of the rows, the more so the better a head knows
    them: a head that leans on the few rows of small cells needs a stronger penalty
    [2]_, and gets it.

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
    strength : float, default=2.0
        Of the weights by errors within a cell. 0 leaves rows of a cell that weigh
        alike. The penalty does not depend on it.
    balance : float, default=1.0
        How far the weights go from those that rows have without tags (0) to those that
        the tags ask for (1): a mixture of the two losses, with a penalty between
        theirs. Less than 1 where accuracy on the mixture that the rows come from
        matters, too.
    C : float, default=0.005
        Of the heads.
    sample_weight : array-like of shape (n,), number or None, default=None
        What rows weigh anyway. Those of weight 0 say nothing. Tags are counted by rows:
        whether they mislead, how many rows have none, and whether these can be guessed.
    offset : array-like of shape (n, n_classes) or None, default=None
        Logits that training starts from; y are column numbers then.
    otherwise : {"nothing", "errors"}, default="nothing"
        What to do where no attribute misleads: tags that are constant, all unknown, the
        class itself, nested in the class, or unrelated to it.
    n_folds : int, default=5

    Returns
    -------
    weight : numpy.ndarray
        float64 (n,), with the sum of `sample_weight` (n without); a smaller one where
        tags mislead.
    choice : str
        "nothing", "errors" or "tags and errors".

    Raises
    ------
    ValueError, TypeError
        As `error_weights`; and if the tags of an attribute are of several kinds.

    References
    ----------
    .. [1] Kirichenko, Izmailov and Wilson, "Last layer re-training is sufficient for
       robustness to spurious correlations", ICLR 2023, arXiv:2204.02937.
    .. [2] Sagawa, Koh, Hashimoto and Liang, "Distributionally robust neural networks
       for group shifts: on the importance of regularization for worst-case
       generalization", ICLR 2020, arXiv:1911.08731.

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
    'tags and errors'
    >>> bool(weight[place != y].mean() > 3 * weight[place == y].mean())
    True
    """
    STRENGTH.check("strength", strength)
    BALANCE.check("balance", balance)
    OneOf(("nothing", "errors")).check("otherwise", otherwise)
    check_order(X=X, ignore=ignore)
    X, y, given, offset, kept = check_rows(
        X, y, sample_weight, offset, C=C, n_folds=n_folds
    )
    codes = tag_codes(tag_table(ignore, len(kept))[kept])
    filled = [with_guesses(X, tags, y, C=C) for tags in codes.T] if balance else []
    level = LEVEL / max(1, len(filled))
    misleading = [tags for tags in filled if is_confounded(tags, y, level=level)]
    if not misleading and otherwise == "nothing":
        return Weighing(spread(given, kept), "nothing")
    fitting: dict[str, Any] = {"C": C, "offset": offset, "n_folds": n_folds}
    known = own_proba(out_of_fold_logits(X, y, weight=given, **fitting), y)
    driven = given * np.exp(-strength * known)
    without = given if otherwise == "nothing" else equal_mass(driven, y, given.sum())
    if not misleading:
        return Weighing(spread(without, kept), otherwise)
    asked_for = np.mean([balanced(tags, y, driven) for tags in misleading], axis=0)
    # A mixture of the two losses, with a penalty between theirs.
    asked_for *= given.sum() / driven.sum()
    less = (given * np.exp(-_KNOWN * known)).sum() / given.sum()
    mixed = ((1 - balance) * without + balance * asked_for) * less**balance
    return Weighing(spread(mixed, kept), "tags and errors")
