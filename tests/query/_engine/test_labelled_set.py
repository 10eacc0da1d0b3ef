"""The labelled set: what a learner or committee remembers, or is told."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from modAL.models import (
    ActiveLearner,
    Committee,
    DeepActiveLearner,
)
from scipy.sparse import csr_matrix
from sklearn.ensemble import (
    AdaBoostClassifier,
)

from modal_pretrain import query
from modal_pretrain._checks import take_rows
from modal_pretrain.query._engine.arguments import n_rows
from modal_pretrain.query._engine.embeddings import (
    labelled_parts,
    labelled_set,
)
from modal_pretrain.query._engine.order import content_keys
from modal_pretrain.query._engine.samples import probability_samples
from tests.query.query_cases import Centroids, Embedder, forest, pool, seed_set


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
