"""An audit: a few rows of the pool that only measure, and what they say."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modal_pretrain._checks import CONFIDENCE, OneOf, Whole, check_parameters
from modal_pretrain.query._engine.arguments import RandomState
from modal_pretrain.stopping import _estimators as estimators
from modal_pretrain.stopping._designs import draw_rows
from modal_pretrain.stopping._inputs import (
    as_predictions,
    check_bounds,
    check_labels,
    check_rows,
    in_bounds,
    later_classes,
)
from modal_pretrain.stopping._intervals import (
    ErrorCurves,
    Estimate,
    Sample,
    parts,
    score_interval,
    wilson,
)
from modal_pretrain.stopping._older_model import warn_of_older_model
from modal_pretrain.stopping._predictions import Predictions, check_names

DESIGNS = ("auto", "weighted", "random", "stratified", "active")
_RULES = {
    "budget": Whole(),
    "confidence": CONFIDENCE,
    "design": OneOf(DESIGNS),
    "unknown": OneOf(("error", "wrong")),
}


@dataclass(frozen=True, eq=False)
class Audit:
    """Rows that are labelled to measure, and never taught; made by `draw_audit`.

    Parameters
    ----------
    predictions : Predictions
        Of the model at the last draw.
    draws : tuple of Sample
        The rows of each draw, and every row's chance to be drawn.
    design : str
        How they were drawn: "weighted", "random", "stratified" or "active".
    taught : numpy.ndarray of int
        Rows that were labelled at the last draw.
    """

    predictions: Predictions
    draws: tuple[Sample, ...]
    design: str
    taught: NDArray[np.intp]

    @property
    def rows(self) -> NDArray[np.intp]:
        """Row numbers to have labelled, in the order of the labels: shape (budget,)."""
        return self.draws[-1].rows

    @property
    def weights(self) -> NDArray[np.float64]:
        """How many rows of the pool each audited row stands for, in proportion."""
        if self.design == "active":
            return self.draws[0].inclusion
        found = np.zeros(len(self.rows))
        for draw, part in zip(self.draws, parts(self.draws), strict=True):
            found[: len(draw.rows)] += part / draw.inclusion[draw.rows]
        return found

    def extend(
        self,
        proba: Any,
        budget: int,
        *,
        classes: Any = None,
        taught: Any = None,
        random_state: RandomState = None,
    ) -> Audit:
        """Draw more rows, for the model as it is now.

        Parameters
        ----------
        proba : array-like of shape (n, n_classes)
            Of the same rows as in `draw_audit`, by the present model.
        budget : int
            Rows to add.
        classes, taught, random_state
            As in `draw_audit`; the same number in each call draws other rows.

        Returns
        -------
        Audit
            With the earlier rows first; this one stays as it is.

        Raises
        ------
        ValueError
            As `draw_audit`; and for the designs "stratified" and "active", whose draws
            cannot be put together.
        """
        if self.design not in ("weighted", "random"):
            raise ValueError(
                f"an audit with design={self.design!r} cannot be extended; draw it "
                "with design='auto'."
            )
        now = self.current(proba, classes)
        taught_now = self._taught(taught)
        away = np.concatenate([taught_now, self.rows])
        new = draw_rows(now, budget, self.design, away, random_state)
        # Of the whole pool this draw has the earlier rows for certain.
        rows = np.concatenate([self.rows, new.rows])
        new.inclusion[self.rows] = 1
        size = len(now.proba) - len(taught_now)
        return replace(
            self,
            predictions=now,
            taught=taught_now,
            draws=(*self.draws, Sample(rows, new.inclusion, size)),
        )

    def estimate(
        self,
        y: Any,
        proba: Any = None,
        *,
        classes: Any = None,
        taught: Any = None,
        confidence: float = 0.95,
        unknown: str = "error",
    ) -> estimators.AuditResult:
        """Estimate accuracy and recall on the rows of the pool that are not taught.

        After many hard rows were taught since the draw, that of a random audit is too
        low; of a weighted one, too high in small pools where some labels are wrong.

        Parameters
        ----------
        y : array-like of shape (budget,)
            The labels of `rows`.
        proba : array-like of shape (n, n_classes) or None, default=None
            By the model to measure; None is the one at the last draw.
        classes : array-like of shape (n_classes,) or None, default=None
            Labels of the columns; None is a frame's names or those of the draw.
        taught : array-like of int or mask, or None, default=None
            Rows that the model to measure was taught; None is those of the last draw.
            Others without `proba`, which would be of an older model, are warned of.
        confidence : float, default=0.95
            Of the intervals.
        unknown : {"error", "wrong"}, default="error"
            A label that is none of `classes`: raise, or count as wrong. One in another
            type or spelling ("1.0" for 1) raises anyway; "Cat" for "cat" is warned of.

        Returns
        -------
        AuditResult

        Raises
        ------
        ValueError
            If y does not fit `rows` and `classes`, or an audited row has been taught.
        """
        wrong = self.wrong(y, proba, classes=classes, unknown=unknown)
        now = self.current(proba, classes)
        truth = check_labels(y, self.rows, now.classes, unknown=unknown)
        error = self._mean(wrong, now.error, taught, confidence)
        warn_of_older_model(proba, taught, self._taught(taught), self.taught)
        recall = {
            label: estimators.share_of(1 - wrong, self.weights, truth == k, confidence)
            for k, label in enumerate(now.classes.tolist())
        }
        return estimators.AuditResult(error.flipped(), recall)

    def wrong(
        self, y: Any, proba: Any = None, *, classes: Any = None, unknown: str = "error"
    ) -> NDArray[np.float64]:
        """Say of each audited row whether the model is wrong: 1.0 or 0.0.

        Parameters
        ----------
        y, proba, classes, unknown
            As in `estimate`.

        Returns
        -------
        numpy.ndarray of shape (budget,), float64
        """
        check_parameters({"unknown": unknown}, _RULES)
        now = self.current(proba, classes)
        check_names("y", y, self.predictions, self.rows)
        truth = check_labels(y, self.rows, now.classes, unknown=unknown)
        return (now.column[self.rows] != truth).astype(np.float64)

    def current(self, proba: Any, classes: Any = None) -> Predictions:
        """Return the predictions to measure: those given, or those of the last draw.

        Parameters
        ----------
        proba, classes
            As in `estimate`.

        Returns
        -------
        Predictions

        Raises
        ------
        ValueError
            If they are of another number of rows.
        """
        classes = later_classes(proba, classes, self.predictions.classes)
        if proba is None:
            return self.predictions
        now = as_predictions(proba, classes)
        check_names("proba", now, self.predictions)
        if len(now.proba) != len(self.predictions.proba):
            raise ValueError(
                f"proba must be of the same {len(self.predictions.proba)} rows as at "
                f"the draw, got {len(now.proba)}. Keep X as it is and pass taught=."
            )
        return now

    def mean(
        self,
        values: Any,
        expected: Any = None,
        *,
        bounds: tuple[float, float] = (0.0, 1.0),
        taught: Any = None,
        confidence: float = 0.95,
    ) -> Estimate:
        """Estimate any metric that is a mean over rows.

        Parameters
        ----------
        values : array-like of shape (budget,)
            The metric on each of `rows`, such as a cost or the squared error.
        expected : array-like of shape (n,) or None, default=None
            What the model expects of each row; the closer, the narrower the interval.
            Without it the mean of an "active" audit may end at a bound: pass it there.
        bounds : tuple of float, default=(0.0, 1.0)
            Least and largest value possible; the interval is as wide as if no other is,
            of "stratified" and "active" audits as the values seen vary, if they do.
        taught, confidence
            As in `estimate`.

        Returns
        -------
        Estimate

        Raises
        ------
        ValueError
            If there is not one finite value for each row, or one is out of bounds.
        """
        low, high = check_bounds(bounds)
        n = len(self.predictions.proba)
        scaled = in_bounds(values, self.rows, low, high, "values")
        guess = np.full(n, 0.5)
        if expected is not None:
            guess = in_bounds(expected, n, low, high, "expected")
        found = self._mean(scaled, guess, taught, confidence)
        value, first, last = (low + (high - low) * share for share in found[:3])
        return found._replace(value=value, low=first, high=last)

    def _mean(
        self,
        values: NDArray[np.float64],
        guess: NDArray[np.float64],
        taught: Any,
        confidence: float,
    ) -> Estimate:
        check_parameters({"confidence": confidence}, _RULES)
        rows, n = self.rows, len(values)
        away = self._taught(taught)
        there = ~np.isin(np.arange(len(guess)), away)
        value = float(values.mean())
        if n == there.sum():
            return Estimate(value, value, value, n, "all rows")
        if self.design == "random":
            return Estimate(value, *wilson(values.sum(), n, confidence), n, "Wilson")
        if self.design == "active":
            return estimators.lure(values, self.weights, confidence)
        place = np.cumsum(there) - 1
        if self.design == "stratified":
            chance = self.draws[0].inclusion
            return estimators.difference(
                values, guess[there], place[rows], chance[there], confidence
            )
        drawn = [Sample(place[d.rows], d.inclusion[there], d.size) for d in self.draws]
        found = score_interval(ErrorCurves(guess[there]), drawn, values, confidence)
        return Estimate(*found, n, "weighted score")

    def left(self, taught: Any = None) -> NDArray[np.intp]:
        """Return the rows that are not taught: what is estimated of.

        Parameters
        ----------
        taught : array-like of int or mask, or None, default=None
            As in `estimate`.

        Returns
        -------
        numpy.ndarray of int
            Row numbers, those of the audit among them.
        """
        n = len(self.predictions.proba)
        return np.setdiff1d(np.arange(n), self._taught(taught))

    def _taught(self, taught: Any) -> NDArray[np.intp]:
        if taught is None:
            return self.taught
        away = check_rows("taught", taught, len(self.predictions.proba))
        both = np.intersect1d(self.rows, away)
        if len(both):
            raise ValueError(
                f"taught has {len(both)} rows of the audit, such as {int(both[0])}. A "
                "model is no judge of rows that it learnt from: draw the audit among "
                "the others, and query from the pool without the audit's rows."
            )
        return away


def draw_audit(
    proba: Any,
    budget: int = 40,
    *,
    classes: Any = None,
    taught: Any = None,
    design: str = "auto",
    random_state: RandomState = None,
) -> Audit:
    """Choose rows of the pool to be labelled for measuring only.

    Parameters
    ----------
    proba : array-like of shape (n, n_classes) or Predictions
        The model's class probabilities of every row, from `predict_pool` or
        ``predict_proba(X)``.
    budget : int, default=40
        Rows to choose.
    classes : array-like of shape (n_classes,) or None, default=None
        Labels of the columns; None is those of `proba` (its columns), or 0, 1, ...
    taught : array-like of int or mask, or None, default=None
        Rows of the n that are labelled already; they are left out.
    design : {"auto", "weighted", "random", "stratified", "active"}, default="auto"
        - "weighted": more often where the model is unsure, in proportion to how much
          the outcome varies; the interval is a score interval, Wilson's where all rows
          look alike. It holds less often (70 to 80 %) for a model that is sure where it
          is wrong: then prefer "random".
        - "random": Wilson's interval.
        - "stratified": by confidence, with the difference estimator [1]_.
        - "active": one after another by expected error, with LURE weights [2]_.
        - "auto": "weighted" where that promises to be narrower, else "random".
    random_state : None, int, SeedSequence, Generator or RandomState

    Returns
    -------
    Audit
        Its `rows` are to be labelled, and to stay out of the pool that is queried.

    Raises
    ------
    ValueError
        If the probabilities are no distribution, or the budget is larger than the pool.

    References
    ----------
    .. [1] Fogliato, Patil, Monfort and Perona, "A framework for efficient model
       evaluation through stratification, sampling, and estimation", 2024,
       arXiv:2406.07320.
    .. [2] Kossen, Farquhar, Gal and Rainforth, "Active testing: sample-efficient model
       evaluation", ICML 2021, arXiv:2103.05331.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> sure = rng.beta(8, 1, size=1000) / 2 + 0.5
    >>> proba = np.column_stack([sure, 1 - sure])
    >>> truth = (rng.random(1000) > sure).astype(int)
    >>> audit = draw_audit(proba, budget=40, random_state=0)
    >>> result = audit.estimate(truth[audit.rows])
    >>> bool(result.accuracy.low < np.mean(truth == 0) < result.accuracy.high)
    True
    """
    now = as_predictions(proba, classes)
    check_parameters({"budget": budget, "design": design}, _RULES)
    away = check_rows("taught", taught, len(now.proba))
    drawn = draw_rows(now, budget, design, away, random_state)
    first = Sample(drawn.rows, drawn.inclusion, len(now.proba) - len(away))
    return Audit(now, (first,), drawn.design, away)
