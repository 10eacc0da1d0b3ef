"""How far audits, forecasts and stop rules can be trusted: simulated loops.

    python benchmarks/stopping_study.py OUT --data DIR --cache DIR [--seeds N]
        [--parts NAME ...]

Active-learning loops on data sets of disambiguation_sets.py: frozen embeddings at 96
pixels, kept in the folder of `--cache`, a logistic head fitted again each round, ten
labels a round up to 200. Every loop appends its lines to OUT, a CSV file; loops that
are there are not repeated. stopping_tables.py prints tables of it.

A line is one answer of `modal_pretrain.stopping` and the truth it is about:

accuracy    an audit drawn at a stage; extra: width to expect of a random audit's
recall      the same audit, of each class; extra: audited rows of the class
worst       error in the worst tenth; extra: the error in all
forecast    labels for a target; extra: the target
stop        truth, value: accuracy at the stop and at the end; low, high: worst group;
            extra: the target; labels: where the rule stopped, 0 if never
slips       share of 5 % wrong labels in as many first suggestions; extra: by chance
carried     an audit drawn in the first round; every fifth label of the loop is random
worth       of the same loop; extra: the accuracy (value nan: "cannot tell yet")
"""

from __future__ import annotations

import argparse
import warnings
from functools import cache, partial
from pathlib import Path

import numpy as np
from arguments import count, existing_folder
from disambiguation_sets import samples
from scipy.stats import binom
from sklearn.linear_model import LogisticRegression
from study_records import Layout

from modal_pretrain import query, stopping
from modal_pretrain.metrics import labels_needed

RECORDS = Layout(
    {"question": str, "method": str, "data": str, "seed": int, "labels": int,
     "budget": int},
    dict.fromkeys(("truth", "value", "low", "high", "extra"), ".5g"),
    run=("data", "seed"),
)  # fmt: skip
SETS = (
    "roadwater 0.95",
    "rare_subclasses",
    "sentiment, rare domains",
    "shapes 2 x 2 0.95",
    "shapes 4 x 4 0.95",
    "rare_subclasses, 3 classes",
    "4 classes on places",
    "digits, colour",
    "cat/dog on places",
    "sentiment, domain",
    "3 classes, 3 tints",
    "4 digits, 4 textures",
)
STRATEGIES = (
    "least_confidence_sampling",
    "least_confidence_sampling",
    "margin_sampling",
    "random_sampling",
    "badge_sampling",
)
# Heads that are too modest, about right and too sure of themselves.
STRENGTHS = (0.01, 0.1, 0.001)
SEED_SET, BATCH, LABELS, ARM = 10, 10, 200, 5
STAGES, BUDGETS = (30, 80, 200), (20, 40, 100)
DESIGNS = ("auto", "random", "stratified", "active")
TARGETS = (0.8, 0.9, 0.95)


class Head(LogisticRegression):
    """A logistic head that keeps its warnings to itself."""

    def fit(self, X, y):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return super().fit(X, y)


def head(C):
    return Head(C=C, max_iter=200)


def file_name(name):
    return name.replace("/", "-").replace(" ", "_")


class Task:
    """A data set: embeddings, labels, groups, and which rows are what."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as found:
            E, self.y, attribute, train, self.test = (
                found[key] for key in ("E", "y", "a", "train", "test")
            )
        self.train = train
        self.Z = (E - E[train].mean(axis=0)) / (E[train].std(axis=0) + 1e-6)
        self.groups = self.y * (attribute.max() + 1) + attribute

    def worst_group(self, predicted):
        right, groups = predicted == self.y[self.test], self.groups[self.test]
        return min(right[groups == g].mean() for g in np.unique(groups))


def embed(name, make, path):
    sample = make()
    if sample.text:
        from modal_pretrain import TextEncoder as Encoder
    else:
        from modal_pretrain import TimmEncoder

        Encoder = partial(TimmEncoder, image_size=96)
    E = np.asarray(Encoder().fit_transform(sample.X), dtype=np.float32)
    np.savez(
        path, E=E, y=sample.y, a=sample.attribute, train=sample.train, test=sample.test
    )


def run_loop(task, seed, arm=0, held=0):
    """Run one loop; of the training rows a third is fresh and never asked about.

    With an arm, every arm-th label is a random row, and `held` rows are audited in the
    first round and left out of what is asked.
    """
    rng = np.random.default_rng(seed)
    name, C = STRATEGIES[seed % len(STRATEGIES)], STRENGTHS[seed % len(STRENGTHS)]
    strategy, y, train = getattr(query, name), task.y, rng.permutation(task.train)
    cut = len(train) * 2 // 3
    pool, fresh = np.sort(train[:cut]), np.sort(train[cut:])
    chosen = first_rows(y, pool, rng)
    drawn, audited = len(chosen), np.zeros(0, dtype=int)
    is_random = [True] * drawn
    found: dict[str, list] = {"n": [], "P": [], "F": [], "T": []}
    audit = None
    while True:
        model = head(C).fit(task.Z[chosen], y[chosen])
        proba = exact(model.predict_proba(task.Z[pool]))
        if held and audit is None:
            taught = np.searchsorted(pool, chosen)
            audit = stopping.draw_audit(
                proba, held, taught=taught, random_state=np.random.default_rng(seed)
            )
            audited = pool[audit.rows]
        found["n"].append(len(chosen))
        found["P"].append(proba.astype(np.float32))
        found["F"].append(model.predict_proba(task.Z[fresh]).astype(np.float32))
        found["T"].append(model.predict(task.Z[task.test]).astype(np.uint8))
        if len(chosen) >= LABELS:
            break
        left = np.setdiff1d(pool, np.concatenate([chosen, audited]))
        n_random = stopping.random_share(BATCH, arm, asked=len(chosen)) if arm else 0
        more = rng.choice(left, n_random, replace=False)
        left = np.setdiff1d(left, more)
        rows, _ = strategy(
            model,
            task.Z[left],
            BATCH - n_random,
            random_state=np.random.default_rng(seed * 1000 + len(chosen)),
        )
        chosen += [*left[rows].tolist(), *more.tolist()]
        is_random += [False] * len(rows) + [True] * len(more)
    arrays = {key: np.stack(value) for key, value in found.items()}
    arrays |= {"pool": pool, "fresh": fresh, "chosen": chosen, "is_random": is_random}
    return {**arrays, "C": C, "audit": audit}


def first_rows(y, pool, rng):
    """Draw a random seed set that has all classes, if some of a hundred has."""
    for _ in range(100):
        rows = rng.choice(pool, SEED_SET, replace=False).tolist()
        if len(np.unique(y[rows])) == len(np.unique(y)):
            return rows
    classes = np.unique(y)
    return [int(rng.choice(pool[y[pool] == c])) for c in np.resize(classes, SEED_SET)]


def exact(proba):
    proba = np.asarray(proba, dtype=np.float64)
    return proba / proba.sum(axis=1, keepdims=True)


@cache
def usual_width(n, accuracy):
    """Width to expect of Wilson's interval from a random audit."""
    hits = np.arange(n + 1)
    widths = [high - low for low, high in (stopping.wilson(k, n) for k in hits)]
    return float(binom.pmf(hits, n, accuracy) @ widths)


def audits(task, loop, seed):
    y, pool = task.y[loop["pool"]], loop["pool"]
    for labels in STAGES:
        left = ~np.isin(pool, loop["chosen"][:labels])
        proba = exact(loop["P"][loop["n"].tolist().index(labels)][left])
        truth, right = y[left], proba.argmax(axis=1) == y[left]
        for k, design in enumerate(DESIGNS):
            for budget in BUDGETS:
                # Another seed each: else designs of equal rows would be compared.
                own = np.random.default_rng([seed, labels, budget, k])
                audit = stopping.draw_audit(
                    proba, budget, design=design, random_state=own
                )
                found = audit.estimate(truth[audit.rows])
                width = usual_width(budget, right.mean())
                where = (design, labels, budget)
                yield "accuracy", *where, right.mean(), *found.accuracy[:3], width
                if design != "auto":
                    continue
                for c, recall in found.recall.items():
                    if recall is not None:
                        real = right[truth == c].mean()
                        yield "recall", *where, real, *recall[:3], recall.n


def worst(task, loop, seed):
    """Ask for the worst tenth at the last stage."""
    pool = loop["pool"]
    left = ~np.isin(pool, loop["chosen"])
    proba, y = exact(loop["P"][-1][left]), task.y[pool[left]]
    wrong = proba.argmax(axis=1) != y
    audit = stopping.draw_audit(proba, 100, random_state=np.random.default_rng(seed))
    for method, E in (("confidence", None), ("embedding", task.Z[pool[left]])):
        found = stopping.worst_part(audit, y[audit.rows], E)
        if found.error is not None:
            where = ("worst", method, LABELS, 100)
            yield *where, wrong[found.rows].mean(), *found.error[:3], wrong.mean()


def rounds(task, loop, seed):
    """Forecasts and stop rules, on an audit of the fresh rows, drawn in round one."""
    y, n = task.y[loop["fresh"]], loop["n"]
    curve = [exact(proba) for proba in loop["F"]]
    guesses = [proba.argmax(axis=1) for proba in curve]
    accuracy = np.array([np.mean(guess == y) for guess in guesses])
    groups = np.array([task.worst_group(predicted) for predicted in loop["T"]])

    def stopped(rule, budget, target, decisions):
        k = next((i for i, d in enumerate(decisions) if d.stop), None)
        at, labels = (-1, 0) if k is None else (k, int(n[k]))
        ends = (accuracy[at], accuracy[-1], groups[at], groups[-1])
        return "stop", rule, labels, budget, *ends, target

    settled = [stopping.stable_predictions(guesses[: k + 1]) for k in range(len(n))]
    yield stopped("stable predictions", 0, np.nan, settled)
    steady = [stopping.stable_error(curve[: k + 1]) for k in range(len(n))]
    yield stopped("stable error", 0, np.nan, steady)
    for budget in BUDGETS[1:]:
        audit = stopping.draw_audit(
            curve[0], budget, random_state=np.random.default_rng(seed)
        )
        seen = [audit.estimate(y[audit.rows], proba) for proba in curve]
        for target in TARGETS:
            enough = [stopping.good_enough(result, target) for result in seen]
            yield stopped("good enough", budget, target, enough)
        # A single round of the truth jumps by a point: the mean of three.
        smooth = np.convolve(np.pad(accuracy, 1, "edge"), np.ones(3) / 3, "valid")
        for k in (5, 10):
            for share in (0.25, 0.5):
                target = float(smooth[k] + share * (1 - smooth[k]))
                found = stopping.forecast_labels(
                    n[: k + 1], seen[: k + 1], target, random_state=seed
                )
                truth = labels_needed(n, smooth, target)
                yield "forecast", "", int(n[k]), budget, truth, *found[:3], target


def slips(task, loop, seed):
    """Find wrong labels among 100 and 200."""
    rng = np.random.default_rng(seed)
    for labels in (100, 200):
        rows = loop["chosen"][:labels]
        y, k = task.y[rows].copy(), labels // 20
        wrong = rng.choice(labels, k, replace=False)
        n_classes = task.y.max() + 1
        y[wrong] = (y[wrong] + rng.integers(1, n_classes, k)) % n_classes
        proba = stopping.out_of_fold(head(float(loop["C"])), task.Z[rows], y)
        found = stopping.suspicious_labels(proba, y).rows
        share = np.isin(found[:k], wrong).sum() / k
        yield "slips", "", labels, k, np.nan, share, np.nan, np.nan, k / labels


def arm(task, loop, seed, random_curve):
    """An audit carried along, and what the labels are worth."""
    pool, audit = loop["pool"], loop["audit"]
    for labels in STAGES[1:]:
        k = loop["n"].tolist().index(labels)
        proba = exact(loop["P"][k])
        taught = np.searchsorted(pool, loop["chosen"][:labels])
        left = np.setdiff1d(np.arange(len(pool)), taught)
        y = task.y[pool]
        found = audit.estimate(y[audit.rows], proba, taught=taught).accuracy
        truth = np.mean(proba[left].argmax(axis=1) == y[left])
        width = usual_width(len(audit.rows), truth)
        where = ("carried", audit.design, labels, len(audit.rows))
        yield *where, truth, *found[:3], width
        rows = np.asarray(loop["chosen"][:labels])
        is_random = np.asarray(loop["is_random"][:labels])
        model = head(float(loop["C"]))
        worth = stopping.worth_of_labels(
            model, task.Z[rows], task.y[rows], is_random, random_state=seed
        )
        fresh = task.y[loop["fresh"]]
        level = np.mean(loop["F"][k].argmax(axis=1) == fresh)
        real = labels_needed(*random_curve, level)
        value = worth.value if worth.tells else np.nan
        yield "worth", "", labels, worth.n_random, real, value, *worth[1:3], level


def random_curve(task, C, fresh_of, seeds=3, labels=400):
    """Accuracy by number of random labels, up to twice those of a loop."""
    n = np.unique(np.geomspace(SEED_SET, labels, 12).astype(int))
    curves = []
    for seed in range(seeds):
        rng = np.random.default_rng([seed, 7])
        rows = rng.permutation(np.setdiff1d(task.train, fresh_of))
        first = first_rows(task.y, rows, rng)
        others = rng.permutation(np.setdiff1d(rows, first))
        rows = np.concatenate([first, others])
        of_seed = [
            np.mean(
                head(C)
                .fit(task.Z[rows[:k]], task.y[rows[:k]])
                .predict(task.Z[fresh_of])
                == task.y[fresh_of]
            )
            for k in n
        ]
        curves.append(of_seed)
    return n, np.array(curves)


def arms(task, loop, seed):
    """Run the same loop with a random arm."""
    with_arm = run_loop(task, seed, arm=ARM, held=40)
    curve = random_curve(task, float(with_arm["C"]), with_arm["fresh"])
    yield from arm(task, with_arm, seed, curve)


# What is asked of a loop, and of every which loop.
PARTS = {
    "audits": (audits, 1, 0),
    "rounds": (rounds, 1, 0),
    "worst": (worst, 4, 0),
    "slips": (slips, 4, 0),
    "arms": (arms, 4, 1),
}


def answers(task, name, seed, parts):
    """Yield the records of a loop."""
    of = [PARTS[name] for name in parts]
    ask = [part for part, every, first in of if seed % every == first]
    loop = run_loop(task, seed) if ask else None
    for part in ask:
        for question, method, *rest in part(task, loop, seed):
            values = (question, method, name, seed, *rest)
            yield dict(zip(RECORDS.columns, values, strict=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=existing_folder, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--seeds", type=count, default=20)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    done = {(r["data"], r["seed"]) for r in RECORDS.read(options.out)}
    tasks = {}
    for name, make in samples(options.data, SETS):
        path = options.cache / f"{file_name(name)}.npz"
        if not path.exists():
            embed(name, make, path)
        tasks[name] = path
    for seed in range(options.seeds):
        for name, path in tasks.items():
            if (name, seed) in done:
                continue
            task = Task(path)
            lines = list(answers(task, name, seed, options.parts))
            RECORDS.append(options.out, lines)
            print(f"{name}, seed {seed}: {len(lines)} lines", flush=True)


if __name__ == "__main__":
    main()
