"""Repairs of committees: the classes they know, and how they vote."""

from typing import Any

import numpy as np
from modAL.models import ActiveLearner, Committee, CommitteeRegressor
from modAL.utils.validation import check_class_labels, check_class_proba

from ._inputs import Stub
from ._registry import repair, replace_method, works


class _Voter(Stub):
    """A classifier that always says "a", for probes."""

    classes_ = np.array(["a"])

    def predict(self, X: list) -> Any:
        return np.full(len(X), "a")

    def predict_proba(self, X: list) -> Any:
        return np.ones((len(X), len(self.classes_)))


@repair
def committee_classes() -> bool:
    """Let a committee have labels of type object, such as strings from pandas 2.

    `Committee` asks `np.unique` for unique rows, which NumPy 2.2 and older do not give
    for objects: "The axis argument to unique is not supported for dtype object".
    """
    original = vars(Committee)["_set_classes"]
    voter = _Voter()
    voter.classes_ = voter.classes_.astype(object)
    if works(lambda: Committee([ActiveLearner(voter)]).n_classes_ == 1):
        return False

    def _set_classes(self: Any) -> None:
        try:
            original(self)
        except TypeError:
            known = [learner.estimator.classes_ for learner in self.learner_list]
            self.classes_ = np.unique(np.concatenate(known))
            self.n_classes_ = len(self.classes_)

    replace_method(Committee, "_set_classes", _set_classes)
    return True


def _stack(votes: list[Any]) -> Any:
    """One column for each learner; numbers as floats, as modAL has them."""
    stacked = np.stack([np.reshape(vote, len(vote)) for vote in votes], axis=1)
    return stacked.astype(float) if stacked.dtype.kind in "biuf" else stacked


@repair
def committee_votes() -> bool:
    """Count votes of a committee for string labels, on lists, and for all classes.

    `vote` fills an array of floats ("could not convert string to float"), and `vote`
    and `vote_proba` ask X for its shape. `CommitteeRegressor.vote` asks a sparse
    matrix for its length. Classes that learners have met or lost since the committee
    itself was taught, by `rebag` or on their own, are left out without a word.
    """
    voter = _Voter()
    committee = Committee([ActiveLearner(voter)])

    def probe() -> bool:
        votes, proba = committee.vote(["x", "y"]), committee.vote_proba(["x", "y"])
        voter.classes_ = np.array(["a", "b"])
        return (
            votes.shape == (2, 1)
            and proba.shape == (2, 1, 1)
            and committee.vote_proba(np.zeros((2, 1))).shape == (2, 1, 2)
        )

    if works(probe):
        return False

    def stack(self: Any, X: Any, **predict_kwargs: Any) -> Any:
        return _stack(
            [learner.predict(X, **predict_kwargs) for learner in self.learner_list]
        )

    def vote(self: Any, X: Any, **predict_kwargs: Any) -> Any:
        self._set_classes()
        return stack(self, X, **predict_kwargs)

    def vote_proba(self: Any, X: Any, **predict_proba_kwargs: Any) -> Any:
        self._set_classes()
        estimators = [learner.estimator for learner in self.learner_list]
        agree = check_class_labels(*estimators)
        votes = [
            learner.predict_proba(X, **predict_proba_kwargs)
            for learner in self.learner_list
        ]
        if not agree:
            votes = [
                check_class_proba(vote, estimator.classes_, self.classes_)
                for vote, estimator in zip(votes, estimators, strict=True)
            ]
        proba = np.zeros((len(votes[0]), len(votes), self.n_classes_))
        for column, vote in enumerate(votes):
            proba[:, column, :] = vote
        return proba

    def regressor_vote(self: Any, X: Any, **predict_kwargs: Any) -> Any:
        return stack(self, X, **predict_kwargs).astype(float)

    replace_method(Committee, "vote", vote)
    replace_method(Committee, "vote_proba", vote_proba)
    replace_method(CommitteeRegressor, "vote", regressor_vote)
    return True
