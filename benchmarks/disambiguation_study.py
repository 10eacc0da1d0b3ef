"""Rerun the study of disambiguation-aware strategies.

    python benchmarks/disambiguation_study.py OUT [--data DIR] [--seeds N]
        [--sets NAME ...] [--strategies NAME ...] [--figure FILE]

NAME of a set: one of disambiguation_sets.py, or named (the default), first, second or
blind for several of them.

Frozen pretrained embeddings, a logistic head fitted again each round, a seed set
balanced by class, a fixed batch. Every run appends one JSON line to OUT; runs that are
there are not repeated. At the end it prints, for each data set, the area under the
worst-group-accuracy curve and its paired difference from least confidence with a 95 %
bootstrap interval.
"""

from __future__ import annotations

import argparse
import inspect
import json
import warnings
from pathlib import Path

import numpy as np
from disambiguation_ceilings import (
    attribute_sampling,
    group_posterior,
    informed_sampling,
)
from disambiguation_sets import BLIND, FIRST, NAMED, SECOND, samples
from sklearn.linear_model import LogisticRegression

from modal_pretrain import TimmEncoder, query

SETS = {"named": NAMED, "first": FIRST, "second": SECOND, "blind": BLIND}
STRATEGIES = {
    "random": "random_sampling",
    "least confidence": "least_confidence_sampling",
    "badge": "badge_sampling",
    "k-center": "core_set_sampling",
    "TypiClust": "typiclust_sampling",
    "max herding": "max_herding_sampling",
    "uncertainty herding": "uncertainty_herding_sampling",
    "DropQuery": "drop_query_sampling",
    "CLUE": "clue_sampling",
    "ranked batch": "ranked_batch_sampling",
    "atypicality": "atypicality_sampling",
    "probes": "orthogonal_probe_sampling",
    "early-late": "early_late_sampling",
    "divdis": "divdis_sampling",
    "pseudo-groups": "pseudo_group_sampling",
    "disambiguation": "disambiguation_sampling",
    "oracle": "group_balanced_sampling",
}
# These know the pool's labels or attributes; run when asked for by name.
CEILINGS = {"informed": informed_sampling, "attribute known": attribute_sampling}


def head(X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return LogisticRegression(C=0.01, max_iter=300).fit(X, y)


def embed(sample):
    if sample.text:
        from modal_pretrain import TextEncoder

        encoder = TextEncoder()
    else:
        encoder = TimmEncoder(image_size=96)
    return np.asarray(encoder.fit_transform(sample.X), dtype=np.float32)


def standardise(E, train):
    return (E - E[train].mean(axis=0)) / (E[train].std(axis=0) + 1e-6)


def groups_of(sample):
    return sample.y * (sample.attribute.max() + 1) + sample.attribute


def run(name, Z, sample, posterior=None, *, seed, n_seed, batch, labels):
    """Run one active-learning loop; give the accuracies of each round."""
    _, y, a, atypical, train, test, _ = sample
    strategy = CEILINGS.get(name) or getattr(query, STRATEGIES[name])
    rng = np.random.default_rng(seed)
    groups = groups_of(sample)
    chosen: list[int] = []
    classes = rng.permutation(np.unique(y))
    for i, c in enumerate(classes):
        of_class = train[y[train] == c]
        # Every other seed starts from typical rows alone, as the paper poses the task.
        if seed % 2:
            of_class = of_class[~atypical[of_class]]
        size = n_seed // len(classes) + (i < n_seed % len(classes))
        chosen += rng.choice(of_class, max(size, 2), replace=False).tolist()
    start, curve = len(chosen), []
    wants = inspect.signature(strategy).parameters
    rare = np.unique(groups[test][atypical[test]])
    while True:
        model = head(Z[chosen], y[chosen])
        right = model.predict(Z[test]) == y[test]
        by_group = {g: right[groups[test] == g].mean() for g in np.unique(groups[test])}
        curve.append(
            {
                "n": len(chosen),
                "accuracy": round(float(right.mean()), 4),
                "worst": round(float(min(by_group.values())), 4),
                "atypical": round(float(np.mean([by_group[g] for g in rare])), 4),
            }
        )
        if len(chosen) >= start + labels:
            break
        pool = np.setdiff1d(train, chosen)
        known = {
            "X_labelled": Z[chosen],
            "y_labelled": y[chosen],
            "groups": groups[pool],
            "groups_labelled": groups[chosen],
            "attributes": a[pool],
            "posterior": None if posterior is None else posterior[pool],
        }
        extra = {key: value for key, value in known.items() if key in wants}
        k = min(batch, len(pool))
        idx, _ = strategy(model, Z[pool], k, random_state=seed, **extra)
        chosen += pool[idx].tolist()
    return {"curve": curve, "share": float(atypical[chosen[start:]].mean())}


def interval(difference, n=10_000):
    rng = np.random.default_rng(0)
    means = rng.choice(difference, (n, len(difference))).mean(axis=1)
    return np.percentile(means, [2.5, 97.5])


def areas(records, data, strategy, metric):
    """Return the area under each seed's curve."""
    of = [r for r in records if (r["data"], r["strategy"]) == (data, strategy)]
    of.sort(key=lambda r: r["seed"])
    return np.array([np.mean([c[metric] for c in r["curve"]]) for r in of])


def report(records, metric):
    print(f"\n## area under the curve: {metric}\n")
    for data in dict.fromkeys(r["data"] for r in records):
        base = areas(records, data, "least confidence", metric)
        top = areas(records, data, "oracle", metric)
        of_data = [r for r in records if r["data"] == data]
        for strategy in dict.fromkeys(r["strategy"] for r in of_data):
            value = areas(records, data, strategy, metric)
            low, high = interval(value - base)
            gain, room = value.mean() - base.mean(), top.mean() - base.mean()
            # A share of next to nothing says nothing.
            gap = f"{100 * gain / room:+.0f} %" if room > 0.005 else "-"
            print(
                f"{data:22s} {strategy:18s} {value.mean():.3f}  "
                f"{gain:+.3f} [{low:+.3f}, {high:+.3f}]  "
                f"gap closed {gap}"
            )


def figure(records, path):
    """Draw what each strategy gains over least confidence, set by set."""
    from matplotlib.figure import Figure

    sets = list(dict.fromkeys(r["data"] for r in records))
    names = list(dict.fromkeys(r["strategy"] for r in records))
    names.remove("least confidence")
    drawing = Figure(figsize=(8, 0.5 + 0.27 * len(sets) * len(names) / 2), dpi=150,
                     layout="constrained")  # fmt: skip
    colours = {"random": "#a8a29e", "oracle": "#1c1917", "disambiguation": "#d55e00"}
    rest = iter(("#0072b2", "#007a59", "#a8497f", "#9a6700", "#5b4bb5", "#64748b"))
    for name in names:
        colours.setdefault(name, next(rest, "#64748b"))
    grid = drawing.subplots((len(sets) + 1) // 2, 2, sharex=True, squeeze=False)
    for axes in grid.flat[len(sets) :]:
        axes.remove()
    for data, axes in zip(sets, grid.flat, strict=False):
        base = areas(records, data, "least confidence", "worst")
        for i, name in enumerate(names):
            difference = areas(records, data, name, "worst") - base
            low, high = interval(difference)
            axes.plot([low, high], [i, i], color=colours[name], linewidth=2)
            axes.plot(difference.mean(), i, "o", color=colours[name], markersize=5)
        axes.axvline(0, color="#78716c", linewidth=0.8)
        axes.set_yticks(range(len(names)), names, fontsize=7.5)
        axes.invert_yaxis()
        axes.set_title(data, loc="left", fontsize=9)
        axes.tick_params(axis="x", labelsize=7.5)
        axes.spines[["top", "right", "left"]].set_visible(False)
    drawing.supxlabel("area under the worst-group accuracy, less least confidence's",
                      fontsize=9)  # fmt: skip
    drawing.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--n-seed", type=int, default=10)
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--labels", type=int, default=200)
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES))
    parser.add_argument("--sets", nargs="+", default=["named"])
    parser.add_argument("--figure", help="where to draw what is gained")
    args = parser.parse_args()
    records = []
    if args.out.exists():
        records = [json.loads(line) for line in args.out.read_text().splitlines()]
    setting = {"n_seed": args.n_seed, "batch": args.batch, "labels": args.labels}
    done = {json.dumps([r["data"], r["strategy"], r["seed"], r["setting"]])
            for r in records}  # fmt: skip
    folder = args.data if args.data.exists() else None
    names = [name for key in args.sets for name in SETS.get(key, [key])]
    for data, sample in samples(folder, names):
        Z = posterior = None
        for seed in range(args.seeds):
            for strategy in args.strategies:
                if json.dumps([data, strategy, seed, setting]) in done:
                    continue
                if Z is None:
                    Z = standardise(embed(sample), sample.train)
                if posterior is None and strategy == "informed":
                    train, groups = sample.train, groups_of(sample)
                    posterior = np.zeros((len(Z), groups.max() + 1))
                    found = group_posterior(Z[train], groups[train], groups.max() + 1)
                    posterior[train] = found
                record = run(strategy, Z, sample, posterior, seed=seed, **setting)
                record = {"data": data, "strategy": strategy, "seed": seed,
                          "setting": setting, **record}  # fmt: skip
                records.append(record)
                with args.out.open("a", encoding="utf-8") as file:
                    line = json.dumps(record, separators=(",", ":"))
                    file.write(line + "\n")
        print(data, "done", flush=True)
    of_setting = [
        r
        for r in records
        if r["setting"] == setting
        and r["strategy"] in args.strategies
        and r["data"] in names
    ]
    if {"least confidence", "oracle"} <= {r["strategy"] for r in of_setting}:
        for metric in ("worst", "atypical", "accuracy"):
            report(of_setting, metric)
        if args.figure:
            figure(of_setting, args.figure)


if __name__ == "__main__":
    main()
