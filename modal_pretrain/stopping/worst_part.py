"""The part of the pool where the model is worst, found or named."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterable, Mapping, Set
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from modal_pretrain._checks import Made, Number
from modal_pretrain._inputs.alikes import frames_of_ours, warn_of_written_nan
from modal_pretrain._inputs.frames import check_order
from modal_pretrain._inputs.labels import as_list
from modal_pretrain._inputs.numbers import as_numbers, of_tensor
from modal_pretrain.query._engine.arguments import (
    RandomState,
    as_generator,
    is_missing,
)
from modal_pretrain.stopping._estimators import share_of
from modal_pretrain.stopping._inputs import as_array, number_of
from modal_pretrain.stopping._intervals import ErrorCurves, Estimate
from modal_pretrain.stopping._older_model import warn_of_older_model
from modal_pretrain.stopping._predictions import Predictions, check_names
from modal_pretrain.stopping.audit import Audit
from modal_pretrain.stopping.suspicious import balanced_folds

_AUDIT = Made((Audit,), "what draw_audit or audit_of returns")
_FOLDS = 5
_COMPONENTS = 8
_LEAST_WRONG = 5  # with fewer errors there is nothing to learn from
_LEAST_RIGHT = 2  # or a fold's regression may see errors only
_ROWS = 65_536  # looked at at a time
_LARGEST = 1e15  # of an embedding's values
_FITTED_ON = 4000  # rows of the pool that the components are found on


class WorstPart(NamedTuple):
    """The share of the pool that is most likely wrong.

    Parameters
    ----------
    error : Estimate or None
        Error rate there; None where the audit has no row there.
    rows : numpy.ndarray of shape (k,), int
        Row numbers of the part, worst first.
    share : float
        Of the rows that are not taught.
    found_by : str
        "confidence", or "confidence and embedding".
    """

    error: Estimate | None
    rows: NDArray[np.intp]
    share: float
    found_by: str

    def __str__(self) -> str:
        part = f"the worst {100 * self.share:.0f} % of the pool"
        if self.error is None:
            return f"{part}: no audit label there"
        low, high = (f"{100 * v:.0f}" for v in (self.error.low, self.error.high))
        return (
            f"{part}: {100 * self.error.value:.0f} % wrong ({low} to {high} %) by "
            f"{self.error.n} audit labels there"
        )


def worst_part(
    audit: Audit,
    y: Any,
    embeddings: Any = None,
    *,
    share: float = 0.1,
    proba: Any = None,
    taught: Any = None,
    confidence: float = 0.95,
    unknown: str = "error",
    random_state: RandomState = 0,
) -> WorstPart:
    """Find the worst part of the pool, without attributes, and its error rate.

    Rows are ordered by how likely they are wrong: by the model's confidence, and, given
    embeddings and enough errors among the audited rows, by a regression on these. To be
    honest it is cross-fitted [1]_: whether an audited row is in the worst part is said
    by a regression that has not seen its label.

    What is found is at best as bad as the worst part there is: a group whose errors
    neither confidence nor embedding betrays stays unseen.

    Parameters
    ----------
    audit : Audit
    y : array-like of shape (budget,)
        The labels of its rows.
    embeddings : array-like of shape (n, d) or None, default=None
        Of every row, in the order of the audit's probabilities.
    share : float, default=0.1
        Size of the part, in (0, 1).
    proba : array-like of shape (n, n_classes) or None, default=None
        By the model to measure; None is the one at the last draw.
    taught : array-like of int or mask, or None, default=None
        Rows that it was taught; None is those of the last draw.
    confidence : float, default=0.95
        Of the interval.
    unknown : {"error", "wrong"}, default="error"
        As in `Audit.estimate`.
    random_state : None, int, SeedSequence, Generator or RandomState, default=0
        Of the folds.

    Returns
    -------
    WorstPart

    Raises
    ------
    ValueError
        If the labels do not fit the audit, or embeddings are not one row each.

    References
    ----------
    .. [1] Li and Namkoong, "Evaluating model performance under worst-case
       subpopulations", NeurIPS 2021, arXiv:2407.01316.
    """
    Number(above=0, below=1).check("share", share)
    _AUDIT.check("audit", audit)
    check_order(proba=proba, embeddings=embeddings)
    wrong = audit.wrong(y, proba, unknown=unknown)
    weights, there = audit.weights, audit.left(taught)
    warn_of_older_model(proba, taught, audit.left(taught), audit.left())
    guess = audit.current(proba).error
    rng = as_generator(random_state)
    check_names("embeddings", embeddings, audit.predictions)
    table = None if embeddings is None else _checked(embeddings, len(guess))
    if table is not None and proba is None:
        _warn_of_probabilities(table, len(audit.predictions.classes))
    inside = np.zeros(len(wrong), dtype=bool)
    enough = wrong.sum() >= _LEAST_WRONG and (1 - wrong).sum() >= _LEAST_RIGHT
    if table is None or not enough:
        order = there[np.argsort(-guess[there], kind="stable")]
        inside = np.isin(audit.rows, order[: _size(there, share)])
        found_by = "confidence"
    else:
        features = _features(table, guess, there, rng)
        fold = balanced_folds(wrong.astype(np.intp), min(_FOLDS, int(wrong.sum())), rng)
        place, size = np.searchsorted(there, audit.rows), _size(there, share)
        for k in np.unique(fold):
            scores = _by_regression(features, audit.rows, wrong, fold != k, there)
            bound = np.partition(scores, -size)[-size]
            inside |= (scores[place] >= bound) & (fold == k)
        every = np.ones(len(wrong), dtype=bool)
        scores = _by_regression(features, audit.rows, wrong, every, there)
        order = there[np.argsort(-scores, kind="stable")]
        found_by = "confidence and embedding"
    return WorstPart(
        share_of(wrong, weights, inside, confidence),
        order[: _size(there, share)],
        float(share),
        found_by,
    )


def audit_groups(
    audit: Audit,
    y: Any,
    groups: Any,
    *,
    proba: Any = None,
    confidence: float = 0.95,
    unknown: str = "error",
) -> dict[Any, Estimate]:
    """Estimate the accuracy of each named group of the audited rows.

    Parameters
    ----------
    audit : Audit
    y : array-like of shape (budget,)
        The labels of its rows.
    groups : array-like of shape (budget,)
        Tag or attribute of each of its rows, or a tuple of several; None or NaN where
        unknown, which in a tuple is a value as any other, None.
    proba, confidence, unknown
        As in `worst_part`.

    Returns
    -------
    dict
        Group -> `Estimate`, the worst first. Groups that no audited row is of are
        missing.

    Raises
    ------
    ValueError
        If there is not one group for each row.
    """
    _AUDIT.check("audit", audit)
    wrong = audit.wrong(y, proba, unknown=unknown)
    check_names("groups", groups, audit.predictions, audit.rows)
    names = _names(groups, audit.rows)
    found = {}
    for name in dict.fromkeys(names):
        if name is None:
            continue
        inside = np.array([other == name for other in names])
        estimate = share_of(wrong, audit.weights, inside, confidence)
        if estimate is not None:
            found[name] = estimate.flipped()
    return dict(sorted(found.items(), key=lambda item: item[1].value))


def _names(groups: Any, rows: NDArray[np.intp]) -> list[Any]:
    """List the group of each audited row, None where it is unknown."""
    number_of(rows, groups, "groups")
    kind = type(groups).__name__
    groups = of_tensor(groups, "groups")
    if hasattr(groups, "__array__"):
        # Their own way has None where masked, and dates of pandas, which NumPy counts.
        own = hasattr(groups, "tolist") and type(groups) is not np.ndarray
        groups = groups.tolist() if own else as_list(np.asarray(groups))
    unordered = isinstance(groups, str | Mapping | Set)
    names = [] if unordered or not isinstance(groups, Iterable) else list(groups)
    # Tensors of one number, as items of a data set are, equal no other by their hash.
    names = [n.item() if hasattr(n, "detach") and not n.ndim else n for n in names]
    if len(names) != len(rows):
        hint = " Of those of the whole pool take groups[audit.rows]."
        raise ValueError(
            f"groups must hold one entry for each of the {len(rows)} audited rows, got "
            f"{len(names)} in a value of type {kind}."
            + (hint if len(names) > max(rows) else "")
        )
    for name in names:
        if not isinstance(name, Hashable):
            raise ValueError(
                "groups must hold a name or a number for each row, or a tuple of "
                f"several, got {name!r:.80} of type {type(name).__name__}. For a table "
                "write list(map(tuple, np.asarray(groups, object)))."
            )
    known = list(map(_known, names))
    warn_of_written_nan([name for name in known if isinstance(name, str)], "groups")
    return known


def _known(name: Any) -> Any:
    """Return a name, None if it is unknown; so are its parts, each NaN alike."""
    if isinstance(name, tuple | frozenset) and any(map(is_missing, name)):
        return (tuple if isinstance(name, tuple) else frozenset)(map(_known, name))
    return None if is_missing(name) else name


def _size(there: NDArray[np.intp], share: float) -> int:
    return max(1, round(share * len(there)))


def _checked(embeddings: Any, n: int) -> NDArray[np.floating]:
    """Return embeddings; raise ValueError unless they are n rows of finite numbers."""
    if isinstance(embeddings, Predictions):
        raise TypeError(
            "embeddings is what predict_pool returns. Pass the predictions of the "
            "model to measure as proba=."
        )
    E = as_array(embeddings, "embeddings")
    if E.dtype.kind == "O":  # as of a frame of nullable numbers
        E = as_numbers(embeddings, "embeddings")
    if E.ndim != 2 or len(E) != n or not E.shape[1]:
        raise ValueError(
            f"embeddings must be of shape ({n}, d), one row for each row of the "
            f"audit's probabilities, got {E.shape}."
        )
    if E.dtype.kind not in "fiub":
        raise ValueError(f"embeddings must be numbers, got dtype {E.dtype}.")
    for start in range(0, n, _ROWS):  # a pool may be larger than memory
        block = E[start : start + _ROWS]
        for bad, words in (
            (~np.isfinite(block), "finite"),
            (np.abs(block) > _LARGEST, f"at most {_LARGEST:g}, as squares overflow"),
        ):
            if bad.any():
                row = start + int(bad.any(axis=1).argmax())
                raise ValueError(f"embeddings must be {words}; row {row} is not.")
    return E


def _warn_of_probabilities(table: NDArray[np.floating], n_classes: int) -> None:
    """Warn if embeddings look like what belongs into `proba`."""
    some = np.asarray(table[:_ROWS], dtype=float)
    shares = (some >= 0).all() and np.allclose(some.sum(axis=1), 1, atol=1e-3)
    if shares and some.shape[1] == n_classes:
        warnings.warn(
            "embeddings are probabilities of each class: they say where the model "
            "errs, and the model that is measured stays the one at the draw. If they "
            "are of the model to measure, pass them as proba=.",
            UserWarning,
            stacklevel=frames_of_ours() + 1,
        )


def _features(
    E: NDArray[np.floating],
    guess: NDArray[np.float64],
    there: NDArray[np.intp],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Put the model's log-odds to be wrong beside the embedding's main components."""
    some = there
    if len(there) > _FITTED_ON:
        some = np.sort(rng.choice(there, _FITTED_ON, replace=False))
    k = min(_COMPONENTS, E.shape[1], len(some))
    with np.errstate(invalid="ignore"):  # rows that are all alike vary by nothing
        components = PCA(k, svd_solver="randomized", random_state=0).fit(E[some])
    return np.column_stack([ErrorCurves(guess).odds, components.transform(E)])


def _by_regression(
    features: NDArray[np.float64],
    rows: NDArray[np.intp],
    wrong: NDArray[np.float64],
    taught: NDArray[np.bool_],
    there: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Score the pool's rows, those most likely wrong highest."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
    model.fit(features[rows[taught]], wrong[taught].astype(int))
    return model.decision_function(features[there])
