"""scikit-learn's scorers in the loop's callbacks, where they name classes by label."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import get_scorer
from skorch.callbacks import Callback
from skorch.callbacks.scoring import ScoringBase

from modal_pretrain.training.examples import targets_of

# Arguments of scikit-learn's metrics that name classes. The loop's targets are column
# numbers: of the labels 1 and 2, say, "f1" would take the second for the positive one.
_NAMING = ("pos_label", "labels")


def score_by_label(callbacks: Iterable[tuple[str, Callback]]) -> None:
    """Let the scorers of callbacks score labels, as outside a fit, where that counts.

    Metrics of scikit-learn that name no class go on with column numbers, of which more
    of them can be computed.

    Parameters
    ----------
    callbacks : iterable of (str, skorch.callbacks.Callback)
        Of a net, initialized.
    """
    for _, callback in callbacks:
        if isinstance(callback, ScoringBase):
            scoring = callback.scoring_
            scorer = get_scorer(scoring) if isinstance(scoring, str) else scoring
            if _names_classes(scorer):
                callback.scoring_ = _ByLabel(scorer)


def _names_classes(scorer: Any) -> bool:
    metric = getattr(scorer, "_score_func", None)
    if metric is None:  # none of scikit-learn's scorers
        return False
    if not str(getattr(metric, "__module__", "")).startswith("sklearn."):
        return True  # it may name them in its code
    takes = inspect.signature(metric).parameters
    defaults = {name: takes[name].default for name in _NAMING if name in takes}
    given = {**defaults, **scorer._kwargs}
    return any(given.get(name) is not None for name in _NAMING)


class _ByLabel:
    """A scorer that sees labels where the loop has column numbers."""

    def __init__(self, scorer: Callable[..., float]) -> None:
        self.scorer = scorer

    def __call__(self, net: Any, X: Any, y: Any = None) -> float:
        columns = targets_of(X) if y is None else np.asarray(y)
        return self.scorer(_Labelling(net), X, net.classes_[columns])


class _Labelling(ClassifierMixin, BaseEstimator):
    """A net whose predictions for the loop's examples are labels."""

    def __init__(self, net: Any) -> None:
        self.net = net

    @property
    def classes_(self) -> np.ndarray:
        return self.net.classes_

    def predict_proba(self, X: Any) -> np.ndarray:
        return self.net.predict_proba(X)

    def predict(self, X: Any) -> np.ndarray:
        return self.classes_[self.predict_proba(X).argmax(axis=1)]
