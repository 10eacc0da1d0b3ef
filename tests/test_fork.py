"""Forks while other threads hold a lock: the child finds it free."""

import os
import signal
import threading
import time
import warnings

import numpy as np
import pytest

from modal_pretrain._fork import Lock
from modal_pretrain.cache.memory import EmbeddingCache
from modal_pretrain.cache.sqlite import DiskStore
from tests import processes

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
SECONDS = 20


def in_a_fork(function):
    """Run it in a child; return whether it ended well, or None if it hangs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer Pythons warn of forks
        child = os.fork()
    if child == 0:
        try:
            function()
        except BaseException:
            os._exit(1)
        os._exit(0)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


class Held:
    """Another thread holds the lock while the block runs."""

    def __init__(self, lock):
        self.lock, self.held, self.done = lock, threading.Event(), threading.Event()

    def _hold(self):
        with self.lock:
            self.held.set()
            self.done.wait()

    def __enter__(self):
        self.thread = threading.Thread(target=self._hold)
        self.thread.start()
        self.held.wait()

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()


class Owner:
    def __init__(self):
        self.forgot = 0
        self.lock = Lock(self.forget)

    def forget(self):
        self.forgot += 1

    def use(self):
        with self.lock, self.lock:
            pass


def test_held_by_another_thread():
    owner = Owner()

    def child():
        assert owner.forgot == 1
        owner.use()
        assert in_a_fork(owner.use)

    with Held(owner.lock):
        assert in_a_fork(child)
    assert owner.forgot == 0
    owner.use()


def test_held_by_nobody_or_by_the_thread_that_forks():
    owner = Owner()

    def child():
        assert owner.forgot == 0
        owner.use()

    assert in_a_fork(child)
    with owner.lock:
        assert in_a_fork(child)


def test_a_cache_locked_in_mid_change_is_emptied():
    cache = EmbeddingCache()

    def look_up():
        return cache.get("a", [b"x"], lambda missing: np.ones((1, 3), np.float32))

    def child():
        assert cache.info()["rows"] == 0
        np.testing.assert_array_equal(look_up(), np.ones((1, 3)))

    look_up()
    with Held(cache._lock):
        assert in_a_fork(child)
    assert cache.info()["rows"] == 1


def test_forget_keeps_no_owner_alive():
    import weakref

    owner = Owner()
    gone = weakref.ref(owner)
    del owner
    assert gone() is None


# Threads predict all the time, and the process forks: with each child that hangs its
# timeout would be spent.
PREDICTING = """
import os, sys, threading, time, warnings
import numpy as np
from modal_pretrain import PretrainedClassifier
from tests.test_fork import in_a_fork

warnings.simplefilter("ignore")
X = np.random.default_rng(0).integers(0, 256, (400, 8, 8, 3), np.uint8)
classifier = PretrainedClassifier(image_size=32, random_state=0, device="cpu")
classifier.fit(X, np.arange(len(X)) % 2)
expected = classifier.predict_proba(X)
stop = threading.Event()

def predict():
    while not stop.is_set():
        classifier.embed(X)

threads = [threading.Thread(target=predict) for _ in range(2)]
for thread in threads:
    thread.start()

def child():
    np.testing.assert_array_equal(classifier.embed(X[:3]).shape, (3, 1280))

ends = [in_a_fork(child) for _ in range(15)]
stop.set()
for thread in threads:
    thread.join()
sys.exit(0 if all(ends) else str(ends))
"""


def test_forks_while_threads_predict():
    processes.run(PREDICTING)


def test_a_fork_waits_for_what_nobody_could_free():
    lock, ended = Lock(waits=True), []

    def work():
        with lock:
            started.set()
            time.sleep(0.3)
            ended.append(True)

    def child():
        assert ended
        with lock:
            pass

    started = threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    started.wait()
    assert in_a_fork(child)
    thread.join()
    with lock:  # and its owner does not wait for itself
        assert in_a_fork(lambda: lock.__enter__())


# In a process of its own: where it hangs, the fork itself does.
MAKING_A_LOCK = """
import threading, time
from modal_pretrain._fork import Lock
from tests.test_fork import in_a_fork

lock, started, made = Lock(waits=True), threading.Event(), []

def work():
    with lock:
        started.set()
        time.sleep(0.2)
        made.append(Lock(waits=True))

thread = threading.Thread(target=work, daemon=True)
thread.start()
started.wait()
assert in_a_fork(lambda: made[0].__enter__())
"""


def test_who_is_waited_for_may_make_a_lock():
    processes.run(MAKING_A_LOCK)


INTERRUPTED = """
import os, signal, threading, time
from modal_pretrain._fork import Lock
from tests.test_fork import in_a_fork

busy, idle, started = Lock(waits=True), Lock(waits=True), threading.Event()

def use():
    with busy, idle:
        pass

def work():
    with busy:
        started.set()
        time.sleep(0.6)

threading.Thread(target=work).start()
started.wait()
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    print(in_a_fork(use))
    time.sleep(5)
except KeyboardInterrupt:
    print("interrupted")
users = [threading.Thread(target=f, daemon=True) for f in (use, lambda: in_a_fork(use))]
for thread in users:
    thread.start()
for thread in users:
    thread.join(10)
    assert not thread.is_alive()
assert in_a_fork(use)
"""


def test_ctrl_c_while_a_fork_waits_leaves_no_lock_held():
    assert processes.run(INTERRUPTED) == "interrupted\n"


def test_no_fork_in_the_middle_of_a_look_up_on_disk(tmp_path):
    store, keys = DiskStore(tmp_path), [b"a", b"b"]

    def look_up():
        rows = np.arange(2, dtype=np.float32)[:, None]
        np.testing.assert_array_equal(store.get("e", keys, lambda _: rows), rows)

    look_up()
    opened, done = threading.Event(), []

    def work():
        with store._open(store._file(), "rw") as db:
            db.execute("SELECT count(*) FROM rows").fetchone()
            opened.set()
            time.sleep(0.3)
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    opened.wait()

    def child():
        assert done
        look_up()

    assert in_a_fork(child)
    thread.join()


PREDICTS = """
import multiprocessing
import sys

import numpy as np
import torch

from modal_pretrain import PretrainedClassifier

torch.set_num_threads(2)
X = np.random.default_rng(0).integers(0, 256, (24, 32, 32, 3), np.uint8)
classifier = PretrainedClassifier(
    "tf_efficientnet_lite0", image_size=32, precision="float32", device="cpu",
    engine="torch", cache=None)
expected = classifier.fit(X, np.arange(24) % 2).predict_proba(X)


def grandchild(end):
    end.send((classifier.predict_proba(X), torch.get_num_threads()))


def child(end):
    grandchild(end)
    classifier.fit(X, np.arange(24) % 2)
    again = context.Process(target=grandchild, args=(end,))
    again.start()
    again.join(60)


context = multiprocessing.get_context("fork")
pipe, end = multiprocessing.Pipe()
process = context.Process(target=child, args=(end,))
process.start()
for _ in range(2):
    assert pipe.poll(60), "the child waits for ever"
    found, n_threads = pipe.recv()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert n_threads == 1
process.join(60)
assert torch.get_num_threads() == 2
"""


def test_a_forked_child_does_not_wait_for_pytorchs_threads_of_its_parent():
    processes.run(PREDICTS)
