"""What a user would have been told: audits, stop rules, forecasts, each round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from modAL.models import ActiveLearner
from numpy.typing import NDArray
from sklearn.base import clone

from modal_pretrain._checks import take_rows
from modal_pretrain.benchmark import heads
from modal_pretrain.datasets import GroupedDataset
from modal_pretrain.stopping import (
    Audit,
    Estimate,
    Forecast,
    Predictions,
    draw_audit,
    forecast_labels,
    good_enough,
    predict_pool,
)
from modal_pretrain.stopping.rules import (
    agreement,
    settled_agreement,
    settled_error,
)

TARGETS = (0.8, 0.9, 0.95)  # of the rule "good enough"
FORECAST = 0.95
_FORECAST_AFTER = 3  # rounds


class Auditor:
    """Looks at the model of each round and says what stop rules would say.

    Parameters
    ----------
    data : GroupedDataset
        Its train split is what is audited.
    budget : int
        Labels of an audit; fewer where the pool has fewer rows.
    apart : bool
        One audit, drawn in the first round and left out of the pool; or another each
        round, which may be acquired later.
    seed : int
        Of the draws, together with the round.

    Attributes
    ----------
    apart : numpy.ndarray of int
        Rows of `data` to leave out of the pool.
    """

    def __init__(
        self, data: GroupedDataset, budget: int, *, apart: bool, seed: int
    ) -> None:
        self._data, self._budget, self._keep, self._seed = data, budget, apart, seed
        self._train = np.flatnonzero(data.split == "train")
        self._audit: Audit | None = None
        self._predicted: NDArray[Any] | None = None
        self._records: list[dict[str, Any]] = []

    @property
    def apart(self) -> NDArray[np.intp]:
        """Rows of the data to leave out of the pool; none unless `apart`."""
        if self._audit is None or not self._keep:
            return np.zeros(0, dtype=np.intp)
        return self._train[self._audit.rows]

    def resume(
        self, learner: ActiveLearner, done: Sequence[dict[str, Any]], head: str
    ) -> NDArray[np.intp]:
        """Go on after some rounds.

        Parameters
        ----------
        learner : ActiveLearner
            Fitted as in the last of them.
        done : sequence of dict
            Their records.
        head : str
            What the learner knows of tags, see `modal_pretrain.benchmark.heads`.

        Returns
        -------
        numpy.ndarray of int
            Rows to leave out of the pool, see `apart`.
        """
        self._records = list(done)
        now = self._predict(learner)
        self._predicted = now.classes[now.column]
        if self._keep:  # drawn by the first model, which is fitted again
            rows = np.asarray(done[0]["acquired"])
            first = clone(learner.estimator)
            heads.tag(first, head, self._data, rows, 0)  # a clone has forgotten them
            first.fit(take_rows(self._data.X, rows), self._data.y[rows])
            audit = self._draw(self._predict(first), rows, 0)
            # Where another machine drew it, this one may draw other rows.
            own = self._places(np.asarray(done[0]["audit"]["rows"]))
            draw = audit.draws[0]._replace(rows=own)
            self._audit = replace(audit, draws=(draw,))
        return self.apart

    def look(
        self, learner: ActiveLearner, labelled: NDArray[np.intp]
    ) -> dict[str, Any]:
        """Return what is added to a round's record.

        Parameters
        ----------
        learner : ActiveLearner
            Fitted.
        labelled : numpy.ndarray of int
            Rows of the data that it was taught.

        Returns
        -------
        dict
            ``audit`` (its rows of the data, whether they are left out of the pool,
            value, low, high, and the truth), ``kappa`` to the last round's model,
            ``expected_error``, ``stops`` (rule -> whether it would stop), ``forecast``
            (target, value, low, high; None is never). Empty if no row is left.
        """
        now = self._predict(learner)
        predicted, previous = now.classes[now.column], self._predicted
        self._predicted = predicted
        left = np.setdiff1d(self._train, labelled)
        if not len(left):
            return {}
        if self._audit is None or not self._keep:
            self._audit = self._draw(now, labelled, len(self._records))
        rows, taught = self._train[self._audit.rows], self._places(labelled)
        result = self._audit.estimate(
            self._data.y[rows], now, taught=taught, unknown="wrong"
        )
        right = predicted == self._data.y[self._train]
        kappa = None if previous is None else agreement(previous, predicted)
        found = {
            "n_labels": len(labelled),
            "audit": {
                "rows": rows.tolist(),
                "apart": self._keep,
                **_rounded(result.accuracy, ("value", "low", "high")),
                "truth": round(float(right[self._places(left)].mean()), 6),
            },
            "kappa": None if kappa is None else round(kappa, 6),
            "expected_error": round(float(now.error.mean()), 6),
        }
        self._records.append(found)
        found["stops"] = self._stops(result.accuracy)
        if len(self._records) >= _FORECAST_AFTER:
            found["forecast"] = {
                "target": FORECAST,
                **_rounded(self._forecast(), ("value", "low", "high")),
            }
        return {key: value for key, value in found.items() if key != "n_labels"}

    def _predict(self, classifier: Any) -> Predictions:
        return predict_pool(classifier, take_rows(self._data.X, self._train))

    def _places(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        return np.searchsorted(self._train, rows)

    def _draw(self, now: Predictions, labelled: NDArray[np.intp], round_: int) -> Audit:
        taught = self._places(labelled)
        return draw_audit(
            now,
            min(self._budget, len(self._train) - len(taught)),
            taught=taught,
            random_state=np.random.default_rng([self._seed, round_]),
        )

    def _stops(self, accuracy: Estimate) -> dict[str, bool]:
        kappas = [r["kappa"] for r in self._records if r.get("kappa") is not None]
        errors = [r["expected_error"] for r in self._records]
        stops = {
            "stable predictions": settled_agreement(kappas).stop,
            "stable error": settled_error(errors).stop,
        }
        enough = {f"good enough, {t:.0%}": good_enough(accuracy, t) for t in TARGETS}
        return stops | {name: decision.stop for name, decision in enough.items()}

    def _forecast(self) -> Forecast:
        audits = [record["audit"] for record in self._records]
        seen = [
            Estimate(a["value"], a["low"], a["high"], len(a["rows"]), "")
            for a in audits
        ]
        labels = [record["n_labels"] for record in self._records]
        return forecast_labels(labels, seen, FORECAST, random_state=self._seed)


def _rounded(found: Any, names: Sequence[str]) -> dict[str, float | None]:
    """Return six decimals, which any JSON reader reads; None for what is infinite."""
    values = {name: float(getattr(found, name)) for name in names}
    return {
        name: round(value, 6) if np.isfinite(value) else None
        for name, value in values.items()
    }
