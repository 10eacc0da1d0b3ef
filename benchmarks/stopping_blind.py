"""How often an audit holds the truth where confidence does not see the errors.

    python benchmarks/stopping_blind.py [--pools N]

The worst that a model can do to an audit that trusts it: sure of itself on nearly all
rows (probabilities from a Dirichlet distribution whose parameters sum to a third
or a half) and wrong on 15 % of them, whatever it says. A random audit, which asks no
confidence, stands beside the default.
"""

from __future__ import annotations

import argparse

import numpy as np
from arguments import count
from stopping_tables import percent

from modal_pretrain import stopping

WRONG = 0.15
POOLS = ((60, 20), (300, 40))  # rows, labels
MODELS = {"2 classes": [1 / 6] * 2, "6 classes": [1 / 12] * 6}


def held(rows, labels, spread, design, pools):
    """Return the shares of audits that hold the truth, and that claim too much."""
    inside, above = [], []
    for seed in range(pools):
        rng = np.random.default_rng(seed)
        proba = np.sort(rng.dirichlet(spread, size=rows))[:, ::-1]
        wrong = (rng.random(rows) < WRONG).astype(int)
        audit = stopping.draw_audit(
            proba, labels, design=design, random_state=np.random.default_rng(seed)
        )
        found = audit.estimate(wrong[audit.rows]).accuracy  # the model says class 0
        truth = 1 - wrong.mean()
        inside.append(found.low <= truth <= found.high)
        above.append(truth < found.low)
    return np.mean(inside), np.mean(above)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pools", type=count, default=250)
    pools = parser.parse_args().pools
    print("| model | pool | labels | default holds | claims too much | random holds |")
    print("|---|---|---|---|---|---|")
    for rows, labels in POOLS:
        for model, spread in MODELS.items():
            default, above = held(rows, labels, spread, "auto", pools)
            random, _ = held(rows, labels, spread, "random", pools)
            shares = map(percent, (default, above, random))
            print("|", " | ".join([model, str(rows), str(labels), *shares]), "|")


if __name__ == "__main__":
    main()
