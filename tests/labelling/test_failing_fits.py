"""Models that cannot be fitted: what is said, what stays, and what is tried again."""

import threading
import time

import numpy as np
import pytest
from PIL import Image
from sklearn.calibration import CalibratedClassifierCV
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from modal_pretrain import PretrainedClassifier
from modal_pretrain.labelling import LabelSession
from modal_pretrain.query import least_confidence_sampling
from tests.labelling.conftest import label


def test_a_strategy_that_fails_does_not_end_the_session(folder, start):
    def broken(classifier, X, n_instances, random_state):
        raise ZeroDivisionError("oh no")

    session = start(folder, strategy=broken, first=2)
    rows = [question.row for question in session.ask(2)]
    session.answer(rows, ["circle", "square"])
    with pytest.raises(RuntimeError, match="ZeroDivisionError: oh no"):
        session.wait(60)
    assert session.progress().problem == "ZeroDivisionError: oh no"
    session.answer(session.ask()[0].row, "circle")
    assert session.progress().labelled == 3
    with pytest.raises(RuntimeError, match="oh no"):
        session.wait(60)


def colours(paths):
    return np.array([np.asarray(Image.open(path)).mean(axis=(0, 1)) for path in paths])


def test_a_fit_that_fails_is_tried_again_after_the_next_answer(folder, start, truth):
    estimator = make_pipeline(
        FunctionTransformer(colours),
        CalibratedClassifierCV(GaussianNB(), cv=2),
    )
    session = start(folder, classes=None, estimator=estimator, audit_share=0)
    label(session, truth, 12)
    before = session.progress()
    session.answer(session.ask()[0].row, "star")  # two folds need two of each
    with pytest.raises(RuntimeError, match="could not be fitted: ValueError"):
        session.wait(60)
    assert session.progress().model == before.model and session.progress().learnt == 12
    assert set(session.predictions()["predicted"]) <= {"circle", "square"}
    session.answer(session.ask()[0].row, "star")
    assert session.wait(60) and session.progress().problem == ""
    assert session.progress().learnt == 14


def test_a_wait_that_ends_amid_the_next_try_does_not_tell_of_the_last(folder, start):
    go_on = threading.Event()

    def strategy(classifier, X, n_instances, random_state, y_labelled):
        if len(y_labelled) == 2:
            raise ZeroDivisionError("oh no")
        go_on.wait(10)
        return np.arange(n_instances)

    session = start(folder, strategy=strategy, first=2, audit_share=0)
    session.answer([q.row for q in session.ask(2)], ["circle", "square"])
    with pytest.raises(RuntimeError, match="oh no"):
        session.wait(60)
    session.answer(session.ask()[0].row, "circle")
    assert not session.wait(0.1)
    go_on.set()
    assert session.wait(60) and session.progress().learnt == 3


def test_a_thread_that_ends_says_that_it_tries_nothing_again(
    folder, start, monkeypatch
):
    def broken(self, paths):
        raise MemoryError("too little")

    monkeypatch.setattr(PretrainedClassifier, "embed", broken)
    session = start(folder, first=2)
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"too little \(it ended: close and"):
            session.wait(60)
        session.answer(session.ask()[0].row, "circle")


def test_a_strategy_that_wants_to_exit_only_stops_the_model(folder, start):
    def leaves(classifier, X, n_instances, random_state):
        raise SystemExit("goodbye")

    session = start(folder, strategy=leaves, first=2)
    session.answer([q.row for q in session.ask(2)], ["circle", "square"])
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(RuntimeError, match="SystemExit: goodbye"):
            session.wait(60)
        assert time.monotonic() - began < 30
        session.answer(session.ask()[0].row, "circle")


def test_words_counted_in_texts_need_a_strategy_that_takes_them(tmp_path):
    """The usual pipeline of scikit-learn is sparse: told what to do, or asks by it."""
    table = tmp_path / "texts.csv"
    rows = [f"{'good' if n % 2 else 'bad'} film {n}" for n in range(30)]
    table.write_text("\n".join(["text", *rows]))

    def learn(labels, **options):
        estimator = make_pipeline(CountVectorizer(), MultinomialNB())
        with LabelSession(
            table,
            column="text",
            labels=tmp_path / labels,
            estimator=estimator,
            **options,
        ) as session:
            for _ in range(12):
                row = session.ask()[0].row
                session.answer(row, rows[row].split()[0])
            session.wait()
            return session.progress().learnt

    with pytest.raises(RuntimeError, match=r"least_confidence_sampling.* TruncatedSVD"):
        learn("default.csv")
    assert learn("unsure.csv", strategy=least_confidence_sampling) >= 10
