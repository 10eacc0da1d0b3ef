"""Pools with known truth: probabilities of a model, and the labels."""

import numpy as np


def pool(n=1000, sharp=6.0, accuracy=None, seed=0, n_classes=2):
    """Probabilities that are right as often as they say; rows sum to one."""
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.full(n_classes, 1 / sharp), size=n)
    y = np.array([rng.choice(n_classes, p=p) for p in proba])
    return proba, y


def coverage(design, budget, *, n_pools=40, sharp=6.0, distort=1.0):
    """Share of audits that hold the truth, and their mean width.

    `distort` above 1 makes the model too sure of itself, below 1 too modest.
    """
    from modal_pretrain.stopping import draw_audit

    held, widths = [], []
    for seed in range(n_pools):
        proba, y = pool(600, sharp, seed=seed)
        shown = proba**distort
        shown /= shown.sum(axis=1, keepdims=True)
        truth = np.mean(shown.argmax(axis=1) == y)
        audit = draw_audit(shown, budget, design=design, random_state=seed)
        found = audit.estimate(y[audit.rows]).accuracy
        held.append(found.low <= truth <= found.high)
        widths.append(found.high - found.low)
    return np.mean(held), np.mean(widths)
