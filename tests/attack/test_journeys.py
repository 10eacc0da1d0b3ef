"""Long journeys, in any order: what counts is where they end, not how one got there."""

import copy
import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from modAL.models import ActiveLearner
from sklearn.base import clone
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from modal_pretrain import PretrainedClassifier
from modal_pretrain.labelling import LabelSession
from modal_pretrain.labelling.pool import TextPool

RNG = np.random.default_rng(0)
N = 14
X = RNG.integers(0, 256, (N, 32, 32, 3), dtype=np.uint8)
Y = np.array([0, 1, 2, 0, 1] * 3)[:N]
NEW = RNG.integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)

rows_of_x = st.lists(st.integers(0, N - 1), min_size=4, max_size=N, unique=True).filter(
    lambda rows: len(set(Y[rows])) > 1
)
some_tags = st.sampled_from(["sea", "land", None])
SETTINGS = {
    "C": [0.01, 0.1, 1.0],
    "error_weighting": [0.0, 2.0],
    "group_balance": [0.0, 0.5, 1.0],
    "class_weight": [None, "balanced"],
    "image_size": [32, 40],
    "cache": [None, "memory"],
    "classes": [None, [0, 1, 2]],
}
# These change what the weights mean: until the next fit there is no answer.
DECISIVE = {"image_size", "classes"}


class Estimator(RuleBasedStateMachine):
    """An estimator with a past answers as a new one does that gets the same data."""

    def __init__(self):
        super().__init__()
        self.estimator = PretrainedClassifier(
            image_size=32, device="cpu", precision="float32", random_state=0
        )
        self.tags, self.calls, self.fitted_with = {}, [], None

    def params(self):
        return {name: getattr(self.estimator, name) for name in SETTINGS}

    def new(self):
        """Make an estimator whose past is no longer than it must be."""
        new = clone(self.estimator)
        for tags, params, (method, rows, kwargs) in self.calls:
            new.set_params(**params)
            tagged = list(tags)
            new.tag(X[list(range(N))], [None] * N)
            if tagged:
                new.tag(X[tagged], [tags[row] for row in tagged])
            getattr(new, method)(X[rows], Y[rows], **kwargs)
        return new.set_params(**self.params())

    def took(self, method, rows, kwargs):
        call = dict(self.tags), self.params(), (method, rows, kwargs)
        self.calls = [*self.calls, call] if method == "partial_fit" else [call]
        self.fitted_with = {name: self.params()[name] for name in DECISIVE}

    def answers(self):
        return self.fitted_with is not None and all(
            self.params()[name] == value for name, value in self.fitted_with.items()
        )

    @rule(rows=rows_of_x)
    def fit(self, rows):
        self.estimator.fit(X[rows], Y[rows])
        self.took("fit", rows, {})

    @rule(rows=rows_of_x, data=st.data())
    def fit_weighted(self, rows, data):
        weight = data.draw(
            st.lists(st.sampled_from([0.5, 1.0, 3.0]),
                     min_size=len(rows), max_size=len(rows))
        )  # fmt: skip
        self.estimator.fit(X[rows], Y[rows], sample_weight=weight)
        self.took("fit", rows, {"sample_weight": weight})

    @rule(rows=rows_of_x, given=some_tags)
    def fit_with_tags(self, rows, given):
        ignore = [given, *["land"] * (len(rows) - 1)]
        self.estimator.fit(X[rows], Y[rows], ignore=ignore)
        self.took("fit", rows, {"ignore": ignore})

    @precondition(lambda self: self.answers())
    @rule(rows=rows_of_x)
    def partial_fit(self, rows):
        if not set(Y[rows].tolist()) <= set(self.estimator.classes_.tolist()):
            with pytest.raises(ValueError, match="classes"):
                self.estimator.partial_fit(X[rows], Y[rows])
            return
        self.estimator.partial_fit(X[rows], Y[rows])
        self.took("partial_fit", rows, {})

    @rule(rows=rows_of_x, more=rows_of_x)
    def teach(self, rows, more):
        learner = ActiveLearner(self.estimator)
        learner.teach(X[rows], Y[rows])
        learner.teach(X[more], Y[more])
        self.took("fit", [*rows, *more], {})

    @rule(rows=rows_of_x, tag=some_tags)
    def tag(self, rows, tag):
        self.estimator.tag(X[rows], [tag] * len(rows))
        self.tags.update(dict.fromkeys(rows, tag))

    @rule(data=st.data(), name=st.sampled_from(sorted(SETTINGS)))
    def set_params(self, data, name):
        self.estimator.set_params(**{name: data.draw(st.sampled_from(SETTINGS[name]))})

    @rule(how=st.sampled_from([copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))]))
    def copied(self, how):
        self.estimator = how(self.estimator)

    @rule()
    def cloned(self):
        self.estimator = clone(self.estimator)
        self.tags, self.calls, self.fitted_with = {}, [], None

    @rule(rows=rows_of_x)
    def fails(self, rows):
        weight = [np.nan, *[1.0] * (len(rows) - 1)]
        with pytest.raises(ValueError, match="sample_weight"):
            self.estimator.fit(X[rows], Y[rows], sample_weight=weight)

    @invariant()
    def is_as_if_new(self):
        if self.answers():
            found = self.estimator.predict_proba(NEW)
            np.testing.assert_array_equal(found, self.new().predict_proba(NEW))
        else:
            with pytest.raises(Exception, match=r"not fitted|[Ff]it"):
                self.estimator.predict_proba(NEW)


TEXTS = [f"text {number}" for number in range(9)]
WORDS = ["a", "b", "c"]


class Days(RuleBasedStateMachine):
    """Answers are of the texts, whatever the order of the rows, day after day."""

    def __init__(self):
        super().__init__()
        self.session = None
        self.answers = []

    @initialize(today=st.permutations(TEXTS))
    def begin(self, today):
        self.path = Path(tempfile.mkdtemp(dir=self.root), "labels.csv")
        self.open(today)

    @rule(today=st.lists(st.sampled_from(TEXTS), min_size=2, unique=True))
    def open(self, today):
        """Another day: some texts are gone, some are back, in another order."""
        self.teardown()
        self.today = list(today)
        self.session = LabelSession(
            TextPool(self.today),
            labels=self.path,
            estimator=make_pipeline(CountVectorizer(), LogisticRegression()),
            first=1000,
        )

    def rows(self, data):
        rows = data.draw(
            st.lists(
                st.integers(0, len(self.today) - 1), min_size=1, max_size=3, unique=True
            )
        )
        self.session.ask(rows=rows)
        return rows, [self.today[row] for row in rows]

    def known(self, text):
        """Return what the last answer about a text says that was not taken back."""
        return next((a[text] for a in reversed(self.answers) if text in a), None)

    def take(self, texts, now):
        self.answers.append(dict(zip(texts, now, strict=True)))

    @rule(data=st.data(), word=st.sampled_from(WORDS), tag=st.sampled_from(["", "t"]))
    def answer(self, data, word, tag):
        rows, texts = self.rows(data)
        self.session.answer(rows, word, tag or None)
        self.take(texts, [(word, tag)] * len(rows))

    @rule(data=st.data())
    def answer_each(self, data):
        rows, texts = self.rows(data)
        words = [data.draw(st.sampled_from(WORDS)) for _ in rows]
        self.session.answer(rows, words)
        self.take(texts, [(word, "") for word in words])

    @rule(data=st.data())
    def skip(self, data):
        rows, texts = self.rows(data)
        self.session.skip(rows)
        self.take(texts, [self.known(text) for text in texts])

    @rule(data=st.data())
    def cannot_tell(self, data):
        rows, texts = self.rows(data)
        self.session.cannot_tell(rows)
        self.take(texts, [None] * len(texts))

    @rule()
    def undo(self):
        rows = self.session.undo()
        # What is away keeps what was said of it, until it is back and taken back, too.
        there = [answer for answer in self.answers if set(answer) & set(self.today)]
        last = there[-1] if there else {}
        assert {self.today[row] for row in rows} == set(last) & set(self.today)
        for text in set(last) & set(self.today):
            del last[text]

    @invariant()
    def labels_are_as_said(self):
        if self.session is None:
            return
        found = {
            self.today[row]: (label, tag)
            for row, label, tag in self.session.labels()[["row", "label", "tag"]]
            .itertuples(index=False)
        }  # fmt: skip
        said = {t: self.known(t) for t in self.today if self.known(t) is not None}
        assert found == said

    def teardown(self):
        if self.session is not None:
            self.session.close()
            self.session = None


@pytest.mark.parametrize("journey", [Estimator, Days])
def test_journey(journey, tmp_path_factory):
    journey.root = tmp_path_factory.mktemp("journey")
    run_state_machine_as_test(journey, settings=settings(stateful_step_count=15))
