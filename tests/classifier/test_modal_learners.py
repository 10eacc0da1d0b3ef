"""modAL drives the estimators: learners, committees, deep learners, pipelines."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from modAL.batch import uncertainty_batch_sampling
from modAL.disagreement import (
    consensus_entropy_sampling,
    max_disagreement_sampling,
    vote_entropy_sampling,
)
from modAL.dropout import (
    mc_dropout_bald,
    mc_dropout_max_entropy,
    mc_dropout_max_variationRatios,
    mc_dropout_mean_st,
)
from modAL.models import ActiveLearner, Committee, DeepActiveLearner
from modAL.uncertainty import (
    entropy_sampling,
    margin_sampling,
    uncertainty_sampling,
)
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from torch import nn

from modal_pretrain import PretrainedClassifier, TimmEncoder

DROPOUT = [
    mc_dropout_bald,
    mc_dropout_mean_st,
    mc_dropout_max_entropy,
    mc_dropout_max_variationRatios,
]


def objects(items):
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def without(pool, indices):
    keep = np.setdiff1d(np.arange(len(pool)), indices)
    return pool[keep] if hasattr(pool, "shape") else [pool[k] for k in keep]


@pytest.fixture
def names(labels):
    return np.array(["night", "day"])[labels]


@pytest.fixture
def learner(make, pictures, names, cache):
    def build(query_strategy=uncertainty_sampling, n_seed=4, **params):
        return ActiveLearner(
            estimator=make(**{"cache": cache, **params}),
            query_strategy=query_strategy,
            X_training=pictures[:n_seed],
            y_training=names[:n_seed],
        )

    return build


# ActiveLearner ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "strategy", [uncertainty_sampling, margin_sampling, entropy_sampling]
)
@pytest.mark.parametrize("n_instances", [1, 2, 3])
def test_rounds(learner, pictures, names, strategy, n_instances):
    active = learner(strategy, C=1.0)
    pool, y_pool = pictures[4:], names[4:]
    for _ in range(3):
        proba = active.predict_proba(pool)
        indices, queried = active.query(pool, n_instances=n_instances)
        assert len(set(np.ravel(indices))) == n_instances
        np.testing.assert_array_equal(queried, pool[indices])
        # For two classes all three strategies ask for the least confident rows.
        confidence = proba.max(axis=1)
        asked = np.sort(confidence[indices])
        np.testing.assert_allclose(asked, np.sort(confidence)[:n_instances])
        active.teach(queried, y_pool[indices])
        pool, y_pool = without(pool, indices), without(y_pool, indices)
    assert len(active.X_training) == 4 + 3 * n_instances
    assert active.score(pictures, names) > 0.9
    assert set(active.predict(pictures)) <= {"night", "day"}


def test_learner_is_refitted_from_the_initial_weights(learner, make, pictures, names):
    active = learner(
        backbone="test_efficientnet", pretrained=False, tune=1, max_steps=3
    )
    for start in (4, 8):
        active.teach(pictures[start : start + 4], names[start : start + 4])
    fresh = make(backbone="test_efficientnet", pretrained=False, tune=1, max_steps=3)
    fresh.fit(pictures[:12], names[:12])
    np.testing.assert_array_equal(
        active.predict_proba(pictures), fresh.predict_proba(pictures)
    )


def test_only_new(learner, pictures, names):
    active = learner(classes=["day", "night"])
    active.teach(pictures[4:6], names[4:6], only_new=True)
    assert len(active.X_training) == 4
    assert active.estimator.trained_weight_ == 2


def test_learner_without_a_seed_set(make, pictures, names):
    active = ActiveLearner(make(classes=["day", "night"]))
    active.teach(pictures[:4], names[:4])
    active.teach(pictures[4:6], names[4:6])
    assert len(active.y_training) == 6
    assert active.predict(pictures).shape == (24,)


@pytest.mark.parametrize("strategy", [uncertainty_sampling, entropy_sampling])
def test_more_instances_than_the_pool_holds(learner, pictures, strategy):
    # modAL hands the number to NumPy, which sets the rule: an error, not a short batch.
    active = learner(strategy)
    indices, _ = active.query(pictures[4:9], n_instances=5)
    assert sorted(indices) == [0, 1, 2, 3, 4]
    with pytest.raises((ValueError, AssertionError)):
        active.query(pictures[4:9], n_instances=6)


def test_shrinking_pool_costs_look_ups_only(learner, pictures, names, cache):
    active = learner()
    pool, y_pool = pictures[4:], names[4:]
    assert cache.info()["misses"] == 4
    active.query(pool, n_instances=2)
    assert cache.info()["misses"] == 24
    for _ in range(5):
        indices, queried = active.query(pool, n_instances=2)
        active.teach(queried, y_pool[indices])
        pool = np.delete(pool, indices, axis=0)
        y_pool = np.delete(y_pool, indices, axis=0)
        assert cache.info()["misses"] == 24
    assert cache.info()["rows"] == 24


def pools(paths, pictures):
    pil = [Image.fromarray(picture) for picture in pictures]
    return {
        "array of paths": paths,
        "list of str": paths.tolist(),
        "list of Path": [Path(path) for path in paths],
        "object array of paths": paths.astype(object),
        "object array of PIL": objects(pil),
        "float array": pictures.transpose(0, 3, 1, 2) / np.float32(255),
        "tensor": torch.tensor(pictures),
        "list of arrays": list(pictures),
        "Series of paths": pd.Series(paths),
        "frame of paths": pd.DataFrame({"path": paths}),
    }


KINDS = list(pools(np.empty(0, "U9"), np.empty((0, 1, 1, 3), np.uint8)))


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_pools(make, paths, pictures, names, kind, cache):
    def run(X):
        take = X.iloc.__getitem__ if hasattr(X, "iloc") else X.__getitem__
        active = ActiveLearner(
            make(cache=cache),
            query_strategy=uncertainty_sampling,
            X_training=take(slice(0, 4)),
            y_training=names[:4],
        )
        asked, left = [], np.arange(4, 24)
        for _ in range(3):
            if isinstance(X, list):
                pool = [X[k] for k in left]
            else:
                pool = take(left) if kind != "tensor" else X[torch.from_numpy(left)]
            indices, queried = active.query(pool, n_instances=2)
            indices = np.asarray(indices)
            active.teach(queried, names[left[indices]])
            asked += left[indices].tolist()
            left = np.delete(left, indices)
        return asked, active.predict_proba(X)

    expected, proba = run(pictures)
    asked, got = run(pools(paths, pictures)[kind])
    assert asked == expected
    np.testing.assert_allclose(got, proba, atol=1e-4)


# Committee ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "strategy",
    [vote_entropy_sampling, consensus_entropy_sampling, max_disagreement_sampling],
)
def test_committee_with_differing_classes(make, pictures, labels, strategy):
    names = np.array(["a", "b", "c"])[labels + (np.arange(24) >= 12)]
    members = [
        ActiveLearner(make(), X_training=pictures[rows], y_training=names[rows])
        for rows in (slice(0, 6), slice(14, 20), slice(4, 20))
    ]
    assert [list(m.estimator.classes_) for m in members] == [
        ["a", "b"],
        ["b", "c"],
        ["a", "b", "c"],
    ]
    committee = Committee(members, query_strategy=strategy)
    assert list(committee.classes_) == ["a", "b", "c"]
    votes = committee.vote(pictures)
    assert votes.shape == (24, 3)
    assert set(np.unique(votes)) <= {"a", "b", "c"}
    proba = committee.vote_proba(pictures)
    assert proba.shape == (24, 3, 3)
    np.testing.assert_allclose(proba.sum(axis=2), 1)
    assert (proba[:, 0, 2] == 0).all()
    assert (proba[:, 1, 0] == 0).all()
    indices, queried = committee.query(pictures, n_instances=3)
    committee.teach(queried, names[indices])
    assert committee.predict(pictures).shape == (24,)
    assert set(committee.predict(pictures)) <= {"a", "b", "c"}


def test_bagging(make, pictures, names):
    members = [
        ActiveLearner(
            make(classes=["day", "night"]),
            X_training=pictures[:8],
            y_training=names[:8],
            bootstrap_init=True,
        )
        for _ in range(3)
    ]
    committee = Committee(members)
    assert committee.vote(pictures).shape == (24, 3)
    committee.rebag()
    assert (committee.vote_proba(pictures).std(axis=1) > 0).any()


# DeepActiveLearner --------------------------------------------------------------------


@pytest.mark.parametrize("params", [{}, {"backbone": "test_efficientnet"}])
def test_deep_learner(make, pictures, names, params):
    if params:
        params = {**params, "pretrained": False, "tune": "all", "lr": 0.02}
    classes = ["day", "night"]
    active = DeepActiveLearner(make(classes=classes, **params, max_steps=3))
    assert not active.estimator.__sklearn_is_fitted__()
    assert active.num_epochs == "auto"
    active.num_epochs = 2
    active.batch_size = 6
    assert (active.num_epochs, active.batch_size) == (2, 6)
    active.teach(pictures[:4], names[:4])
    assert len(active.estimator.history) == 2
    first = active.predict_proba(pictures)
    indices, queried = active.query(pictures[4:], n_instances=3)
    active.teach(queried, names[4:][indices], warm_start=True)
    assert len(active.estimator.history) == 4
    warm = active.predict_proba(pictures)
    assert (warm != first).any()
    active.teach(pictures[:4], names[:4], warm_start=False)
    np.testing.assert_array_equal(active.predict_proba(pictures), first)
    active.fit(pictures[:8], names[:8])
    assert active.score(pictures, names) > 0.4


def test_deep_learner_with_bootstrap(make, pictures, names):
    active = DeepActiveLearner(make(classes=["day", "night"]))
    active.teach(pictures[:8], names[:8], bootstrap=True)
    active.fit(pictures[:8], names[:8], bootstrap=True)
    assert active.predict(pictures).shape == (24,)


def test_deep_learner_sees_a_new_label(make, pictures, names):
    active = DeepActiveLearner(make())
    active.teach(pictures[:4], names[:4])
    with pytest.raises(ValueError, match=r"labels \['dusk'\].*classes=\[\.\.\.\]"):
        active.teach(pictures[4:5], ["dusk"])


class WithDropout(nn.Module):
    """A backbone that has dropout of its own."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 4, stride=4)
        self.norm = nn.BatchNorm2d(8)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        return self.dropout(self.norm(self.convolution(x)).relu().mean((2, 3)))


@pytest.mark.parametrize("strategy", DROPOUT)
@pytest.mark.parametrize("kind", ["head", "all", "backbone"])
def test_dropout_strategies(make, pictures, names, strategy, kind):
    params = {
        "head": {"module__dropout": 0.4, "max_epochs": 5},
        "all": {
            "backbone": WithDropout,
            "pretrained": False,
            "tune": "all",
            "module__dropout": 0.3,
        },
        "backbone": {"backbone": WithDropout, "pretrained": False, "tune": "all"},
    }[kind]
    if kind != "head":
        params |= {"lr": 0.1, "max_epochs": 5}
    active = DeepActiveLearner(
        make(classes=["day", "night"], **params), query_strategy=strategy
    )
    active.teach(pictures[:6], names[:6])
    before = active.predict_proba(pictures)
    norms = {
        key: value.clone()
        for key, value in active.estimator.module_.state_dict().items()
    }
    pool = torch.tensor(pictures[6:])
    torch.manual_seed(0)
    indices, queried, scores = active.query(
        pool, n_instances=3, num_cycles=10, return_metrics=True
    )
    assert len(set(indices.tolist())) == 3
    np.testing.assert_array_equal(queried, pool[indices])
    assert np.isfinite(scores).all()
    if strategy is not mc_dropout_max_variationRatios:
        assert (np.asarray(scores) > 1e-6).all()
    # The dropout is off again, and nothing was learnt.
    np.testing.assert_array_equal(active.predict_proba(pictures), before)
    after = active.estimator.module_.state_dict()
    assert all(torch.equal(norms[key], after[key]) for key in norms)


def test_dropout_differs_between_cycles(make, pictures, names):
    def scores(dropout):
        active = DeepActiveLearner(
            make(classes=["day", "night"], module__dropout=dropout, max_epochs=5),
            query_strategy=mc_dropout_mean_st,
        )
        active.teach(pictures[:6], names[:6])
        pool = torch.tensor(pictures)
        return active.query(pool, n_instances=24, num_cycles=8, return_metrics=True)[2]

    with pytest.warns(UserWarning, match="All 8 passes gave the same"):
        without = scores(0.0)
    assert np.max(without) < 1e-6 < np.min(scores(0.5))


def test_dropout_embeds_the_pool_once(make, pictures, names, cache):
    active = DeepActiveLearner(
        make(classes=["day", "night"], module__dropout=0.4, cache=cache, max_epochs=2),
        query_strategy=mc_dropout_bald,
    )
    active.teach(pictures[:6], names[:6])
    active.query(torch.tensor(pictures), num_cycles=10)
    # Arrays and tensors of the same pixels are the same rows.
    assert cache.info()["misses"] == 24


# Pipelines ----------------------------------------------------------------------------


@pytest.fixture
def pipeline(cache):
    encoder = TimmEncoder(image_size=32, precision="float32", device="cpu", cache=cache)
    return make_pipeline(encoder, LogisticRegression())


@pytest.mark.parametrize("kind", ["array", "paths"])
def test_on_transformed(pipeline, pictures, paths, names, kind, cache):
    X = pictures if kind == "array" else paths
    seen = []

    def strategy(classifier, pool, n_instances=1):
        embedding = classifier.transform_without_estimating(pool)
        seen.append(embedding.shape)
        return np.arange(n_instances), np.zeros(n_instances)

    active = ActiveLearner(
        pipeline,
        query_strategy=strategy,
        on_transformed=True,
        X_training=X[:4],
        y_training=names[:4],
    )
    _, queried = active.query(X[4:], n_instances=2)
    active.teach(queried, names[4:6])
    assert seen == [(20, 1280)]
    assert active.score(X, names) > 0.9
    assert cache.info()["misses"] == 24


@pytest.mark.parametrize("kind", ["array", "paths"])
def test_ranked_batches(pipeline, pictures, paths, names, kind):
    X = pictures if kind == "array" else paths
    active = ActiveLearner(
        pipeline,
        query_strategy=uncertainty_batch_sampling,
        on_transformed=True,
        X_training=X[:4],
        y_training=names[:4],
    )
    pool, y_pool = X[4:], names[4:]
    for _ in range(2):
        indices, queried = active.query(pool, n_instances=5)
        assert max(Counter(np.asarray(indices).tolist()).values()) == 1
        active.teach(queried, y_pool[indices])
        pool, y_pool = np.delete(pool, indices, 0), np.delete(y_pool, indices, 0)
    assert len(active.y_training) == 14
    assert active.score(X, names) > 0.9


def test_ranked_batches_of_the_classifier_itself(learner, pictures, names):
    active = learner(uncertainty_batch_sampling)
    indices, queried = active.query(pictures[4:], n_instances=5)
    assert len(set(np.asarray(indices).tolist())) == 5
    active.teach(queried, names[4:][indices])


def test_pipeline_and_classifier_agree(pipeline, make, pictures, names):
    # The same thing in two spellings, up to the scaling of the features.
    one = ActiveLearner(pipeline, X_training=pictures[:8], y_training=names[:8])
    two = ActiveLearner(make(C=1.0), X_training=pictures[:8], y_training=names[:8])
    agree = one.predict(pictures) == two.predict(pictures)
    assert agree.mean() > 0.9


# A class of the user's ----------------------------------------------------------------


def test_subclass(make, pictures, names):
    class Mine(PretrainedClassifier):
        """Adds a parameter, as skorch asks for it."""

        def __init__(self, *args, threshold=0.5, **kwargs):
            super().__init__(*args, **kwargs)
            self.threshold = threshold

        def predict(self, X):
            above = self.predict_proba(X)[:, 1] > self.threshold
            return self.classes_[above.astype(int)]

    active = ActiveLearner(
        make(Mine, threshold=0.0), X_training=pictures[:4], y_training=names[:4]
    )
    assert set(active.predict(pictures)) == {"night"}
    assert active.estimator.get_params()["threshold"] == 0.0
