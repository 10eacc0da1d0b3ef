"""One active-learning run: query, label, fit, measure, round after round."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from modAL.models import ActiveLearner
from numpy.random import default_rng
from sklearn.base import BaseEstimator

from modal_pretrain._checks import chosen_rows, take_rows
from modal_pretrain.benchmark import heads
from modal_pretrain.benchmark.auditing import Auditor
from modal_pretrain.datasets import GroupedDataset
from modal_pretrain.datasets._columns import as_rows
from modal_pretrain.embedding.engine import choose_afresh
from modal_pretrain.metrics import (
    atypical_accuracy,
    calibration_error,
    group_accuracies,
)
from modal_pretrain.query import random_sampling

PHASES = ("embed", "fit", "predict", "query")


def run_unit(
    data: GroupedDataset,
    estimator: BaseEstimator,
    strategy: Callable,
    *,
    seed_set: np.ndarray,
    batch: int,
    rounds: int,
    seed: int = 0,
    pool_sample: int | None = None,
    head: str = heads.PLAIN,
    done: Sequence[dict[str, Any]] = (),
    auditor: Auditor | None = None,
) -> Iterator[dict[str, Any]]:
    """Run modAL's loop on a grouped data set and yield a record per round.

    Parameters
    ----------
    data : GroupedDataset
        Its train split is the pool, its test split measures.
    estimator : scikit-learn classifier
        Its fit must depend on the labelled rows alone, and on earlier fits only where
        it has ``warm_start``, or a part of it.
    strategy : callable
        A modAL query strategy. It is given what it takes of ``random_state`` and, if it
        is an oracle, ``groups`` of the rows it chooses from and ``groups_labelled``.
    seed_set : numpy.ndarray of int
        Rows of `data` that are labelled at the start, of its train split, each once: as
        ``data.seed_set`` gives them. A boolean mask of its rows is taken, too.
    batch, rounds : int
        Labels per round, and number of rounds. A pool that runs out ends the run.
    seed : int, default=0
        Of the strategy's randomness, together with the round.
    pool_sample : int or None, default=None
        How many random rows of the pool the strategy chooses from; None for all.
    head : str, default="plain"
        What the classifier does with the exceptions, see
        `modal_pretrain.benchmark.heads`.
    done : sequence of dict
        Records of the first rounds, from an earlier call with the same arguments. They
        are taken as they are: the rows they acquired are fitted once, or round by
        round with ``warm_start``, and the run goes on from there.
    auditor : Auditor or None, default=None
        Looks at each round's model and adds what it found to the record.

    Yields
    ------
    dict
        ``round``, ``n_labels``, ``accuracy``, ``worst_group_accuracy``,
        ``atypical_accuracy``, ``group_accuracy`` by name, ``calibration_error``,
        ``brier``, ``log_loss``, ``acquired`` (rows of `data` that this round's labels
        were spent on), ``acquired_atypical`` (how many of them are disambiguating),
        ``acquired_groups`` by name, and ``seconds`` by phase: embed, fit, predict,
        query. Floats are rounded to six decimals. And what an auditor adds.
    """
    train = np.flatnonzero(data.split == "train")
    seed_set = _seed_rows(data, seed_set, train)
    test = data.subset("test")
    group_names = np.array(data.group_names)
    test_groups = group_names[test.groups]
    seconds = dict.fromkeys(PHASES, 0.0)

    replayed = [np.asarray(record["acquired"], dtype=np.intp) for record in done]
    start = len(replayed)
    if start and not np.array_equal(replayed[0], seed_set):
        raise ValueError(
            "the records of the first rounds start from another seed set: the data set "
            "has changed since. Use another folder."
        )
    labelled = np.concatenate(replayed) if start else np.zeros(0, dtype=np.intp)
    if not np.isin(labelled, train).all():
        raise ValueError(
            "the records of the first rounds name rows that are not in the train "
            "split: they are of other data. Use another folder."
        )
    pool = np.setdiff1d(train, labelled)
    if start > rounds or (start and len(pool) == 0):
        return

    with _Timer(seconds, "embed"):
        embed(estimator, data)
    estimator = heads.prepared(estimator, head)
    learner = ActiveLearner(estimator=estimator, query_strategy=_checked(strategy))
    acquired = seed_set
    if start:
        # A warm start goes on from the weights of each fit before.
        parts, before = (replayed if _warm(estimator) else [labelled]), 0
        for rows in parts:
            heads.tag(learner.estimator, head, data, rows, before)
            with _Timer(seconds, "fit"):
                fit = learner.teach if before else learner.fit
                fit(take_rows(data.X, rows), data.y[rows])
            before += len(rows)
        if auditor is not None:
            pool = np.setdiff1d(pool, auditor.resume(learner, done, head))
    for round_ in range(start, rounds + 1):
        if round_ > 0:
            if len(pool) == 0:
                return
            seen = _sample(pool, pool_sample, seed, round_)
            params: dict[str, Any] = {"n_instances": min(batch, len(seen))}
            if _wants(strategy, "random_state"):
                number = (seed * 100_003 + round_ - 1) % 2**32
                # As recorded runs did: of a number, which some give again in each
                # round, random_sampling makes one that depends on the pool's size.
                is_random = strategy is random_sampling
                params["random_state"] = default_rng(number) if is_random else number
            for name, rows in (("groups", seen), ("groups_labelled", labelled)):
                if _wants(strategy, name):
                    params[name] = data.groups[rows]
            with _Timer(seconds, "query"):
                chosen, _ = learner.query(take_rows(data.X, seen), **params)
            acquired = seen[chosen]
        X, y = take_rows(data.X, acquired), data.y[acquired]
        heads.tag(learner.estimator, head, data, acquired, len(labelled))
        with _Timer(seconds, "fit"):
            if round_ == 0:
                learner.fit(X, y)
            else:
                learner.teach(X, y)
        labelled = np.concatenate([labelled, acquired])
        pool = np.setdiff1d(pool, acquired, assume_unique=True)
        with _Timer(seconds, "predict"):
            proba = np.asarray(learner.predict_proba(test.X))
        found = {} if auditor is None else auditor.look(learner, labelled)
        if auditor is not None:
            pool = np.setdiff1d(pool, auditor.apart)
        yield {
            "round": round_,
            "n_labels": len(labelled),
            **_scores(test, proba, learner.estimator.classes_, test_groups),
            "acquired": acquired.tolist(),
            "acquired_atypical": int(data.disambiguating[acquired].sum()),
            "acquired_groups": _count(group_names[data.groups[acquired]]),
            **found,
            "seconds": {phase: round(spent, 4) for phase, spent in seconds.items()},
        }
        seconds = dict.fromkeys(PHASES, 0.0)


def _warm(estimator: Any) -> bool:
    """Say whether an estimator has ``warm_start``, or one within, as of a pipeline."""
    return any(
        bool(value)
        for name, value in estimator.get_params().items()
        if name.split("__")[-1] == "warm_start"  # others may be arrays, of no truth
    )


def _seed_rows(data: GroupedDataset, seed_set: Any, train: np.ndarray) -> np.ndarray:
    """Row numbers of the first labels, which may be those of a mask."""
    rows = as_rows(seed_set, len(data), data.name)
    outside = rows[~np.isin(rows, train)]
    if len(outside):
        # Those of data.subset("train") count from that subset's first row.
        raise ValueError(
            "seed_set must hold rows of the train split, in the numbers of data; "
            f"{len(outside)} of {len(rows)} are not, first {outside[0]}, which is in "
            f"{data.split[outside[0]]}. Draw it with data.seed_set(n), of the same "
            "data and not of a subset"
        )
    if len(np.unique(rows)) < len(rows):
        raise ValueError(
            "seed_set must hold each row once; "
            f"{len(rows) - len(np.unique(rows))} of {len(rows)} repeat another. "
            "Write numpy.unique(seed_set)"
        )
    return rows


def _checked(strategy: Callable) -> Callable:
    """Return the strategy, with an error where it breaks the rules of the game."""

    def ask(learner: Any, X: Any, **params: Any) -> tuple[np.ndarray, Any]:
        answer = strategy(learner, X, **params)
        pair = isinstance(answer, tuple) and len(answer) == 2
        n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
        rows = chosen_rows(strategy, answer, n_rows, params["n_instances"])
        return rows, answer[1] if pair else None

    return ask


def _scores(test, proba, classes, groups) -> dict[str, Any]:
    """Return the measures of one round; classes that nobody labelled count as 0."""
    predicted = np.asarray(classes)[proba.argmax(axis=1)]
    by_group = group_accuracies(test.y, predicted, groups)
    hit = np.asarray(classes)[None] == test.y[:, None]
    given = np.where(hit, proba, 0).sum(axis=1)
    # An unlabelled class has no column: its share of the squared error is 1.
    brier = ((proba - hit) ** 2).sum(axis=1) + ~hit.any(axis=1)
    scores = {
        "accuracy": np.mean(predicted == test.y),
        "worst_group_accuracy": min(by_group.values()),
        "atypical_accuracy": atypical_accuracy(test.y, predicted, test.disambiguating),
        "calibration_error": calibration_error(test.y, proba, classes),
        "brier": brier.mean(),
        "log_loss": -np.log(np.maximum(given, 1e-15)).mean(),
    }
    rounded = {key: _rounded(value) for key, value in scores.items()}
    shown = {name: _rounded(value) for name, value in by_group.items()}
    return {**rounded, "group_accuracy": shown}


def _rounded(value: float) -> float | None:
    """Return six decimals, which any JSON reader reads; None for nan."""
    return None if np.isnan(value) else round(float(value), 6)


def embed(estimator: Any, data: GroupedDataset) -> None:
    """Fill a frozen backbone's cache, so that no later phase pays for it.

    All rows in one order, whichever rounds are left to do: batches that differ may
    differ in the last bits.
    """
    frozen = getattr(estimator, "tune", None) == "head"
    if frozen and hasattr(estimator, "embed") and estimator.cache is not None:
        used = np.isin(data.split, ("train", "test"))
        # By this data alone, so that a resumed run chooses as the first one did.
        choose_afresh()
        estimator.embed(take_rows(data.X, np.flatnonzero(used)))


def _sample(pool: np.ndarray, n: int | None, seed: int, round_: int) -> np.ndarray:
    """Draw the part of the pool that this round's query sees."""
    if n is None or n >= len(pool):
        return pool
    rng = default_rng([seed, round_])
    return np.sort(rng.choice(pool, n, replace=False))


def _wants(strategy: Callable, name: str) -> bool:
    return name in inspect.signature(strategy).parameters


class _Timer:
    """Add a phase's seconds to a dict."""

    def __init__(self, seconds: dict[str, float], phase: str) -> None:
        self.seconds, self.phase = seconds, phase

    def __enter__(self) -> None:
        self.start = time.perf_counter()

    def __exit__(self, *exception: object) -> None:
        self.seconds[self.phase] += time.perf_counter() - self.start


def _count(names: np.ndarray) -> dict[str, int]:
    found, counts = np.unique(names, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))
