"""Answers are the same for any number of threads, to the last bit."""

import json
import os
import pathlib
import subprocess
import sys

SCRIPT = pathlib.Path(__file__).with_name("answers_by_threads.py")
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def test_one_thread_and_two():
    runs = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT)],
            env={**os.environ, **dict.fromkeys(VARIABLES, n)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in ("1", "2")
    ]
    one, two = (json.loads(run.communicate()[0]) for run in runs)
    assert [run.returncode for run in runs] == [0, 0]
    assert len(one) > 20
    assert one == two
