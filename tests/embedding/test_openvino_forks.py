"""Forked children of processes that computed with OpenVINO, whose threads they lack."""

import os
import subprocess
import sys
import threading
import time

import pytest
import torch

from modal_pretrain.embedding import openvino
from tests import processes
from tests.test_fork import in_a_fork

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not openvino.is_installed(), reason="OpenVINO is not installed"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here"),
]


FORK = """
import multiprocessing
import numpy as np
from modal_pretrain import TimmEncoder

X = np.zeros((5, 32, 32, 3), np.uint8)
encoder = TimmEncoder("test_efficientnet", pretrained=False, random_state=0,
    image_size=32, precision="float32", device="cpu", engine="openvino", cache=None)
expected = encoder.fit_transform(X)
pipe, end = multiprocessing.Pipe()
child = multiprocessing.get_context("fork").Process(
    target=lambda: end.send(encoder.transform(X))
)
child.start()
assert pipe.poll(200), "the child waits for ever"
np.testing.assert_array_equal(pipe.recv(), expected)
child.join(60)
assert child.exitcode == 0
"""


def test_a_forked_child_computes_too():
    # Its parent's threads are missing in it.
    processes.run(FORK)


def test_a_forked_child_of_a_process_with_several_threads_computes_too():
    processes.run(f"import torch; torch.set_num_threads(2)\n{FORK}")


DROPS = """
import numpy as np
from modal_pretrain import TimmEncoder
from modal_pretrain.embedding import openvino
from tests.test_fork import in_a_fork

openvino._MOST_KEPT = 1
X = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)


def embed(seed):
    encoder = TimmEncoder(
        "test_efficientnet", pretrained=False, random_state=seed, image_size=32,
        precision="float32", device="cpu", engine="openvino", cache=None)
    return encoder.fit_transform(X)


found = [embed(seed) for seed in range(2)]
again = lambda: np.testing.assert_allclose(embed(1), found[1], atol=1e-4)
assert in_a_fork(again)
again()
"""


def test_a_forked_child_does_not_wait_for_threads_of_networks_that_are_gone():
    processes.run(DROPS)


ENDS = """
import os
import sys
import time

import numpy as np
from modal_pretrain import TimmEncoder

X = np.zeros((5, 32, 32, 3), np.uint8)
encoder = TimmEncoder("test_efficientnet", pretrained=False, random_state=0,
    image_size=32, precision="float32", device="cpu", engine="openvino", cache=None)
encoder.fit_transform(X)
child = os.fork()
if child == 0:
    sys.exit(5)
for _ in range(1000):
    ended, status = os.waitpid(child, os.WNOHANG)
    if ended:
        break
    time.sleep(0.02)
else:
    os.kill(child, 9)
    os.waitpid(child, 0)
assert ended, "the child waits for ever at its end"
assert os.waitstatus_to_exitcode(status) == 5
"""


def test_a_forked_child_that_ends_as_a_program_does():
    # multiprocessing ends its children at once; what forks by itself may not.
    found = subprocess.run([sys.executable, "-c", ENDS], capture_output=True, text=True)
    assert found.returncode == 0 and not found.stderr, found.stderr


def test_a_fork_waits_for_a_compilation(monkeypatch):
    # The child would wait for ever for a lock of OpenVINO's.
    begun, done = threading.Event(), []

    def compile_model(*_):
        begun.set()
        time.sleep(0.3)
        done.append(True)

    monkeypatch.setattr(type(openvino.core()), "compile_model", compile_model)
    thread = threading.Thread(
        target=openvino.Network, args=(None, (None,), torch.float32, 1)
    )
    thread.start()
    begun.wait()

    def child():
        assert done

    assert in_a_fork(child)
    thread.join()
