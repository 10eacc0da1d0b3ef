"""Time and memory of audits on pools of several sizes.

    python benchmarks/stopping_speed.py [--sizes N ...]

Five classes, embeddings of 256 numbers for the worst part. Times are the least of three
in seconds of the processor; memory is the peak of what is allocated, in MB.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc

import numpy as np
from arguments import count

from modal_pretrain import stopping


def tasks(n):
    rng = np.random.default_rng(0)
    proba = rng.dirichlet(np.full(5, 0.2), size=n)
    y = (proba.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    embeddings = rng.normal(size=(n, 256)).astype(np.float32)
    audit = stopping.draw_audit(proba, 100, random_state=0)
    labels = y[audit.rows]
    yield "draw_audit, 100 rows", lambda: stopping.draw_audit(proba, 100)
    yield "Audit.estimate", lambda: audit.estimate(labels, proba)
    yield "worst_part, confidence", lambda: stopping.worst_part(audit, labels)
    yield (
        "worst_part, embeddings",
        lambda: stopping.worst_part(audit, labels, embeddings),
    )
    yield "stable_error, 4 rounds", lambda: stopping.stable_error([proba] * 4)


def seconds(call, repeat=3):
    spent = []
    for _ in range(repeat):
        start = time.process_time()
        call()
        spent.append(time.process_time() - start)
    return min(spent)


def megabytes(call):
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--sizes", type=count, nargs="+", default=[12_500, 25_000, 50_000]
    )
    print("| rows | what | seconds | peak, MB |\n|---|---|---|---|")
    for n in parser.parse_args().sizes:
        for name, call in tasks(n):
            print(f"| {n:,} | {name} | {seconds(call):.3f} | {megabytes(call):.0f} |")


if __name__ == "__main__":
    main()
