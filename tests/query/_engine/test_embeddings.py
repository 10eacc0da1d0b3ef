"""Embeddings, wherever they come from."""

import numpy as np
import pandas as pd
import pytest
import torch
from modAL.models import (
    ActiveLearner,
    Committee,
)
from scipy.sparse import csr_matrix
from sklearn.ensemble import (
    VotingClassifier,
)
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from modal_pretrain import query
from modal_pretrain.query._engine.classifier import number_of_classes
from modal_pretrain.query._engine.embeddings import (
    embeddings,
    labelled_set,
    predictor_on_embeddings,
)
from tests.query.query_cases import Centroids, Embedder, forest, make, pool, seed_set


def test_where_embeddings_come_from():
    X = pool(10)
    X_seed, y_seed = seed_set(2)
    scaled = make_pipeline(StandardScaler(), Centroids()).fit(X_seed, y_seed)
    expected = scaled[:-1].transform(X)
    assert embeddings(Embedder(), X, 10).shape == (10, 2)
    assert embeddings(ActiveLearner(Embedder()), X, 10).dtype == np.float32
    np.testing.assert_array_equal(embeddings(scaled, X, 10), expected)
    for flag in (False, True):
        learner = ActiveLearner(
            scaled, X_training=X_seed, y_training=y_seed, on_transformed=flag
        )
        found = embeddings(learner, X, 10)
        np.testing.assert_array_equal(found, expected if flag else X)
    np.testing.assert_array_equal(embeddings(Centroids(), X, 10), X)
    np.testing.assert_array_equal(embeddings(None, X.tolist(), 10), X)
    two = make_pipeline(StandardScaler(), Embedder()).fit(X_seed, y_seed)
    np.testing.assert_allclose(embeddings(two, X, 10), expected[:, :2], rtol=1e-6)


def test_a_pipeline_embeds_what_is_no_table():
    flatten = FunctionTransformer(lambda images: np.reshape(images, (len(images), -1)))
    images = np.random.default_rng(0).random((12, 2, 3))
    y = np.arange(12) % 2
    pipeline = make_pipeline(flatten, Centroids())
    learner = ActiveLearner(pipeline, X_training=images, y_training=y)
    assert embeddings(learner, images, 12).shape == (12, 6)
    idx, _ = query.core_set_sampling(learner, images, 3)
    assert len(set(idx)) == 3


def test_committee_embeddings():
    X = pool(10)
    committee = make("committee")
    np.testing.assert_array_equal(embeddings(committee, X, 10), X)
    committee.on_transformed = True
    np.testing.assert_allclose(
        embeddings(committee, X, 10), committee.transform_without_estimating(X)
    )


def test_ensembles_of_pipelines_are_transformed_as_modal_has_it():
    X_seed, y_seed = seed_set(2)
    X, scaled = pool(10), StandardScaler().fit(X_seed).transform(pool(10))
    voting = VotingClassifier(
        [(str(i), make_pipeline(StandardScaler(), GaussianNB())) for i in range(2)],
        voting="soft",
    )
    learner = ActiveLearner(
        voting, X_training=X_seed, y_training=y_seed, on_transformed=True
    )
    np.testing.assert_allclose(embeddings(learner, X, 10), np.hstack([scaled, scaled]))
    assert predictor_on_embeddings(learner, X) is None
    assert query.drop_query_sampling(learner, X, 2)[0].shape == (2,)
    learner.on_transformed = False
    np.testing.assert_array_equal(embeddings(learner, X, 10), X)
    assert predictor_on_embeddings(learner, X) is not None


def test_heads_within_reach():
    X, (X_seed, y_seed) = pool(10), seed_set(3)
    for kind in ("bare", "learner", "pipeline", "transformed", "committee"):
        classifier = make(kind)
        head = predictor_on_embeddings(classifier, X)
        if head is None:
            assert kind == "committee"  # its members are pipelines
            continue
        vectors = embeddings(classifier, X, 10)
        np.testing.assert_allclose(head(vectors), classifier.predict_proba(X))
    plain = Committee(
        [ActiveLearner(forest(), X_training=X_seed, y_training=y_seed) for _ in "ab"]
    )
    np.testing.assert_allclose(
        predictor_on_embeddings(plain, X)(X), plain.predict_proba(X)
    )
    assert predictor_on_embeddings(Embedder(), X) is None


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (csr_matrix(np.eye(4)), TypeError, "no embeddings.*csr"),
        (np.zeros((4, 2, 2)), TypeError, r"no embeddings.*\(4, 2, 2\)"),
        (["a", "b", "c", "d"], TypeError, "no embeddings.*list"),
        (np.array(["a", "b", "c", "d"]), TypeError, "no embeddings"),
        (np.zeros((4, 0)), ValueError, "at least one column"),
        (np.array([[1.0, np.nan]] * 4), ValueError, "nan in row 0, column 1"),
        (np.array([[1.0, 1e16]] * 4), ValueError, "1e15.*Standard"),
    ],
)
def test_bad_tables(X, error, message):
    with pytest.raises(error, match=message):
        embeddings(Centroids(), X, 4)


@pytest.mark.parametrize(
    ("raw", "error", "message"),
    [
        (csr_matrix(np.eye(4)), TypeError, "sparse.*TruncatedSVD"),
        (np.array([["a"]] * 4), TypeError, "dtype"),
        (np.zeros(4), TypeError, "shape"),
        (np.zeros((3, 2)), ValueError, "expected 4 rows"),
    ],
)
def test_bad_embed(raw, error, message):
    class Bad:
        def embed(self, X):
            return raw

    with pytest.raises(error, match=message):
        embeddings(Bad(), [0] * 4, 4)


def test_an_unfitted_pipeline_of_images_says_so():
    scaler = make_pipeline(StandardScaler(), Centroids())
    with pytest.raises(NotFittedError, match="Fit it on the seed set"):
        embeddings(scaler, np.zeros((4, 2, 2)), 4)


def test_half_precision_and_integers_are_accepted():
    X = np.arange(12).reshape(6, 2)
    for dtype in (np.float16, np.int8, np.bool_):
        values = embeddings(None, X.astype(dtype), 6)
        assert values.dtype in (np.float32, np.float64)


@pytest.mark.parametrize(
    ("kwargs", "error"),
    [
        ({"name": "core_set", "bad": 1}, TypeError),
        ({"name": "typiclust", "n_neighbors": 0}, ValueError),
        ({"name": "typiclust", "n_neighbors": 2.5}, TypeError),
        ({"name": "typiclust", "max_clusters": 0}, ValueError),
        ({"name": "max_herding", "sigma": 0.0}, ValueError),
        ({"name": "max_herding", "sigma": "1"}, TypeError),
        ({"name": "max_herding", "sigma": np.nan}, ValueError),
        ({"name": "max_herding", "n_reference": 0}, ValueError),
        ({"name": "uncertainty_herding", "temperature": 0}, ValueError),
        ({"name": "uncertainty_herding", "X_calibration": pool(3)}, ValueError),
        ({"name": "prob_cover", "alpha": 1.0}, ValueError),
        ({"name": "prob_cover", "delta": -1.0}, ValueError),
        ({"name": "prob_cover", "n_classes": 1}, ValueError),
        ({"name": "drop_query", "dropout": 1.0}, ValueError),
        ({"name": "drop_query", "n_passes": 0}, ValueError),
        ({"name": "clue", "temperature": -1.0}, ValueError),
        ({"name": "bald", "n_samples": 0}, ValueError),
        ({"name": "epig", "n_target": 0}, ValueError),
    ],
)
def test_bad_parameters(kwargs, error):
    strategy = getattr(query, kwargs.pop("name") + "_sampling")
    with pytest.raises(error, match=next(iter(kwargs))):
        strategy(make("bare"), pool(), 2, **kwargs)


def test_number_of_classes():
    assert number_of_classes(make("bare")) == 3
    assert number_of_classes(make("learner")) == 3
    assert number_of_classes(make("committee")) == 3
    assert number_of_classes(None, ["a", "b", "a"]) == 2
    assert number_of_classes(None) is None


def test_a_mask_is_not_passed_over():
    masked = np.ma.array(pool(), mask=pool() > 1)
    assert masked.mask.any()
    with pytest.raises(TypeError, match="X is a masked array"):
        query.core_set_sampling(None, masked, 1)
    query.core_set_sampling(None, np.ma.array(pool()), 1)


@pytest.mark.parametrize(
    "form",
    [
        lambda a: torch.tensor(a, requires_grad=True),
        lambda a: torch.tensor(a).bfloat16(),
    ],
)
def test_tensors_as_networks_give_them(form):
    class Network(Centroids):
        def embed(self, X):
            return form(np.asarray(X))

        def predict_proba(self, X):
            return form(super().predict_proba(X))

    X, y = seed_set(2)
    network = Network().fit(X, y)
    for strategy in (query.core_set_sampling, query.badge_sampling):
        assert len(strategy(network, pool(), 3, random_state=0)[0]) == 3
    learner = ActiveLearner(Centroids())
    learner.X_training, learner.y_training = torch.tensor(X, requires_grad=True), y
    assert labelled_set(learner).embeddings.shape == X.shape
    rows = torch.tensor(pool(), requires_grad=True)
    assert len(query.typiclust_sampling(None, rows, 3)[0]) == 3


def test_embeddings_without_an_array_or_with_a_mask():
    class Odd(Embedder):
        def embed(self, X):
            return odd

    odd = np.ma.array(pool(4), mask=pool(4) > 0)
    with pytest.raises(TypeError, match=r"classifier\.embed.* masked array"):
        embeddings(Odd(), pool(4), 4)
    odd = torch.eye(4).to_sparse()
    with pytest.raises(TypeError, match=r"classifier\.embed.* is a tensor of"):
        embeddings(Odd(), pool(4), 4)


class Frame:
    """What matters of a frame of polars, which is no requirement of ours."""

    def __init__(self, values, schema):
        self.values, self.columns = np.asarray(values), schema
        self.shape = self.values.shape

    def __array__(self, dtype=None, copy=None):
        return self.values


Frame.__module__ = "polars.dataframe.frame"


def test_frames_of_polars():
    class Named(Centroids):
        def predict_proba(self, X):
            assert X.columns == ["a", "b"]
            return super().predict_proba(X)

    X, y = seed_set(2, d=2)
    classifier = Named().fit(X, y)
    rows, _ = query.drop_query_sampling(classifier, Frame(pool(d=2), ["a", "b"]), 3)
    assert len(rows) == 3


def mixed_frame():
    frame = pd.DataFrame(pool(d=3), columns=["a", "b", "c"])
    return frame.assign(b=frame["b"].astype("Float64"), c=frame["c"] > 0)


@pytest.mark.parametrize("kind", [lambda frame: frame, lambda frame: frame.to_numpy()])
def test_pipelines_that_give_objects(kind):
    # So do frames of numbers and truth values.
    X, y = seed_set(2, d=3)
    classifier = make_pipeline(FunctionTransformer(kind), LogisticRegression())
    classifier.fit(pd.DataFrame(X, columns=["a", "b", "c"]), y)
    assert mixed_frame().to_numpy().dtype == object
    found = query.core_set_sampling(classifier, mixed_frame(), 5)
    expected = query.core_set_sampling(
        None, mixed_frame().to_numpy().astype(np.float64), 5
    )
    np.testing.assert_array_equal(found[0], expected[0])


@pytest.mark.parametrize("missing", [pd.NA, None])
def test_objects_with_a_missing_value(missing):
    X = mixed_frame().to_numpy()
    X[3, 1] = missing
    with pytest.raises(ValueError, match="nan in row 3, column 1"):
        query.core_set_sampling(None, X, 5)
    X[3, 1] = "no number"
    classifier = make_pipeline(FunctionTransformer(), LogisticRegression())
    with pytest.raises(TypeError, match="dtype object; expected numbers"):
        query.core_set_sampling(classifier, X, 5)
