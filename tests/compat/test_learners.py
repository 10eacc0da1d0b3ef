"""modAL in use: every learner, container and kind of label, from query to teach."""

import doctest
import pathlib
import pickle

import matplotlib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from modAL import acquisition, batch, disagreement, dropout, multilabel, uncertainty
from modAL.expected_error import expected_error_reduction
from modAL.models import (
    ActiveLearner,
    BayesianOptimizer,
    Committee,
    CommitteeRegressor,
    DeepActiveLearner,
)
from PIL import Image
from sklearn.base import BaseEstimator, clone
from sklearn.compose import make_column_transformer
from sklearn.ensemble import VotingClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier
from skorch import NeuralNetClassifier

from modal_pretrain import compat

compat.apply()

X = np.random.default_rng(0).normal(size=(30, 3)).round(3)
y = np.arange(30) % 3
X[:, 0] += y
NAMES = np.array(["cat", "dog", "salamander"])[y]
SEED = np.arange(6)
# Labels that are no positions, in no order; columns that look like positions.
INDEX = np.random.default_rng(1).permutation(30) + 100

CONTAINERS = {
    "array": lambda X: X,
    "frame": lambda X: pd.DataFrame(X, index=INDEX[: len(X)]),
    "csr_matrix": sp.csr_matrix,
    "csr_array": sp.csr_array,
    "list": lambda X: X.tolist(),
}
LABELS = {
    "array": lambda y: y,
    "series": lambda y: pd.Series(y, index=INDEX[: len(y)], name="label"),
    "list": lambda y: y.tolist(),
}
MEASURES = [
    uncertainty.uncertainty_sampling,
    uncertainty.margin_sampling,
    uncertainty.entropy_sampling,
]


@pytest.fixture(autouse=True)
def seed():
    # modAL bootstraps and subsamples with NumPy's global generator.
    np.random.seed(0)  # noqa: NPY002


def take(data, rows):
    if isinstance(data, pd.DataFrame | pd.Series):
        return data.iloc[rows]
    return [data[i] for i in rows] if isinstance(data, list) else data[rows]


def dense(data):
    return data.toarray() if sp.issparse(data) else np.asarray(data)


def loop(learner, pool, labels, n_instances=2, **options):
    """Query twice and teach; check the rows that come back against the indices."""
    for _ in range(2):
        indices, rows = learner.query(pool, n_instances=n_instances)
        assert len(set(indices)) == n_instances
        np.testing.assert_array_equal(dense(rows), dense(take(pool, indices)))
        learner.teach(rows, take(labels, indices), **options)
    return learner


@pytest.mark.parametrize("strategy", MEASURES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
def test_active_learner(container, labels, strategy):
    pool, answers = container(X), labels(NAMES)
    learner = ActiveLearner(
        LogisticRegression(), strategy, take(pool, SEED), take(answers, SEED)
    )
    loop(learner, pool, answers)
    assert dense(learner.X_training).shape == (10, 3) and len(learner.y_training) == 10
    assert learner.score(pool, answers) > 0.5
    loop(learner, pool, answers, only_new=True, n_instances=12)
    assert len(learner.y_training) == 10
    learner.fit(pool, answers)
    assert len(learner.y_training) == 30
    learner.teach(take(pool, SEED), take(answers, SEED), bootstrap=True)
    assert set(learner.predict(pool)) <= set(NAMES)


@pytest.mark.parametrize("form", [list, np.array, pd.Series, pd.Categorical])
def test_labels_after_a_frame_of_one_column(form):
    X, y = np.arange(6.0).reshape(6, 1), ["a", "b", "a", "b", "c", "a"]
    first = pd.DataFrame({"y": y[:3]})
    tree = DecisionTreeClassifier()
    learner = ActiveLearner(tree, X_training=X[:3], y_training=first)
    learner.teach(X[3:], form(y[3:]))
    assert learner.y_training.columns.tolist() == ["y"]
    assert learner.y_training["y"].tolist() == y


def test_single_labels_after_a_series():
    frame = CONTAINERS["frame"](X)
    learner = ActiveLearner(
        LogisticRegression(),
        X_training=frame[:6],
        y_training=LABELS["series"](NAMES[:6]),
    )
    indices, rows = learner.query(frame)
    learner.teach(rows, [NAMES[indices[0]]])
    assert isinstance(learner.y_training, pd.Series)
    assert learner.y_training.tolist() == [*NAMES[:6], NAMES[indices[0]]]


def mixed_frame():
    frame = pd.DataFrame(X, columns=["a", "b", "c"], index=INDEX)
    return frame.assign(count=np.arange(30), kind=np.array(["u", "v"])[y % 2])


def mixed_pipeline():
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["kind"]), remainder=StandardScaler()
    )
    return make_pipeline(columns, LogisticRegression())


@pytest.mark.parametrize(
    "strategy", [uncertainty.entropy_sampling, batch.uncertainty_batch_sampling]
)
def test_frames_of_several_types(strategy):
    frame, labels = mixed_frame(), LABELS["series"](NAMES)
    learner = ActiveLearner(
        mixed_pipeline(), strategy, frame[:6], labels[:6], on_transformed=True
    )
    loop(learner, frame, labels, n_instances=3)
    assert learner.X_training.dtypes.tolist() == frame.dtypes.tolist()
    assert learner.X_training.index.tolist()[:6] == INDEX[:6].tolist()


@pytest.mark.parametrize("output", ["default", "pandas"])
@pytest.mark.parametrize("container", ["array", "frame", "list"])
def test_on_transformed(container, output):
    pool = CONTAINERS[container](X)
    pipes = [
        make_pipeline(StandardScaler().set_output(transform=output), GaussianNB()),
        make_pipeline(FunctionTransformer(), LogisticRegression()),
    ]
    voting = VotingClassifier([("a", pipes[0]), ("b", pipes[1])], voting="soft")
    for estimator, width in ((pipes[0], 3), (voting, 6)):
        learner = ActiveLearner(
            estimator,
            batch.uncertainty_batch_sampling,
            take(pool, SEED),
            y[:6],
            on_transformed=True,
        )
        loop(learner, pool, y, n_instances=3)
        assert learner.transform_without_estimating(pool).shape == (30, width)
        committee = Committee(
            [learner, learner], batch.uncertainty_batch_sampling, on_transformed=True
        )
        indices, _ = committee.query(pool, n_instances=30)
        assert sorted(indices) == list(range(30))


TEXTS = ["red apple", "green apple", "red brick", "grey brick", "red tile", "green tea"]


@pytest.mark.parametrize(
    "container", [list, np.array, pd.Series, lambda t: pd.Series(t, index=INDEX[:6])]
)
def test_texts(container):
    pool, labels = container(TEXTS), container(["food", "food", "stuff"] * 2)
    learners = [
        ActiveLearner(
            make_pipeline(CountVectorizer(), LogisticRegression()),
            X_training=take(pool, [first, 2]),
            y_training=take(labels, [first, 2]),
        )
        for first in (0, 1)
    ]
    for strategy in (
        disagreement.vote_entropy_sampling,
        disagreement.consensus_entropy_sampling,
        disagreement.max_disagreement_sampling,
    ):
        committee = loop(Committee(learners, strategy), pool, labels)
        assert committee.vote(pool).shape == (6, 2)
        assert committee.vote_proba(pool).shape == (6, 2, 2)
    learners[0].query_strategy = expected_error_reduction
    loop(learners[0], pool, labels)


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
def test_committee(container):
    pool = container(X)
    # The second learner has never seen a salamander, the third has not seen a cat.
    committee = Committee(
        [
            ActiveLearner(
                DecisionTreeClassifier(random_state=0),
                X_training=take(pool, rows),
                y_training=NAMES[rows],
            )
            for rows in ([0, 1, 2, 3, 4, 5], [0, 1, 3, 4], [1, 2, 4, 5])
        ]
    )
    assert committee.classes_.tolist() == ["cat", "dog", "salamander"]
    proba = committee.vote_proba(pool)
    assert not proba[:, 1, 2].any() and not proba[:, 2, 0].any()
    np.testing.assert_allclose(proba.sum(axis=2), 1)
    votes = committee.vote(pool)
    np.testing.assert_array_equal(NAMES[proba.argmax(axis=2)], votes)
    loop(committee, pool, NAMES)
    assert committee.score(pool, NAMES) == np.mean(committee.predict(pool) == NAMES)
    committee.rebag()
    assert committee.vote(pool).shape == (30, 3)


def test_numeric_votes_stay_floats():
    learner = ActiveLearner(GaussianNB(), X_training=X, y_training=y)
    assert Committee([learner]).vote(X).dtype == float


@pytest.mark.parametrize("container", ["array", "frame", "csr_matrix", "list"])
def test_committee_regressor(container):
    pool, targets = CONTAINERS[container](X), LABELS["series"](X[:, 0])
    committee = CommitteeRegressor(
        [
            ActiveLearner(
                Ridge(), X_training=take(pool, r), y_training=take(targets, r)
            )
            for r in (SEED, SEED + 3)
        ]
    )
    loop(committee, pool, targets)
    mean, std = committee.predict(pool, return_std=True)
    assert mean.shape == std.shape == (30,)
    assert pickle.loads(pickle.dumps(committee)).query_strategy is (
        disagreement.max_std_sampling
    )


@pytest.mark.parametrize(
    "strategy", [acquisition.max_EI, acquisition.max_PI, acquisition.max_UCB]
)
@pytest.mark.parametrize("container", ["array", "frame", "list"])
def test_bayesian_optimizer(container, strategy):
    pool = CONTAINERS[container](X)
    for labels in LABELS.values():
        values = labels(X[:, 0])
        optimizer = BayesianOptimizer(
            GaussianProcessRegressor(optimizer=None, alpha=1e-3),
            strategy,
            take(pool, SEED),
            take(values, SEED),
        )
        loop(optimizer, pool, values)
        where, best = optimizer.get_max()
        assert best == max(optimizer.y_training) == np.asarray(where)[0]


class Net(torch.nn.Module):
    def __init__(self, dropout=0.5):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(3, 8), torch.nn.Dropout(dropout), torch.nn.Linear(8, 3)
        )

    def forward(self, X):
        return self.layers(X)


def net(**options):
    torch.manual_seed(0)
    return NeuralNetClassifier(
        Net, criterion=torch.nn.CrossEntropyLoss, max_epochs=2, lr=0.1, verbose=0,
        train_split=None, **options,
    )  # fmt: skip


DROPOUT = [
    dropout.mc_dropout_bald,
    dropout.mc_dropout_mean_st,
    dropout.mc_dropout_max_entropy,
    dropout.mc_dropout_max_variationRatios,
]
TENSOR = torch.tensor(X, dtype=torch.float32)


def test_maximum_of_lists_of_one_value():
    values = [[1.0], [5.0], [3.0]]
    for optimizer in (
        BayesianOptimizer(LinearRegression()),
        BayesianOptimizer(
            LinearRegression(), X_training=[[9.0]], y_training=values[:1]
        ),
    ):
        optimizer.teach([[1.0], [2.0], [3.0]], values)
        place, value = optimizer.get_max()
        assert place == [2.0] and value == [5.0]


@pytest.mark.parametrize("strategy", [*MEASURES, *DROPOUT], ids=lambda f: f.__name__)
def test_deep_active_learner(strategy):
    learner = DeepActiveLearner(net(), strategy)
    learner.fit(TENSOR, torch.tensor(y))
    for options in ({}, {"warm_start": False}, {"bootstrap": True}):
        indices, rows, scores = learner.query(
            TENSOR, n_instances=3, return_metrics=True
        )
        assert torch.equal(rows, TENSOR[indices]) and np.isfinite(scores).all()
        learner.teach(rows, torch.tensor(y[indices]), **options)
    learner.num_epochs, learner.batch_size = 1, 7
    assert (learner.estimator.max_epochs, learner.estimator.batch_size) == (1, 7)
    assert repr(learner).startswith("DeepActiveLearner(")


def test_deep_active_learner_without_training_data_ranks_batches():
    learner = DeepActiveLearner(net(), batch.uncertainty_batch_sampling)
    indices, _ = learner.query(TENSOR, n_instances=5)
    assert len(set(indices)) == 5


@pytest.mark.parametrize("strategy", DROPOUT, ids=lambda f: f.__name__)
def test_dropout_scores_do_not_depend_on_the_company(strategy):
    learner = DeepActiveLearner(net(module__dropout=0.0))
    options = {"n_instances": 30, "num_cycles": 1}
    order, together = strategy(learner, TENSOR, **options)
    _, in_pairs = strategy(learner, TENSOR[order], sample_per_forward_pass=2, **options)
    np.testing.assert_allclose(np.sort(together), np.sort(in_pairs), atol=1e-5)


def test_passes_that_are_all_the_same_warn():
    learner = DeepActiveLearner(net(module__dropout=0.0))
    with pytest.warns(UserWarning, match="All 3 passes gave the same probabilities"):
        dropout.mc_dropout_bald(learner, TENSOR, num_cycles=3)
    dropout.mc_dropout_bald(DeepActiveLearner(net()), TENSOR, num_cycles=3)


@pytest.mark.parametrize("loss", ["binary", "log"])
def test_expected_error_is_the_same_for_every_container(loss):
    scores = []
    for container in CONTAINERS.values():
        pool = container(X[:6])
        learner = ActiveLearner(
            LogisticRegression(), X_training=take(pool, SEED), y_training=y[:6]
        )
        indices, errors = expected_error_reduction(learner, pool, loss, n_instances=6)
        scores.append(errors[np.argsort(indices)])
    np.testing.assert_allclose(scores, np.tile(scores[0], (len(scores), 1)), rtol=1e-4)


def test_expected_error_on_frames_of_several_types():
    frame = mixed_frame()
    frame["kind"] = frame["kind"].astype("category")
    learner = ActiveLearner(
        mixed_pipeline(),
        expected_error_reduction,
        frame[:6],
        LABELS["series"](NAMES)[:6],
    )
    loop(learner, frame[6:12], NAMES[6:12])


def test_expected_error_on_tensors():
    learner = ActiveLearner(
        net(), expected_error_reduction, TENSOR[:6], torch.tensor(y[:6])
    )
    indices, rows = learner.query(TENSOR[6:10])
    assert torch.equal(rows, TENSOR[6:10][indices])


class Sizes(BaseEstimator):
    """Classifies images by their width, whatever else they are."""

    def fit(self, X, y):
        assert all(isinstance(image, Image.Image) for image in X)
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return self.classes_[[int(image.width > 4) for image in X]]

    def predict_proba(self, X):
        wide = np.array([image.width / 10 for image in X])
        return np.stack([1 - wide, wide], axis=1)


@pytest.mark.parametrize("sizes", [[(4, 4)] * 6, [(w, 4) for w in range(2, 8)]])
def test_lists_of_images(sizes):
    pool = [Image.new("RGB", size) for size in sizes]
    labels = ["narrow"] * 3 + ["wide"] * 3
    learner = ActiveLearner(Sizes(), X_training=pool[:4], y_training=labels[:4])
    for model in (learner, Committee([learner])):
        indices, rows = model.query(pool, n_instances=2)
        assert all(row is pool[i] for row, i in zip(rows, indices, strict=True))
        model.teach(rows, take(labels, indices), bootstrap=True)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        learner.teach(pool[:2], labels[:1])


def test_lists_of_path_objects():
    pool = [pathlib.Path(f"{i}.png") for i in range(5)]
    learner = ActiveLearner(Sizes(), lambda model, X: [0, 4])
    learner.estimator.fit([], ["a"])
    assert learner.query(pool)[1] == [pool[0], pool[4]]


@pytest.mark.filterwarnings("ignore:Label .* is present:UserWarning")
@pytest.mark.parametrize(
    "name",
    ["max_loss", "mean_max_loss", "min_confidence", "avg_confidence", "max_score",
     "avg_score"],
)  # fmt: skip
def test_multilabel(name):
    labels = (X > 0).astype(int)
    learner = ActiveLearner(
        OneVsRestClassifier(LogisticRegression()), getattr(multilabel, name), X, labels
    )
    loop(learner, X, labels)
    learner.query(X, n_instances=2, random_tie_break=True)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "cls", [ActiveLearner, BayesianOptimizer, Committee, CommitteeRegressor]
)
def test_docstring_examples(cls):
    # modAL's own, as installed.
    matplotlib.use("agg")
    [example] = doctest.DocTestFinder(recurse=False).find(cls, cls.__name__)
    assert example.examples
    assert doctest.DocTestRunner(verbose=False).run(example).failed == 0


def test_a_sparse_matrix_that_is_a_dict():
    pool = sp.dok_array(X)
    learner = ActiveLearner(
        LogisticRegression(), X_training=X[:6], y_training=[0, 1] * 3
    )
    rows, picked = learner.query(pool, n_instances=2)
    np.testing.assert_array_equal(picked.toarray(), X[rows])


class DoublesC(ActiveLearner):
    """A constructor that changes what it gets, which scikit-learn forbids."""

    def __init__(self, estimator, C=1.0, rows=None, labels=None):
        super().__init__(estimator, X_training=rows, y_training=labels)
        self.C, self.rows, self.labels = 2 * C, rows, labels


class KeepsC(DoublesC):
    def __init__(self, estimator, C=1.0, rows=None, labels=None):
        super().__init__(estimator, C / 2, rows, labels)
        self.C = C


def test_clones_of_own_learners():
    # A clone of the first would have another C at each step of a search.
    with pytest.raises(RuntimeError, match="modifies parameter C"):
        clone(DoublesC(LogisticRegression(), C=0.1))
    rows, labels = X[:4].tolist(), [0, 1, 0, 1]
    learner = KeepsC(LogisticRegression(), 0.1, rows, labels)
    again = clone(learner)
    again.rows.append(rows[0])
    assert again.C == 0.1
    assert len(learner.X_training) == len(learner.rows) == len(rows) == 4
