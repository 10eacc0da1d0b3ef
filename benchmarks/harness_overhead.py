"""Measure what the benchmark adds to the work it runs.

    python benchmarks/harness_overhead.py

Runs the demonstration's configuration with fewer seeds and compares the time of the
whole call with the sum of its phases (embedding, fitting, querying, predicting), which
any active-learning loop pays. The rest is the harness: records, probes, thumbnails, the
report. Loading the data set is counted apart.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from arguments import count

from modal_pretrain import PretrainedClassifier
from modal_pretrain.benchmark import run, runner, unit
from modal_pretrain.benchmark.loop import PHASES
from modal_pretrain.benchmark.report.page import write_report
from modal_pretrain.benchmark.settings import read_settings

_SOME = np.zeros((4, 32, 32, 3), np.uint8), [0, 0, 1, 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=count, default=2)
    args = parser.parse_args()
    configs = Path(__file__).parents[1] / "configs"
    settings = {**read_settings(configs / "shapes.toml"), "seeds": args.seeds}
    # Names are imported when they are used, which is not the harness's work.
    PretrainedClassifier().fit(*_SOME).predict(_SOME[0])
    spent = {}

    def timed(name, function):
        def call(*arguments, **keywords):
            start = time.perf_counter()
            try:
                return function(*arguments, **keywords)
            finally:
                spent[name] = spent.get(name, 0.0) + time.perf_counter() - start

        return call

    runner.keep_probes = timed("probes", runner.keep_probes)
    unit._load_once = timed("loading", unit._load_once)
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        records = run(settings, out, verbose=0)
        whole = time.perf_counter() - start
        start = time.perf_counter()
        write_report(out, out)
        report = time.perf_counter() - start
    work = sum(records[f"seconds_{phase}"].sum() for phase in PHASES)
    harness = whole - work - spent["probes"] - spent["loading"]
    print(f"loading the data     {spent['loading']:7.2f} s")
    print(f"phases of the loop   {work:7.2f} s")
    print(f"linear probes (C5)   {spent['probes']:7.2f} s")
    print(f"harness              {harness:7.2f} s, {harness / work:.1%} of the phases")
    print(f"report               {report:7.2f} s")


if __name__ == "__main__":
    main()
