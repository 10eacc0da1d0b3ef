"""Values from pandas that are, by their index, of the same rows in another order."""

import warnings

import numpy as np
import pandas as pd
import pytest
from modAL.models import ActiveLearner
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from modal_pretrain import TimmEncoder
from modal_pretrain.datasets import GroupedDataset
from modal_pretrain.metrics import paired_bootstrap, probe_separability
from modal_pretrain.query import (
    core_set_sampling,
    disambiguation_sampling,
    group_balanced_sampling,
    max_herding_sampling,
    tag_exception_sampling,
    typiclust_sampling,
    uncertainty_herding_sampling,
)
from modal_pretrain.reweighting import error_weights, tag_weights

N = 24
INDEX = [f"id{i}" for i in range(N)]
POOL = np.random.default_rng(1).normal(size=(40, 3))


def series(values):
    return pd.Series(values, INDEX)


@pytest.fixture(scope="module")
def rows():
    """Rows, their labels, and what else there may be of each, in one order."""
    rng = np.random.default_rng(0)
    y = np.arange(N) % 2
    X = rng.normal(size=(N, 3)) + y[:, None]
    return {
        "X": pd.DataFrame(X, INDEX),
        "y": series(y),
        "tags": series(rng.permutation(N) % 3),
        "weight": series(rng.random(N) + 0.1),
    }


@pytest.fixture(scope="module")
def head(rows):
    return LogisticRegression().fit(rows["X"].to_numpy(), rows["y"])


def dataset(X, y, tags):
    split = series(["train", "test"] * (N // 2))
    return GroupedDataset(X, y, tags, split, extra={"place": tags})


CALLS = {
    "error_weights": (lambda head, X, y, weight: error_weights(X, y), "y"),
    "error_weights, weights": (
        lambda head, X, y, weight: error_weights(X, y, sample_weight=weight),
        "weight",
    ),
    "tag_weights": (lambda head, X, y, tags: tag_weights(X, y, tags), "tags"),
    "data set, labels": (lambda head, X, y, tags: dataset(X, y, tags), "y"),
    "data set, attribute": (lambda head, X, y, tags: dataset(X, y, tags), "tags"),
    "probe": (lambda head, X, y: probe_separability(X, y, cv=2), "y"),
    "bootstrap": (lambda head, y, weight: paired_bootstrap(y, weight), "weight"),
    "strategy, labels": (
        lambda head, X, y: disambiguation_sampling(
            head, POOL, X_labelled=X, y_labelled=y, random_state=0
        ),
        "y",
    ),
    "strategy, tags": (
        lambda head, X, y, tags: tag_exception_sampling(
            head, POOL, X_labelled=X, y_labelled=y, tags_labelled=tags, random_state=0
        ),
        "tags",
    ),
    "strategy, calibration": (
        lambda head, X, y: uncertainty_herding_sampling(
            head, POOL, X_calibration=X, y_calibration=y, random_state=0
        ),
        "y",
    ),
    "strategy, groups": (
        lambda head, X, tags: group_balanced_sampling(None, X, groups=tags),
        "tags",
    ),
}


@pytest.mark.filterwarnings("ignore:X has feature names")
@pytest.mark.parametrize("name", CALLS)
def test_another_order_is_refused(rows, head, name):
    call, late = CALLS[name]
    names = call.__code__.co_varnames[1 : call.__code__.co_argcount]
    given = {key: rows[key] for key in names}
    call(head, **given)
    given[late] = given[late].iloc[::-1]
    with pytest.raises(ValueError, match=r"has, by its index, the rows of .* in anoth"):
        call(head, **given)
    call(head, **given | {late: given[late].to_numpy()})


def test_a_pipeline_refuses_labels_in_another_order():
    pictures = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    encoder = TimmEncoder(pretrained=False, image_size=32, cache=None)
    pipeline = make_pipeline(encoder, LogisticRegression())
    X = pd.Series(list(pictures), list("abcd"))
    y = pd.Series([0, 0, 1, 1], X.index)
    assert pipeline.fit(X, y).predict(X).shape == (4,)
    with pytest.raises(ValueError, match=r"y\.loc\[X\.index\]"):
        pipeline.fit(X, y.iloc[::-1])


def test_columns_of_labelled_rows_in_another_order():
    rng = np.random.default_rng(0)
    seed, X = (
        pd.DataFrame(rng.normal(size=(n, 3)), columns=list("abc")) for n in (4, 9)
    )
    turned = X[["c", "a", "b"]]
    learner = ActiveLearner(
        LogisticRegression(), X_training=seed, y_training=[0, 1] * 2
    )
    for strategy in (core_set_sampling, typiclust_sampling, max_herding_sampling):
        rows = strategy(learner, X, 2, random_state=0)[0].tolist()
        with pytest.raises(ValueError, match="columns of X in another order"):
            strategy(learner, turned, 2, random_state=0)
        given = strategy(None, turned[list("abc")], 2, random_state=0, X_labelled=seed)
        assert given[0].tolist() == rows
    # Where columns are told by their names, their order does not count.
    names = ColumnTransformer([("all", "passthrough", list("abc"))])
    pipe = make_pipeline(names, LogisticRegression()).fit(seed, [0, 1] * 2)
    found = [
        core_set_sampling(pipe, rows, 2, X_labelled=seed)[0] for rows in (X, turned)
    ]
    assert found[0].tolist() == found[1].tolist()


def test_seeds_from_zero_on_that_became_the_index_are_in_an_order():
    a = pd.DataFrame({"seed": [0, 1, 2], "value": [0.9, 0.8, 0.7]})
    b = pd.DataFrame({"seed": [2, 0, 1], "value": [0.65, 0.85, 0.75]})
    a, b = (v.set_index("seed")["value"] for v in (a, b))  # of a, pandas makes a range
    with pytest.raises(ValueError, match="b has, by its index, the rows of a"):
        paired_bootstrap(a, b)
    found = paired_bootstrap(a, b.loc[a.index], random_state=0)
    np.testing.assert_allclose(found, 0.05)


def test_other_seeds_are_warned_of():
    a = pd.Series([0.9, 0.8, 0.7], pd.Index([0, 1, 2], name="seed"))
    b = pd.Series([0.85, 0.75, 0.65], pd.Index([0, 1, 5], name="seed"))
    with pytest.warns(UserWarning, match="'seed', no pairs: 2 is in a alone"):
        paired_bootstrap(a, b)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        paired_bootstrap(a, b.to_numpy())
        paired_bootstrap(a, b.rename_axis(None))
        paired_bootstrap(a.tolist(), b)


@pytest.mark.parametrize("kind", [list, np.array, pd.Index, pd.Series])
@pytest.mark.parametrize("folder", ["", "pictures/"])
def test_an_index_of_files_is_in_the_order_of_the_inputs(kind, folder):
    files = ["a.png", "b.png", "c.png", "d.png"]
    y = pd.Series(["cat", "dog"] * 2, index=files)
    X = kind([folder + file for file in files])
    split = ["train"] * 4
    with pytest.raises(ValueError, match="y has, by its index, the rows of X in anoth"):
        GroupedDataset(X=X, y=y[::-1], attribute=list("stst"), split=split)
    with pytest.raises(ValueError, match="attribute has, by its index, the rows of X"):
        GroupedDataset(X=X, y=y.tolist(), attribute=y[::-1], split=split)
    data = GroupedDataset(X=X, y=y, attribute=y[::-1].to_numpy(), split=split)
    assert data.y.tolist() == y.tolist()
    # Other files, or a file twice, say nothing.
    other = y[::-1].rename({"a.png": "e.png"})
    GroupedDataset(X=X, y=other, attribute=list("stst"), split=split)


def test_groups_that_were_left_behind_are_warned_of():
    X, groups = np.eye(8), np.array(list("uvuvuvuv"))
    learner = ActiveLearner(
        LogisticRegression(), X_training=X[:4], y_training=[0, 1] * 2
    )
    with pytest.warns(UserWarning, match="has 2 entries, and the learner was taught 4"):
        group_balanced_sampling(
            learner, X[4:], 2, groups=groups[4:], groups_labelled=groups[:2]
        )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n in (4, 6):  # an audit's rows may count, too
            group_balanced_sampling(
                learner, X[4:], 2, groups=groups[4:], groups_labelled=groups[:n]
            )
        group_balanced_sampling(learner, X[4:], 2, groups=groups[4:])
