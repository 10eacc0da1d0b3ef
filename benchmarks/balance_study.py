"""What tags gain for the worst group, and what that costs elsewhere and in answers.

    python benchmarks/balance_study.py OUT [--data DIR] [--seeds N]
        [--sets NAME ...] [--backbone NAME] [--image-size PX] [--cache DIR] [--report]

The loop of disambiguation_study.py. Least confidence asks with the head that knows the
tags of all labelled rows; each round, heads of every `group_balance` are fitted to the
rows labelled so far, so that they differ in nothing else. A second loop asks with the
plain head. Scores: accuracy on the pool's own mixture (test rows weigh so that the
groups have the pool's shares) and for the worst group; areas under the curves, and
what 60 and 120 labels give. Runs that are in OUT, a CSV file, are not repeated. At the
end, and with ``--report`` without running anything, it prints what OUT has, whichever
backbone the options name: differences from the plain head on the same rows, with 95 %
bootstrap intervals over the seeds; and 60 labels with 60 tags next to 120 labels, each
with rows of its own asking.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from disambiguation_study import groups_of, interval, run
from scipy.special import softmax
from study_records import Layout
from study_runs import DEFAULTS, ENCODER, options, unfinished, wanted_by

from modal_pretrain._blas import one_thread
from modal_pretrain.reweighting import tag_weights
from modal_pretrain.reweighting.logistic import fit_head

BALANCES = (0.0, 0.25, 0.5, 0.75, 1.0)
AT = (60, 120)
KINDS = ("pool", "worst")
SCORES = (*KINDS, *(f"{kind} at {n}" for n in AT for kind in KINDS))
RUN = (*ENCODER, "data", "asks", "seed")
RECORDS = Layout(
    {**ENCODER, "data": str, "asks": int, "balance": float, "seed": int},
    dict.fromkeys(SCORES, ".4f"),
    run=RUN,
)
STUDIED = (
    "roadwater 0.95", "cat/dog on places", "4 classes on places", "car/truck, blurred",
    "digits, colour", "4 classes, 4 frames", "3 classes, 3 tints", "shapes 3 x 3 0.95",
)  # fmt: skip


class Span:
    """The span of rows X, in which their logistic heads live."""

    def __init__(self, X):
        self.dtype, X = X.dtype, X.astype(np.float64)
        values, vectors = np.linalg.eigh(X @ X.T)
        kept = values > values[-1] * 1e-12
        root = np.sqrt(values[kept])
        self.coordinates = vectors[:, kept] * root
        self.back = X.T @ (vectors[:, kept] / root)

    def fit(self, y, n_classes, C, weight):
        inner = fit_head(self.coordinates, y, n_classes, C=C, weight=weight)
        weights = self.back @ inner.weights
        return Linear(weights.astype(self.dtype), inner.bias.astype(self.dtype))


class Linear(NamedTuple):
    """A logistic head."""

    weights: np.ndarray
    bias: np.ndarray

    def predict_proba(self, X):
        return softmax(X @ self.weights + self.bias, axis=1)

    def predict(self, X):
        return self.predict_proba(X).argmax(axis=1)


class Scores:
    """Accuracy on the pool's mixture and for the worst group, of test rows."""

    def __init__(self, Z, sample):
        groups = groups_of(sample)
        self.Z, self.y, self.groups = (x[sample.test] for x in (Z, sample.y, groups))
        share = np.bincount(groups[sample.train], minlength=groups.max() + 1)
        weight = (share / np.maximum(np.bincount(self.groups), 1))[self.groups]
        self.weight = weight / weight.sum()

    def __call__(self, model):
        right = model.predict(self.Z) == self.y
        worst = min(right[self.groups == g].mean() for g in np.unique(self.groups))
        return right @ self.weight, worst


def curves(Z, sample, asks, *, seed, **setting):
    """Run a loop; give the curves of each balance, and how many labels they are at."""
    n_classes = int(sample.y.max()) + 1
    # scikit-learn's binary head with C is the classifier's with C / 2.
    C = 0.01 if n_classes > 2 else 0.005
    scores, at = Scores(Z, sample), []
    found = {balance: [] for balance in (BALANCES if asks else (0.0,))}

    def fit(X, y, rows):
        at.append(len(rows))
        span, weight = Span(X), np.ones(len(rows))
        known = sample.attribute[rows]
        for balance, curve in found.items():
            if balance:
                weight = tag_weights(X, y, known, balance=balance, C=C).weight
            model = span.fit(y, n_classes, C, weight)
            curve.append(scores(model))
        return model  # the last one asks

    with one_thread():
        run("least confidence", Z, sample, None, fit, seed=seed, **setting)
    return {b: np.array(curve) for b, curve in found.items()}, np.array(at)


def points(curve, at):
    """Return areas under the curves, and their points at `AT`."""
    which = [curve[np.flatnonzero(at == n)[0]] for n in AT]
    return np.concatenate([curve.mean(axis=0), *which])


def difference(records, one, other):
    """Return two scores' differences between (asks, balance, suffix), by seed."""
    values = []
    for asks, balance, suffix in (one, other):
        rows = [r for r in records if (r["asks"], r["balance"]) == (asks, balance)]
        values.append({r["seed"]: [r[kind + suffix] for kind in KINDS] for r in rows})
    both = sorted(values[0].keys() & values[1].keys())
    return np.array([np.subtract(values[0][k], values[1][k]) for k in both])


def cell(differences):
    """Write the mean of each score's differences, with intervals."""
    parts = []
    for column in differences.T:
        low, high = interval(column)
        parts.append(f"{column.mean():+.3f} [{low:+.3f}, {high:+.3f}]")
    return " | ".join(parts)


def overall(found):
    """Return the mean over sets of differences, and how many are below and above 0."""
    ends = np.array([[interval(column) for column in d.T] for d in found])
    mean = np.mean([d.mean(axis=0) for d in found], axis=0)
    return mean, (ends[:, :, 1] < 0).sum(axis=0), (ends[:, :, 0] > 0).sum(axis=0)


def report(records):
    """Print the tables in Markdown."""

    def encoder(record):
        return record["backbone"], record["image size"]

    for backbone, size in dict.fromkeys(map(encoder, records)):
        mine = [r for r in records if encoder(r) == (backbone, size)]
        by_set = {}
        for r in mine:
            by_set.setdefault(r["data"], []).append(r)
        seeds = len({r["seed"] for r in mine})
        name = f"{backbone}, {size} px" if size else backbone
        print(f"\n{name}, {len(by_set)} sets, {seeds} seeds: areas\n")
        print(
            "| group_balance | pool's mixture | below | worst group | below | above |"
        )
        print("|---|---|---|---|---|---|")
        for balance in BALANCES[1:]:
            found = [difference(rows, (1, balance, ""), (1, 0, ""))
                     for rows in by_set.values()]  # fmt: skip
            mean, below, above = overall(found)
            print(f"| {balance:g} | {mean[0]:+.4f} | {below[0]} | {mean[1]:+.4f} | "
                  f"{below[1]} | {above[1]} |")  # fmt: skip
        print("\n| data set | plain: pool, worst | balance 0.5: pool | worst | "
              "balance 1: pool | worst |\n" + "|---" * 6 + "|")  # fmt: skip
        for data, rows in by_set.items():
            base = [r for r in rows if (r["asks"], r["balance"]) == (1, 0)]
            pool, worst = (np.mean([r[key] for r in base]) for key in KINDS)
            cells = [cell(difference(rows, (1, b, ""), (1, 0, ""))) for b in (0.5, 1)]
            print(f"| {data} | {pool:.3f}, {worst:.3f} | {' | '.join(cells)} |")
        print("\n| data set | 120 labels: pool, worst | 60 labels + 60 tags: pool | "
              "worst |\n" + "|---" * 4 + "|")  # fmt: skip
        every = []
        for data, rows in by_set.items():
            base = [r for r in rows if (r["asks"], r["balance"]) == (0, 0)]
            pool, worst = (np.mean([r[f"{key} at 120"] for r in base]) for key in KINDS)
            every.append(difference(rows, (1, 1, " at 60"), (0, 0, " at 120")))
            print(f"| {data} | {pool:.3f}, {worst:.3f} | {cell(every[-1])} |")
        mean, below, above = overall(every)
        print(f"| mean; below / above | | {mean[0]:+.3f}; {below[0]} / {above[0]} | "
              f"{mean[1]:+.3f}; {below[1]} / {above[1]} |")  # fmt: skip


def run_all(args, wanted):
    """Run what is not in the file yet."""
    kinds = [
        {"asks": asks, "seed": seed} for asks in (0, 1) for seed in range(args.seeds)
    ]
    for sample, Z, runs in unfinished(args, RECORDS, wanted, kinds):
        for key in runs:
            asks, seed = key["asks"], key["seed"]
            found, at = curves(Z, sample, asks, seed=seed, **DEFAULTS)
            fresh = [
                {**key, "balance": balance}
                | dict(zip(SCORES, points(curve, at), strict=True))
                for balance, curve in found.items()
            ]
            RECORDS.append(args.out, fresh)


def main():
    args = options(__doc__, sets=STUDIED, seeds=8).parse_args()
    if not args.report:
        run_all(args, wanted_by(args, {}))
    records = RECORDS.read(args.out)
    if not records:
        raise SystemExit(f"{args.out} has no records. Without --report, runs are made.")
    report(records)


if __name__ == "__main__":
    main()
