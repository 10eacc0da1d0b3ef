"""Time the query strategies against scikit-activeml and modAL.

    pip install scikit-activeml==1.0.1
    python benchmarks/query_speed.py              # all, a few minutes
    python benchmarks/query_speed.py badge        # those whose name has "badge" in it
    python benchmarks/query_speed.py --n 5000     # a smaller pool

Each of our strategies and its peer run one after the other in the same process, on the
same pool and the same fitted classifier. Ours runs `--repeat` times, the best counts;
the peer runs once, as it is slow. Peers that are not installed are left out.
"""

import argparse
import importlib
import os
import platform
import time
import warnings
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from arguments import count
from sklearn.linear_model import LogisticRegression

from modal_pretrain import query

LARGE = {"n": 50_000, "d": 1280, "k": 100}
SMALL = {"n": 10_000, "d": 512, "k": 50}
N_LABELLED, N_CLASSES = 200, 5


class Learner:
    """What the strategies need of a modAL learner, without needing modAL."""

    query_strategy = None
    on_transformed = False

    def __init__(self, estimator, X_training, y_training):
        self.estimator = estimator
        self.X_training = X_training
        self.y_training = y_training

    def predict_proba(self, X):
        return self.estimator.predict_proba(X)

    def transform_without_estimating(self, X):
        return X


class Problem:
    """A pool of embeddings in classes and clusters, and a classifier for it."""

    def __init__(self, n, d, k, kind):
        rng = np.random.default_rng(0)
        total = n + N_LABELLED
        X = rng.standard_normal((total, d), dtype=np.float32)
        y = rng.integers(N_CLASSES, size=total)
        if kind == "clusters":  # 60 groups, non-negative, as after a ReLU
            group = rng.integers(60, size=total)
            y = group % N_CLASSES
            X += rng.standard_normal((60, d), dtype=np.float32)[group]
            np.maximum(X, 0, out=X)
        self.X, self.seed, self.y = (
            X[N_LABELLED:].copy(),
            X[:N_LABELLED],
            y[:N_LABELLED],
        )
        self.k = k
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = LogisticRegression(max_iter=100).fit(self.seed, self.y)
        self.model = model
        self.learner = Learner(model, self.seed, self.y)
        # scikit-activeml wants labelled and unlabelled rows in one array.
        self.every = np.concatenate([self.seed, self.X])
        self.labels = np.full(total, np.nan)
        self.labels[:N_LABELLED] = self.y


def ours(name, **kwargs):
    def run(problem):
        strategy = getattr(query, f"{name}_sampling")
        return strategy(
            problem.learner, problem.X, problem.k, random_state=0, **kwargs
        )[0]

    return run


def activeml(name, fit=False, **kwargs):
    def run(problem):
        pool = importlib.import_module("skactiveml.pool")
        strategy = getattr(pool, name)(random_state=0, **kwargs)
        extra = {}
        if fit:
            classifier = importlib.import_module("skactiveml.classifier")
            wrapped = classifier.SklearnClassifier(
                problem.model, classes=list(range(N_CLASSES)), random_state=0
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                extra = {"clf": wrapped.fit(problem.seed, problem.y), "fit_clf": False}
        start = time.perf_counter()
        found = strategy.query(
            problem.every, problem.labels, batch_size=problem.k, **extra
        )
        problem.spent = time.perf_counter() - start  # without fitting
        return np.asarray(found) - N_LABELLED

    run.package = "scikit-activeml"
    return run


def modal(problem):
    batch = importlib.import_module("modAL.batch")
    return batch.uncertainty_batch_sampling(
        problem.learner, problem.X, n_instances=problem.k
    )[0]


modal.package = "modAL-python"

# name, size, ours, peer, the ratio issue 4 asks for
CASES = [
    ("least_confidence", LARGE, ours("least_confidence"), None, None),
    ("random", LARGE, ours("random"), None, None),
    ("core_set", LARGE, ours("core_set"), activeml("CoreSet"), 3),
    ("badge", LARGE, ours("badge"), activeml("Badge", fit=True), 25),
    ("typiclust", LARGE, ours("typiclust"), activeml("TypiClust"), 10),
    ("ranked_batch", LARGE, ours("ranked_batch"), modal, 25),
    ("clue", LARGE, ours("clue"), None, None),
    ("drop_query", LARGE, ours("drop_query"), None, None),
    ("prob_cover", SMALL, ours("prob_cover"), activeml("ProbCover"), 5),
    (
        "max_herding",
        SMALL,
        ours("max_herding"),
        activeml("MaxHerding", metric_dict={"gamma": 1.0}),
        5,
    ),
    ("uncertainty_herding", SMALL, ours("uncertainty_herding"), None, None),
    ("disambiguation", LARGE, ours("disambiguation"), None, None),
    (
        "tag_exception",
        LARGE,
        ours("tag_exception", tags_labelled=np.arange(N_LABELLED) % 4),
        None,
        None,
    ),
]


def installed(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def timed(run, problem, repeat):
    best = np.inf
    for _ in range(repeat):
        problem.spent = None
        start = time.perf_counter()
        found = run(problem)
        spent = problem.spent or time.perf_counter() - start
        best = min(best, spent)
    return best, np.asarray(found)


def processor():
    try:
        with open("/proc/cpuinfo") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":")[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="parts of names to run; default all")
    parser.add_argument("--repeat", type=count, default=3)
    parser.add_argument(
        "--n", type=count, help="rows of the pool, in place of the usual"
    )
    parser.add_argument("--data", choices=["gauss", "clusters"], default="gauss")
    parser.add_argument("--no-peers", action="store_true")
    options = parser.parse_args()

    print(f"{os.cpu_count()} cores, {processor()}, load {os.getloadavg()[0]:.1f}")
    packages = ["numpy", "scipy", "scikit-learn", "scikit-activeml", "modAL-python"]
    print(f"Python {platform.python_version()}", end="")
    for package in packages:
        print(f", {package} {installed(package) or 'not installed'}", end="")
    print(f"\ndata: {options.data}, {N_LABELLED} labelled, {N_CLASSES} classes\n")
    print(f"{'strategy':<20}{'pool':>14}{'batch':>6}{'ours s':>9}{'peer s':>9}", end="")
    print(f"{'ratio':>7}{'asked':>6}  peer, and share of rows both chose")

    problems = {}
    for name, size, run, peer, asked in CASES:
        if options.names and not any(part in name for part in options.names):
            continue
        if not hasattr(query, f"{name}_sampling"):
            continue
        n = options.n or size["n"]
        if (n, size["d"]) not in problems:
            problems = {}  # one at a time in memory
            problems[n, size["d"]] = Problem(n, size["d"], size["k"], options.data)
        problem = problems[n, size["d"]]
        spent, found = timed(run, problem, options.repeat)
        line = f"{name:<20}{n:>8} x{size['d']:>4}{size['k']:>6}{spent:>9.2f}"
        print(line, end="", flush=True)
        if peer is None:
            print()
            continue
        if options.no_peers or not installed(peer.package):
            print(f"{'-':>9}{'-':>7}{asked:>6}  {peer.package} not run")
            continue
        theirs, other = timed(peer, problem, 1)
        both = len(set(found.tolist()) & set(other.tolist())) / len(found)
        print(f"{theirs:>9.2f}{theirs / spent:>7.1f}{asked:>6}", end="")
        print(f"  {peer.package}, {both:.0%}", flush=True)


if __name__ == "__main__":
    main()
