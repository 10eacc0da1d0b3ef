"""Repairs of teaching: what fails changes nothing; labels are of one kind."""

from typing import Any

import modAL.models.base as base
import numpy as np
import torch
from modAL.models import ActiveLearner, BayesianOptimizer

from ._inputs import Stub
from ._registry import repair, replace_method, works


class _Refusing(Stub):
    """An estimator that learns the label 0 and no other, for probes."""

    def fit(self, X: Any, y: Any) -> "_Refusing":
        if any(label != 0 for label in y):
            raise ValueError("no")
        return self


def _refused(learner: ActiveLearner, y: Any) -> bool:
    """Whether a learner refuses to be taught and knows no more than before."""
    try:
        learner.teach(np.ones((1, 1)), y)
    except ValueError:
        return len(learner.X_training) == len(learner.y_training) == 1
    return False


def _kind(labels: Any) -> str:
    if isinstance(labels, torch.Tensor):
        return "numbers"
    array = np.asarray(labels)
    first = array.flat[0] if array.dtype.kind == "O" and array.size else None
    if array.dtype.kind in "UT" or isinstance(first, str):
        return "strings"
    return "numbers" if array.dtype.kind in "biuf" else ""


@repair
def failed_teaching() -> bool:
    """Leave a learner as it was if it cannot be taught, and refuse labels that mix.

    `teach` keeps the new rows before the estimator has seen them: after one label that
    it refuses, every later call fails on it. And NumPy makes strings of numbers that
    are joined to strings, so that the label 1 becomes "1", another class.
    """
    X, y = np.zeros((1, 1)), np.zeros(1)

    def probe() -> bool:
        learner = ActiveLearner(_Refusing(), X_training=X, y_training=y)
        words = ActiveLearner(Stub(), X_training=X, y_training=np.array(["a"]))
        return _refused(learner, [1]) and _refused(words, [1])

    if works(probe):
        return False
    add = vars(ActiveLearner)["_add_training_data"]

    def _add_training_data(self: Any, X: Any, y: Any) -> None:
        if self.y_training is not None:
            known, new = _kind(self.y_training), _kind(y)
            if known and new and known != new:
                raise ValueError(
                    f"y holds {new}, such as {y[0]!r}, but the labels so far are "
                    f"{known}: joined, all would be strings. Use one kind for all."
                )
        add(self, X, y)

    def whole(teach: Any) -> Any:
        def teach_or_nothing(self: Any, X: Any, y: Any, *args: Any, **kwargs: Any):
            learners = getattr(self, "learner_list", [self])
            before = [(each, each.X_training, each.y_training) for each in learners]
            try:
                teach(self, X, y, *args, **kwargs)
            except BaseException:
                for each, rows, labels in before:
                    each.X_training, each.y_training = rows, labels
                raise

        return teach_or_nothing

    replace_method(ActiveLearner, "_add_training_data", _add_training_data)
    for cls in (ActiveLearner, BayesianOptimizer, base.BaseCommittee):
        replace_method(cls, "teach", whole(vars(cls)["teach"]))
    return True
