"""Label efficiency at several levels of accuracy, and what if one is never reached."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from modal_pretrain.metrics import Interval, labels_needed, paired_bootstrap

# Shares of random sampling's final accuracy.
SHARES = (0.9, 0.95, 1.0)
OWN = "the strategy's final accuracy"


class Multiple(NamedTuple):
    """Labels that random sampling needs over those that a strategy needs.

    Attributes
    ----------
    name : str
        The level in words.
    level : float
        The accuracy to reach.
    labels_random, labels_strategy : float
        Labels needed, interpolated between rounds; nan if never reached.
    estimate, low, high : float
        The multiple and its 95 % interval.
    bound : {"", "<", ">"}
        "<": the strategy never gets there, the multiple is below the estimate. ">":
        random sampling never gets there, the multiple is above it.
    """

    name: str
    level: float
    labels_random: float
    labels_strategy: float
    estimate: float
    low: float
    high: float
    bound: str

    def __str__(self) -> str:
        if np.isnan(self.estimate):
            return "-"
        return f"{self.bound}{self.estimate:.1f}x ({self.low:.1f}-{self.high:.1f})"


def multiples(
    labels: np.ndarray,
    strategy: np.ndarray,
    random: np.ndarray,
    shares: Sequence[float] = SHARES,
    *,
    n_resamples: int = 1000,
) -> list[Multiple]:
    """Compare a strategy with random sampling at several levels.

    Parameters
    ----------
    labels : numpy.ndarray of shape (rounds,)
    strategy, random : numpy.ndarray of shape (seeds, rounds)
        Accuracies; row i of both is the same seed.
    shares : sequence of float, default=(0.9, 0.95, 1.0)
        Levels, as shares of random sampling's mean accuracy after the last round.
    n_resamples : int, default=1000
        Bootstrap resamples of seeds, the same ones for both.

    Returns
    -------
    list of Multiple
        One for each share, then one for the strategy's own final accuracy.

    Notes
    -----
    A curve that never reaches the level counts as reaching it with the last label,
    in the estimate and in every resample; `bound` says on which side the truth is. A
    level that both mean curves start at or above says nothing: its multiple is nan.
    """

    def level_of(a: np.ndarray, b: np.ndarray, share: float | None) -> float:
        return a.mean(axis=0)[-1] if share is None else share * b.mean(axis=0)[-1]

    def needed(a: np.ndarray, b: np.ndarray, share: float | None) -> list[float]:
        level = level_of(a, b, share)
        return [labels_needed(labels, curve, level) for curve in (a, b)]

    def ratio(a: np.ndarray, b: np.ndarray, share: float | None) -> float:
        mine, theirs = np.nan_to_num(needed(a, b, share), nan=labels[-1])
        return theirs / mine

    found = []
    for share in (*shares, None):
        mine, theirs = needed(strategy, random, share)
        name = OWN if share is None else f"{share:.0%} of random's final accuracy"
        if share == 1:
            name = "random's final accuracy"
        if mine == theirs == labels[0]:
            interval = Interval(np.nan, np.nan, np.nan)
        else:
            interval = paired_bootstrap(
                strategy,
                random,
                partial(ratio, share=share),
                n_resamples=n_resamples,
                random_state=0,
            )
        bound = "<" if np.isnan(mine) else ">" if np.isnan(theirs) else ""
        level = float(level_of(strategy, random, share))
        found.append(Multiple(name, level, theirs, mine, *interval, bound))
    return found
