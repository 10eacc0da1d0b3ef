"""The strategies as their papers define them, dense and in float64."""

import numpy as np


def distances(a, b):
    return np.sqrt(((a[:, None].astype(float) - b[None].astype(float)) ** 2).sum(2))


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def core_set(x, labelled, k):
    chosen = []
    for _ in range(k):
        centres = np.vstack([labelled, x[chosen]])
        gap = distances(x, centres).min(axis=1)
        gap[chosen] = -1
        chosen.append(int(np.argmax(gap)))
    return chosen


def badge(x, proba, k, order, rng):
    """k-means++ on formed gradients; draws are made as a race of exponentials."""
    onehot = np.eye(proba.shape[1])[proba.argmax(axis=1)]
    gradient = np.einsum("nc,nd->ncd", proba - onehot, x).reshape(len(x), -1)
    chosen = [int(np.argmax((gradient**2).sum(axis=1)))]
    for _ in range(k - 1):
        squared = distances(gradient, gradient[chosen]).min(axis=1) ** 2
        times = np.empty(len(x))
        times[order] = rng.standard_exponential(len(x))
        with np.errstate(divide="ignore"):
            arrival = times / squared
        arrival[chosen] = np.inf
        chosen.append(int(np.argmin(arrival)))
    return chosen


def herding_gains(x, labelled, sigma, weights, chosen):
    """Return what each row would add to the coverage by labelled and chosen rows."""
    kernel = np.exp(-((distances(x, x) / sigma) ** 2))
    best = kernel[chosen].max(axis=0, initial=0)
    if len(labelled):
        known = np.exp(-((distances(x, labelled) / sigma) ** 2))
        best = np.maximum(best, known.max(axis=1))
    gain = (weights * np.maximum(kernel - best, 0)).mean(axis=1)
    gain[chosen] = -1
    return gain


def cover_degrees(x, labelled, delta, chosen):
    """Return how many rows each row would newly cover."""
    edge = distances(x, x) < delta
    covered = edge[chosen].any(axis=0)
    if len(labelled):
        covered |= (distances(x, labelled) < delta).any(axis=1)
    degree = (edge & ~covered).sum(axis=1)
    degree[chosen] = -1
    return degree


def pure_radius(x, labels, alpha, grid):
    """Find the largest radius of the grid at which a share alpha of balls is pure."""
    gap = distances(x, x)
    other = labels[:, None] != labels
    fine = [r for r in grid if 1 - ((gap < r) & other).any(axis=1).mean() >= alpha]
    return max(fine)


def typiclust(x, labelled, labels, k, n_neighbors=20, min_size=5):
    """Follow the authors' select_samples, with distances not squared."""
    n = len(x)
    labels = labels.copy()
    every = np.vstack([x, labelled]) if len(labelled) else x
    ids, first, sizes = np.unique(labels, return_index=True, return_counts=True)
    existing = np.array([(labels[n:] == c).sum() for c in ids])
    order = np.lexsort((first, -sizes, existing))  # ties: our choice
    visits = ids[order][sizes[order] > min_size]
    labels[n:] = -1
    chosen = []
    for i in range(k):
        members = np.flatnonzero(labels == visits[i % len(visits)])
        gap = distances(every[members], every[members])
        q = min(n_neighbors, len(members) // 2)
        near = np.sort(gap, axis=1)[:, 1 : q + 1]
        best = members[np.argmax(1 / (near.mean(axis=1) + 1e-5))]
        chosen.append(int(best))
        labels[best] = -1
    return chosen


def entropy(p):
    return -sum(v * np.log(v) for v in p if v > 0)


def bald(samples):
    members, n, _ = samples.shape
    return np.array(
        [
            entropy(samples[:, i].mean(axis=0))
            - np.mean([entropy(samples[m, i]) for m in range(members)])
            for i in range(n)
        ]
    )


def epig(samples, target):
    """Average over targets the mutual information of the two classes."""
    members, n, n_classes = samples.shape
    out = np.zeros(n)
    for i in range(n):
        for t in range(target.shape[1]):
            joint = (
                sum(np.outer(samples[m, i], target[m, t]) for m in range(members))
                / members
            )
            own, other = joint.sum(axis=1), joint.sum(axis=0)
            for a in range(n_classes):
                for b in range(n_classes):
                    if joint[a, b] > 0:
                        ratio = joint[a, b] / (own[a] * other[b])
                        out[i] += joint[a, b] * np.log(ratio)
    return out / target.shape[1]
