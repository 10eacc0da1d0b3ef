"""Heads that learn from the exceptions, against the plain head, in the loop.

    python benchmarks/exceptions_study.py OUT [--data DIR] [--seeds N]
        [--sets NAME ...] [--strategies NAME ...] [--heads NAME ...]
        [--backbone NAME] [--image-size PX] [--cache DIR]

The loop, the sets and the strategies of disambiguation_study.py; the head that is
fitted each round, and asks, differs. Every run appends a line to OUT, a CSV file; runs
that are there are not repeated. At the end it prints the areas for the worst group and
for accuracy, with paired differences from least confidence with the plain head on the
same seeds and their 95 % bootstrap intervals.
"""

from __future__ import annotations

import argparse
import csv
import warnings
from functools import partial
from pathlib import Path

import numpy as np
from disambiguation_sets import BLIND, FIRST, SECOND, samples
from disambiguation_study import (
    SETS,
    STRATEGIES,
    embed,
    head,
    interval,
    run,
    standardise,
)
from sklearn.linear_model import LogisticRegression

from modal_pretrain.reweighting import error_weights, tag_weights

COLUMNS = ("data", "strategy", "head", "seed", "accuracy", "worst", "atypical")
BASE = ("least confidence", "plain")


def weighted(X, y, weight):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return LogisticRegression(C=0.01, max_iter=300).fit(X, y, sample_weight=weight)


def plain(sample):
    return lambda X, y, rows: head(X, y)


def errors(sample, strength=4.0):
    # scikit-learn's binary head with C is the classifier's with C / 2.
    C = 0.01 if len(np.unique(sample.y)) > 2 else 0.005

    def fit(X, y, rows):
        return weighted(X, y, error_weights(X, y, strength=strength, C=C))

    return fit


def tags(sample, n_tagged=None):
    """Tag the labelled rows, or the first so many, with the attribute."""
    C = 0.01 if len(np.unique(sample.y)) > 2 else 0.005

    def fit(X, y, rows):
        known = sample.attribute[rows].astype(object)
        if n_tagged is not None:
            known[n_tagged:] = None
        return weighted(X, y, tag_weights(X, y, known, C=C).weight)

    return fit


HEADS = {
    "plain": plain,
    "errors": errors,
    "tags:30": partial(tags, n_tagged=30),
    "tags:all": tags,
}


def read(path):
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["seed"] = int(row["seed"])
        row.update({key: float(row[key]) for key in COLUMNS[4:]})
    return rows


def append(path, record):
    new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(COLUMNS)
        numbers = [f"{record[key]:.4f}" for key in COLUMNS[4:]]
        writer.writerow([record[key] for key in COLUMNS[:4]] + numbers)


def report(records, metric):
    """Print the table of a metric in Markdown: set by set, strategy and head by row."""
    sets = list(dict.fromkeys(r["data"] for r in records))
    kinds = list(dict.fromkeys((r["strategy"], r["head"]) for r in records))

    def of(data, kind):
        return {
            r["seed"]: r[metric]
            for r in records
            if r["data"] == data and (r["strategy"], r["head"]) == kind
        }

    print(f"\nArea under the curve: {metric}\n")
    print("| strategy, head | " + " | ".join(sets) + " |\n" + "|---" * (len(sets) + 1))
    for kind in kinds:
        cells = []
        for data in sets:
            value, base = of(data, kind), of(data, BASE)
            both = sorted(value.keys() & base.keys())
            if not both:
                cells.append("")
                continue
            difference = np.array([value[s] - base[s] for s in both])
            if kind == BASE:
                cells.append(f"{np.mean([base[s] for s in both]):.3f}")
                continue
            low, high = interval(difference)
            mean = difference.mean()
            cells.append(f"{mean:+.3f} [{low:+.3f}, {high:+.3f}] ({len(both)})")
        print(f"| {kind[0]}, {kind[1]} | " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--n-seed", type=int, default=10)
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--labels", type=int, default=200)
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES,
                        default=["least confidence", "disambiguation"])  # fmt: skip
    parser.add_argument("--heads", nargs="+", choices=HEADS, default=list(HEADS))
    parser.add_argument("--sets", nargs="+", default=["named"],
                        choices=[*SETS, *FIRST, *SECOND, *BLIND])  # fmt: skip
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--image-size", type=int, help="the backbone's own by default")
    parser.add_argument("--cache", help="folder that keeps the embeddings")
    args = parser.parse_args()
    records = read(args.out)
    done = {tuple(r[key] for key in COLUMNS[:4]) for r in records}
    setting = {"n_seed": args.n_seed, "batch": args.batch, "labels": args.labels}
    names = [name for key in args.sets for name in SETS.get(key, [key])]
    folder = args.data if args.data.exists() else None
    for data, make in samples(folder, list(dict.fromkeys(names))):
        sample = make()
        E = embed(sample, args.backbone, args.image_size, args.cache)
        Z = standardise(E, sample.train)
        for seed in range(args.seeds):
            for strategy in args.strategies:
                for name in args.heads:
                    key = (data, strategy, name, seed)
                    if key in done:
                        continue
                    fit = HEADS[name](sample)
                    areas = run(strategy, Z, sample, None, fit, seed=seed, **setting)
                    record = dict(zip(COLUMNS, key, strict=False)) | areas
                    records.append(record)
                    append(args.out, record)
        print(data, "done", flush=True)
    for metric in ("worst", "accuracy"):
        report(records, metric)


if __name__ == "__main__":
    main()
