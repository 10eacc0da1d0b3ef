"""Rerun the study of disambiguation-aware strategies.

    python benchmarks/disambiguation_study.py OUT [--data DIR] [--seeds N] [--quick]
        [--sets NAME ...] [--strategies NAME ...] [--figure FILE]

Frozen pretrained embeddings, a logistic head fitted again each round, a seed set
balanced by class, a fixed batch. Every run appends one JSON line to OUT; runs that are
there are not repeated. At the end it prints, for each data set, the area under the
worst-group-accuracy curve and its paired difference from least confidence with a 95 %
bootstrap interval.
"""

from __future__ import annotations

import argparse
import csv
import inspect
import json
import warnings
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from modal_pretrain import TimmEncoder, query
from modal_pretrain.datasets import make_shapes

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


def read(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / name / "metadata.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def thin(train, atypical, rate, seed=0):
    """Drop typical or atypical training rows until `rate` of them are typical."""
    rng = np.random.default_rng(seed)
    odd, usual = train[atypical[train]], train[~atypical[train]]
    n_odd = round(len(usual) * (1 - rate) / rate)
    if n_odd <= len(odd):
        odd = rng.choice(odd, n_odd, replace=False)
    else:
        usual = rng.choice(usual, round(len(odd) * rate / (1 - rate)), replace=False)
    return np.sort(np.r_[odd, usual])


def images(folder: Path | None, quick: bool):
    """Yield (name, pictures or paths, class, attribute, atypical, train, test)."""
    rates = (0.95,) if quick else (0.90, 0.95, 0.98)
    if folder is not None:
        rows = read(folder, "roadwater")
        paths = [str(folder / "roadwater" / r["img_filename"]) for r in rows]
        y = np.array([int(r["y"]) for r in rows])
        a = np.array([int(r["place"]) for r in rows])
        split = np.array([int(r["split"]) for r in rows])
        train, test = np.flatnonzero(split == 0), np.flatnonzero(split == 2)
        for rate in rates:
            part = thin(train, y != a, rate)
            yield f"roadwater {rate:.2f}", paths, y, a, y != a, part, test
        rows = read(folder, "rare_subclasses")
        paths = [str(folder / "rare_subclasses" / r["filename"]) for r in rows]
        y = np.unique([r["target"] for r in rows], return_inverse=True)[1]
        a = np.unique([r["subclass"] for r in rows], return_inverse=True)[1]
        rare = np.array([r["rare"] == "1" for r in rows])
        train = np.array([r["split"] == "train" for r in rows])
        parts = np.flatnonzero(train), np.flatnonzero(~train)
        yield "rare_subclasses", paths, y, a, rare, *parts
    for n_classes, rate in [(2, r) for r in rates] + [(4, 0.95)]:
        data = make_shapes(n_classes=n_classes, match_rate=rate)
        train = np.asarray(data.split) == "train"
        name = f"shapes {n_classes} x {n_classes} {rate:.2f}"
        parts = np.flatnonzero(train), np.flatnonzero(~train)
        y = np.unique(data.y, return_inverse=True)[1]
        a = np.unique(data.attribute, return_inverse=True)[1]
        odd = np.asarray(data.disambiguating)
        yield name, data.X, y, a, odd, *parts


def head(X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return LogisticRegression(C=0.01, max_iter=300).fit(X, y)


def run(name, E, y, a, atypical, train, test, *, seed, n_seed, batch, labels):
    """Run one active-learning loop; give the accuracies of each round."""
    strategy = getattr(query, STRATEGIES[name])
    rng = np.random.default_rng(seed)
    scale = E[train].std(axis=0) + 1e-6
    Z = (E - E[train].mean(axis=0)) / scale
    groups = y * (a.max() + 1) + a
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
                "accuracy": float(right.mean()),
                "worst": float(min(by_group.values())),
                "atypical": float(np.mean([by_group[g] for g in rare])),
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
    parser.add_argument("--sets", nargs="+", help="names, as printed; default: all")
    parser.add_argument("--quick", action="store_true", help="one match rate")
    parser.add_argument("--figure", help="where to draw what is gained")
    args = parser.parse_args()
    records = []
    if args.out.exists():
        records = [json.loads(line) for line in args.out.read_text().splitlines()]
    setting = {"n_seed": args.n_seed, "batch": args.batch, "labels": args.labels}
    done = {json.dumps([r["data"], r["strategy"], r["seed"], r["setting"]])
            for r in records}  # fmt: skip
    encoder = TimmEncoder(image_size=96)
    folder = args.data if args.data.exists() else None
    for data, X, *rest in images(folder, args.quick):
        if args.sets and data not in args.sets:
            continue
        E = None
        for seed in range(args.seeds):
            for strategy in args.strategies:
                if json.dumps([data, strategy, seed, setting]) in done:
                    continue
                if E is None:
                    E = np.asarray(encoder.fit_transform(X), dtype=np.float32)
                record = run(strategy, E, *rest, seed=seed, **setting)
                record = {"data": data, "strategy": strategy, "seed": seed,
                          "setting": setting, **record}  # fmt: skip
                records.append(record)
                with args.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(record) + "\n")
        print(data, "done", flush=True)
    of_setting = [
        r
        for r in records
        if r["setting"] == setting
        and r["strategy"] in args.strategies
        and (not args.sets or r["data"] in args.sets)
    ]
    if {"least confidence", "oracle"} <= {r["strategy"] for r in of_setting}:
        for metric in ("worst", "atypical", "accuracy"):
            report(of_setting, metric)
        if args.figure:
            figure(of_setting, args.figure)


if __name__ == "__main__":
    main()
