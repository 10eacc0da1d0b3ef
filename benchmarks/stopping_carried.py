"""Which way an audit errs that is carried along while hard rows are taken.

Simulated pools of 250 rows in three classes, some of whose labels are noise. An audit
of 40 is drawn for the first model and judges the one that has been taught 120 rows
more, ten times the 12 of which it was least sure; beside it one that is drawn anew for
that model. Run `python benchmarks/stopping_carried.py`.
"""

from __future__ import annotations

import argparse

import numpy as np
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

from modal_pretrain import stopping

ROWS, AUDIT, ROUNDS, BATCH = 250, 40, 10, 12


def off(
    noise: float, design: str, seed: int, anew: bool = False
) -> tuple[float, bool, bool]:
    """Return estimate - truth, and whether the truth is below, above the interval."""
    X, y = make_classification(
        ROWS,
        20,
        n_informative=8,
        n_classes=3,
        n_clusters_per_class=1,
        flip_y=noise,
        class_sep=1.3,
        random_state=seed,
    )
    rng = np.random.default_rng(seed)
    first = [rng.choice(np.flatnonzero(y == k), 2, replace=False) for k in range(3)]
    taught = np.concatenate(first)
    model = LogisticRegression(max_iter=1000).fit(X[taught], y[taught])

    def drawn() -> stopping.Audit:
        return stopping.draw_audit(
            stopping.predict_pool(model, X),
            AUDIT,
            taught=taught,
            design=design,
            random_state=seed,
        )

    audit = drawn()
    for _ in range(ROUNDS):
        pool = np.setdiff1d(np.arange(ROWS), [*taught, *audit.rows])
        sure = model.predict_proba(X[pool]).max(axis=1)
        taught = np.append(taught, pool[np.argsort(sure, kind="stable")[:BATCH]])
        model.fit(X[taught], y[taught])
    if anew:
        audit = drawn()
    now = stopping.predict_pool(model, X)
    found = audit.estimate(y[audit.rows], now, taught=taught).accuracy
    left = audit.left(taught)
    truth = float((model.predict(X[left]) == y[left]).mean())
    near = 1e-9
    return found.value - truth, truth < found.low - near, truth > found.high + near


def main() -> None:
    """Print a row for each share of noise and design."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 0.05, 0.15])
    parser.add_argument("--pools", type=int, default=60)
    args = parser.parse_args()
    print("| labels that are noise | audit | off | truth below | truth above |")
    print("|---|---|---|---|---|")
    audits = (
        ("default", "auto", False),
        ("random", "random", False),
        ("default, drawn anew", "auto", True),
    )
    for noise in args.noise:
        for name, design, anew in audits:
            seen = [off(noise, design, seed, anew) for seed in range(args.pools)]
            bias, below, above = 100 * np.mean(np.array(seen, dtype=float), axis=0)
            print(
                f"| {noise:.0%} | {name} | {bias:+.1f} points | {below:.0f} % | "
                f"{above:.0f} % |",
                flush=True,
            )


if __name__ == "__main__":
    main()
