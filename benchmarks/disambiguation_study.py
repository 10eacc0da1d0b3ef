"""Rerun the study of disambiguation-aware strategies.

    python benchmarks/disambiguation_study.py OUT [--data DIR] [--seeds N]
        [--sets NAME ...] [--strategies NAME ...] [--figure FILE]
        [--backbone NAME] [--image-size PX] [--cache DIR] [--report]

NAME of a set: one of disambiguation_sets.py, or named (the default), first, second or
blind for several of them.

Frozen pretrained embeddings, a logistic head fitted again each round, a seed set
balanced by class, a fixed batch. Every run appends one line to OUT, a CSV file, with
the areas under its curves; runs that are there are not repeated. A run of another
backbone, size of pictures, seed set, batch or number of labels is another run. At the
end, and with ``--report`` without running anything, it prints the areas for the worst
group (then the atypical groups, and all) of the runs that the options name as tables,
with the paired difference from least confidence and its 95 % bootstrap interval.
"""

from __future__ import annotations

import inspect
import warnings

import numpy as np
from disambiguation_ceilings import (
    attribute_sampling,
    group_posterior,
    informed_sampling,
)
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

from modal_pretrain import query

METRICS = ("accuracy", "worst", "atypical")
RECORDS = Layout(
    {**ENCODER, "data": str, "strategy": str, "seed": int, **SETTING},
    dict.fromkeys((*METRICS, "atypical share"), ".4f"),
)
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
# Goes by tags, which heads of exceptions_study.py have.
TAGGED = {"tag exceptions": "tag_exception_sampling"}
# These know the pool's labels or attributes; run when asked for by name.
CEILINGS = {"informed": informed_sampling, "attribute known": attribute_sampling}


def head(X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return LogisticRegression(C=0.01, max_iter=300).fit(X, y)


def groups_of(sample):
    return sample.y * (sample.attribute.max() + 1) + sample.attribute


def run(name, Z, sample, posterior=None, fit=None, *, seed, n_seed, batch, labels):
    """Run one active-learning loop; give the areas under its curves.

    ``fit(Z, y, rows)`` returns the head of the labelled rows; `head` if None. What it
    knows of their attribute is ``fit.tags(rows)``, if it has that.
    """
    _, y, a, atypical, train, test, _ = sample
    strategy = CEILINGS.get(name) or getattr(query, (STRATEGIES | TAGGED)[name])
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
        rows = np.array(chosen)
        model = fit(Z[rows], y[rows], rows) if fit else head(Z[rows], y[rows])
        right = model.predict(Z[test]) == y[test]
        by_group = {g: right[groups[test] == g].mean() for g in np.unique(groups[test])}
        odd = np.mean([by_group[g] for g in rare])
        curve.append([right.mean(), min(by_group.values()), odd])
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
            "tags_labelled": fit.tags(rows) if hasattr(fit, "tags") else None,
        }
        extra = {key: value for key, value in known.items() if key in wants}
        k = min(batch, len(pool))
        idx, _ = strategy(
            model, Z[pool], k, random_state=np.random.default_rng(seed), **extra
        )
        chosen += pool[idx].tolist()
    areas = dict(zip(METRICS, np.mean(curve, axis=0), strict=True))
    return areas | {"atypical share": atypical[chosen[start:]].mean()}


def interval(difference, n=10_000):
    rng = np.random.default_rng(0)
    means = rng.choice(difference, (n, len(difference))).mean(axis=1)
    return np.percentile(means, [2.5, 97.5])


def areas(records, data, strategy, metric):
    """Return the area under each seed's curve."""
    of = [r for r in records if (r["data"], r["strategy"]) == (data, strategy)]
    return np.array([r[metric] for r in sorted(of, key=lambda r: r["seed"])])


def compare(records, data, strategy, metric):
    """Return a strategy's mean area, its lead over least confidence, and the room."""
    value, base, top = (
        areas(records, data, name, metric)
        for name in (strategy, "least confidence", "oracle")
    )
    both = min(len(value), len(base))  # the seeds that both have: they run in order
    value, base = value[:both], base[:both]
    low, high = interval(value - base)
    lead, room = value.mean() - base.mean(), top.mean() - base.mean()
    return value.mean(), lead, low, high, room, base.mean()


def report(records, metric, focus):
    """Print two tables in Markdown: set by set, and strategy by strategy."""
    sets = list(dict.fromkeys(r["data"] for r in records))
    names = list(dict.fromkeys(r["strategy"] for r in records))
    print(f"\nArea under the curve: {metric}\n")
    titles = ["data set", *names]
    if focus in names:
        titles += [f"{focus} - least confidence [95 %]", "gap closed"]
    print("| " + " | ".join(titles) + " |\n" + "|---" * len(titles) + "|")
    for data in sets:
        of_set = {name: compare(records, data, name, metric) for name in names}
        cells = [data] + [f"{found[0]:.3f}" for found in of_set.values()]
        if focus in names:
            _, lead, low, high, room, _ = of_set[focus]
            # A share of next to nothing says nothing.
            share = f"{100 * lead / room:.0f} %" if room > 0.005 else "-"
            cells += [f"{lead:+.3f} [{low:+.3f}, {high:+.3f}]", share]
        print("| " + " | ".join(cells) + " |")
    print(f"\nMean over the {len(sets)} sets, against least confidence: {metric}\n")
    print("| strategy | gain | gap closed, pooled | below / above | mean share |")
    print("|---|---|---|---|---|")
    for name in names:
        if name == "least confidence":
            continue
        found = np.array([compare(records, data, name, metric) for data in sets])
        _, lead, low, high, room, base = found.T
        # Where least confidence scores next to nothing there is no ratio.
        gain = 100 * np.mean(lead[base > 0.02] / base[base > 0.02])
        pooled = 100 * lead.sum() / room.sum()
        mean = 100 * np.mean(lead[room > 0.005] / room[room > 0.005])
        counts = f"{(high < 0).sum()} / {(low > 0).sum()}"
        print(
            f"| {name} | {gain:+.1f} % | {pooled:+.0f} % | {counts} | {mean:+.0f} % |"
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
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_title(data, loc="left", fontsize=9)
        axes.tick_params(axis="x", labelsize=7.5)
        axes.spines[["top", "right", "left"]].set_visible(False)
    drawing.supxlabel("area under the worst-group accuracy, less least confidence's",
                      fontsize=9)  # fmt: skip
    drawing.savefig(path)


def run_all(args, wanted):
    """Run what is not in the file yet."""
    kinds = [
        {"strategy": strategy, "seed": seed}
        for seed in range(args.seeds)
        for strategy in args.strategies
    ]
    for sample, Z, runs in unfinished(args, RECORDS, wanted, kinds):
        posterior = None
        for record in runs:
            strategy, seed = record["strategy"], record["seed"]
            setting = {key: record[key] for key in SETTING}
            if posterior is None and strategy == "informed":
                train, groups = sample.train, groups_of(sample)
                posterior = np.zeros((len(Z), groups.max() + 1))
                found = group_posterior(Z[train], groups[train], groups.max() + 1)
                posterior[train] = found
            record |= run(strategy, Z, sample, posterior, seed=seed, **setting)
            RECORDS.append(args.out, [record])


def main():
    parser = options(__doc__)
    add_setting(parser)
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES),
                        choices=[*STRATEGIES, *CEILINGS])  # fmt: skip
    parser.add_argument("--focus", default="disambiguation", help="for intervals")
    parser.add_argument("--figure", help="where to draw what is gained")
    args = parser.parse_args()
    wanted = wanted_by(args)
    if not args.report:
        run_all(args, wanted)
    found = [
        r
        for r in recorded(RECORDS, args.out, wanted)
        if r["strategy"] in args.strategies
    ]
    if {"least confidence", "oracle"} <= {r["strategy"] for r in found}:
        for metric in ("worst", "atypical", "accuracy"):
            report(found, metric, args.focus)
        if args.figure:
            figure(found, args.figure)


if __name__ == "__main__":
    main()
