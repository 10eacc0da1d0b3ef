"""Heads that learn from the exceptions, against the plain head, in the loop.

    python benchmarks/exceptions_study.py OUT [--data DIR] [--seeds N]
        [--sets NAME ...] [--strategies NAME ...] [--heads NAME ...]
        [--backbone NAME] [--image-size PX] [--cache DIR] [--report]
        [--against STRATEGY HEAD]

The loop, the sets and the strategies of disambiguation_study.py; the head that is
fitted each round, and asks, differs. Every run appends a line to OUT, a CSV file; runs
that are there are not repeated. A run of another backbone, size of pictures, seed set,
batch or number of labels is another run.

At the end, and with ``--report`` without running anything, it prints what OUT has of
that backbone, size and setting on the sets that are named: the areas for the worst
group and for accuracy, with paired differences from least confidence with the plain
head on the same seeds and their 95 % bootstrap intervals, and a summary over the sets:
the gain pooled over them, and the share closed of the gap to the oracle with the plain
head. Heads that were run on some of the sets only have tables of their own, over these
sets alone, beside all that were run there. ``--against`` compares with another strategy
and head than least confidence and plain; the gap stays the one between these and the
oracle.
"""

from __future__ import annotations

import warnings
from functools import partial
from itertools import product

import numpy as np
from disambiguation_study import METRICS, STRATEGIES, TAGGED, head, interval, run
from sklearn.linear_model import LogisticRegression
from study_records import Layout
from study_runs import (
    ENCODER,
    SETTING,
    add_setting,
    options,
    recorded,
    unfinished,
    wanted_by,
)

from modal_pretrain.reweighting import error_weights, tag_weights

RECORDS = Layout(
    {**ENCODER, "data": str, "strategy": str, "head": str, "seed": int, **SETTING},
    dict.fromkeys(METRICS, ".4f"),
)
BASE = ("least confidence", "plain")
ORACLE = ("oracle", "plain")


def weighted(X, y, weight):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return LogisticRegression(C=0.01, max_iter=300).fit(X, y, sample_weight=weight)


def plain(sample, seed):
    return lambda X, y, rows: head(X, y)


def errors(sample, seed, strength=4.0):
    # scikit-learn's binary head with C is the classifier's with C / 2.
    C = 0.01 if len(np.unique(sample.y)) > 2 else 0.005

    def fit(X, y, rows):
        return weighted(X, y, error_weights(X, y, strength=strength, C=C))

    return fit


def some_wrong(tags, share, seed):
    """Give a share of the tags, drawn at random, another of their values at random."""
    rng = np.random.default_rng([seed, 1])
    values, codes = np.unique(tags, return_inverse=True)
    wrong = rng.random(len(codes)) < share
    return values[
        (codes + wrong * rng.integers(1, len(values), len(codes))) % len(values)
    ]


def tags(sample, seed, n_tagged=None, wrong=0.0):
    """Tag the labelled rows, or the first so many, with the attribute.

    Where the tags do not mislead, the head is that of errors:2.
    """
    C = 0.01 if len(np.unique(sample.y)) > 2 else 0.005
    said = some_wrong(sample.attribute, wrong, seed)

    def known(rows):
        found = said[rows].astype(object)
        if n_tagged is not None:
            found[n_tagged:] = None
        return found

    def fit(X, y, rows):
        found = tag_weights(X, y, known(rows), C=C, otherwise="errors")
        return weighted(X, y, found.weight)

    fit.tags = known  # for strategies that go by them
    return fit


HEADS = {
    "plain": plain,
    "errors:2": partial(errors, strength=2.0),
    "errors:4": errors,
    "tags:30": partial(tags, n_tagged=30),
    "tags:all": tags,
    "tags:all, 10 % wrong": partial(tags, wrong=0.1),
    "tags:all, 20 % wrong": partial(tags, wrong=0.2),
}


def paired(records, data, kind, metric, against=BASE):
    """Return areas of a kind and of another, on the seeds that both have."""
    value, base = (
        {
            r["seed"]: r[metric]
            for r in records
            if r["data"] == data and (r["strategy"], r["head"]) == of
        }
        for of in (kind, against)
    )
    both = sorted(value.keys() & base.keys())
    return np.array([[value[seed], base[seed]] for seed in both]).reshape(-1, 2).T


def report(records, metric, against=BASE):
    """Print the table of a metric in Markdown: kinds set by set."""
    sets = list(dict.fromkeys(r["data"] for r in records))
    kinds = list(dict.fromkeys((r["strategy"], r["head"]) for r in records))
    print(f"\nArea under the curve: {metric}\n")
    titles = [", ".join(kind) for kind in kinds]
    print("| data set | " + " | ".join(titles) + " |\n" + "|---" * (len(kinds) + 1))
    for data in sets:
        cells = []
        for kind in kinds:
            value, base = paired(records, data, kind, metric, against)
            if not len(base):
                cells.append("")
            elif kind == against:
                cells.append(f"{base.mean():.3f}")
            else:
                low, high = interval(value - base)
                mean = (value - base).mean()
                cells.append(f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]")
        print(f"| {data} | " + " | ".join(cells) + " |")


def summary(records, against=BASE):
    """Print in Markdown what each kind gains over all sets that it was run on."""
    kinds = list(dict.fromkeys((r["strategy"], r["head"]) for r in records))
    sets = list(dict.fromkeys(r["data"] for r in records))
    print(f"\nAgainst {against[0]} with the {against[1]} head\n")
    print("| strategy, head | sets, seeds | worst group: gain | gap closed | below / "
          "above | accuracy | below / above |\n" + "|---" * 7 + "|")  # fmt: skip
    for kind in kinds:
        if kind == against:
            continue
        leads, bases, rooms, seeds = [], [], [], set()
        counts = np.zeros((2, 2), dtype=int)
        for data in sets:
            for i, metric in enumerate(("worst", "accuracy")):
                value, base = paired(records, data, kind, metric, against)
                if not len(base):
                    break
                low, high = interval(value - base)
                counts[i] += high < 0, low > 0
                leads.append((value - base).mean())
                bases.append(base.mean())
                seeds.add(len(base))
                top = paired(records, data, ORACLE, metric)
                rooms.append((top[0] - top[1]).mean() if top.size else np.nan)
        if not leads:  # records of another file have the base
            continue
        lead, base, room = (np.array(x).reshape(-1, 2).T for x in (leads, bases, rooms))
        print(
            f"| {', '.join(kind)} | {len(lead[0])}, {min(seeds)} | "
            f"{100 * lead[0].sum() / base[0].sum():+.1f} % | "
            f"{100 * lead[0].sum() / room[0].sum():+.0f} % | "
            f"{counts[0, 0]} / {counts[0, 1]} | {lead[1].mean():+.4f} | "
            f"{counts[1, 0]} / {counts[1, 1]} |"
        )


def by_sets(records):
    """Split into tables of kinds that were run on the same sets, the widest first.

    Each has all kinds that were run on all of its sets, which compare there.
    """
    sets_of = {}
    for r in records:
        sets_of.setdefault((r["strategy"], r["head"]), set()).add(r["data"])
    distinct = dict.fromkeys(map(frozenset, sets_of.values()))
    for sets in sorted(distinct, key=len, reverse=True):
        kinds = {kind for kind, own in sets_of.items() if own >= sets}
        yield [
            r
            for r in records
            if r["data"] in sets and (r["strategy"], r["head"]) in kinds
        ]


def run_all(args, wanted):
    """Run what is not in the file yet."""
    kinds = [
        {"strategy": strategy, "head": name, "seed": seed}
        for strategy, name, seed in product(
            args.strategies, args.heads, range(args.seeds)
        )
    ]
    for sample, Z, runs in unfinished(args, RECORDS, wanted, kinds):
        for record in runs:
            strategy, seed = record["strategy"], record["seed"]
            fit = HEADS[record["head"]](sample, seed)
            setting = {key: record[key] for key in SETTING}
            record |= run(strategy, Z, sample, None, fit, seed=seed, **setting)
            RECORDS.append(args.out, [record])


def main():
    parser = options(__doc__)
    add_setting(parser)
    parser.add_argument("--strategies", nargs="+", choices=[*STRATEGIES, *TAGGED],
                        default=["least confidence", "disambiguation"])  # fmt: skip
    parser.add_argument("--heads", nargs="+", choices=HEADS, default=list(HEADS))
    parser.add_argument("--against", nargs=2, default=BASE,
                        metavar=("STRATEGY", "HEAD"), help=", ".join(BASE))  # fmt: skip
    args = parser.parse_args()
    wanted = wanted_by(args)
    if not args.report:
        run_all(args, wanted)
    against = tuple(args.against)
    found = recorded(RECORDS, args.out, wanted)
    kinds = dict.fromkeys((r["strategy"], r["head"]) for r in found)
    if against not in kinds:
        raise SystemExit(
            f"{args.out} has no runs of {', '.join(against)} here to compare with. It "
            f"has, for --against: {'; '.join(map(', '.join, kinds))}."
        )
    for part in by_sets(found):
        if against in {(r["strategy"], r["head"]) for r in part}:
            for metric in ("worst", "accuracy"):
                report(part, metric, against)
            summary(part, against)


if __name__ == "__main__":
    main()
