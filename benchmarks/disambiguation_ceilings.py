"""What choosing rows could gain at most: selections that know more than any user does.

Both balance the labels over class x attribute, as the oracle does, but only the oracle
knows the class of a row before it asks.
"""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold


def informed_sampling(
    classifier, X, n_instances=1, *, random_state, groups_labelled, posterior
):
    """Choose by appearance, as well as all labels and attributes of the pool teach.

    `posterior` holds the probability of each group for each row, see `group_posterior`.
    """
    return balance(posterior, groups_labelled, n_instances)


def attribute_sampling(
    classifier, X, n_instances=1, *, random_state, groups_labelled, attributes
):
    """Know the attribute of every row, and of its class what the classifier says."""
    proba = classifier.predict_proba(X)
    n_attributes = attributes.max() + 1
    posterior = np.zeros((len(proba), proba.shape[1] * n_attributes))
    for c in range(proba.shape[1]):
        posterior[np.arange(len(proba)), c * n_attributes + attributes] = proba[:, c]
    return balance(posterior, groups_labelled, n_instances)


def balance(posterior, groups_labelled, k):
    """Ask k times for the group with the fewest labels: for its most probable row."""
    n_groups = posterior.shape[1]
    there = np.flatnonzero(posterior.sum(axis=0))
    count = np.bincount(groups_labelled, minlength=n_groups).astype(float)
    free = np.ones(len(posterior), dtype=bool)
    chosen, scores = [], []
    for _ in range(k):
        group = there[count[there].argmin()]
        row = int(np.where(free, posterior[:, group], -1).argmax())
        chosen.append(row)
        scores.append(posterior[row, group])
        count += posterior[row]
        free[row] = False
    return np.array(chosen), np.array(scores)


def group_posterior(Z, groups, n_groups, n_components=300, C=0.003):
    """Cross-validate a probe for the groups, balanced over them, on the whole pool.

    Each row is judged by a probe that was fitted to the other four fifths of the pool.
    """
    _, _, axes = np.linalg.svd(Z - Z.mean(axis=0), full_matrices=False)
    coords = Z @ axes[:n_components].T
    posterior = np.zeros((len(Z), n_groups))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for train, test in StratifiedKFold(5, shuffle=True, random_state=0).split(
            coords, groups
        ):
            probe = LogisticRegression(C=C, max_iter=200, class_weight="balanced")
            probe.fit(coords[train], groups[train])
            posterior[np.ix_(test, probe.classes_)] = probe.predict_proba(coords[test])
    return posterior
