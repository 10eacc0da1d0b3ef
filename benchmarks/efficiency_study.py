"""Labels saved at the backbone's own size: random's over least confidence's, by set.

    python benchmarks/efficiency_study.py OUT [--data DIR] [--seeds N]
        [--sets NAME ...] [--backbone NAME] [--image-size PX] [--cache DIR] [--report]

The loop, the sets and the plain head of disambiguation_study.py. Accuracy on the test
rows after every round is appended to OUT, a CSV file; runs that are there are not
repeated. Prints for each set the label efficiency at random sampling's final accuracy,
with its 95 % bootstrap interval over the seeds, and the accuracies at the end.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

import numpy as np
from disambiguation_sets import BLIND, FIRST, SECOND, samples
from disambiguation_study import (
    ENCODER,
    SETS,
    SETTING,
    embed,
    head,
    of_sets,
    recorded,
    run,
    standardise,
)
from study_records import Layout

from modal_pretrain.metrics import label_efficiency, paired_bootstrap

ROUNDS = 21
STRATEGIES = ("random", "least confidence")
RECORDS = Layout(
    {**ENCODER, "data": str, "strategy": str, "seed": int, **SETTING},
    {"start": ".0f", **{f"round {i}": ".4f" for i in range(ROUNDS)}},
)
LOOP = {"n_seed": 10, "batch": 10, "labels": 200}


def curve(strategy, Z, sample, seed):
    """Return how many labels a loop begins with, and accuracy after each round."""
    found, start = [], []
    y, test = sample.y, sample.test

    def fit(X, labels, rows):
        model = head(X, labels)
        start.append(len(rows))
        found.append((model.predict(Z[test]) == y[test]).mean())
        return model

    run(strategy, Z, sample, None, fit, seed=seed, **LOOP)
    return start[0], found


def run_all(args, wanted):
    """Run what is not in the file yet."""
    done = set(map(RECORDS.key, RECORDS.read(args.out)))
    folder = args.data if args.data.exists() else None
    for data, make in samples(folder, list(wanted)):
        every = [
            {**wanted[data], "strategy": strategy, "seed": seed}
            for strategy, seed in product(STRATEGIES, range(args.seeds))
        ]
        left = [record for record in every if RECORDS.key(record) not in done]
        if left:
            sample = make()
            E = embed(sample, args.backbone, args.image_size, args.cache)
            Z = standardise(E, sample.train)
        for record in left:
            start, found = curve(record["strategy"], Z, sample, record["seed"])
            rounds = {f"round {i}": value for i, value in enumerate(found)}
            RECORDS.append(args.out, [{**record, "start": start, **rounds}])
        print(data, "done", flush=True)


def report(records):
    """Print the table in Markdown."""
    print("\n| data set | label efficiency | random: accuracy at the end | least "
          "confidence |\n" + "|---" * 4 + "|")  # fmt: skip
    for data in dict.fromkeys(r["data"] for r in records):
        of = {
            strategy: sorted(
                (r for r in records if (r["data"], r["strategy"]) == (data, strategy)),
                key=lambda r: r["seed"],
            )
            for strategy in STRATEGIES
        }
        random, ours = (
            np.array([[r[f"round {i}"] for i in range(ROUNDS)] for r in of[strategy]])
            for strategy in STRATEGIES
        )
        labels = of["random"][0]["start"] + LOOP["batch"] * np.arange(ROUNDS)
        found = paired_bootstrap(
            ours,
            random,
            lambda a, b, labels=labels: label_efficiency(labels, a, b),
            random_state=0,
        )
        ends = f"{random[:, -1].mean():.3f} | {ours[:, -1].mean():.3f}"
        print(f"| {data} | {found.estimate:.1f}x ({found.low:.1f}-{found.high:.1f}) | "
              f"{ends} |")  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--sets", nargs="+", default=["first", "second", "blind"],
                        choices=[*SETS, *FIRST, *SECOND, *BLIND])  # fmt: skip
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--image-size", type=int, help="the backbone's own by default")
    parser.add_argument("--cache", help="folder that keeps the embeddings")
    parser.add_argument("--report", action="store_true", help="print, and run nothing")
    args = parser.parse_args()
    names = dict.fromkeys(name for key in args.sets for name in SETS.get(key, [key]))
    wanted = of_sets(names, args.backbone, args.image_size, LOOP)
    if not args.report:
        run_all(args, wanted)
    report(recorded(RECORDS, args.out, wanted))


if __name__ == "__main__":
    main()
