"""Measures of active learning under an ambiguous task. NumPy and scikit-learn only.

All of them take plain arrays: groups and disambiguating flags come from a
:class:`~modal_pretrain.datasets.GroupedDataset` or from anywhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state


def group_accuracies(y_true: Any, y_pred: Any, groups: Any) -> dict[Any, float]:
    """Accuracy within each group.

    Parameters
    ----------
    y_true, y_pred, groups : array-like of shape (n,)
        Labels, predicted labels, and the group of each example (numbers or strings).

    Returns
    -------
    dict
        Group -> share of its examples predicted correctly, in [0, 1]; only groups that
        occur, in sorted order.

    Raises
    ------
    ValueError
        If the lengths differ or there are no examples.

    Examples
    --------
    >>> group_accuracies([0, 0, 1, 1], [0, 1, 1, 1], ["a", "a", "a", "b"])
    {'a': 0.6666666666666666, 'b': 1.0}
    """
    y_true, y_pred, groups = _columns(y_true=y_true, y_pred=y_pred, groups=groups)
    if len(y_true) == 0:
        raise ValueError("there are no examples to compute an accuracy of")
    names, index = np.unique(groups, return_inverse=True)
    correct = np.bincount(index, weights=y_true == y_pred)
    accuracies = correct / np.bincount(index)
    return dict(zip(names.tolist(), accuracies.tolist(), strict=True))


def worst_group_accuracy(y_true: Any, y_pred: Any, groups: Any) -> float:
    """Smallest of :func:`group_accuracies`, as in [1]_.

    Parameters
    ----------
    y_true, y_pred, groups : array-like of shape (n,)
        See :func:`group_accuracies`.

    Returns
    -------
    float
        In [0, 1].

    References
    ----------
    .. [1] S. Sagawa et al., Distributionally Robust Neural Networks for Group Shifts,
       ICLR 2020, arXiv:1911.08731.

    Examples
    --------
    >>> worst_group_accuracy([0, 0, 1, 1], [0, 1, 1, 1], [0, 0, 1, 1])
    0.5
    """
    return min(group_accuracies(y_true, y_pred, groups).values())


def atypical_accuracy(y_true: Any, y_pred: Any, disambiguating: Any) -> float:
    """Accuracy on the disambiguating examples.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,)
        Labels and predicted labels.
    disambiguating : array-like of bool of shape (n,)
        Which examples count.

    Returns
    -------
    float
        In [0, 1]; nan if no example is disambiguating.

    Examples
    --------
    >>> atypical_accuracy([0, 0, 1, 1], [0, 1, 1, 1], [False, True, True, False])
    0.5
    """
    y_true, y_pred, flags = _columns(
        y_true=y_true, y_pred=y_pred, disambiguating=disambiguating
    )
    flags = _flags(flags, "disambiguating")
    return float(np.mean(y_true[flags] == y_pred[flags])) if flags.any() else np.nan


def calibration_error(
    y_true: Any, proba: Any, classes: Any, *, bins: int = 10
) -> float:
    """Distance between stated confidence and accuracy: the expected error of [1]_.

    The examples are put into equally wide bins by the probability of their predicted
    class; the error is the mean over examples of the distance between their bin's
    accuracy and its mean probability.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        Labels.
    proba : array-like of shape (n, n_classes)
        Predicted probabilities, in [0, 1].
    classes : array-like of shape (n_classes,)
        The label of each column.
    bins : int, default=10
        Number of bins.

    Returns
    -------
    float
        In [0, 1]; 0 is calibrated.

    Raises
    ------
    ValueError
        If the shapes disagree, or there are no examples.

    References
    ----------
    .. [1] C. Guo et al., On Calibration of Modern Neural Networks, ICML 2017,
       arXiv:1706.04599.

    Examples
    --------
    Two sure answers, one of them wrong: an accuracy of 0.5 said with 0.9.

    >>> calibration_error(["a", "b"], [[0.9, 0.1], [0.9, 0.1]], ["a", "b"])
    0.4
    """
    proba, classes = np.asarray(proba, dtype=float), np.asarray(classes)
    (y_true,) = _columns(y_true=y_true)
    if proba.shape != (len(y_true), len(classes)) or proba.size == 0:
        raise ValueError(
            f"proba must have shape ({len(y_true)}, {len(classes)}), a row for each "
            f"label and a column for each class, and not be empty, got {proba.shape}"
        )
    confidence = proba.max(axis=1)
    correct = classes[proba.argmax(axis=1)] == y_true
    # 1.0 belongs to the last bin.
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(bin_of, weights=correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(y_true))


def enrichment(acquired: Any, pool: Any) -> float:
    """How far the acquired examples are richer in disambiguating ones than the pool.

    (share of True among the acquired) / (share of True in the pool)

    Parameters
    ----------
    acquired : array-like of bool
        Disambiguating flags of the examples that the strategy chose (without the seed
        set, which it did not choose).
    pool : array-like of bool
        Flags of the pool it chose from, before the first query.

    Returns
    -------
    float
        0 or more; 1 is what random sampling expects, and 1 / (share in the pool) the
        most possible. nan if nothing was acquired or the pool has no such example.

    Examples
    --------
    >>> enrichment([True, False, False, False], [True] * 5 + [False] * 95)
    5.0
    """
    acquired = _flags(np.asarray(acquired), "acquired")
    pool = _flags(np.asarray(pool), "pool")
    if len(acquired) == 0 or not pool.any():
        return np.nan
    return float(acquired.mean() / pool.mean())


def label_efficiency(
    labels: Any,
    strategy: Any,
    random: Any,
    level: float | None = None,
    *,
    min_gain: float = 0.02,
) -> float:
    """Labels that random sampling needs / labels that a strategy needs.

    Both for the same accuracy. 5 means that the strategy gets there with a fifth of
    the labels; below 1 it needs more than random sampling.

    Parameters
    ----------
    labels : array-like of shape (n_rounds,)
        Number of labels at each recorded round, increasing and positive; the seed set
        is part of it.
    strategy, random : array-like of shape (n_rounds,) or (n_seeds, n_rounds)
        Accuracy (or another score where more is better) at these rounds. Several seeds
        are averaged first: the multiple is one of mean curves.
    level : float, optional
        The accuracy to reach. By default the last of random sampling or, if the
        strategy ends lower, the last of the strategy: a worse strategy has a multiple
        of at most about 1, not none.
    min_gain : float, default=0.02
        If neither curve ends this much above its start, nothing was learned from the
        queries that could be told from noise, and the multiple is 1 by definition.
        0 turns the rule off. A `level` that is given is taken as it is.

    Returns
    -------
    float
        The multiple, positive; nan if a `level` is given that one of the curves never
        reaches (a lower level, or more rounds, are needed then).

    Raises
    ------
    ValueError
        If the shapes disagree, `labels` does not increase, or a value is not finite.

    Notes
    -----
    Each mean curve is replaced by its running maximum, so that a dip after the level
    was reached changes nothing, and is interpolated linearly between rounds. A curve
    that starts at or above the level needs ``labels[0]``: two curves that never leave
    their start have the multiple 1, and a large seed set bounds it. Look at the curves
    too, use several seeds, and see :func:`paired_bootstrap` for an interval.

    Examples
    --------
    >>> label_efficiency([10, 20, 30, 40], [0.5, 0.8, 0.9, 0.9], [0.5, 0.6, 0.7, 0.8])
    2.0
    """
    labels = _labels(labels)
    best, gain, last = [], [], []
    for key, values in (("strategy", strategy), ("random", random)):
        curve = _curves(values, labels, key)
        mean = curve.mean(axis=0) if curve.ndim == 2 else curve
        best.append(np.maximum.accumulate(mean))
        gain.append(mean[-1] - mean[0])
        last.append(mean[-1])
    if level is None:
        if max(gain) < min_gain:
            return 1.0
        level = min(last)
    needed_strategy, needed_random = (_labels_needed(labels, b, level) for b in best)
    return float(needed_random / needed_strategy)


def labels_needed(labels: Any, values: Any, level: float) -> float:
    """Labels at which a learning curve first reaches a level.

    Parameters
    ----------
    labels : array-like of shape (n_rounds,)
        Number of labels at each round, increasing and positive.
    values : array-like of shape (n_rounds,) or (n_seeds, n_rounds)
        Accuracy at these rounds. Several seeds are averaged first.
    level : float
        The accuracy to reach.

    Returns
    -------
    float
        Interpolated as in :func:`label_efficiency`; ``labels[0]`` if the curve starts
        there; nan if it never gets there.

    Examples
    --------
    >>> round(labels_needed([10, 20, 30], [0.5, 0.6, 0.8], 0.7), 6)
    25.0
    """
    labels = _labels(labels)
    curve = _curves(values, labels, "values")
    mean = curve.mean(axis=0) if curve.ndim == 2 else curve
    return _labels_needed(labels, np.maximum.accumulate(mean), level)


def _labels_needed(labels: np.ndarray, rising: np.ndarray, level: float) -> float:
    """Labels at which a non-decreasing curve reaches the level, or nan."""
    if rising[-1] < level:
        return np.nan
    i = int(np.argmax(rising >= level))
    if i == 0:
        return float(labels[0])
    part = (level - rising[i - 1]) / (rising[i] - rising[i - 1])
    return float(labels[i - 1] + part * (labels[i] - labels[i - 1]))


def area_under_curve(labels: Any, values: Any) -> Any:
    """Mean height of a learning curve, by the trapezoidal rule.

    integral of values over labels / (labels[-1] - labels[0])

    Parameters
    ----------
    labels : array-like of shape (n_rounds,)
        Number of labels at each round, increasing; at least two rounds.
    values : array-like of shape (n_rounds,) or (n_seeds, n_rounds)
        Accuracy, or another score, at these rounds.

    Returns
    -------
    float or ndarray of shape (n_seeds,)
        In the range of the values: an area of 0.8 is an accuracy of 0.8 on average
        over the labels spent.

    Examples
    --------
    >>> area_under_curve([10, 20, 40], [0.5, 0.7, 0.9])
    0.7333333333333333
    """
    labels = _labels(labels)
    if len(labels) < 2:
        raise ValueError("an area needs at least two rounds")
    curve = _curves(values, labels, "values")
    heights = (curve[..., 1:] + curve[..., :-1]) / 2
    area = (heights * np.diff(labels)).sum(axis=-1) / (labels[-1] - labels[0])
    return float(area) if curve.ndim == 1 else area


class Interval(NamedTuple):
    """An estimate and the bounds of its confidence interval.

    Parameters
    ----------
    estimate : float
        The statistic on all seeds.
    low, high : float
        Percentiles of its resamples; nan if there are none.
    """

    estimate: float
    low: float
    high: float


def paired_bootstrap(
    a: Any,
    b: Any,
    statistic: Callable[[np.ndarray, np.ndarray], float] | None = None,
    *,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    random_state: int | np.random.RandomState | None = None,
) -> Interval:
    """Percentile bootstrap over seeds that were run for both a and b.

    Seeds are drawn with replacement, the same ones for both: seed i of `a` and seed i
    of `b` share seed set and data, so that what they have in common cancels [1]_.

    Parameters
    ----------
    a, b : array-like of shape (n_seeds, ...)
        One value or one curve a seed.
    statistic : callable, optional
        ``statistic(a[seeds], b[seeds]) -> float``. By default mean(a) - mean(b).
    confidence : float, default=0.95
        Share of the resamples inside the interval; in (0, 1).
    n_resamples : int, default=2000
        Number of resamples.
    random_state : int, RandomState or None, default=None
        The draw.

    Returns
    -------
    Interval
        ``(estimate, low, high)``: the statistic on all seeds and its percentiles.
        Resamples where it is nan are left out; if all are, low and high are nan. With
        fewer than about eight seeds such intervals are too narrow.

    References
    ----------
    .. [1] B. Efron and R. Tibshirani, An Introduction to the Bootstrap, 1993,
       chapters 8 and 13.

    Examples
    --------
    >>> paired_bootstrap([0.9, 0.8, 0.7], [0.8, 0.7, 0.6], random_state=0).low > 0.09
    True
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.ndim == 0 or b.ndim == 0 or len(a) != len(b) or len(a) == 0:
        raise ValueError(
            "a and b must hold the same seeds, at least one, along their first axis; "
            f"got shapes {a.shape} and {b.shape}"
        )
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be in (0, 1), got {confidence}")
    if statistic is None:
        statistic = _mean_difference
    rng = check_random_state(random_state)
    draws = rng.randint(len(a), size=(n_resamples, len(a)))
    values = np.array([statistic(a[seeds], b[seeds]) for seeds in draws])
    values = values[~np.isnan(values)]
    tail = (1 - confidence) / 2
    low, high = (
        np.quantile(values, [tail, 1 - tail]) if len(values) else (np.nan, np.nan)
    )
    return Interval(float(statistic(a, b)), float(low), float(high))


def _mean_difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(a.mean() - b.mean())


def probe_separability(
    embeddings: Any,
    target: Any,
    *,
    groups: Any = None,
    C: float = 0.01,
    cv: int = 5,
    random_state: int | np.random.RandomState | None = None,
) -> float:
    """How well a linear probe reads a property off embeddings.

    Cross-validated balanced accuracy of standardisation and logistic regression, on a
    sample where all values of the target are equally frequent. The paper argues with
    the separability of the class, of the attribute and of their mismatch [1]_.

    Parameters
    ----------
    embeddings : array-like of shape (n, d)
        One row an example.
    target : array-like of shape (n,)
        The property: class, attribute, or a disambiguating flag.
    groups : array-like of shape (n,), optional
        Group of each example, class x attribute as a rule. If given, the sample is
        balanced over the groups within each value of the target too; otherwise a probe
        for the attribute may read the class where the two go together.
    C : float, default=0.01
        Inverse regularisation strength of the logistic regression.
    cv : int, default=5
        Number of stratified folds.
    random_state : int, RandomState or None, default=None
        Sample and folds.

    Returns
    -------
    float
        In [0, 1]; chance is 1 / (number of values), 0.5 for two.

    Raises
    ------
    ValueError
        If the lengths differ, the target has one value only, or one of its values has
        fewer than `cv` examples left in the balanced sample.

    References
    ----------
    .. [1] A. Tamkin et al., Active Learning Helps Pretrained Models Learn the Intended
       Task, NeurIPS 2022, arXiv:2204.08491.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.RandomState(0)
    >>> target = rng.randint(2, size=200)
    >>> X = rng.normal(size=(200, 5))
    >>> X[:, 0] += 6 * target
    >>> probe_separability(X, target, random_state=0) > 0.95
    True
    """
    X = np.asarray(embeddings)
    (target,) = _columns(target=target)
    cells = np.zeros(len(target), dtype=int) if groups is None else groups
    target, cells = _columns(target=target, groups=cells)
    if X.ndim != 2 or len(X) != len(target):
        raise ValueError(
            f"embeddings must have shape ({len(target)}, d) like the target, got "
            f"{X.shape}"
        )
    rng = check_random_state(random_state)
    values, target = np.unique(target, return_inverse=True)
    if len(values) < 2:
        raise ValueError("the target has one value only: there is nothing to separate")
    # The smallest cell of each value bounds how many balanced rows that value has.
    found = [
        np.unique(cells[target == value], return_counts=True)
        for value in range(len(values))
    ]
    size = min(int(counts.min()) * len(names) for names, counts in found)
    if size < cv:
        raise ValueError(
            f"{size} examples are left for each value of the target once it is "
            f"balanced, fewer than the cv={cv} folds"
        )
    rows = []
    for value, (names, _) in enumerate(found):
        share = np.full(len(names), size // len(names))
        share += np.arange(len(names)) < size % len(names)
        rows += [
            rng.choice(
                np.flatnonzero((target == value) & (cells == name)), n, replace=False
            )
            for name, n in zip(names, share, strict=True)
        ]
    sample = np.concatenate(rows)
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=5000))
    folds = StratifiedKFold(cv, shuffle=True, random_state=rng)
    predicted = cross_val_predict(probe, X[sample], target[sample], cv=folds)
    return float(balanced_accuracy_score(target[sample], predicted))


def _columns(**arrays: Any) -> list[np.ndarray]:
    """Return the arguments as 1-D arrays of one length."""
    columns = {key: np.asarray(values) for key, values in arrays.items()}
    shapes = {column.shape for column in columns.values()}
    if len(shapes) != 1 or len(shapes.pop()) != 1:
        got = ", ".join(f"{key} {column.shape}" for key, column in columns.items())
        raise ValueError(f"need 1-D arrays of one length, got {got}")
    return list(columns.values())


def _flags(values: np.ndarray, key: str) -> np.ndarray:
    """Boolean flags; 0 and 1 pass, row numbers given by mistake do not."""
    if values.ndim != 1 or not np.isin(values, (0, 1)).all():
        raise ValueError(f"{key} must be 1-D boolean flags")
    return values.astype(bool)


def _labels(labels: Any) -> np.ndarray:
    labels = np.asarray(labels, dtype=float)
    if labels.ndim != 1 or len(labels) == 0:
        raise ValueError(f"labels must be 1-D and not empty, got shape {labels.shape}")
    if not (labels[0] > 0 and (np.diff(labels) > 0).all()):
        raise ValueError("labels must be positive and increase from round to round")
    return labels


def _curves(values: Any, labels: np.ndarray, key: str) -> np.ndarray:
    curve = np.asarray(values, dtype=float)
    if curve.ndim not in (1, 2) or curve.size == 0 or curve.shape[-1] != len(labels):
        raise ValueError(
            f"{key} must have shape ({len(labels)},) or (n_seeds, {len(labels)}) like "
            f"labels, got {curve.shape}"
        )
    if not np.isfinite(curve).all():
        raise ValueError(f"{key} holds a value that is not finite")
    return curve
