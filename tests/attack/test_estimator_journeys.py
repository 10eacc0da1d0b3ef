"""An estimator's long journeys, in any order: what counts is where they end."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from modAL.models import ActiveLearner
from sklearn.base import clone

from modal_pretrain import PretrainedClassifier

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


def test_journeys():
    run_state_machine_as_test(Estimator, settings=settings(stateful_step_count=15))
