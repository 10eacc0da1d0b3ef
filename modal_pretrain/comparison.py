"""Which backbone, and which size, for my pictures? Measured on the labels one has."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from tqdm.auto import tqdm

from modal_pretrain._checks import SEED, Whole, check_parameters, take_rows
from modal_pretrain._inputs.frames import check_order
from modal_pretrain._inputs.labels import as_labels
from modal_pretrain._inputs.numbers import as_numbers
from modal_pretrain.backbones.packages import PACKAGED_WEIGHTS
from modal_pretrain.cache.memory import EmbeddingCache
from modal_pretrain.classifier import PretrainedClassifier
from modal_pretrain.embedding.parameters import VERBOSE
from modal_pretrain.training.base import BaseClassifier

# 224 pixels for the transformer too: its own 518 cost five times the time.
_SIZES: dict[str, Sequence[int | None]] = {
    "tf_efficientnet_lite0": (96, None),
    "vit_small_patch14_dinov2": (224,),
}
_LEVEL = 0.95


@dataclass(frozen=True)
class Candidate:
    """How one estimator did.

    Attributes
    ----------
    name : str
    accuracy : float
        Share of the labels that were predicted from the others, in [0, 1].
    interval : (float, float)
        Wilson's 95 % interval of it.
    worst_class : float
        The lowest recall of a class.
    worst_group : float or None
        The lowest accuracy of a group, where groups were given.
    behind : (float, float)
        95 % interval of what the most accurate candidate gains over this one, from
        the paired differences of rows; zeros for that one itself. All pairs hold it
        together (Bonferroni), as the same labels say which one is the most accurate.
    seconds : float
        To embed 1,000 rows on this machine now, loading not counted, nor the first
        reading of files that the system keeps in memory.
    """

    name: str
    accuracy: float
    interval: tuple[float, float]
    worst_class: float
    worst_group: float | None
    behind: tuple[float, float]
    seconds: float

    @property
    def as_good(self) -> bool:
        """Whether the labels do not show that the most accurate one is better."""
        return self.behind[0] <= 0


@dataclass(frozen=True)
class Comparison:
    """What `compare` found, most accurate first; ``print`` shows it as a table."""

    candidates: list[Candidate]
    n_labels: int

    @property
    def recommended(self) -> Candidate:
        """The fastest of those that are as good as the most accurate one."""
        good = [candidate for candidate in self.candidates if candidate.as_good]
        return min(good, key=lambda candidate: candidate.seconds)

    @property
    def advice(self) -> str:
        """The recommendation in words."""
        choice, best = self.recommended, self.candidates[0]
        if choice is best:
            text = f"Take {choice.name}: it is the most accurate"
            others = [c for c in self.candidates if c.as_good and c is not best]
            if others:
                text += " and the fastest of those that the labels cannot tell apart"
            return f"{text}."
        return (
            f"Take {choice.name}: {self.n_labels} labels do not show that {best.name} "
            f"is better (by {best.accuracy - choice.accuracy:.1%}, 95 % interval "
            f"{choice.behind[0]:.1%} to {choice.behind[1]:.1%}), and it is "
            f"{best.seconds / choice.seconds:.1f} times as fast."
        )

    def __str__(self) -> str:
        groups = self.candidates[0].worst_group is not None
        head = ["", "accuracy", "95 % interval", "worst class"]
        head += ["worst group"] if groups else []
        rows = [[*head, "seconds per 1,000"]]
        for c in self.candidates:
            low, high = c.interval
            cells = [c.name, f"{c.accuracy:.3f}", f"{low:.3f}-{high:.3f}"]
            cells.append(f"{c.worst_class:.3f}")
            if c.worst_group is not None:
                cells.append(f"{c.worst_group:.3f}")
            rows.append([*cells, f"{c.seconds:.1f}"])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                cell.rjust(width) if at else cell.ljust(width)
                for at, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ]
        return "\n".join([*lines, "", self.advice])


def packaged_candidates() -> dict[str, PretrainedClassifier]:
    """Return a classifier for each backbone whose weights are installed as a package.

    Returns
    -------
    dict of str to PretrainedClassifier
        By backbone and size in pixels, with a frozen backbone.
    """
    found = {}
    for backbone, weights in PACKAGED_WEIGHTS.items():
        try:
            weights.path()
        except ImportError:
            continue
        for size in _SIZES.get(backbone, (None,)):
            name = f"{backbone} at {f'{size} px' if size else 'its own size'}"
            found[name] = PretrainedClassifier(backbone, image_size=size)
    return found


def compare(
    X: Any,
    y: Any,
    candidates: Mapping[str, Any] | None = None,
    *,
    groups: Any = None,
    cv: int = 5,
    random_state: int | None = 0,
    verbose: int = 0,
) -> Comparison:
    """Compare backbones and sizes on labelled rows by cross-validation.

    Each row is predicted by a head that was fitted without it, as the estimator
    itself fits it, and every candidate gets the same folds.

    Parameters
    ----------
    X : sequence
        The labelled rows, as the estimators take them.
    y : array-like of shape (n,)
        Their labels; at least two of each class.
    candidates : mapping of str to estimator or None, default=None
        Estimators of this package by the name that they get in the table. None takes
        the backbones whose weights are installed as packages, the default at 96
        pixels too.
    groups : array-like of shape (n,) or None, default=None
        Groups (class and attribute, say) whose lowest accuracy is told as well.
    cv : int, default=5
        Folds; fewer where a class has fewer labels.
    random_state : int or None, default=0
        Seed of the folds.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError, TypeError
        If there are fewer than two classes, a class has one label only, lengths or
        orders differ, a label or group is missing, a parameter is out of range, or the
        candidates are no mapping of names to estimators of this package.

    Notes
    -----
    The intervals take rows as independent, which those that share a fold's training
    set are not quite; and labels that a query strategy chose are harder than the pool,
    so read the order of the candidates, not the accuracy as such.

    Examples
    --------
    >>> from modal_pretrain import PretrainedClassifier
    >>> from modal_pretrain.comparison import compare
    >>> from modal_pretrain.datasets import make_shapes
    >>> data = make_shapes(60, random_state=0).subset("train")
    >>> candidates = {f"{size} px": PretrainedClassifier(image_size=size)
    ...               for size in (32, 64)}
    >>> found = compare(data.X, data.y, candidates)
    >>> sorted(candidate.name for candidate in found.candidates)
    ['32 px', '64 px']
    """
    rules = {"cv": Whole(least=2), "random_state": SEED, "verbose": VERBOSE}
    given = {"cv": cv, "random_state": random_state, "verbose": verbose}
    check_parameters(given, rules)
    labels, kinds = _check(X, y, groups)
    candidates = packaged_candidates() if candidates is None else candidates
    _check_candidates(candidates)
    _, counts = np.unique(labels, return_counts=True)
    splitter = StratifiedKFold(
        min(cv, int(counts.min())), shuffle=True, random_state=random_state
    )
    folds = list(splitter.split(labels, labels))  # without a seed, too, drawn once
    bar = tqdm(candidates.items(), disable=not verbose, unit=" candidate", leave=False)
    right: dict[str, np.ndarray] = {}
    seconds: dict[str, float] = {}
    for name, estimator in bar:
        bar.set_description(str(name))
        if not seconds:
            # The first pass of all finds files unread and threads not started, which
            # would make the candidate named first look slow: it is not counted.
            _seconds_per_thousand(_apart(estimator), X, labels)
        # A cache of its own: what others embedded would make it look fast. Its folds
        # share one pass.
        own = _apart(estimator)
        seconds[name] = _seconds_per_thousand(own, X, labels)
        right[name] = cross_val_predict(own, X, labels, cv=folds) == labels
    best = max(right, key=lambda name: right[name].mean())
    found = [
        Candidate(
            name=str(name),
            accuracy=float(hits.mean()),
            interval=_wilson(hits),
            worst_class=_lowest(hits, labels),
            worst_group=None if kinds is None else _lowest(hits, kinds),
            behind=_gain(right[best], hits, math.comb(len(right), 2)),
            seconds=seconds[name],
        )
        for name, hits in right.items()
    ]
    found.sort(key=lambda c: (-c.accuracy, c.name != str(best), c.seconds))
    return Comparison(found, len(labels))


def _check(X: Any, y: Any, groups: Any) -> tuple[np.ndarray, Any]:
    if not hasattr(X, "shape") and not isinstance(X, Sequence):
        raise TypeError(
            f"X must be rows with a length, as the estimators take them, got "
            f"{type(X).__name__}."
        )
    check_order(X=X, y=y, groups=groups)
    n = X.shape[0] if hasattr(X, "shape") else len(X)
    labels = as_labels(y, "y")
    kinds = None if groups is None else as_labels(groups, "groups")
    for name, values in (("y", labels), ("groups", kinds)):
        if values is not None and values.shape != (n,):
            raise ValueError(
                f"{name} must hold one value for each of the {n} rows of X, got shape "
                f"{values.shape}."
            )
        if values is not None and values.dtype.kind in "fc":
            as_numbers(values, name)  # NaN equals nothing, not even itself
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2:
        raise ValueError(
            f"y must hold at least two classes, got only {classes.tolist()}: label "
            "some of another class first."
        )
    if counts.min() < 2:
        rare = classes[counts < 2].tolist()
        raise ValueError(
            f"y holds a single label of {rare}: cross-validation needs two of each "
            "class at least. Label more of them, or leave these rows out."
        )
    return labels, kinds


def _check_candidates(candidates: Any) -> None:
    if not isinstance(candidates, Mapping):
        raise TypeError(
            "candidates must be a mapping of names to estimators, such as {'small': "
            f"PretrainedClassifier(image_size=96)}}, got {type(candidates).__name__}."
        )
    if not candidates:
        raise ValueError(
            "candidates is empty: give a mapping of names to estimators, or None for "
            "the backbones whose weights are installed as packages."
        )
    for name, estimator in candidates.items():
        if not isinstance(estimator, BaseClassifier):
            raise TypeError(
                f"candidates[{name!r}] must be a PretrainedClassifier or a "
                f"PretrainedTextClassifier, got {estimator!r:.80} of type "
                f"{type(estimator).__name__}."
            )
        estimator._check_parameters()  # now: the first ones may take hours
    if len(candidates) > 1:
        for estimator in candidates.values():
            clone(estimator).initialize()  # raises if there are no weights for it


def _apart(estimator: Any) -> Any:
    return clone(estimator).set_params(cache=EmbeddingCache())


def _seconds_per_thousand(estimator: Any, X: Any, labels: np.ndarray) -> float:
    """Time the embedding of all rows but a few, with which everything is loaded."""
    # One of each class, as `class_weight` may name them all.
    few = np.unique(labels, return_index=True)[1]
    estimator = clone(estimator).fit(take_rows(X, few), labels[few])
    start = time.perf_counter()
    estimator.embed(X)
    return (time.perf_counter() - start) / (len(labels) - len(few)) * 1000


def _wilson(hits: np.ndarray) -> tuple[float, float]:
    test = stats.binomtest(int(hits.sum()), len(hits))
    found = test.proportion_ci(_LEVEL, method="wilson")
    return float(found.low), float(found.high)


def _lowest(hits: np.ndarray, kinds: np.ndarray) -> float:
    return float(min(hits[kinds == kind].mean() for kind in np.unique(kinds)))


def _gain(best: np.ndarray, hits: np.ndarray, pairs: int) -> tuple[float, float]:
    difference = best.astype(float) - hits
    if not difference.any():
        return 0.0, 0.0
    n = len(difference)
    # Which one is best, the same labels say: Bonferroni over all pairs.
    tail = (1 - _LEVEL) / 2 / pairs
    wide = stats.t.isf(tail, n - 1) * difference.std(ddof=1) / np.sqrt(n)
    mean = difference.mean()
    return float(mean - wide), float(mean + wide)
