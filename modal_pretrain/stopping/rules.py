"""Rules that say when to stop, each with what it saw and one line of words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from modal_pretrain._checks import Number, Whole, check_parameters
from modal_pretrain._inputs.frames import check_order
from modal_pretrain._inputs.labels import comparable
from modal_pretrain._inputs.numbers import are_graded
from modal_pretrain.query._engine.arguments import check_groups
from modal_pretrain.stopping._estimators import AuditResult
from modal_pretrain.stopping._inputs import (
    as_estimate,
    as_predictions,
    as_rounds,
)
from modal_pretrain.stopping._intervals import Estimate
from modal_pretrain.stopping._predictions import Predictions

_RULES = {
    "threshold": Number(above=0, most=1),
    "tolerance": Number(above=0, below=1),
    "target": Number(above=0, most=1),
    "window": Whole(),
}
_ROUNDING = 1e-9  # 1 - 8 / 25 is a rounding below 0.68


@dataclass(frozen=True)
class Decision:
    """What a rule says after a round; true, as in ``if``, where it would stop.

    Parameters
    ----------
    stop : bool
        Whether the rule would stop now.
    reason : str
        Why, in a sentence.
    figures : dict
        What it rests on, by name.
    """

    stop: bool
    reason: str
    figures: dict[str, float] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.stop)  # `if good_enough(...)` would else stop at any answer

    def __str__(self) -> str:
        return f"{'stop' if self.stop else 'go on'}: {self.reason}"


def stable_predictions(
    history: Sequence[Any], *, threshold: float = 0.99, window: int = 3
) -> Decision:
    """Stop when successive models agree on a fixed set of rows [1]_.

    It sees change, not quality: a model that has settled on a shortcut is stable too.

    Parameters
    ----------
    history : sequence of array-like of shape (n,), or of Predictions
        The labels that the model of each round predicts for the same n rows, some
        hundred random ones of the pool; oldest first.
    threshold : float, default=0.99
        Cohen's kappa that two successive models must reach.
    window : int, default=3
        How many of the latest pairs must reach it on average.

    Returns
    -------
    Decision
        Figures: ``kappa``, the mean over the window; nan with fewer rounds.

    Raises
    ------
    ValueError
        If the rounds are of different lengths or empty, or hold decimals that hardly
        repeat, as probabilities do, in the place of labels.

    References
    ----------
    .. [1] Bloodgood and Vijay-Shanker, "A method for stopping active learning based on
       stabilizing predictions and the need for user-adjustable stopping", CoNLL 2009.

    Examples
    --------
    >>> print(stable_predictions([["a", "b"]] * 4))
    stop: the last 4 models agree (kappa 1.000, wanted 0.990)
    """
    check_parameters({"threshold": threshold, "window": window}, _RULES)
    given = {f"history[{i}]": r for i, r in enumerate(as_rounds(history, "history"))}
    check_order(**given)
    rounds = [
        check_groups(_predicted(labels), name, noun="label")
        for name, labels in given.items()
    ]
    if any(r.ndim != 1 or not r.size or r.shape != rounds[0].shape for r in rounds):
        raise ValueError(
            "history must hold, for each round, the predicted labels of the same rows, "
            f"got shapes {[r.shape for r in rounds]}."
        )
    for i, labels in enumerate(rounds):
        if are_graded(labels):
            raise ValueError(
                f"history[{i}] holds decimals such as {labels[0]:.4g}, most of which "
                "occur once, as probabilities of a class do. Pass the labels that the "
                "model of each round predicts, classifier.predict(X)."
            )
        if not comparable(labels, rounds[0]):
            raise ValueError(
                f"history[{i}] holds labels such as {labels[0]!r} and history[0] "
                f"{rounds[0][0]!r}: no two would be equal. Use one kind in all rounds."
            )
    if not rounds:
        return Decision(False, _too_early(0, window), {"kappa": float("nan")})
    kappas = [agreement(a, b) for a, b in pairwise(rounds[-window - 1 :])]
    return settled_agreement(kappas, threshold=threshold, window=window)


def settled_agreement(
    kappas: Sequence[float], *, threshold: float = 0.99, window: int = 3
) -> Decision:
    """Decide as `stable_predictions`, by the `agreement` of successive models.

    Parameters
    ----------
    kappas : sequence of float
        One a round but the first.
    threshold, window
        As in `stable_predictions`.

    Returns
    -------
    Decision
    """
    if len(kappas) < window:
        return Decision(
            False, _too_early(len(kappas) + 1, window), {"kappa": float("nan")}
        )
    kappa = float(np.mean(kappas[-window:]))
    stop = kappa >= threshold - _ROUNDING
    what = f"the last {window + 1} models agree" if stop else "predictions still change"
    return Decision(
        stop, f"{what} (kappa {kappa:.3f}, wanted {threshold:.3f})", {"kappa": kappa}
    )


def stable_error(
    history: Sequence[Any], *, tolerance: float = 0.005, window: int = 3
) -> Decision:
    """Stop when the error that the model expects of itself has settled.

    It trusts the model's own confidence. One that is surely wrong has a small and
    steady expected error.

    Parameters
    ----------
    history : sequence of array-like of shape (n, n_classes)
        Class probabilities of the same rows by the model of each round, oldest first.
    tolerance : float, default=0.005
        Largest change between the rounds of the window.
    window : int, default=3
        How many changes to look back.

    Returns
    -------
    Decision
        Figures: ``expected_error`` now, ``change`` over the window.

    Raises
    ------
    ValueError
        If probabilities are no distribution, or of other rows in another round.
    """
    check_parameters({"tolerance": tolerance, "window": window}, _RULES)
    rounds = as_rounds(history, "history")
    recent = range(len(rounds))[-window - 1 :]
    last = [as_predictions(rounds[i], name=f"history[{i}]") for i in recent]
    sizes = [len(p.proba) for p in last]
    if len(set(sizes)) > 1:
        raise ValueError(
            f"history must be of the same rows in each round, got {sizes} rows."
        )
    errors = [float(p.error.mean()) for p in last]
    return settled_error(errors, tolerance=tolerance, window=window)


def settled_error(
    errors: Sequence[float], *, tolerance: float = 0.005, window: int = 3
) -> Decision:
    """Decide as `stable_error`, by the error that each model expects of itself.

    Parameters
    ----------
    errors : sequence of float
        One a round: the mean of 1 minus the largest probability.
    tolerance, window
        As in `stable_error`.

    Returns
    -------
    Decision
    """
    if len(errors) <= window:
        now = errors[-1] if errors else float("nan")
        figures = {"expected_error": now, "change": float("nan")}
        return Decision(False, _too_early(len(errors), window), figures)
    last = errors[-window - 1 :]
    change = max(last) - min(last)
    return Decision(
        bool(change <= tolerance + _ROUNDING),
        f"the expected error, {100 * last[-1]:.1f} %, moved by {100 * change:.1f} "
        f"points in {window} rounds (allowed {100 * tolerance:.1f})",
        {"expected_error": last[-1], "change": change},
    )


def good_enough(
    result: AuditResult | Estimate, target: float, *, name: str = "accuracy"
) -> Decision:
    """Stop when the audit's lower bound reaches a target: the safe rule.

    Its error rate at one look is that of the bound, 2.5 % for a 95 % interval. It sees
    the pool's rows as a whole: a small group may be far below.

    Parameters
    ----------
    result : AuditResult or Estimate
        From `Audit.estimate`; a class's recall or a group's accuracy does as well.
    target : float
        In (0, 1].
    name : str, default="accuracy"
        What it is an estimate of, for the words.

    Returns
    -------
    Decision
        Figures: ``value``, ``low``, ``high``, ``target``.

    Examples
    --------
    >>> from modal_pretrain.stopping import Estimate
    >>> print(good_enough(Estimate(0.93, 0.85, 0.97, 40, "Wilson"), 0.9))
    go on: accuracy is 93 % (85 to 97 %), not surely 90 %
    """
    check_parameters({"target": target}, _RULES)
    found = as_estimate("result", result)
    if found is not result and "recall" in name.lower():
        raise ValueError(
            f"name is {name!r}, and of a whole result it is the accuracy that is "
            "judged. For the recall of a class pass result.recall[label]."
        )
    stop = bool(found.low >= target - _ROUNDING)
    seen = f"{name} is {_percent(found.value)} ({_whole(found.low)} to "
    seen += f"{_percent(found.high)})"
    end = "at least" if stop else "not surely"
    figures = {"value": found.value, "low": found.low, "high": found.high}
    return Decision(
        stop, f"{seen}, {end} {goal(target)}", {**figures, "target": float(target)}
    )


def _predicted(labels: Any) -> Any:
    """Return labels, those of a model's predictions where it is these."""
    return labels.classes[labels.column] if isinstance(labels, Predictions) else labels


def agreement(a: Any, b: Any) -> float:
    """Return Cohen's kappa; two models that both predict one class only agree fully.

    Parameters
    ----------
    a, b : array-like of shape (n,)
        Predicted labels of the same rows.

    Returns
    -------
    float
        At most 1.
    """
    a, b = np.asarray(a), np.asarray(b)
    labels, codes = np.unique(np.concatenate([a, b]), return_inverse=True)
    first, second = codes[: len(a)], codes[len(a) :]
    shares = [np.bincount(c, minlength=len(labels)) / len(a) for c in (first, second)]
    chance, agree = float(shares[0] @ shares[1]), float(np.mean(first == second))
    return 1.0 if chance == 1 else (agree - chance) / (1 - chance)


def _too_early(rounds: int, window: int) -> str:
    return f"{rounds} of the {window + 1} rounds that this rule looks at"


def _whole(share: float) -> str:
    return f"{100 * share:.0f}"


def goal(target: float) -> str:
    """Say a target as it was given: 99.5 % is neither 99 nor 100."""
    return f"{100 * target:.4g} %"


def _percent(share: float) -> str:
    return f"{_whole(share)} %"
