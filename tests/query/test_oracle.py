"""The oracle balances groups, however they are given."""

import enum
import warnings

import numpy as np
import pandas as pd
import pytest

from modal_pretrain.query.oracle import group_balanced_sampling


def test_balances():
    groups = np.array(["a"] * 30 + ["b"] * 5 + ["c"] * 2)
    X = np.random.default_rng(0).normal(size=(37, 3))
    idx, scores = group_balanced_sampling(None, X, 9, groups=groups, random_state=0)
    names, count = np.unique(groups[idx], return_counts=True)
    assert dict(zip(names, count, strict=True)) in (
        {"a": 4, "b": 3, "c": 2},
        {"a": 3, "b": 4, "c": 2},
    )
    assert scores[0] == 0
    idx, _ = group_balanced_sampling(
        None, X, 2, groups=groups, groups_labelled=["a", "a", "b", "b"], random_state=0
    )
    assert set(groups[idx]) == {"c"}


@pytest.mark.parametrize("kind", ["sets", "enumeration", "tuples", "lists"])
def test_balances_groups_without_an_order(kind):
    members = enum.Enum("Place", ["sea", "land", "sky"])
    names = {
        "sets": [frozenset(), frozenset({"sea"}), frozenset({"land"})],
        "enumeration": list(members),
        "tuples": [("sea",), ("land", "sky"), ("sky",)],
        "lists": [["sea"], ["land", "sky"], []],
    }[kind]
    rng = np.random.default_rng(0)
    X, code = rng.normal(size=(120, 2)), rng.choice(3, 120, p=[0.7, 0.2, 0.1])
    groups = pd.Series([names[i] for i in code])
    rows, _ = group_balanced_sampling(None, X, 12, groups=groups, random_state=0)
    assert np.bincount(code[rows]).tolist() == [4, 4, 4]
    again, _ = group_balanced_sampling(
        None, X[::-1], 12, groups=groups[::-1].tolist(), random_state=0
    )
    assert sorted(119 - again) == sorted(rows)


def test_refuses_groups_with_an_unknown_part():
    groups = pd.MultiIndex.from_arrays([["a", "b", "a"], [1.0, np.nan, 1.0]])
    with pytest.raises(ValueError, match=r"nan.* in row 1; every row needs a group"):
        group_balanced_sampling(None, np.eye(3), 1, groups=groups, random_state=0)


@pytest.mark.parametrize("kind", [list, set, frozenset, tuple])
def test_refuses_lists_and_sets_with_an_unknown_part(kind):
    groups = pd.Series([kind(["sea", np.nan]), kind(["land"])])
    with pytest.raises(ValueError, match=r"nan.* in row 0; every row needs a group"):
        group_balanced_sampling(None, np.eye(2), 1, groups=groups)


def test_takes_lists_as_parquet_gives_them_back():
    arrays = pd.Series([np.array(["a", "b"])] * 3 + [np.array(["b"])])
    seen = pd.Series([["a", "b"]])
    rows, _ = group_balanced_sampling(
        None, np.eye(4), 1, groups=arrays, groups_labelled=seen
    )
    assert rows.tolist() == [3]
    with pytest.raises(TypeError, match="a group must be a number, text, or a tuple"):
        group_balanced_sampling(None, np.eye(1), 1, groups=[{"a": 1}])


def test_refuses_labelled_groups_of_another_kind():
    pool, seen = pd.Series([{"sea"}, {"land"}]), pd.Series([["sea"], ["sea"]])
    with pytest.raises(TypeError, match="no labelled row would count"):
        group_balanced_sampling(None, np.eye(2), 1, groups=pool, groups_labelled=seen)
    gone = pd.Series([{"sky"}])  # of the same kind, none left in the pool
    group_balanced_sampling(None, np.eye(2), 1, groups=pool, groups_labelled=gone)
    rows = pd.DataFrame({"kind": ["dog"], "place": ["sand"]})  # of a class each time
    pool, gone = (pd.Series([*frame.itertuples()]) for frame in (rows, rows + "!"))
    group_balanced_sampling(None, np.eye(1), 1, groups=pool, groups_labelled=gone)


@pytest.mark.parametrize("named", [False, True])
def test_takes_a_list_of_tuples_as_a_series_of_them(named):
    frame = pd.DataFrame({"label": list("aabb") * 3, "place": [1, 2, 1, 1] * 3})
    rows = list(frame.itertuples(index=False, name="Cell" if named else None))
    asked = [
        group_balanced_sampling(
            None,
            np.eye(9),
            3,
            groups=kind(rows[3:]),
            groups_labelled=kind(rows[:3]),
            random_state=0,
        )[0].tolist()
        for kind in (list, tuple, pd.Series)
    ]
    assert asked[0] == asked[1] == asked[2]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (iter("aab"), r"Write list\(groups\)"),
        (np.eye(3), "pass a list of tuples, one for each row"),
        (["a", "b"], "Remove queried rows from it"),
    ],
)
def test_says_how_groups_are_to_be_given(groups, message):
    with pytest.raises(ValueError, match=message):
        group_balanced_sampling(None, np.eye(3), 1, groups=groups)


@pytest.mark.parametrize("known", [2, 3])
def test_counts_groups_that_are_tuples(known):
    groups = pd.Series([("dog", "sand")] * 3 + [("dog", "snow")] * 2)
    idx, scores = group_balanced_sampling(
        None, np.eye(5), 2, groups=groups, groups_labelled=groups[:known]
    )
    assert (sorted(idx), scores.tolist()) == ([3, 4], [0.0, -1.0])


def test_wants_one_group_a_row():
    with pytest.raises(ValueError, match="one group for each"):
        group_balanced_sampling(None, np.eye(3), groups=[0, 1])


def test_wants_groups_of_one_kind():
    X = np.eye(3)
    with pytest.raises(ValueError, match="groups has None in row 1"):
        group_balanced_sampling(None, X, groups=["a", None, "b"])
    with pytest.raises(ValueError, match="groups_labelled has nan in row 0"):
        group_balanced_sampling(None, X, groups=[0, 1, 2], groups_labelled=[np.nan])
    message = "groups holds .* and groups_labelled .*: they are of other"
    with pytest.raises(TypeError, match=message):
        group_balanced_sampling(None, X, groups=[0, 1, 1], groups_labelled=["0", "1"])
    with pytest.raises(TypeError, match=message):
        group_balanced_sampling(None, X, groups=["0", "1", "1"], groups_labelled=[1])
    for known in ([], [7, 7.0]):  # none yet, or of a group that has run out
        idx, _ = group_balanced_sampling(
            None, X, 3, groups=[0, 1, 1], groups_labelled=known, random_state=0
        )
        assert sorted(idx) == [0, 1, 2]


@pytest.mark.parametrize(
    ("groups", "labelled"),
    [
        (["water", "land"], ["Land", "Land"]),
        ([("gull", "water"), ("crow", "land")], [("crow", "land ")]),
    ],
)
def test_labelled_groups_in_another_spelling(groups, labelled):
    with pytest.warns(UserWarning, match="count as two groups"):
        group_balanced_sampling(
            None, np.eye(2), 1, groups=groups, groups_labelled=labelled
        )


def test_labelled_groups_that_the_pool_has_no_more():
    groups, labelled = [("Sea", "x"), ("land", "y")], [("land", "sea")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        group_balanced_sampling(
            None, np.eye(2), 1, groups=groups, groups_labelled=labelled
        )


def test_groups_that_numpy_made_text_of():
    groups = np.array(["land", np.nan])
    with pytest.warns(UserWarning, match="groups holds the text 'nan'"):
        group_balanced_sampling(None, np.eye(2), 1, groups=groups)
