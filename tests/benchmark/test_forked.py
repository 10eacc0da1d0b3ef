"""Runs in processes that joblib forks, which is not its default."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys

import joblib
import torch

from modal_pretrain import benchmark

torch.set_num_threads(2)
torch.zeros(1 << 20).clone()  # starts its threads
settings = {
    "dataset": {"name": "shapes", "n_train": 40, "n_test": 20, "image_size": 32},
    "estimator": {"image_size": 32},
    "models": ["pretrained"],
    "strategies": ["random", "uncertainty"],
    "references": [],
    "seeds": 1,
    "rounds": 1,
}
with joblib.parallel_config("multiprocessing", n_jobs=2):
    print(len(benchmark.run(settings, sys.argv[1], verbose=0)))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_forked_processes_do_not_wait_for_threads_of_their_parent(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, tmp_path / "out"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout == "4\n"
