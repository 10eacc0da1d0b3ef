"""What every strategy must do, by its mere existence in ``query.__all__``."""

import inspect
import pickle
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from modAL.models import ActiveLearner, Committee
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from modal_pretrain import query
from tests.query.query_cases import (
    KINDS,
    STRATEGIES,
    Centroids,
    Encoder,
    call,
    forest,
    make,
    pool,
    seed_set,
)

# Oracles need to be told the groups, and look at nothing else.
GROUPS = {"group_balanced_sampling": {"groups": [0, 1]}}
BLIND = {"random_sampling", *GROUPS}

every_strategy = pytest.mark.parametrize("name", STRATEGIES)
PAIRS = [
    (name, kind)
    for name in STRATEGIES
    for kind in (KINDS[:1] if name in BLIND else KINDS)
]


def check_answer(answer, n, k):
    assert type(answer) is tuple
    assert len(answer) == 2
    idx, scores = answer
    assert isinstance(idx, np.ndarray)
    assert isinstance(scores, np.ndarray)
    assert idx.dtype == np.int64
    assert scores.dtype == np.float64
    assert idx.shape == scores.shape == (k,)
    assert len(set(idx.tolist())) == k
    assert idx.min() >= 0
    assert idx.max() < n
    assert not np.isnan(scores).any()


def test_all_is_sorted_and_complete():
    assert list(query.__all__) == sorted(query.__all__)
    for name in query.__all__:
        assert name.endswith(("_sampling", "_score"))
        assert callable(getattr(query, name))
    found = {n for n in vars(query) if n.endswith(("_sampling", "_score"))}
    assert found == set(query.__all__)


@every_strategy
def test_signature(name):
    signature = inspect.signature(getattr(query, name))
    parameters = list(signature.parameters.values())
    assert [p.name for p in parameters[:3]] == ["classifier", "X", "n_instances"]
    assert parameters[2].default == 1
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters[3:])
    assert signature.parameters["random_state"].default is None


@every_strategy
def test_docstring(name):
    doc = inspect.getdoc(getattr(query, name))
    for section in ("Parameters", "Returns", "Raises", "Examples"):
        assert f"\n{section}\n{'-' * len(section)}\n" in doc, section
    for parameter in inspect.signature(getattr(query, name)).parameters:
        assert parameter in doc


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_answer(name, kind):
    X = pool()
    check_answer(call(name, make(kind), X, 3, random_state=0), len(X), 3)


@every_strategy
@pytest.mark.parametrize("n_instances", [1, 2, 40])
def test_size_of_the_answer(name, n_instances):
    answer = call(name, make("learner"), pool(), n_instances, random_state=0)
    check_answer(answer, 40, n_instances)


@every_strategy
@pytest.mark.parametrize("kind", ["bare", "committee"])
def test_binary(name, kind):
    X = pool()
    check_answer(call(name, make(kind, 2), X, 5, random_state=0), len(X), 5)


@every_strategy
@pytest.mark.parametrize("kind", ["bare", "committee"])
def test_seed_set_of_one_class(name, kind):
    X = pool()
    check_answer(call(name, make(kind, 1), X, 5, random_state=0), len(X), 5)


@every_strategy
def test_n_instances_defaults_to_one(name):
    check_answer(call(name, make("bare"), pool()), 40, 1)


@every_strategy
def test_first_of_a_batch_does_not_depend_on_its_size(name):
    if name in ("typiclust_sampling", "clue_sampling", "drop_query_sampling"):
        pytest.skip("clusters as many as the batch has rows, as its paper does")
    if name == "disambiguation_sampling":
        pytest.skip("spreads the batch over as many uncertain rows as it has")
    classifier, X = make("learner"), pool()
    one, _ = call(name, classifier, X, 1, random_state=0)
    two, _ = call(name, classifier, X, 2, random_state=0)
    assert one[0] == two[0]


@every_strategy
def test_same_random_state_same_answer(name):
    classifier, X = make("learner"), pool()
    first = call(name, classifier, X, 7, random_state=3)
    again = call(name, classifier, X, 7, random_state=3)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])


@every_strategy
def test_global_generator_is_left_alone(name):
    np.random.seed(0)  # noqa: NPY002
    before = pickle.dumps(np.random.get_state())  # noqa: NPY002
    call(name, make("learner"), pool(), 3, random_state=None)
    assert pickle.dumps(np.random.get_state()) == before  # noqa: NPY002


@every_strategy
@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("learner", np.float64), ("transformed", np.float32), ("committee", np.float32)],
)
def test_permuting_the_pool_permutes_the_answer(name, kind, dtype):
    classifier, X = make(kind), pool(60).astype(dtype)
    order = np.random.default_rng(5).permutation(len(X))
    kwargs, moved = {}, {}
    if "groups" in inspect.signature(getattr(query, name)).parameters:
        groups = np.arange(len(X)) % 3
        kwargs, moved = {"groups": groups}, {"groups": groups[order]}
    idx, scores = call(name, classifier, X, 9, random_state=0, **kwargs)
    idx_moved, scores_moved = call(
        name, classifier, X[order], 9, random_state=0, **moved
    )
    np.testing.assert_array_equal(order[idx_moved], idx)
    np.testing.assert_allclose(scores_moved, scores, rtol=1e-9, atol=1e-12)


@every_strategy
def test_duplicates(name):
    rng = np.random.default_rng(0)
    classifier = make("learner")
    X = np.vstack([np.repeat(pool(8), 4, axis=0), np.repeat(pool(1, seed=9), 20, 0)])
    for k in (3, 9, len(X)):
        check_answer(call(name, classifier, X, k, random_state=0), len(X), k)
    order = rng.permutation(len(X))
    kwargs, moved = {}, {}
    if "groups" in inspect.signature(getattr(query, name)).parameters:
        groups = (X[:, 0] > 0).astype(int)
        kwargs, moved = {"groups": groups}, {"groups": groups[order]}
    idx, _ = call(name, classifier, X, 9, random_state=0, **kwargs)
    idx_moved, _ = call(name, classifier, X[order], 9, random_state=0, **moved)
    np.testing.assert_array_equal(X[order][idx_moved], X[idx])


@every_strategy
def test_pool_of_equal_rows(name):
    X = np.ones((12, 6))
    check_answer(call(name, make("learner"), X, 5, random_state=0), 12, 5)


@every_strategy
def test_labelled_rows_in_the_pool(name):
    classifier = make("learner")
    X = np.vstack([classifier.X_training, pool(10)])
    check_answer(call(name, classifier, X, 5, random_state=0), len(X), 5)


@every_strategy
def test_pool_of_one_row(name):
    check_answer(call(name, make("learner"), pool(1), 1, random_state=0), 1, 1)


@every_strategy
def test_arguments_are_checked(name):
    # What is checked, and how it is said: _engine/test_arguments.py.
    classifier, X = make("bare"), pool()
    with pytest.raises(TypeError, match="classifier must be"):
        call(name, type(classifier), X)
    with pytest.raises(ValueError, match="X: the pool is empty"):
        call(name, classifier, X[:0])
    with pytest.raises(TypeError, match="X must hold"):
        call(name, classifier, np.array(5), **GROUPS.get(name, {}))
    with pytest.raises(ValueError, match="n_instances=41 "):
        call(name, classifier, X, 41)
    with pytest.raises(TypeError, match="n_instances must be"):
        call(name, classifier, X, "3")
    with pytest.raises(TypeError, match="random_state must be"):
        call(name, classifier, X, random_state="1")


class Broken:
    """Returns what it is told to."""

    classes_ = np.array([0, 1])

    def __init__(self, proba):
        self.proba = proba

    def predict_proba(self, X):
        return self.proba


def uses_probabilities(name):
    try:
        call(name, LinearSVC().fit(*seed_set(2)), pool(), 1, random_state=0)
    except TypeError:
        return True
    return False


@every_strategy
def test_probabilities_are_checked(name):
    # What is checked, and how it is said: _engine/test_classifier.py.
    if not uses_probabilities(name):
        pytest.skip("looks at embeddings only")
    proba = np.full((40, 2), 0.5)
    proba[7] = [0.5, 3.0]
    kwargs = {}
    if "proba_samples" in inspect.signature(getattr(query, name)).parameters:
        kwargs["proba_samples"] = [proba]
    with pytest.raises(ValueError, match=r"row 7 sums to 3\.5"):
        call(name, Broken(proba), pool(), 1, **kwargs)


@every_strategy
def test_embeddings_are_checked(name):
    # What is checked, and how it is said: _engine/test_embeddings.py.
    X = pool()
    X[7, 2] = np.nan
    classifier = make("learner")
    try:
        answer = call(name, classifier, X, 2, random_state=0)
    except ValueError as error:
        assert "row 7" in str(error) or "NaN" in str(error)
    else:
        check_answer(answer, len(X), 2)  # it never looked at the embeddings
        assert uses_probabilities(name) or name in BLIND


@every_strategy
def test_no_predict_proba(name):
    classifier = LinearSVC().fit(*seed_set(2))
    try:
        answer = call(name, classifier, pool(), 2, random_state=0)
    except TypeError as error:
        assert "LinearSVC" in str(error)
        assert "predict" in str(error)
    else:
        check_answer(answer, 40, 2)


@every_strategy
def test_no_embeddings(name):
    paths = [f"image-{i}.png" for i in range(5)]
    votes = np.random.default_rng(0).dirichlet([1, 1], size=(3, 5))
    kwargs = {}
    if "proba_samples" in inspect.signature(getattr(query, name)).parameters:
        kwargs["proba_samples"] = votes
    try:
        answer = call(name, Broken(votes[0]), paths, 2, random_state=0, **kwargs)
    except TypeError as error:
        assert "embed" in str(error)
        assert "list" in str(error)
    else:
        check_answer(answer, 5, 2)


@every_strategy
@pytest.mark.parametrize("kind", ["pipeline", "committee"])
def test_unfitted(name, kind):
    X = pool()
    classifier = {
        "pipeline": make_pipeline(StandardScaler(), forest()),
        "committee": Committee([ActiveLearner(forest()), ActiveLearner(forest())]),
    }[kind]
    try:
        answer = call(name, classifier, X, 4, random_state=0)
    except (NotFittedError, ValueError) as error:
        assert "fit" in str(error) or "label" in str(error)
    else:
        check_answer(answer, len(X), 4)


@every_strategy
@pytest.mark.parametrize("kind", ["transformed", "committee"])
def test_nothing_is_changed(name, kind):
    classifier, X = make(kind), pool()
    X.setflags(write=False)
    before, kept = pickle.dumps(classifier), X.tobytes()
    call(name, classifier, X, 3, random_state=0)
    assert pickle.dumps(classifier) == before
    assert X.tobytes() == kept


@every_strategy
def test_in_a_modal_loop(name):
    calls = []
    n_instances = 2  # two bare rows would pass for a row and its score

    def strategy(classifier, X, **kwargs):
        calls.append(1)
        return call(name, classifier, X, random_state=0, **kwargs)

    X_seed, y_seed = seed_set(3)
    X = pool()
    learner = ActiveLearner(
        forest(), query_strategy=strategy, X_training=X_seed, y_training=y_seed
    )
    idx, rows = learner.query(X, n_instances=n_instances)
    assert len(calls) == 1  # modAL calls again whatever raises
    np.testing.assert_array_equal(rows, X[idx])
    learner.teach(X[idx], np.zeros(n_instances, dtype=int))
    check_answer(call(name, learner, X, 3, random_state=0), len(X), 3)


@every_strategy
@pytest.mark.parametrize("container", ["frame", "list"])
def test_containers(name, container):
    X_seed, y_seed = seed_set(3)
    X = np.round(pool() * 4)
    classifier = forest().fit(X_seed, y_seed)
    expected = call(name, classifier, X, 4, random_state=0)
    if container == "frame":
        names = [f"f{i}" for i in range(6)]
        X = pd.DataFrame(X, columns=names, index=np.arange(len(X))[::-1])
    else:
        X = X.tolist()
    answer = call(name, classifier, X, 4, random_state=0)
    check_answer(answer, 40, 4)
    if container == "frame":
        np.testing.assert_array_equal(answer[0], expected[0])


@every_strategy
def test_images(name):
    rng = np.random.default_rng(0)
    seed = rng.integers(256, size=(12, 4, 4, 3), dtype=np.uint8)
    X = rng.integers(256, size=(30, 4, 4, 3), dtype=np.uint8)
    encoder = Encoder(seed, np.arange(12) % 3)
    kwargs = {}
    if "proba_samples" in inspect.signature(getattr(query, name)).parameters:
        kwargs["proba_samples"] = encoder.sample
    learner = ActiveLearner.__new__(ActiveLearner)
    learner.__dict__.update(
        estimator=encoder,
        query_strategy=None,
        on_transformed=False,
        X_training=seed,
        y_training=np.arange(12) % 3,
    )
    idx, scores = call(name, learner, X, 5, random_state=0, **kwargs)
    check_answer((idx, scores), 30, 5)
    order = rng.permutation(30)
    groups = {}
    if "groups" in inspect.signature(getattr(query, name)).parameters:
        groups = {"groups": (np.arange(30) % 3)[order]}
    moved, _ = call(name, learner, X[order], 5, random_state=0, **kwargs, **groups)
    np.testing.assert_array_equal(order[moved], idx)


@every_strategy
def test_no_quadratic_memory(name):
    n, d, n_classes, k = 3000, 160, 8, 10
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d)).astype(np.float32)
    X_seed = rng.standard_normal((90, d)).astype(np.float32)
    y_seed = np.arange(90) % n_classes
    head = Centroids()
    classifier = ActiveLearner(head, X_training=X_seed, y_training=y_seed)
    kwargs = {}
    if "proba_samples" in inspect.signature(getattr(query, name)).parameters:
        one = head.predict_proba(X)
        kwargs["proba_samples"] = lambda X: [one[: len(X)], one[: len(X), ::-1]]
    call(name, classifier, X[:50], 1, random_state=0, **kwargs)  # what is imported late
    tracemalloc.start()
    try:
        call(name, classifier, X, k, random_state=0, **kwargs)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # A float32 matrix of n x n has 36 MB, one of n x C x d 15 MB.
    assert peak < 14e6, f"{peak / 1e6:.0f} MB"


@every_strategy
def test_copies_come_last_where_rows_stand_for_others(name):
    """What docs/query-strategies.md says of duplicates, strategy by strategy."""
    spread = {"badge", "clue", "core_set", "max_herding", "uncertainty_herding"}
    one_by_one = {"entropy", "least_confidence", "margin"}
    rows = pool(30)
    X = np.vstack([rows, rows[::-1]])
    for k in (10, 30):
        idx, _ = call(name, make("learner"), X, k, random_state=0)
        different = len(np.unique(X[idx], axis=0))
        if name.removesuffix("_sampling") in spread:
            assert different == k
        elif name.removesuffix("_sampling") in one_by_one:
            assert different == k // 2
