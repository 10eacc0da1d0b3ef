"""Embeddings, the labelled set, calibration, several predictions."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from modAL.models import (
    ActiveLearner,
    Committee,
    CommitteeRegressor,
    DeepActiveLearner,
)
from scipy.sparse import csr_matrix
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    GradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from modal_pretrain import query
from modal_pretrain._checks import ParameterError, take_rows
from modal_pretrain.query._engine.arguments import n_rows
from modal_pretrain.query._engine.classifier import number_of_classes
from modal_pretrain.query._engine.embeddings import (
    embeddings,
    labelled_parts,
    labelled_set,
    predictor_on_embeddings,
)
from modal_pretrain.query._engine.order import content_keys
from modal_pretrain.query._engine.samples import probability_samples
from modal_pretrain.query._engine.temperature import soften
from tests.query.query_cases import Centroids, forest, make, pool, seed_set


class Embedder(Centroids):
    def embed(self, X):
        return np.asarray(X, dtype=np.float32)[:, :2]


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


def test_labelled_set():
    X, y = seed_set(2)
    assert labelled_set(Centroids()) == (None, None, 0)
    assert labelled_set(ActiveLearner(Centroids())) == (None, None, 0)
    learner = ActiveLearner(Centroids(), X_training=X, y_training=y)
    found = labelled_set(learner)
    np.testing.assert_array_equal(found.embeddings, X)
    np.testing.assert_array_equal(found.y, y)
    explicit = labelled_set(learner, X[:3], y[:3])  # arguments win
    assert explicit.embeddings.shape == (3, 6)
    same = Committee([learner, ActiveLearner(forest(), X_training=X, y_training=y)])
    assert labelled_set(same).embeddings.shape == X.shape
    assert labelled_set(None, X[:0]) == (None, None, 0)
    with pytest.raises(ValueError, match="y_labelled has 2"):
        labelled_set(None, X, y[:2])
    for odd, message in [
        ([None, *y[1:]], "y_labelled has None in row 0; every row needs a label"),
        ([np.nan, *y[1:].astype(float)], "y_labelled has nan in row 0"),
        (y[:, None], "expected one label for each row"),
        (["a", *y[1:]], "mixes numbers and text, which would be other labels"),
    ]:
        with pytest.raises((TypeError, ValueError), match=message):
            labelled_set(None, X, odd)
    with pytest.raises(ValueError, match="y_labelled is given without X_labelled"):
        labelled_set(learner, None, y[::-1])
    with pytest.raises(ValueError, match="same encoder"):
        query.core_set_sampling(None, pool(), 1, X_labelled=X[:, :4])


ROWS = {
    "arrays": lambda X: X,
    "pictures": lambda X: X[:, :, None, None] * np.ones((1, 1, 2, 3)),
    "frames": lambda X: pd.DataFrame(X).assign(kind="a"),
    "paths": lambda X: [Path(f"{row[0]}.png") for row in X],
    "texts": lambda X: np.array([f"it is {row[0]}" for row in X], dtype=object),
    "sparse": csr_matrix,
    "tensors": torch.tensor,
}


@pytest.mark.parametrize("kind", ROWS)
def test_rows_that_several_members_know_count_once(kind):
    X, y = seed_set(2)
    X = np.vstack([X, X[:1]])  # twice in one member is meant
    y = np.append(y, y[0])
    other = y[3:].copy()
    other[0] = 1 - y[3]  # two answers for one row
    rows, every = ROWS[kind](X), np.arange(len(X))
    members = []
    for of, labels in ((every[:-2], y[:-2]), (every[3:], other), (every, y)):
        member = ActiveLearner(Centroids())
        member.X_training, member.y_training = take_rows(rows, of), labels
        members.append(member)
    parts = labelled_parts(Committee(members))
    found = [n_rows(part, "X") for part, _ in parts]
    assert found == [len(X) - 2, 2] and [len(part) for _, part in parts] == found
    assert [content_keys(part)[0] for part, _ in parts] == [
        content_keys(take_rows(rows, [row]))[0] for row in (0, 3)
    ]


STRATEGIES_BY_LABELS = [
    query.early_late_sampling,
    query.orthogonal_probe_sampling,
    query.divdis_sampling,
    query.pseudo_group_sampling,
    query.ranked_batch_sampling,
    query.typiclust_sampling,
]


@pytest.mark.parametrize("strategy", STRATEGIES_BY_LABELS)
def test_strategies_see_rows_that_several_members_know_once(strategy):
    X, y = seed_set(3)
    X, y, new = X[::-1], y[::-1], pool()[:4]
    members = [
        ActiveLearner(Centroids(), X_training=X[part], y_training=y[part])
        for part in (slice(0, -2), slice(2, None))
    ]
    committee = Committee(members)
    committee.teach(new, [0, 1, 2, 0])
    X, y = np.vstack([X[:-2], new, X[-2:]]), np.r_[y[:-2], 0, 1, 2, 0, y[-2:]]
    rest = pool()[4:]
    found = strategy(committee, rest, 5, random_state=0)
    told = {"X_labelled": X, "y_labelled": y}
    if strategy in (query.typiclust_sampling, query.ranked_batch_sampling):
        del told["y_labelled"]
    expected = strategy(committee, rest, 5, random_state=0, **told)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-9)


def test_a_deep_learner_remembers_nothing_but_can_be_told():
    class Net(Embedder):
        def initialize(self):
            return self

    learner = DeepActiveLearner(Net())
    X, y = seed_set(2)
    learner.fit(X, y)
    assert labelled_set(learner) == (None, None, 0)
    cold = query.core_set_sampling(learner, pool(), 4)
    warm = query.core_set_sampling(learner, pool(), 4, X_labelled=X)
    assert np.isinf(cold[1][0])
    assert np.isfinite(warm[1]).all()


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


def test_temperature():
    proba = np.array([[0.9, 0.1], [1.0, 0.0]])
    np.testing.assert_allclose(soften(proba, 1e6)[0], [0.5, 0.5], atol=1e-5)
    np.testing.assert_allclose(soften(proba, 2.0)[1], [1, 0])
    np.testing.assert_allclose(soften(proba, 0.5)[0], [0.81 / 0.82, 0.01 / 0.82])
    for X, y, message in [
        (pool(2), ["dog", "ant"], "'dog'"),
        (pool(2)[:0], [], "X_calibration is empty"),
        (pool(2), ["ant"], "y_calibration has 1 entries for the 2 rows"),
        (pool(2), [["ant"], ["ant"]], r"y_calibration has shape \(2, 1\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            query.uncertainty_herding_sampling(
                make("strings"), pool(), 1, X_calibration=X, y_calibration=y
            )


@pytest.mark.parametrize(
    "ensemble",
    [
        RandomForestClassifier(4, random_state=0),
        BaggingClassifier(GaussianNB(), 4, max_features=0.5, random_state=0),
        VotingClassifier([("a", GaussianNB()), ("b", Centroids())], voting="soft"),
        VotingClassifier(
            [("a", RandomForestClassifier(3)), ("b", RandomForestClassifier(4))],
            voting="soft",
        ),
    ],
    ids=lambda e: type(e).__name__,
)
def test_members_of_ensembles(ensemble):
    X, y = seed_set(3)
    names = np.array(["ant", "bee", "cow"])
    ensemble.fit(X, names[y])
    rng = np.random.default_rng(0)
    for classifier in (ensemble, ActiveLearner(ensemble)):
        samples, fitted = probability_samples(classifier, pool(), 40, rng)
        assert fitted
        np.testing.assert_allclose(
            samples.mean(axis=0), ensemble.predict_proba(pool()), atol=1e-9
        )
    pipeline = make_pipeline(StandardScaler(), ensemble).fit(X, y)
    assert probability_samples(pipeline, pool(), 40, rng).values.shape[1:] == (40, 3)


def test_a_committee_whose_members_know_different_classes():
    X, y = seed_set(3)
    some = y < 2
    committee = Committee(
        [
            ActiveLearner(Centroids(), X_training=X, y_training=y),
            ActiveLearner(Centroids(), X_training=X[some], y_training=y[some]),
        ]
    )
    samples, _ = probability_samples(committee, pool(), 40, np.random.default_rng(0))
    assert samples.shape == (2, 40, 3)
    assert (samples[1, :, 2] == 0).all()


@pytest.mark.parametrize(
    ("classifier", "message"),
    [
        (Centroids().fit(*seed_set(2)), "Centroids gives one prediction"),
        (
            GradientBoostingClassifier(n_estimators=2).fit(*seed_set(2)),
            "members of GradientBoosting",
        ),
    ],
)
def test_no_members(classifier, message):
    with pytest.raises(TypeError, match=message):
        query.bald_sampling(classifier, pool(), 1)


def test_bad_samples():
    votes = np.full((3, 40, 2), 0.5)
    for bad in (votes[0], votes[:0], votes[:, :3]):
        with pytest.raises(ValueError, match="proba_samples"):
            query.bald_sampling(None, pool(), 1, proba_samples=bad)
    with pytest.raises(TypeError, match="must be a function"):
        query.epig_sampling(None, pool(), 1, X_target=pool(2), proba_samples=votes)
    with pytest.raises(ValueError, match="X_target is empty"):
        query.epig_sampling(make("bare"), pool(), 1, X_target=pool(2)[:0])


def test_dropout_of_a_network():
    torch = pytest.importorskip("torch")
    skorch = pytest.importorskip("skorch")
    layers = torch.nn.Sequential(
        torch.nn.Linear(6, 8),
        torch.nn.BatchNorm1d(8),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.5),
        torch.nn.Linear(8, 3),
    )
    net = skorch.NeuralNetClassifier(
        layers, criterion=torch.nn.CrossEntropyLoss, train_split=None, verbose=0
    ).initialize()
    X = pool().astype(np.float32)
    weights = {k: v.clone() for k, v in net.module_.state_dict().items()}
    quiet = net.predict_proba(X)
    generator = torch.random.get_rng_state()
    samples, fitted = probability_samples(
        net, X, 40, np.random.default_rng(0), n_samples=5
    )
    assert fitted
    assert samples.std(axis=0).max() > 1e-3
    again, _ = probability_samples(net, X, 40, np.random.default_rng(0), n_samples=5)
    np.testing.assert_array_equal(samples, again)
    # A pass is one model: it does not depend on which rows go through together.
    order = np.random.default_rng(1).permutation(40)
    net.set_params(batch_size=7)
    moved, _ = probability_samples(
        net, X[order], 40, np.random.default_rng(0), n_samples=5
    )
    np.testing.assert_allclose(moved, samples[:, order], atol=1e-6)
    net.set_params(batch_size=128)
    assert torch.equal(torch.random.get_rng_state(), generator)
    np.testing.assert_array_equal(net.predict_proba(X), quiet)
    for key, value in net.module_.state_dict().items():
        assert torch.equal(value, weights[key])
    for layer in net.module_.modules():
        assert not layer.training
        assert not {"train", "forward"} & set(vars(layer))
    assert query.bald_sampling(net, X, 3, random_state=0)[0].shape == (3,)
    assert query.epig_sampling(net, X, 3, random_state=0)[0].shape == (3,)
    fresh = skorch.NeuralNetClassifier(torch.nn.Linear, module__in_features=6)
    assert query.bald_sampling(fresh, X, 3, random_state=0)[0].shape == (3,)
    still = skorch.NeuralNetClassifier(
        torch.nn.Linear, module__in_features=6, module__out_features=3
    ).initialize()
    # A ValueError, too: the command line shows no traceback for these.
    with pytest.raises(ParameterError, match=r"no dropout layer.*module__dropout"):
        query.bald_sampling(still, X, 3)


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


def test_labels_of_the_labelled_set():
    X, y = seed_set(2)
    learner = ActiveLearner(Centroids(), X_training=X, y_training=y)
    expected = query.divdis_sampling(learner, pool(), 2, random_state=0)[0]
    learner.y_training = y[:, None]
    found = query.divdis_sampling(learner, pool(), 2, random_state=0)[0]
    assert found.tolist() == expected.tolist()
    learner.y_training = np.eye(2)[y]
    assert len(query.core_set_sampling(learner, pool(), 2)[0]) == 2  # needs none
    with pytest.raises(ValueError, match=r"y_labelled has shape .* one label for each"):
        query.divdis_sampling(learner, pool(), 2)
    learner.y_training = np.where(y, np.nan, y)
    with pytest.raises(ValueError, match="y_labelled has nan"):
        query.early_late_sampling(learner, pool(), 2)


@pytest.mark.parametrize("labels", [[-1, 1], [1, 2], [-1, 0, 1], ["ant", "bee"]])
def test_members_that_know_the_labels_themselves(labels):
    X, y = seed_set(len(labels))
    boost = AdaBoostClassifier(n_estimators=3, random_state=0)
    boost.fit(X, np.array(labels)[y])
    found = probability_samples(boost, pool(), 40, np.random.default_rng(0)).values
    expected = [member.predict_proba(pool()) for member in boost.estimators_]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("ensemble", "message"),
    [
        (OneVsRestClassifier(LogisticRegression()), "members of OneVsRest.* do not"),
        (MultiOutputClassifier(LogisticRegression()), "several labels for each row"),
        (ClassifierChain(LogisticRegression()), "several labels for each row"),
    ],
)
def test_members_that_answer_other_questions(ensemble, message):
    X, y = seed_set(3)
    several = not isinstance(ensemble, OneVsRestClassifier)
    ensemble.fit(X, np.eye(3)[y] if several else y)
    with pytest.raises(TypeError, match=message):
        query.bald_sampling(ensemble, pool(), 2)


def test_a_committee_of_regressors():
    X, y = seed_set(2)
    learner = ActiveLearner(Ridge(), X_training=X, y_training=y)
    with pytest.raises(TypeError, match="CommitteeRegressor has no vote_proba"):
        query.bald_sampling(CommitteeRegressor([learner]), pool(), 2)


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


@pytest.mark.parametrize("kind", [list, tuple, np.ndarray.tolist])
def test_members_on_columns_of_a_list(kind):
    X, y = seed_set(2)
    ensemble = BaggingClassifier(Centroids(), 4, max_features=0.5, random_state=0)
    ensemble.fit(X, y)
    found = query.bald_sampling(ensemble, kind(pool()), 5)
    np.testing.assert_array_equal(found[0], query.bald_sampling(ensemble, pool(), 5)[0])
