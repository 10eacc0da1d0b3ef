"""One active-learning run: query, label, fit, measure, round after round."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from modAL.models import ActiveLearner
from sklearn.base import BaseEstimator

from modal_pretrain.datasets import GroupedDataset
from modal_pretrain.metrics import (
    atypical_accuracy,
    group_accuracies,
    worst_group_accuracy,
)


def run_unit(
    data: GroupedDataset,
    estimator: BaseEstimator,
    strategy: Callable,
    *,
    seed_set: np.ndarray,
    batch: int,
    rounds: int,
    seed: int = 0,
) -> Iterator[dict[str, Any]]:
    """Run modAL's loop on a grouped data set and yield a record per round.

    Parameters
    ----------
    data : GroupedDataset
        Its train split is the pool, its test split measures.
    estimator : scikit-learn classifier
    strategy : callable
        A modAL query strategy. It is given ``random_state`` if it takes one, and the
        groups of pool and labelled rows if it is an oracle, which takes ``groups``.
    seed_set : numpy.ndarray of int
        Rows of `data` that are labelled at the start.
    batch, rounds : int
        Labels per round, and number of rounds. A pool that runs out ends the run.
    seed : int, default=0
        Of the strategy's randomness, together with the round.

    Yields
    ------
    dict
        ``round``, ``n_labels``, ``accuracy``, ``worst_group_accuracy``,
        ``atypical_accuracy``, ``group_accuracy`` by name, ``acquired`` (rows of `data`
        that this round's labels were spent on), ``acquired_atypical`` (how many of
        them are disambiguating), ``acquired_groups`` by name, and ``seconds`` by phase:
        fit, query, predict.
    """
    train = np.flatnonzero(data.split == "train")
    test = data.subset("test")
    acquired = np.asarray(seed_set)
    labelled = acquired[:0]
    pool = np.setdiff1d(train, acquired)
    wanted = inspect.signature(strategy).parameters

    seconds = {"query": 0.0}
    learner = ActiveLearner(estimator=estimator, query_strategy=strategy)
    for round_ in range(rounds + 1):
        X, y = _rows(data.X, acquired), data.y[acquired]
        labelled = np.concatenate([labelled, acquired])
        with _Timer(seconds, "fit"):
            if round_ == 0:
                learner.fit(X, y)
            else:
                learner.teach(X, y)
        with _Timer(seconds, "predict"):
            predicted = learner.predict(test.X)
        groups = np.array(test.group_names)[test.groups]
        yield {
            "round": round_,
            "n_labels": len(train) - len(pool),
            "accuracy": float(np.mean(predicted == test.y)),
            "worst_group_accuracy": worst_group_accuracy(test.y, predicted, groups),
            "atypical_accuracy": atypical_accuracy(
                test.y, predicted, test.disambiguating
            ),
            "group_accuracy": group_accuracies(test.y, predicted, groups),
            "acquired": acquired.tolist(),
            "acquired_atypical": int(data.disambiguating[acquired].sum()),
            "acquired_groups": _count(
                np.array(data.group_names)[data.groups[acquired]]
            ),
            "seconds": {phase: round(spent, 4) for phase, spent in seconds.items()},
        }
        if round_ == rounds or len(pool) == 0:
            return
        params: dict[str, Any] = {"n_instances": min(batch, len(pool))}
        if "random_state" in wanted:
            params["random_state"] = (seed * 100_003 + round_) % 2**32
        if "groups" in wanted:
            params["groups"] = data.groups[pool]
            params["groups_labelled"] = data.groups[labelled]
        with _Timer(seconds, "query"):
            chosen, _ = learner.query(_rows(data.X, pool), **params)
        acquired = pool[chosen]
        pool = np.delete(pool, chosen)


class _Timer:
    """Write a phase's seconds into a dict."""

    def __init__(self, seconds: dict[str, float], phase: str) -> None:
        self.seconds, self.phase = seconds, phase

    def __enter__(self) -> None:
        self.start = time.perf_counter()

    def __exit__(self, *exception: object) -> None:
        self.seconds[self.phase] = time.perf_counter() - self.start


def _rows(X: Any, rows: np.ndarray) -> Any:
    return X[rows] if hasattr(X, "shape") else [X[i] for i in rows]


def _count(names: np.ndarray) -> dict[str, int]:
    found, counts = np.unique(names, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))
