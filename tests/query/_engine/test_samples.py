"""Several predictions of each row: ensembles, committees, dropout; calibration."""

import numpy as np
import pandas as pd
import pytest
from modAL.models import (
    ActiveLearner,
    Committee,
    CommitteeRegressor,
)
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    BaggingClassifier,
    GradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import (
    OneVsOneClassifier,
    OneVsRestClassifier,
    OutputCodeClassifier,
)
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from modal_pretrain import query
from modal_pretrain._checks import ParameterError
from modal_pretrain.query._engine.samples import probability_samples
from modal_pretrain.query._engine.temperature import soften
from tests.query.query_cases import Centroids, make, pool, seed_set


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


def test_members_that_know_the_names_of_columns():
    X, y = seed_set(3)
    names = [f"c{i}" for i in range(X.shape[1])]
    frame, there = (pd.DataFrame(rows, columns=names) for rows in (X, pool()))
    first = make_pipeline(ColumnTransformer([("a", "passthrough", names[1:])]))
    voting = VotingClassifier(
        [("a", make_pipeline(first, GaussianNB())), ("b", Centroids())], voting="soft"
    )
    for ensemble in (voting, RandomForestClassifier(4, random_state=0)):
        ensemble.fit(frame, y)
        samples, _ = probability_samples(ensemble, there, 40, np.random.default_rng(0))
        np.testing.assert_allclose(samples.mean(axis=0), ensemble.predict_proba(there))
    with pytest.raises(ValueError, match="same order as they were in fit"):
        query.bald_sampling(ensemble, there[names[::-1]], 1)


class _Columns(TransformerMixin, BaseEstimator):
    """A step of one's own, which reads columns by name and notes nothing in fit."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X[["c1", "c2"]]

    def __sklearn_is_fitted__(self):
        return True


@pytest.mark.parametrize("kind", [VotingClassifier, StackingClassifier])
def test_members_with_steps_that_read_columns_by_name(kind):
    X, y = seed_set(3)
    frame, there = (pd.DataFrame(rows).add_prefix("c") for rows in (X, pool()))
    named = make_pipeline(_Columns(), GaussianNB())
    ensemble = kind([("a", named), ("b", GaussianNB())]).fit(frame, y)
    samples, _ = probability_samples(ensemble, there, 40, np.random.default_rng(0))
    for sample, member in zip(samples, ensemble.estimators_, strict=True):
        np.testing.assert_allclose(sample, member.predict_proba(there))


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
        (
            OneVsOneClassifier(LogisticRegression()).fit(*seed_set(3)),
            "members of OneVsOne",
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


def test_alpha_dropout_is_that_of_torch():
    torch = pytest.importorskip("torch")
    skorch = pytest.importorskip("skorch")
    # A dropped unit is not 0 after it, as it would be after other dropout layers.
    head = torch.nn.Linear(2, 2, bias=False)
    torch.nn.init.eye_(head.weight)
    layers = torch.nn.Sequential(torch.nn.SELU(), torch.nn.AlphaDropout(0.4), head)
    net = skorch.NeuralNetClassifier(
        layers, criterion=torch.nn.CrossEntropyLoss, train_split=None, verbose=0
    ).initialize()
    X = pool()[:, :2].astype(np.float32)
    samples, _ = probability_samples(
        net, X, len(X), np.random.default_rng(0), n_samples=2000
    )
    layers.train()
    with torch.no_grad():
        passes = [layers(torch.from_numpy(X)).softmax(dim=1) for _ in range(2000)]
    passes = torch.stack(passes).numpy()
    np.testing.assert_allclose(samples.mean(axis=0), passes.mean(axis=0), atol=0.04)
    np.testing.assert_allclose(samples.std(axis=0), passes.std(axis=0), atol=0.04)


@pytest.mark.parametrize("width", [5, 8])
def test_a_dropout_layer_in_two_places(width):
    torch = pytest.importorskip("torch")
    skorch = pytest.importorskip("skorch")

    class Residual(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.drop = torch.nn.Dropout(0.5)
            self.first = torch.nn.Linear(6, 8)
            self.second = torch.nn.Linear(8, width)
            self.head = torch.nn.Linear(width, 2)

        def forward(self, x):
            first = self.drop(self.first(x).relu())
            second = self.drop(input=self.second(first).relu())
            return self.head(second + first if width == 8 else second)

    torch.manual_seed(0)
    net = skorch.NeuralNetClassifier(
        Residual, criterion=torch.nn.CrossEntropyLoss, train_split=None, verbose=0
    ).initialize()
    net.set_params(batch_size=16)
    X = 3 * pool().astype(np.float32)
    samples, _ = probability_samples(net, X, 40, np.random.default_rng(0))
    order = np.random.default_rng(1).permutation(40)
    moved, _ = probability_samples(net, X[order], 40, np.random.default_rng(0))
    np.testing.assert_allclose(moved, samples[:, order], atol=1e-6)
    assert not net.module_._forward_pre_hooks and not net.module_._forward_hooks
    # Each place drops units of its own, as it does in training.
    many, _ = probability_samples(net, X, 40, np.random.default_rng(0), n_samples=1200)
    network = net.module_.train()
    with torch.no_grad():
        passes = [network(torch.from_numpy(X)).softmax(dim=1) for _ in range(1200)]
    passes = torch.stack(passes).numpy()
    np.testing.assert_allclose(many.std(axis=0), passes.std(axis=0), rtol=0.15)


def test_dropout_within_a_transformer():
    torch = pytest.importorskip("torch")
    skorch = pytest.importorskip("skorch")
    # In evaluation mode PyTorch takes a short way through it, without dropout.
    block = torch.nn.TransformerEncoderLayer(6, 2, 8, dropout=0.5, batch_first=True)
    layers = torch.nn.Sequential(
        torch.nn.Unflatten(1, (1, 6)), block, torch.nn.Flatten(), torch.nn.Linear(6, 2)
    )
    net = skorch.NeuralNetClassifier(
        layers, criterion=torch.nn.CrossEntropyLoss, train_split=None, verbose=0
    ).initialize()
    X = pool().astype(np.float32)
    samples, _ = probability_samples(net, X, 40, np.random.default_rng(0))
    assert samples.std(axis=0).max() > 0.01
    assert torch.backends.mha.get_fastpath_enabled()


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


def test_members_that_know_no_classes():
    X, y = seed_set(3)
    coded = OutputCodeClassifier(LogisticRegression(), random_state=0).fit(X, y)
    assert not all(hasattr(member, "classes_") for member in coded.estimators_)
    with pytest.raises(TypeError, match=r"members of OutputCode.* do not predict"):
        query.bald_sampling(coded, pool(), 2)


def test_a_committee_of_regressors():
    X, y = seed_set(2)
    learner = ActiveLearner(Ridge(), X_training=X, y_training=y)
    with pytest.raises(TypeError, match="CommitteeRegressor has no vote_proba"):
        query.bald_sampling(CommitteeRegressor([learner]), pool(), 2)


@pytest.mark.parametrize("kind", [list, tuple, np.ndarray.tolist])
def test_members_on_columns_of_a_list(kind):
    X, y = seed_set(2)
    ensemble = BaggingClassifier(Centroids(), 4, max_features=0.5, random_state=0)
    ensemble.fit(X, y)
    found = query.bald_sampling(ensemble, kind(pool()), 5)
    np.testing.assert_array_equal(found[0], query.bald_sampling(ensemble, pool(), 5)[0])
