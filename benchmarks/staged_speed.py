"""What a round costs with ``tune=k``, with frozen stages computed once and each time.

    python benchmarks/staged_speed.py [--tune 1 2] [--labels 200] [--pool 2000]
        [--size 96] [--precision auto] [--rounds 2] [--backbone NAME]
        [--clock wall|cpu] [--all-steps]

A round is a fit on all labelled pictures and a query of least confidence on the pool;
ten pictures change hands after it. Both ways run in this process, in turn, on the same
pictures, from the same weights. The first round of the new way holds the pass over the
pool that the others save.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from unittest.mock import patch

import numpy as np

from modal_pretrain import PretrainedClassifier
from modal_pretrain.datasets import make_shapes
from modal_pretrain.query import least_confidence_sampling

# The processor's time where others share the machine.
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def as_before():
    """Let every pass go through the whole network."""
    return patch(
        "modal_pretrain.training.base.staged", lambda examples, *rest, **kw: examples
    )


def rounds(args, tune, data, staged):
    """Return seconds of fit and query, and the answers, of each round."""
    params = {} if args.backbone is None else {"backbone": args.backbone}
    classifier = PretrainedClassifier(
        tune=tune,
        image_size=args.size,
        precision=args.precision,
        random_state=0,
        **params,
    )
    if args.all_steps:
        classifier.set_params(stop_loss=None)
    clock = CLOCKS[args.clock]
    labelled = np.arange(args.labels)
    pool = np.arange(args.labels, args.labels + args.pool)
    found = []
    with contextlib.nullcontext() if staged else as_before():
        for _ in range(args.rounds):
            start = clock()
            classifier.fit(data.X[labelled], data.y[labelled])
            fitted = clock()
            chosen, _ = least_confidence_sampling(classifier, data.X[pool], 10)
            asked = clock()
            predicted = classifier.predict(data.X[pool])
            found.append((fitted - start, asked - fitted, predicted, pool[chosen]))
            labelled = np.concatenate([labelled, pool[:10]])
            pool = pool[10:]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tune", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--labels", type=int, default=200)
    parser.add_argument("--pool", type=int, default=2000)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--backbone")
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall")
    parser.add_argument(
        "--all-steps", action="store_true", help="do not stop at a small loss"
    )
    args = parser.parse_args()
    n = args.labels + args.pool
    data = make_shapes(n_train=n, n_test=4, image_size=args.size, random_state=0)
    header = "tune  round  each time: fit + query   once: fit + query   ratio"
    print(f"{header}  equal predictions  equal queries", flush=True)
    for tune in args.tune:
        both = zip(
            rounds(args, tune, data, False),
            rounds(args, tune, data, True),
            strict=True,
        )
        for i, (old, new) in enumerate(both):
            equal = (old[2] == new[2]).mean()
            shared = len(np.intersect1d(old[3], new[3])) / len(new[3])
            print(
                f"{tune:4}  {i:5}  {old[0]:10.1f} + {old[1]:5.1f} s   "
                f"{new[0]:7.1f} + {new[1]:5.1f} s   "
                f"{(old[0] + old[1]) / (new[0] + new[1]):5.1f}"
                f"  {equal:17.2%}  {shared:13.0%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
