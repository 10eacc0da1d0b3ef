"""How many labels a target accuracy will take, from the curve so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from modal_pretrain._checks import CONFIDENCE, Number, check_parameters
from modal_pretrain._inputs.frames import check_order_of_rounds
from modal_pretrain.query._engine.arguments import RandomState, as_generator
from modal_pretrain.stopping._estimators import AuditResult
from modal_pretrain.stopping._inputs import as_array, as_estimate, as_rounds
from modal_pretrain.stopping._intervals import Estimate
from modal_pretrain.stopping.rules import goal

Floats = NDArray[np.float64]

_RULES = {
    "target": Number(above=0, most=1),
    "confidence": CONFIDENCE,
}
_DRAWS = 200
_LEAST = 3  # rounds
_FARTHEST = 100  # times the labels there are
# Rounds are audited by the same rows, so they err together; apart only by so much.
_OWN_NOISE = 0.3
# Wider than the audit's own interval, and slopes that may change from here on: without
# either, the interval held the truth in 77 % of the loops that it was tried on.
_CAUTION = 1.3
_TURN = 0.4


class Forecast(NamedTuple):
    """Labels needed for a target, in all.

    Parameters
    ----------
    value, low, high : float
        Number of labels, those there are included, and its interval; infinite where
        the curve may never get there.
    target : float
        The accuracy.
    n_labels : int
        Labels there are.
    """

    value: float
    low: float
    high: float
    target: float
    n_labels: int

    def __str__(self) -> str:
        wanted = goal(self.target)
        if self.low > self.n_labels * _FARTHEST or not np.isfinite(self.low):
            return f"{wanted} is out of reach as it looks now"
        if self.value <= self.n_labels:
            return f"{wanted} may be reached already"
        low = "now" if self.low <= self.n_labels else f"{self.low:.0f}"
        high = f"{self.high:.0f}" if np.isfinite(self.high) else "never"
        ends = f"between {low} and {high}"
        if not np.isfinite(self.value):
            return f"{wanted} will take many labels ({ends}), {self.n_labels} are there"
        return (
            f"{wanted} will take about {self.value:.0f} labels ({ends}), "
            f"{self.n_labels} are there"
        )


def forecast_labels(
    labels: Any,
    estimates: Sequence[AuditResult | Estimate],
    target: float,
    *,
    confidence: float = 0.95,
    random_state: RandomState = None,
) -> Forecast:
    """Forecast how many labels an accuracy will take.

    Several families of curves are fitted to the rounds, as no single one can be
    trusted [1]_: power law, logarithm, arctangent, algebraic root. Each is fitted again
    to curves drawn within the audits' uncertainty; the interval is over all of them,
    and wide: three audits say little about a future.

    Parameters
    ----------
    labels : array-like of shape (rounds,)
        Labels that the model of each round was taught, growing.
    estimates : sequence of AuditResult or Estimate
        What the audit said about each round's model, with the confidence of 0.95 that
        it has by default; best with the same audit rows.
    target : float
        The accuracy wanted, in (0, 1].
    confidence : float, default=0.95
    random_state : None, int, SeedSequence, Generator or RandomState

    Returns
    -------
    Forecast

    Raises
    ------
    ValueError
        With fewer than three rounds, numbers of labels that do not grow, or estimates
        that are no shares.

    References
    ----------
    .. [1] Mahmood et al., "How much more data do I need? Estimating requirements for
       downstream tasks", CVPR 2022, arXiv:2207.01725.

    Examples
    --------
    >>> import numpy as np
    >>> from modal_pretrain.stopping import Estimate
    >>> n = np.arange(20, 120, 10)
    >>> seen = [Estimate(1 - v, 0.95 - v, 1.05 - v, 100, "") for v in 1.2 * n**-0.5]
    >>> found = forecast_labels(n, seen, 0.92, random_state=0)
    >>> found.low < (1.2 / 0.08) ** 2 < found.high
    True
    """
    check_parameters({"target": target, "confidence": confidence}, _RULES)
    found = [
        as_estimate(f"estimates[{i}]", e)
        for i, e in enumerate(as_rounds(estimates, "estimates"))
    ]
    n = as_array(labels, "labels", np.float64)
    if n.shape != (len(found),) or len(n) < _LEAST:
        raise ValueError(
            f"labels and estimates must hold one entry for each of at least {_LEAST} "
            f"rounds, got {n.shape} and {len(found)}."
        )
    check_order_of_rounds("estimates", estimates, n.tolist())
    if not (np.diff(n) > 0).all() or not n[0] >= 1 or np.isinf(n[-1]):
        raise ValueError(
            f"labels must grow from round to round, from 1 on, got {n.tolist()}."
        )
    value = np.array([e.value for e in found])
    ends = np.array([(e.low, e.high) for e in found])
    if (
        not np.isfinite(value).all()
        or not (ends[:, 0] >= 0).all()
        or not ((ends[:, 0] <= ends[:, 1]) & (ends[:, 1] <= 1)).all()
    ):
        raise ValueError(
            "estimates must be shares from 0 to 1 with their intervals, such as "
            f"accuracies, got {[e[:3] for e in found]}."
        )
    spread = np.array([(e.high - e.low) / (2 * norm.ppf(0.975)) for e in found])
    rng = as_generator(random_state)
    level = rng.normal(size=(_DRAWS, 1)) * _CAUTION * np.median(spread[-_LEAST:])
    own = rng.normal(size=(_DRAWS, len(n))) * spread * _OWN_NOISE
    drawn = np.clip(value + level + own, 0, 1)
    turn = np.exp(rng.normal(size=_DRAWS) * _TURN)
    needed = np.concatenate(
        [_needed(shapes, n, drawn, turn, float(target)) for shapes in _FAMILIES]
    )
    tail = (1 - confidence) / 2
    low, middle, high = np.quantile(
        needed, [tail, 0.5, 1 - tail], method="inverted_cdf"
    )
    return Forecast(float(middle), float(low), float(high), float(target), int(n[-1]))


# A family gives shapes that grow with the labels; it is stretched and shifted to fit.
Family = Callable[[Floats, float], list[Floats]]


def _power(n: Floats, scale: float) -> list[Floats]:
    return [-(n**-c) for c in (0.25, 0.5, 1.0, 1.5)]


def _logarithm(n: Floats, scale: float) -> list[Floats]:
    return [np.log(n + shift * scale) for shift in (0.0, 0.2, 1.0)]


def _arctangent(n: Floats, scale: float) -> list[Floats]:
    return [np.arctan(c * n / scale) for c in (0.5, 1.0, 2.0, 5.0)]


def _root(n: Floats, scale: float) -> list[Floats]:
    return [
        n / scale / (1 + (c * n / scale) ** k) ** (1 / k)
        for c in (0.7, 1.5, 3.0)
        for k in (0.7, 2.0)
    ]


_FAMILIES: tuple[Family, ...] = (_power, _logarithm, _arctangent, _root)


def _needed(
    family: Family, n: Floats, drawn: Floats, turn: Floats, target: float
) -> Floats:
    """Labels at which the curves of a family reach the target, for each draw."""
    scale = float(n.mean())
    ahead = np.geomspace(n[0], n[-1] * _FARTHEST, 600)
    weight = n / n.sum()  # the end of the curve is what is extrapolated
    middle = drawn @ weight
    needed = []
    for here, there in zip(family(n, scale), family(ahead, scale), strict=True):
        around = here - here @ weight
        slope = (drawn * weight) @ around / (weight @ around**2)
        slope = np.maximum(slope * turn, 0)  # more labels do no harm in the long run
        # The curve grows, so what is missing is reached where the shape has grown.
        with np.errstate(divide="ignore", invalid="ignore"):
            missing = np.nan_to_num((target - middle) / slope, nan=0.0)
        first = np.searchsorted(there - here @ weight, missing)
        needed.append(np.append(ahead, np.inf)[first])
    return np.concatenate(needed)
