"""Classifiers and pools that every strategy is tested with."""

import inspect

import numpy as np
from modAL.models import ActiveLearner, Committee
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from modal_pretrain import query

STRATEGIES = sorted(name for name in query.__all__ if name.endswith("_sampling"))

# What a strategy can't do without, beyond the classifier and the pool.
REQUIRED = {"groups": lambda X: np.arange(len(X)) % 3}


def call(name, classifier, X, n_instances=1, **kwargs):
    """Call a strategy with what else it requires."""
    strategy = getattr(query, name)
    for parameter in inspect.signature(strategy).parameters.values():
        needed = parameter.default is inspect.Parameter.empty
        if needed and parameter.name not in ("classifier", "X", *kwargs):
            kwargs[parameter.name] = REQUIRED[parameter.name](X)
    return strategy(classifier, X, n_instances, **kwargs)


def pool(n=40, d=6, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def seed_set(n_classes, d=6, per_class=6, seed=1):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(n_classes), per_class)
    X = rng.standard_normal((len(y), d))
    X[:, 0] += 1.5 * y
    return X, y


class Centroids(ClassifierMixin, BaseEstimator):
    """Soft nearest centroid: quick to fit, smooth, and right enough."""

    def fit(self, X, y):
        X = np.asarray(X, dtype=np.float64)
        self.classes_, columns = np.unique(y, return_inverse=True)
        k = range(len(self.classes_))
        self.means_ = np.stack([X[columns == i].mean(axis=0) for i in k])
        return self

    def predict_proba(self, X):
        check_is_fitted(self)
        X = np.asarray(X, dtype=np.float64)
        with np.errstate(all="ignore"):
            logits = X @ self.means_.T - 0.5 * (self.means_**2).sum(axis=1)
            return softmax(logits / X.shape[1], axis=1)

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


class Forest(ClassifierMixin, BaseEstimator):
    """An ensemble made like scikit-learn's, of members that see other halves."""

    def __init__(self, random_state=0):
        self.random_state = random_state

    def fit(self, X, y):
        rng = np.random.default_rng(self.random_state)
        X = np.asarray(X)
        self.classes_, columns = np.unique(y, return_inverse=True)
        self.estimators_ = []
        for _ in range(4):
            kept = rng.random(len(X)) < 0.6
            kept[np.unique(columns, return_index=True)[1]] = True
            self.estimators_.append(Centroids().fit(X[kept], columns[kept]))
        return self

    def predict_proba(self, X):
        check_is_fitted(self)
        return np.mean([m.predict_proba(X) for m in self.estimators_], axis=0)

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def forest(seed=0):
    return Forest(random_state=seed)


def make(kind, n_classes=3):
    X, y = seed_set(n_classes)
    if kind == "bare":
        return forest().fit(X, y)
    if kind == "strings":
        return forest().fit(X, np.array(["ant", "bee", "cow"])[y])
    if kind == "pipeline":
        return make_pipeline(StandardScaler(), forest()).fit(X, y)
    if kind == "learner":
        return ActiveLearner(forest(), X_training=X, y_training=y)
    if kind == "transformed":
        estimator = make_pipeline(StandardScaler(), forest())
        return ActiveLearner(estimator, X_training=X, y_training=y, on_transformed=True)
    if kind == "committee":
        learners = [
            ActiveLearner(
                make_pipeline(StandardScaler(), forest(seed)),
                X_training=X[seed::2],
                y_training=y[seed::2],
            )
            for seed in range(2)
        ]
        return Committee(learners)
    if kind == "transformed committee":
        committee = make("committee", n_classes)
        committee.on_transformed = True
        return committee
    raise ValueError(kind)


KINDS = [
    "bare",
    "strings",
    "pipeline",
    "learner",
    "transformed",
    "committee",
    "transformed committee",
]


class Encoder:
    """A stand-in for PretrainedClassifier: embeds images, predicts from that."""

    classes_ = np.array([0, 1])
    estimators_ = ()

    def __init__(self, X, y):
        self.head = forest().fit(self.embed(X), y)
        self.classes_ = self.head.classes_

    def embed(self, X):
        X = np.asarray(X, dtype=np.float32)
        return X.reshape(len(X), -1)[:, ::4]

    def predict_proba(self, X):
        return self.head.predict_proba(self.embed(X))

    def sample(self, X):
        members = self.head.estimators_
        return np.stack([m.predict_proba(self.embed(X)) for m in members])


class Embedder(Centroids):
    def embed(self, X):
        return np.asarray(X, dtype=np.float32)[:, :2]
