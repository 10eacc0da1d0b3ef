import re
from dataclasses import replace
from enum import Enum

import numpy as np
import pandas as pd
import pytest
import torch

from modal_pretrain.datasets import GroupedDataset


def make(n=200, share=0.1, **kwargs):
    """Red squares and blue circles; every tenth training row has the other colour."""
    y = np.array(["square", "circle"])[np.arange(n) % 2]
    odd = np.arange(n) // 2 % round(1 / share) == 0
    colour = np.where((y == "square") ^ odd, "red", "blue")
    split = np.where(np.arange(n) < 0.8 * n, "train", "test")
    kwargs = {"name": "toy", "attribute_name": "colour", **kwargs}
    return GroupedDataset(np.arange(n), y, colour, split, **kwargs), odd


def test_mismatch_is_read_off_the_train_split():
    data, odd = make()
    np.testing.assert_array_equal(data.disambiguating, odd)
    # In a test split where most squares are blue the flags stay as in training.
    data.attribute[data.split == "test"] = "blue"
    data = GroupedDataset(data.X, data.y, data.attribute, data.split)
    test = data.subset("test")
    np.testing.assert_array_equal(test.disambiguating, test.y == "square")


def test_ties_and_unseen_classes_are_not_mismatches():
    data = GroupedDataset(
        X=np.zeros((6, 2)),
        y=[0, 0, 0, 0, 1, 1],
        attribute=["a", "b", "c", "a", "a", "b"],
        split=["train", "train", "test", "test", "test", "test"],
    )
    assert data.disambiguating.tolist() == [False, False, True, False, False, False]


def test_rare_takes_ties_together():
    attribute = ["a"] * 90 + ["b"] * 5 + ["c"] * 5 + ["new"]
    split = ["train"] * 100 + ["test"]
    y = np.zeros(101)
    flags = GroupedDataset(y, y, attribute, split, "rare").disambiguating
    assert flags.tolist() == [False] * 90 + [True] * 11
    # b and c make 10 %; with a share of 9 % neither is rare rather than one of them.
    flags = GroupedDataset(
        y, y, attribute, split, "rare", rare_share=0.09
    ).disambiguating
    assert flags.sum() == 1


def test_flags_may_be_given():
    given = np.arange(10) < 3
    data = GroupedDataset(range(10), [0] * 10, [0] * 10, ["test"] * 10, given)
    np.testing.assert_array_equal(data.disambiguating, given)


def test_groups_keep_their_numbers_in_subsets():
    data, _ = make(class_names=["C", "S"])
    assert data.group_names == ("C/blue", "C/red", "S/blue", "S/red")
    red_squares = data.subset((data.y == "square") & (data.attribute == "red"))
    assert set(red_squares.groups.tolist()) == {3}
    assert red_squares.group_names == data.group_names


def test_classes_fix_the_order():
    data, _ = make(classes=["square", "circle"], attributes=["red", "blue", "green"])
    assert len(data.group_names) == 6
    assert data.group_names[0] == "square/red"
    assert data.groups[data.y == "circle"].min() == 3


@pytest.mark.parametrize(
    "selection", ["test", np.arange(200) >= 160, np.arange(160, 200), range(160, 200)]
)
def test_subset(selection):
    data, odd = make()
    test = data.subset(selection)
    assert len(test) == 40
    np.testing.assert_array_equal(test.X, np.arange(160, 200))
    np.testing.assert_array_equal(test.disambiguating, odd[160:])
    assert set(test.split) == {"test"}
    assert len(test.subset([]).X) == 0


@pytest.mark.parametrize("kind", ["list", "frame", "tensor"])
def test_subset_of_any_sequence(kind):
    data, _ = make()
    if kind == "list":
        X = [f"{i}.png" for i in range(200)]
    elif kind == "frame":
        X = pytest.importorskip("pandas").DataFrame({"path": np.arange(200)})
    else:
        X = pytest.importorskip("torch").arange(200)
    data = GroupedDataset(X, data.y, data.attribute, data.split)
    chosen = data.subset([5, 3]).X
    assert type(chosen) is type(X)
    expected = {"list": ["5.png", "3.png"], "frame": [5, 3], "tensor": [5, 3]}[kind]
    assert np.asarray(chosen).ravel().tolist() == expected


def test_summary_is_one_line():
    data, _ = make()
    assert data.summary() == (
        "toy: 2 classes x 2 colour; train 160 (10.0 % disambiguating), test 40 (10.0 %)"
    )
    assert repr(data) == f"<GroupedDataset {data.summary()}>"
    assert data.subset([]).summary() == "toy: 2 classes x 2 colour; no rows"


def test_seed_set_is_ambiguous_and_balanced():
    data, odd = make()
    seeds = data.seed_set(10, random_state=0)
    assert len(set(seeds.tolist())) == 10
    assert not odd[seeds].any()
    assert (data.split[seeds] == "train").all()
    assert (data.y[seeds] == "square").sum() == 5
    np.testing.assert_array_equal(seeds, data.seed_set(10, random_state=0))
    assert seeds.tolist() != data.seed_set(10, random_state=1).tolist()


def test_seed_set_with_atypical_examples():
    data, odd = make()
    for n, atypical in [(10, 4), (9, 3), (5, 5)]:
        seeds = data.seed_set(n, atypical=atypical, random_state=0)
        assert len(seeds) == n
        assert odd[seeds].sum() == atypical
        counts = np.unique(data.y[seeds], return_counts=True)[1]
        assert counts.max() - counts.min() <= 1
    by_chance = [
        odd[data.seed_set(40, atypical=None, random_state=i)] for i in range(9)
    ]
    assert len({flags.sum() for flags in by_chance}) > 1
    assert np.mean(by_chance) == pytest.approx(0.1, abs=0.05)


def test_balanced_is_no_word():
    data, _ = make()
    with pytest.raises(ValueError, match="balanced must be True or False, got 'no'"):
        data.seed_set(10, balanced="no")


def test_seed_set_gives_what_one_class_lacks_to_the_others():
    y = np.array([0] * 20 + [1] * 20)
    odd = np.arange(40) < 10
    data = GroupedDataset(y, y, odd, ["train"] * 40, odd)
    seeds = data.seed_set(12, atypical=4, random_state=0)
    assert odd[seeds].sum() == 4
    assert (y[seeds] == 0).sum() == 6


def test_seed_set_ignoring_the_class():
    data, odd = make()
    seeds = data.seed_set(30, balanced=False, atypical=2, random_state=0)
    assert len(seeds) == 30
    assert odd[seeds].sum() == 2
    assert len(data.seed_set(160, balanced=False, atypical=None)) == 160


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"n": 1}, r"from 2 \(one per class\) to 160"),
        ({"n": 161}, "to 160, the rows of the train split"),
        ({"n": 150}, "not enough examples"),
        ({"n": 4, "atypical": 5}, r"atypical must be None or in \[0, n=4\]"),
        ({"n": 40, "atypical": 20}, "only 16 fit or exist"),
    ],
)
def test_seed_set_refuses(kwargs, match):
    with pytest.raises(ValueError, match=match):
        make()[0].seed_set(**kwargs)


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"y": [0]}, "y must be 1-D with one entry for each of the 2 rows"),
        ({"attribute": [[0], [1]]}, "attribute must be 1-D"),
        ({"attribute": {"train": [0, 1]}}, "attribute must be 1-D .* got a dict"),
        ({"split": ["train", "valid"]}, "holds 'valid'; the known splits are train,"),
        ({"split": ["test", "test"]}, "train split, which is empty"),
        ({"disambiguating": "odd"}, "unknown rule disambiguating='odd'"),
        ({"disambiguating": [0, 1]}, "boolean flags"),
        ({"disambiguating": "rare", "rare_share": 5}, "rare_share"),
        ({"classes": [0]}, "y holds 1, which classes lacks"),
        ({"classes": [0, 1, 1]}, "duplicates"),
        ({"class_names": ["only"]}, "class_names has 1 entries for 2 classes"),
        ({"class_names": [1, 2]}, "each of class_names must be a text, got 1"),
        ({"attribute_names": ["a", None]}, "each of attribute_names must be a text"),
        ({"modality": "video"}, "modality must be one of image, text.*got 'video'"),
        (
            {"extra": {"day": [1]}},
            r"extra\['day'\] must be 1-D with one entry for each",
        ),
        ({"y": ["a", 1]}, "y mixes numbers and strings; give all labels the same type"),
        ({"y": [True, 1]}, "y mixes booleans and numbers"),
        ({"y": np.array([1, "a"], object)}, "y mixes numbers and strings"),
        (
            {"y": ["a", None]},
            r"y is missing \(None or NaN\) in 1 of 2 rows, first in row 1",
        ),
        ({"attribute": [np.nan, 1]}, "attribute is missing .* first in row 0; leave"),
        ({"attribute": np.array([0.5, np.nan])}, "attribute is missing"),
        ({"split": ["train", None]}, "split is missing"),
        ({"y": ["a", "a\0"]}, r"y\[1\]='a\\x00' ends in a NUL"),
        ({"attribute": [2**63 + 1, -1]}, r"attribute\[0\]=.* would round"),
        ({"extra": {"a": ["1", 1]}}, r"extra\['a'\] holds values that are equal as <U"),
    ],
)
def test_construction_refuses(kwargs, match):
    good = {"X": [0, 1], "y": [0, 1], "attribute": [0, 1], "split": ["train", "test"]}
    with pytest.raises(ValueError, match=match):
        GroupedDataset(**{**good, **kwargs})


def test_large_numbers_beside_several_gaps_are_not_rounded():
    """One NaN of NumPy in a list is several in an array."""
    users = [10**18 + 1, 10**18 + 2, np.nan, np.nan]
    split = ["train"] * 4
    with pytest.raises(ValueError, match=r"'user'\] holds values that are equal"):
        GroupedDataset([0] * 4, [0, 1, 0, 1], [0] * 4, split, extra={"user": users})
    few = [3, 4, np.nan, np.nan]
    data = GroupedDataset([0] * 4, [0, 1, 0, 1], [0] * 4, split, extra={"user": few})
    np.testing.assert_array_equal(data.extra["user"], few)


def test_columns_of_a_frame_are_labels():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"y": ["b", "a"], "place": [1, 2]}).astype({"y": "category"})
    data = GroupedDataset([0, 1], frame["y"], frame["place"], ["train", "test"])
    assert data.y.dtype.kind == "U"
    assert data.class_names == ("a", "b")
    frame["y"] = pd.Series(["a", None])
    with pytest.raises(ValueError, match="y is missing"):
        GroupedDataset([0, 1], frame["y"], frame["place"], ["train", "test"])


def test_further_attributes_stay_with_their_rows():
    data, odd = make(modality="text", extra={"user": np.arange(200) % 7})
    part = data.subset([199, 3])
    assert part.modality == "text"
    assert part.extra["user"].tolist() == [3, 3]
    by_user = data.regroup("user")
    assert by_user.attribute_name == "user"
    assert len(by_user.group_names) == 14
    np.testing.assert_array_equal(by_user.extra["colour"], data.attribute)
    again = by_user.regroup("colour", disambiguating=odd)
    np.testing.assert_array_equal(again.groups, data.groups)
    np.testing.assert_array_equal(again.disambiguating, odd)
    with pytest.raises(ValueError, match="no further attribute 'day'; it has user"):
        data.regroup("day")


def test_unseen_attributes():
    data, _ = make(attributes=["blue", "green", "red"])
    seeds = np.flatnonzero(data.attribute == "red")[:3]
    np.testing.assert_array_equal(data.unseen(seeds), data.attribute == "blue")
    assert data.unseen([]).all()
    np.testing.assert_array_equal(
        data.unseen("test"), ~np.isin(data.attribute, data.subset("test").attribute)
    )
    for odd in (-1, len(data)):
        with pytest.raises(ValueError, match=f"the selection names {odd}"):
            data.unseen([odd])
    with pytest.raises(ValueError, match="n must be a whole number"):
        data.seed_set(4.5)
    assert not data.unseen(np.full(200, True)).any()
    # In a subset the known values are those of the rows, whatever the numbering.
    part = data.subset(data.attribute == "blue")
    assert not part.unseen([0]).any()
    flagged = replace(data, disambiguating=data.unseen(seeds))
    np.testing.assert_array_equal(flagged.disambiguating, data.attribute == "blue")


def test_subset_refuses():
    data, _ = make()
    with pytest.raises(ValueError, match="no split 'validation'; it has train, test"):
        data.subset("validation")
    with pytest.raises(ValueError, match="the mask must be 1-D"):
        data.subset([True, False])
    with pytest.raises(ValueError, match="row numbers"):
        data.subset([0.5])


def test_no_two_groups_have_one_name():
    """They would count as one in all that goes by name, such as the worst group."""
    rows = {"X": ["x", "y"], "split": ["train", "test"]}
    data = GroupedDataset(y=["a/b", "a"], attribute=["c", "b/c"], **rows)
    assert len(set(data.group_names)) == 4
    assert data.group_names[data.groups[0]].startswith("a/b/c")
    names = {"class_names": ["crane", "crane"], "attribute_names": ["u", "v"]}
    data = GroupedDataset(y=[0, 1], attribute=[0, 1], **rows, **names)
    assert len(set(data.group_names)) == 4


@pytest.mark.parametrize("X", [iter("ab"), {"a": 1, "b": 2}, {"a", "b"}, "ab"])
def test_rows_have_an_order(X):
    with pytest.raises(TypeError, match="X must be rows, in an order"):
        GroupedDataset(X, [0, 1], [0, 1], ["train", "test"])


def grouped(**columns):
    same = {
        "attribute": list("xxy"),
        "split": ["train"] * 3,
        "extra": {"size": [0] * 3},
    }
    return GroupedDataset(**{"X": list("abc"), "y": [0, 1, 0], **same, **columns})


@pytest.mark.parametrize("key", ["y", "attribute", "split"])
def test_masked_columns(key):
    column = np.ma.array(["train", "test", "train"], mask=[False, True, False])
    with pytest.raises(ValueError, match=f"{key} has masked values"):
        grouped(**{key: column})


def test_masked_rows():
    with pytest.raises(ValueError, match="the selection has masked values"):
        grouped().subset(np.ma.array([0, 1], mask=[False, True]))


def test_a_missing_text_of_numpy_is_no_label():
    if not hasattr(getattr(np, "dtypes", None), "StringDType"):
        pytest.skip("this NumPy has no texts of any length")
    kind = np.dtypes.StringDType(na_object=np.nan)
    with pytest.raises(ValueError, match=r"y is missing .* in 1 of 3 rows"):
        grouped(y=np.array(["a", np.nan, "b"], dtype=kind))
    assert grouped(y=np.array(list("aba"), dtype=kind)).classes.tolist() == ["a", "b"]


def test_tensors_are_columns():
    torch = pytest.importorskip("torch")
    needs_gradient = torch.tensor([0.0, 1.0, 0.0], requires_grad=True)
    assert grouped(y=needs_gradient).y.tolist() == [0, 1, 0]


def test_rows_of_a_tensor_are_no_mask():
    torch = pytest.importorskip("torch")
    column = ["a", "b", "a"]
    data = GroupedDataset(torch.arange(3), column, column, ["train"] * 3)
    assert data.subset(np.uint8([2, 1, 0])).X.tolist() == [2, 1, 0]


def test_labels_without_an_order():
    kinds = Enum("kinds", "one two")
    with pytest.raises(ValueError, match="y holds labels without an order"):
        grouped(y=[kinds.one, kinds.two, kinds.one])


def test_regrouping_loses_no_attribute():
    data = grouped(attribute_name="place", extra={"place": [1, 2, 3], "size": [0] * 3})
    with pytest.raises(ValueError, match="extra has 'place', too"):
        data.regroup("size")
    assert data.regroup("place").attribute.tolist() == [1, 2, 3]


def test_a_value_that_has_just_the_rare_share_is_rare():
    attribute = np.repeat(["often", "rare"], [71, 29])  # 0.29 * 100 is 28.999...
    rows = np.full(100, "train")
    data = GroupedDataset(
        np.arange(100), attribute, attribute, rows, "rare", rare_share=0.29
    )
    assert data.disambiguating.tolist() == (attribute == "rare").tolist()


def test_extra_may_list_tensors_of_one_number():
    days = [torch.tensor(day) for day in (1, 1, 2)]
    assert grouped(extra={"day": days}).extra["day"].tolist() == [1, 1, 2]


def test_extra_keeps_what_is_missing_in_a_list_of_texts():
    days = ["mon", float("nan"), "tue"]
    data = grouped(extra={"day": days})
    assert data.extra["day"].tolist() == ["mon", days[1], "tue"]
    with pytest.raises(ValueError, match=r"attribute is missing .* first in row 1"):
        data.regroup("day")


@pytest.mark.parametrize(
    ("names", "fix"),
    [
        ({0: "z", 1: "b"}, "k in sorted(mapping, key=int)]"),
        ({np.int64(0): "z", np.int64(1): "b"}, "k in sorted(mapping, key=int)]"),
        ({"0": "z", "1": "b"}, "k in sorted(mapping, key=int)]"),  # from JSON
        ({"0": 0, "1": 1}, "sorted(mapping, key=mapping.get)"),
        ({"z": np.int64(0), "b": np.int64(1)}, "sorted(mapping, key=mapping.get)"),
    ],
)
def test_what_is_said_of_a_mapping_gives_names_in_order(names, fix):
    """Keys that are numbers were sorted by their names, and became the names."""
    with pytest.raises(TypeError, match=f"{re.escape(fix)}$"):
        GroupedDataset([0, 1], [0, 1], [0, 0], ["train"] * 2, class_names=names)


@pytest.mark.parametrize(
    "key", ["classes", "class_names", "attributes", "attribute_names"]
)
def test_classes_and_names_without_an_order_are_refused(key):
    """A mapping lists its keys as they were written, not by the numbers."""
    for values in ({"b": 1, "a": 0}, {"a", "b"}, "ab"):
        with pytest.raises(TypeError, match=rf"^{key} must be a list, in order, got"):
            GroupedDataset(
                [0, 1], ["a", "b"], ["a", "b"], ["train"] * 2, **{key: values}
            )
    with pytest.raises(
        TypeError, match=r"\[mapping\[k\] for k in sorted\(mapping, key=int\)\]$"
    ):
        GroupedDataset(
            [0, 1], [1, 0], [1, 0], ["train"] * 2, **{key: {0: "cat", 1: "dog"}}
        )
    names = {"b": 1, "a": 0}
    data = GroupedDataset(
        [0, 1], [0, 1], [0, 0], ["train"] * 2, class_names=sorted(names, key=names.get)
    )
    assert data.class_names == ("a", "b")


def test_extra_that_is_no_dictionary_is_refused():
    frame = pd.DataFrame({"day": ["mon", "tue"]})
    rest = ([0, 1], ["a", "b"], ["x", "x"], ["train"] * 2)
    with pytest.raises(TypeError, match=r"extra must be .* a DataFrame.*'series'"):
        GroupedDataset(*rest, extra=frame)
    data = GroupedDataset(*rest, extra=frame.to_dict("series"))
    assert data.extra["day"].tolist() == ["mon", "tue"]


@pytest.mark.parametrize("index", [[3, 1, 0, 2], [0, 1, 0, 1], list("dcba")])
def test_rows_of_a_series_are_places(index):
    frame = pd.DataFrame({"X": list("pqrs"), "y": list("aabb")}, index=index)
    data = GroupedDataset(frame.X, frame.y, ["u"] * 4, ["test", *["train"] * 3])
    rows = np.array([0, 3])
    assert data.X[rows].tolist() == ["p", "s"]
    assert data.y[rows].tolist() == ["a", "b"]
    assert data.subset("train").X[np.array([0, 2])].tolist() == ["q", "s"]
    assert frame.index.tolist() == index


def test_no_rows_are_said_to_be_none():
    with pytest.raises(ValueError, match="which is empty: 0 rows are in no split"):
        GroupedDataset([], [], [], [])


@pytest.mark.parametrize("shown", [["dog", "cat"], ["Dog", "Cat"]])
def test_names_that_are_the_labels_in_another_order_are_refused(shown):
    # They were shown for the sorted labels: a cat was in the group of dogs.
    y, split = ["cat", "cat", "dog"], ["train"] * 3
    with pytest.raises(
        ValueError, match=r"class_names=.* another order.*give classes=.'dog', 'cat'"
    ):
        GroupedDataset(list("abc"), y, [0, 1, 1], split, class_names=shown)
    with pytest.raises(ValueError, match=r"attribute_names=.*give attributes="):
        GroupedDataset(list("abc"), [0, 1, 1], y, split, attribute_names=shown)
    own = GroupedDataset(list("abc"), y, y, split, class_names=["Cat", "Dog"])
    assert own.class_names == ("Cat", "Dog")
    kept = GroupedDataset(list("abc"), y, y, split, classes=["dog", "cat"])
    assert kept.class_names == ("dog", "cat")
    numbers = GroupedDataset(
        list("abc"), [0, 1, 2], y, split, class_names=["0", "2", "1"]
    )
    assert numbers.class_names == ("0", "2", "1")


def test_a_missing_label_that_numpy_made_text_of():
    y = np.array(["cat", np.nan])
    with pytest.warns(UserWarning, match="y holds the text 'nan'"):
        GroupedDataset(["x", "y"], y, [0, 1], ["train", "test"])
