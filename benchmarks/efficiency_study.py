"""Labels saved at the backbone's own size: random's over least confidence's, by set.

    python benchmarks/efficiency_study.py OUT [--data DIR] [--seeds N]
        [--sets NAME ...] [--backbone NAME] [--image-size PX] [--cache DIR] [--report]

The loop, the sets and the plain head of disambiguation_study.py. Accuracy on the test
rows after every round is appended to OUT, a CSV file; runs that are there are not
repeated. At the end, and with ``--report`` without running anything, it prints for each
set the label efficiency at the lower of the two final accuracies, with its 95 %
bootstrap interval over the seeds that both have, and the accuracies at the end.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from disambiguation_study import head, run
from study_records import Layout
from study_runs import (
    DEFAULTS,
    ENCODER,
    SETTING,
    options,
    recorded,
    unfinished,
    wanted_by,
)

from modal_pretrain.metrics import label_efficiency, paired_bootstrap

ROUNDS = 21
STRATEGIES = ("random", "least confidence")
RECORDS = Layout(
    {**ENCODER, "data": str, "strategy": str, "seed": int, **SETTING},
    {"start": ".0f", **{f"round {i}": ".4f" for i in range(ROUNDS)}},
)


def curve(strategy, Z, sample, seed):
    """Return how many labels a loop begins with, and accuracy after each round."""
    found, start = [], []
    y, test = sample.y, sample.test

    def fit(X, labels, rows):
        model = head(X, labels)
        start.append(len(rows))
        found.append((model.predict(Z[test]) == y[test]).mean())
        return model

    run(strategy, Z, sample, None, fit, seed=seed, **DEFAULTS)
    return start[0], found


def run_all(args, wanted):
    """Run what is not in the file yet."""
    kinds = [
        {"strategy": strategy, "seed": seed}
        for strategy, seed in product(STRATEGIES, range(args.seeds))
    ]
    for sample, Z, runs in unfinished(args, RECORDS, wanted, kinds):
        for record in runs:
            start, found = curve(record["strategy"], Z, sample, record["seed"])
            rounds = {f"round {i}": value for i, value in enumerate(found)}
            RECORDS.append(args.out, [{**record, "start": start, **rounds}])


def report(records):
    """Print the table in Markdown."""
    print("\n| data set | label efficiency | random: accuracy at the end | least "
          "confidence |\n" + "|---" * 4 + "|")  # fmt: skip
    for data in dict.fromkeys(r["data"] for r in records):
        own = [r for r in records if r["data"] == data]
        by_seed = [
            {r["seed"]: r for r in own if r["strategy"] == strategy}
            for strategy in STRATEGIES
        ]
        both = sorted(by_seed[0].keys() & by_seed[1].keys())
        if not both:
            continue
        random, ours = (
            np.array([[of[k][f"round {i}"] for i in range(ROUNDS)] for k in both])
            for of in by_seed
        )
        start = by_seed[0][both[0]]["start"]
        labels = start + DEFAULTS["batch"] * np.arange(ROUNDS)
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
    args = options(__doc__, sets=("first", "second", "blind")).parse_args()
    wanted = wanted_by(args, DEFAULTS)
    if not args.report:
        run_all(args, wanted)
    report(recorded(RECORDS, args.out, wanted))


if __name__ == "__main__":
    main()
