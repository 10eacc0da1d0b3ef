"""How good the model is, whether asking pays, when to stop, and what to look at again.

`modal_pretrain.stopping` does the work; here it gets what a session has. The rows drawn
at random to measure are the audit: the model does not learn from them.
"""

from __future__ import annotations

import contextlib
import threading
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modal_pretrain.labelling.background import Background, Belief
from modal_pretrain.labelling.ledger import Ledger
from modal_pretrain.labelling.records import Record
from modal_pretrain.labelling.why import AUDIT, FIRST, MEANWHILE
from modal_pretrain.stopping import (
    Audit,
    AuditResult,
    audit_of,
    good_enough,
    stable_predictions,
    suspicious_labels,
    worst_part,
    worth_of_labels,
)
from modal_pretrain.stopping.suspicious import TooFewError, predict_folds

# Audit labels below which an interval would say nothing.
_LEAST = 5
# Rows that stand for a larger pool, and those whose predictions are followed.
_POOL = 10_000
_FOLLOWED = 500
_DOUBTS = 8


class Doubt(NamedTuple):
    """An answer that a model, which has not seen it, contradicts.

    That one heeds no tags: where they mislead, right answers with a tag that is rare in
    their class are among the first.

    Parameters
    ----------
    row : int
    label : str
        The answer.
    suggested : str
        What the model would say.
    score : float
        How much more probable that is, in (0, 1].
    """

    row: int
    label: str
    suggested: str
    score: float


class Advice(NamedTuple):
    """What can be said after so many labels; each is empty where it is too early.

    Parameters
    ----------
    learnt : int
        Labels that the model knows.
    accuracy : str
        With its interval, from the random questions that were answered, and how many
        were skipped.
    worst : str
        Error rate on the tenth of the pool where the model is worst.
    worth : str
        How many random labels the answers have been worth to a model that heeds no
        tags; "cannot tell yet" also where the estimator cannot learn from as few labels
        as its copies get. Empty, as `doubts` is, with an estimator that is not split
        where it embeds: every copy would be fitted on the rows themselves.
    stop : bool
        Whether the accuracy surely reaches the target, random questions that were
        skipped counted as errors.
    reason : str
        Why, in a sentence or two.
    doubts : list of Doubt
        Answers to look at again, most suspicious first; none where the estimator
        cannot learn from four fifths of the labels.
    """

    learnt: int
    accuracy: str
    worst: str
    worth: str
    stop: bool
    reason: str
    doubts: list[Doubt]


class Adviser:
    """Works out advice when somebody wants it, once for each state of the model.

    Parameters
    ----------
    background : Background
    target : float
        Accuracy that is good enough.
    measures : bool, default=True
        Whether random questions are asked.
    """

    def __init__(
        self, background: Background, target: float, measures: bool = True
    ) -> None:
        self.background = background
        self.target = target
        self.measures = measures
        self._lock = threading.Lock()
        self._last: tuple[Belief, Advice] | None = None
        self._followed: NDArray[np.intp] | None = None
        self._history: list[NDArray[np.str_]] = []

    def advice(
        self, ledger: Ledger, answering: AbstractContextManager[Any]
    ) -> Advice | None:
        """Return what can be said now; None before the first fit. Takes seconds.

        Parameters
        ----------
        ledger : Ledger
        answering : context manager
            Holds back answers while the ledger is read.

        Returns
        -------
        Advice or None
        """
        with self._lock:
            belief = self.background.belief
            if belief is None:
                return None
            if self._last is None or self._last[0] is not belief:
                # Only now: answers came while this waited for another call.
                with answering:
                    labelled, skipped = ledger.labelled(), ledger.skipped(AUDIT)
                self._last = belief, self._work(belief, labelled, skipped)
            return self._last[1]

    def _work(
        self, belief: Belief, labelled: dict[int, Record], skipped: list[int]
    ) -> Advice:
        rows = self.background.readable()
        seen = set(rows.tolist())
        labelled = {row: r for row, r in labelled.items() if row in seen}
        skipped = [row for row in skipped if row in seen]
        result, least, worst = self._measure(belief, rows, labelled, skipped)
        worth, doubts = self._look_back(belief, labelled)
        stop, reason = False, "Too early to say: a few random questions come first."
        if not self.measures:
            reason = "Nothing measures it: audit_share=0 asks no random questions."
        accuracy = ""
        if result is not None and least is not None:
            decision = good_enough(least, self.target)
            stop, accuracy = decision.stop, _interval(result)
            reason = f"{'You may stop' if stop else 'Go on'}: {decision.reason}"
            if skipped:
                accuracy += f", {len(skipped)} skipped"
                reason += ", where skipped random questions count as wrong"
            reason += "."
        if self._settled(belief):
            reason += " Predictions have settled, which does not make them right."
        return Advice(belief.learnt, accuracy, worst, worth, stop, reason, doubts)

    def _measure(
        self,
        belief: Belief,
        rows: NDArray[np.intp],
        labelled: dict[int, Record],
        skipped: list[int],
    ) -> tuple[AuditResult | None, AuditResult | None, str]:
        """Judge the model by the random rows that it has not learnt.

        Hard ones are skipped more often, so the second result counts those as wrong.
        """
        measuring = [r for r, record in labelled.items() if record.asked == AUDIT]
        if len(measuring) < _LEAST:
            return None, None, ""
        if len(rows) > _POOL:
            rng = np.random.default_rng(0)
            some = rng.choice(rows, _POOL, replace=False)
            rows = np.union1d(some, [*labelled, *skipped])
        proba = belief.head.predict_proba(self.background.inputs(rows))
        taught = np.searchsorted(rows, np.setdiff1d(list(labelled), measuring))

        def drawn(some: list[int]) -> Audit:
            place = np.searchsorted(rows, some)
            return audit_of(proba, place, classes=belief.classes, taught=taught)

        audit = drawn(measuring)
        y = np.array([labelled[row].label for row in measuring])
        result = audit.estimate(y, unknown="wrong")
        # No class is called "".
        wrong = np.array([*y, *[""] * len(skipped)])
        least = drawn(measuring + skipped).estimate(wrong, unknown="wrong")
        if not set(y) <= set(belief.classes):
            return result, least, ""
        vectors = self.background.features
        found = worst_part(audit, y, None if vectors is None else vectors[rows])
        if found.error is None:
            return result, least, ""
        error, low, high = (f"{100 * value:.0f}" for value in found.error[:3])
        return result, least, f"{error} % wrong ({low} to {high} %)"

    def _look_back(
        self, belief: Belief, labelled: dict[int, Record]
    ) -> tuple[str, list[Doubt]]:
        """Judge the answers: what they have been worth, and which may be slips."""
        if self.background.features is None:  # every fit would take long
            return "", []
        rows = np.array(list(labelled), dtype=np.intp)
        y = np.array([record.label for record in labelled.values()])
        X = self.background.features[rows]
        drawn = np.array(
            [r.asked in (FIRST, AUDIT, MEANWHILE) for r in labelled.values()]
        )
        words = "cannot tell yet"
        doubts: list[Doubt] = []
        # A part of the user's own estimator, such as five neighbours, may need more
        # labels than a copy gets: then it is too early for that, and not for the rest.
        with contextlib.suppress(TooFewError):
            worth = worth_of_labels(belief.head, X, y, drawn)
            words = str(worth) if worth.tells else words
        with contextlib.suppress(TooFewError):
            doubts = self._doubts(belief, X, y, rows)
        return words, doubts

    def _doubts(
        self,
        belief: Belief,
        X: NDArray[np.float32],
        y: NDArray[np.str_],
        rows: NDArray[np.intp],
    ) -> list[Doubt]:
        """Return the answers that copies of the head, which lack them, contradict."""
        said, fold = predict_folds(belief.head, X, y)
        parts = [said.proba[fold == k] for k in np.unique(fold)]
        same = all((p == p[0]).all() and p[0].max() < 1 for p in parts)
        if same and len(y) > len(parts):
            # How frequent the classes are is all that the copies know, as of gradient
            # boosting with few labels.
            return []
        found = suspicious_labels(said, y)
        doubts = [
            Doubt(int(rows[k]), str(y[k]), str(label), round(float(score), 3))
            for k, label, score in zip(
                found.rows, found.suggested, found.scores, strict=True
            )
        ]
        return doubts[:_DOUBTS]

    def _settled(self, belief: Belief) -> bool:
        if self._followed is None:
            rows = self.background.readable()
            if len(rows) < min(_FOLLOWED, len(self.background.pool)) - len(
                self.background.unreadable
            ):
                return False
            rng = np.random.default_rng(0)
            size = min(_FOLLOWED, len(rows))
            self._followed = rng.choice(rows, size, replace=False)
        proba = belief.head.predict_proba(self.background.inputs(self._followed))
        if self._last is not None and self._last[0].version == belief.version:
            del self._history[-1:]  # the same answers, and more of the pool
        self._history.append(np.array(belief.classes)[proba.argmax(axis=1)])
        del self._history[:-10]
        return stable_predictions(self._history).stop


def _interval(result: AuditResult) -> str:
    found = result.accuracy
    low, high = (f"{100 * value:.0f}" for value in (found.low, found.high))
    return f"{100 * found.value:.0f} % ({low} to {high} %)"
