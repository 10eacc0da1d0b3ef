"""Cost and memory of a query against the size of a memory-mapped pool.

    python benchmarks/pool_size.py                        # 10,000 to 1,000,000 rows
    python benchmarks/pool_size.py --largest 100000 badge core_set
    python benchmarks/pool_size.py --head least_confidence

The pool is a float32 .npy file of `--features` columns in `--folder` (5.1 GB for a
million rows of 1,280, deleted afterwards), opened with ``np.load(mmap_mode="r")``.
Every pair of strategy and size gets a process of its own, which builds modAL's
ActiveLearner on `--labelled` rows, reads the pool once, so that the system has it in
memory, and queries `--batch` rows. Printed are the seconds of the query (the best of
three, or of two that take 20 s; with ``--clock cpu`` those the processor worked for it,
which others on the machine hardly change), the slope of log(seconds) on log(rows), the
cost of a row in the last step as a multiple of that in the step before (1 is constant,
for both), and the peak resident memory of the process (VmHWM, with all libraries and
with the pages of the file). ``--cold`` has the system forget the file before a query.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from arguments import count, existing_folder

STRATEGIES = (
    "least_confidence", "margin", "entropy", "core_set", "badge", "ranked_batch"
)  # fmt: skip
N_CLASSES = 5


def write_pool(path, n, d, seed=0):
    """Write clusters of non-negative vectors, as after a ReLU, block by block."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((60, d), dtype=np.float32)
    header = np.lib.format.header_data_from_array_1_0(np.empty((0, d), np.float32))
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {**header, "shape": (int(n), d)})
        for start in range(0, n, 10_000):
            m = min(10_000, n - start)
            block = rng.standard_normal((m, d), dtype=np.float32)
            block += centres[rng.integers(60, size=m)]
            file.write(np.maximum(block, 0, out=block).data)


def peak_megabytes():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1000
    raise OSError("/proc/self/status has no VmHWM")


def one(args):
    """Query one strategy at one size; what the subprocess does."""
    from modAL.models import ActiveLearner
    from sklearn.linear_model import LogisticRegression
    from torch import nn

    from modal_pretrain import PretrainedClassifier, query

    pool = np.load(args.pool, mmap_mode="r")[: args.n]
    rng = np.random.default_rng(1)
    known = np.sort(rng.choice(args.smallest, size=args.labelled, replace=False))
    direction = rng.standard_normal(pool.shape[1])
    scores = np.asarray(pool[known]) @ direction
    ranks = scores.argsort().argsort()
    y = ranks * N_CLASSES // len(ranks)
    if args.head:
        estimator = PretrainedClassifier(nn.Identity, pretrained=False, random_state=0)
    else:
        estimator = LogisticRegression(max_iter=1000)
    strategy = getattr(query, f"{args.strategies[0]}_sampling")
    learner = ActiveLearner(
        estimator, strategy, X_training=np.array(pool[known]), y_training=y
    )
    before = peak_megabytes()
    seconds = []
    clock = time.process_time if args.clock == "cpu" else time.perf_counter
    with args.pool.open("rb") as file:
        while not args.cold and file.tell() < pool.nbytes and file.read(1 << 24):
            pass
        for i in range(3):
            if args.cold:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            start = clock()
            chosen, rows = learner.query(pool, n_instances=args.batch, random_state=0)
            seconds.append(clock() - start)
            if i and seconds[0] > 20:
                break
    assert len(set(chosen.tolist())) == args.batch == len(rows)
    answer = {"seconds": min(seconds), "peak": peak_megabytes(), "before": before}
    print(json.dumps(answer))


def measure(strategy, n, args):
    command = [sys.executable, __file__, strategy, "--pool", str(args.pool)]
    for name in ("n", "smallest", "labelled", "batch", "clock"):
        value = n if name == "n" else getattr(args, name)
        command += [f"--{name}", str(value)]
    command += [f"--{name}" for name in ("head", "cold") if getattr(args, name)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def known_strategy(name):
    """Return the name of a strategy of `modal_pretrain.query` without its ending."""
    from modal_pretrain import query

    if not hasattr(query, f"{name}_sampling"):
        raise argparse.ArgumentTypeError(f"modal_pretrain.query has no {name}_sampling")
    return name


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "strategies", nargs="*", type=known_strategy, default=STRATEGIES
    )
    parser.add_argument("--smallest", type=count, default=10_000)
    parser.add_argument("--largest", type=count, default=1_000_000)
    parser.add_argument("--steps", type=count, default=5, help="sizes, geometric")
    parser.add_argument("--features", type=count, default=1280)
    parser.add_argument("--labelled", type=count, default=200)
    parser.add_argument("--batch", type=count, default=100)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--head", action="store_true", help="our head, not sklearn's")
    parser.add_argument("--folder", type=existing_folder, help="for the pool's file")
    parser.add_argument("--cold", action="store_true", help="from the disk each time")
    parser.add_argument("--pool", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--n", type=count, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.pool:
        return one(args)

    sizes = np.geomspace(args.smallest, args.largest, args.steps).round().astype(int)
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, ", end="")
    print(f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', '')}")
    print(
        f"{args.features} features, {args.labelled} labelled, batch {args.batch}, ",
        end="",
    )
    print("our head" if args.head else "LogisticRegression", f"{args.clock} seconds\n")
    print("| strategy |" + "".join(f" {n:,} |" for n in sizes), end="")
    print(" exponent | last step | peak MB, least and most rows |")
    print("| --- |" + " ---: |" * (len(sizes) + 3))
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        args.pool = Path(folder, "pool.npy")
        write_pool(args.pool, sizes[-1], args.features)
        for strategy in args.strategies:
            found = [measure(strategy, n, args) for n in sizes]
            seconds = [f["seconds"] for f in found]
            slope = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
            print(f"| {strategy} |" + "".join(f" {s:.3g} |" for s in seconds), end="")
            a_row = np.array(seconds) / sizes
            last = a_row[-1] / a_row[-2] if len(sizes) > 1 else 1
            print(f" {slope:.2f} | {last:.2f} | {found[0]['peak']:,.0f}, ", end="")
            print(f"{found[-1]['peak']:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
