"""How often `worth_of_labels` holds the truth where that is known.

    python benchmarks/stopping_worth.py [--repeats N]

Simulated labels that are all random, of which some are said to be: they are worth as
many as they are, however many of them are wrong (a wrong label is one of the three
classes at random). And loops of margin sampling on the digits that come with
scikit-learn, with random rows among every ten: the truth is the number of random labels
that gives the same accuracy on the rows that are left, mean of three draws.
"""

from __future__ import annotations

import argparse

import numpy as np
from arguments import count
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from stopping_tables import percent

from modal_pretrain import stopping

SIZES = ((100, 25), (200, 40), (400, 100))  # labels, random ones among them
NOISE = (0.05, 0.2, 0.4, 0.8)
FEATURES = (5, 30)
POOL, FIRST, BATCH = 1200, 20, 10
LOOPS = ((200, 2), (400, 5))  # labels, random ones in a batch


def noisy(y, share, rng, k):
    return np.where(rng.random(len(y)) < share, rng.integers(k, size=len(y)), y)


def simulated(n, features, noise, seed):
    """Return features and labels that are all random."""
    rng = np.random.default_rng([seed, n, features, int(100 * noise)])
    X = rng.normal(size=(n, features))
    y = (X @ rng.normal(size=(features, 3))).argmax(axis=1)
    return X, noisy(y, noise, rng, 3)


def head():
    return LogisticRegression(max_iter=200)


def loop(X, y, n, every, rng):
    """Rows that margin sampling asks about, and which of them are random."""
    chosen, is_random = list(range(FIRST)), [True] * FIRST
    while len(chosen) < n:
        left = np.setdiff1d(np.arange(len(y)), chosen)
        proba = np.sort(head().fit(X[chosen], y[chosen]).predict_proba(X[left]), axis=1)
        margin = proba[:, -1] - proba[:, -2]
        asked = left[np.argsort(margin, kind="stable")[: BATCH - every]]
        drawn = rng.choice(np.setdiff1d(left, asked), every, replace=False)
        chosen += [*asked, *drawn]
        is_random += [False] * len(asked) + [True] * every
    return np.array(chosen), np.array(is_random)


def known(X, y, test, level, rng):
    """Random labels that give an accuracy."""
    sizes = np.unique(np.geomspace(FIRST, POOL, 12).astype(int))
    curve = [
        np.mean(
            [
                head().fit(X[rows], y[rows]).score(*test)
                for rows in (rng.permutation(POOL)[:size] for _ in range(3))
            ]
        )
        for size in sizes
    ]
    rising = np.maximum.accumulate(curve) + 1e-9 * np.arange(len(sizes))
    return np.interp(level, rising, sizes)


def digits(n, every, noise, seed):
    """Return what a loop's labels are found to be worth, and what they are."""
    rng = np.random.default_rng([seed, n])
    X, y = load_digits(return_X_y=True)
    order = rng.permutation(len(y))
    X, y = X[order] / 16, noisy(y[order], noise, rng, 10)
    rows, is_random = loop(X[:POOL], y[:POOL], n, every, rng)
    test = X[POOL:], y[POOL:]
    level = head().fit(X[rows], y[rows]).score(*test)
    truth = known(X[:POOL], y[:POOL], test, level, rng)
    found = stopping.worth_of_labels(head(), X[rows], y[rows], is_random)
    return found, truth


def line(name, answers):
    """Print a row of the table; answers without an estimate do not count."""
    answers = [(found, truth) for found, truth in answers if found.value > 0]
    if not answers:
        return
    tells = [found.tells for found, _ in answers]
    holds = [found.low <= truth <= found.high for found, truth in answers]
    beside = [
        (found.low > found.n_labels >= truth) or (found.high < found.n_labels <= truth)
        for found, truth in answers
    ]
    shares = (percent(np.mean(x)) for x in (holds, tells, beside))
    print("|", " | ".join([name, str(len(answers)), *shares]), "|", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=count, default=40)
    repeats = parser.parse_args().repeats
    print("| labels | answers | interval holds the truth | tells | wrong side |")
    print("|---|---|---|---|---|")
    for noise in NOISE:
        line(
            f"all random, {noise:.0%}".replace("%", " %") + " wrong",
            [
                (
                    stopping.worth_of_labels(
                        head(), *simulated(n, features, noise, seed), np.arange(m)
                    ),
                    n,
                )
                for features in FEATURES
                for n, m in SIZES
                for seed in range(repeats)
            ],
        )
    for n, every in LOOPS:
        for noise in (0, 0.2):
            name = f"digits, {n} labels, {every} of {BATCH} random"
            name += f", {noise:.0%} wrong".replace("%", " %") if noise else ""
            found = [digits(n, every, noise, seed) for seed in range(repeats)]
            line(name, found)


if __name__ == "__main__":
    main()
