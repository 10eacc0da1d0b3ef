"""What a round costs with ``tune=k``, with frozen stages computed once and each time.

    python benchmarks/staged_speed.py [--tune 1 2] [--labels 200] [--pool 2000]
        [--size 96] [--precision auto] [--rounds 3] [--backbone NAME] [--all-steps]

A round is a fit on all labelled pictures and a query of least confidence on the pool;
ten pictures change hands after it. Both ways run in this process, round by round in
turn, on the same pictures, from the same weights; "before" is every step and query
through the whole network, with PyTorch's own gradients. The first round holds the pass
over the pool, and the first of all converts the frozen stages for OpenVINO.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from unittest.mock import patch

import numpy as np
from arguments import count

from modal_pretrain import PretrainedClassifier
from modal_pretrain.datasets import make_shapes
from modal_pretrain.query import least_confidence_sampling


@contextlib.contextmanager
def as_before():
    """Let every pass go through the whole network, and PyTorch compute gradients."""
    here = "modal_pretrain.training.base"
    with (
        patch(f"{here}.staged", lambda examples, *rest: examples),
        patch(f"{here}.QuickGradients", contextlib.nullcontext),
    ):
        yield


class Clock:
    """Seconds by the clock and of the processor since it was last asked."""

    def __init__(self):
        self.at = self.now()

    def now(self):
        return np.array([time.perf_counter(), time.process_time()])

    def lap(self):
        before, self.at = self.at, self.now()
        return self.at - before


def play(classifier, data, labelled, pool):
    """Return seconds of fit and query, the predictions and the rows asked for."""
    clock = Clock()
    classifier.fit(data.X[labelled], data.y[labelled])
    fitted = clock.lap()
    chosen, _ = least_confidence_sampling(classifier, data.X[pool], 10)
    return fitted, clock.lap(), classifier.predict(data.X[pool]), pool[chosen]


def compare(args, tune, data):
    params = {} if args.backbone is None else {"backbone": args.backbone}
    if args.all_steps:
        params["stop_loss"] = None
    before, now = (
        PretrainedClassifier(
            tune=tune,
            image_size=args.size,
            precision=args.precision,
            random_state=0,
            **params,
        )
        for _ in range(2)
    )
    labelled = np.arange(args.labels)
    pool = np.arange(args.labels, args.labels + args.pool)
    for i in range(args.rounds):
        with as_before():
            old = play(before, data, labelled, pool)
        new = play(now, data, labelled, pool)
        equal = (old[2] == new[2]).mean()
        shared = len(np.intersect1d(old[3], new[3])) / len(new[3])
        wall, cpu = (old[0] + old[1]) / (new[0] + new[1])
        (fit_old, fit), (query_old, query) = ((old[k][1], new[k][1]) for k in range(2))
        print(
            f"| {tune} | {i + 1} | {fit_old:.1f}, {query_old:.1f} | {fit:.1f}, "
            f"{query:.1f} | {cpu:.1f} | {wall:.1f} | {equal:.2%} | {shared:.0%} |",
            flush=True,
        )
        labelled = np.concatenate([labelled, pool[:10]])
        pool = pool[10:]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tune", type=count, nargs="+", default=[1, 2])
    parser.add_argument("--labels", type=count, default=200)
    parser.add_argument("--pool", type=count, default=2000)
    parser.add_argument("--size", type=count, default=96)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--rounds", type=count, default=3)
    parser.add_argument("--backbone")
    parser.add_argument(
        "--all-steps", action="store_true", help="do not stop at a small loss"
    )
    args = parser.parse_args()
    n = args.labels + args.pool
    data = make_shapes(n_train=n, n_test=4, image_size=args.size, random_state=0)
    print(
        "Seconds of the processor's time; ratios by it and by the clock.\n\n"
        "| tune | round | before: fit, query | now: fit, query | ratio | by the clock "
        "| equal predictions | equal queries |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        flush=True,
    )
    for tune in args.tune:
        compare(args, tune, data)


if __name__ == "__main__":
    main()
