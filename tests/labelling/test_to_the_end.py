"""Ctrl-C while an answer is on its way."""

import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from modal_pretrain.labelling import LabelSession

PICTURES = np.random.default_rng(0).integers(0, 255, (12, 8, 8, 3), np.uint8)


class Flat(LogisticRegression):
    """Learns from pixels."""

    def fit(self, X, y):
        return super().fit(np.asarray(X).reshape(len(X), -1), y)

    def predict_proba(self, X):
        return super().predict_proba(np.asarray(X).reshape(len(X), -1))


@pytest.mark.parametrize("step", ["add", "wake"])
def test_an_interrupted_answer_is_in_the_file_and_in_memory(
    tmp_path, monkeypatch, step
):
    path = tmp_path / "labels.csv"
    with LabelSession(PICTURES, ["a", "b"], labels=path, estimator=Flat()) as session:
        where = session._ledger if step == "add" else session._background
        whole = getattr(where, step)

        def interrupted(*args):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            for _ in range(1000):  # where it would be raised
                pass
            return whole(*args)

        row = session.ask()[0].row
        with monkeypatch.context() as patch:
            patch.setattr(where, step, interrupted)
            with pytest.raises(KeyboardInterrupt):
                session.answer(row, "a")
        assert list(session.labels()["row"]) == [row]
        assert session._version == 1
        assert session.wait(10)
    with LabelSession(PICTURES, ["a", "b"], labels=path, estimator=Flat()) as session:
        assert list(session.labels()["row"]) == [row]


def test_errors_and_results_come_through(tmp_path):
    path = tmp_path / "labels.csv"
    with LabelSession(PICTURES, ["a", "b"], labels=path, estimator=Flat()) as session:
        row = session.ask()[0].row
        with pytest.raises(ValueError, match="labels"):
            session.answer(row, "c")
        session.answer(row, "a")
        assert session.undo() == [row]


def test_a_signal_handler_may_answer_while_a_question_is_chosen(tmp_path, monkeypatch):
    path = tmp_path / "labels.csv"
    with LabelSession(PICTURES, ["a", "b"], labels=path, estimator=Flat()) as session:
        choose = session._questions.next

        def signalled(*args):
            signal.raise_signal(signal.SIGUSR1)
            return choose(*args)

        def skip(*_):
            session.skip(session.ask(rows=[3])[0].row)

        def stuck(*_):
            raise TimeoutError

        handlers = [(signal.SIGUSR1, skip), (signal.SIGALRM, stuck)]
        before = [signal.signal(number, handler) for number, handler in handlers]
        monkeypatch.setattr(session._questions, "next", signalled)
        signal.alarm(20)
        try:
            session.ask()
        finally:
            signal.alarm(0)
            for (number, _), handler in zip(handlers, before, strict=True):
                signal.signal(number, handler)
        assert session.progress().skipped == 1


OPEN = """
import sys, time
import numpy as np
from modal_pretrain.labelling import LabelSession

rng = np.random.default_rng(0)
pictures = rng.integers(0, 255, (400, 300, 300, 3), np.uint8)
session = LabelSession(pictures, ["a", "b"], labels=sys.argv[1])
session.answer(session.ask()[0].row, "a")
time.sleep(1)
print("said")
raise SystemExit(3)
"""


def test_a_script_that_ends_with_an_open_session(tmp_path):
    path = tmp_path / "labels.csv"
    done = subprocess.run(
        [sys.executable, "-c", OPEN, str(path)], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (3, "said\n"), done.stderr
    assert "terminate" not in done.stderr and "ignored" not in done.stderr
    assert path.read_text("utf-8-sig").count(",a,") == 1
