"""load_folder, given a folder around that of the classes."""

import warnings

import pytest

from modal_pretrain.datasets import load_folder
from tests.datasets.trees import fill


def test_a_folder_around_the_classes_is_warned_of(tmp_path):
    fill(tmp_path, "PetImages/Cat/1.png", "PetImages/Dog/2.png")
    words = r"below: 'Cat', 'Dog'.*give .*PetImages as"
    with pytest.warns(UserWarning, match=words) as caught:
        assert load_folder(tmp_path).class_names == ("PetImages",)
    assert caught[0].filename == __file__


def test_a_folder_around_the_classes_of_each_split_is_warned_of(tmp_path):
    fill(tmp_path, *(f"{part}/{part}/cat/1.png" for part in ("seg_train", "seg_test")))
    names = {"seg_train": "train", "seg_test": "test"}
    with (
        pytest.warns(UserWarning, match="train lacks|train has no row"),
        pytest.warns(UserWarning, match="the classes, move these folders into the spl"),
    ):
        load_folder(tmp_path, split_names=names)


@pytest.mark.parametrize(
    "names",
    [
        ["cat/1.png", "cat/2.png"],
        ["cat/1.png", "cat/more/2.png"],
        ["cat/in/1.png", "dog/in/2.png"],
        ["train/cat/in/1.png", "train/dog/in/2.png", "test/cat/in/3.png"],
    ],
)
def test_classes_are_not_taken_for_folders_around_them(tmp_path, names):
    fill(tmp_path, *names)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_folder(tmp_path)


def test_a_copy_of_the_classes_beside_them_is_warned_of(tmp_path):
    for around in ("", "cells/"):
        fill(tmp_path, *(f"{around}{c}/{i}.png" for c in "ab" for i in range(2)))
    match = r"cells is taken for a class, .*: 'a', 'b'\. If it is a copy"
    with pytest.warns(UserWarning, match=match) as caught:
        load_folder(tmp_path)
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_copies_in_a_split_are_warned_of(tmp_path):
    fill(tmp_path, *(f"{part}/{c}/1.png" for part in ("train", "test") for c in "ab"))
    fill(tmp_path, *(f"train/train/{c}/1.png" for c in "ab"))
    with pytest.warns(UserWarning, match=r"train.train is taken for a class"):
        load_folder(tmp_path)


@pytest.mark.parametrize(
    "below", [["a/a"], ["a/b"], ["a/b", "a/c", "b/a", "b/c", "c/a", "c/b"]]
)
def test_folders_called_as_classes_may_be_an_attribute(tmp_path, below):
    # What a picture of a was taken for: a is not the copy of all.
    fill(tmp_path, *(f"{folder}/1.png" for folder in ("a", "b", "c", *below)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_folder(tmp_path)


def test_domains_above_the_classes_are_warned_of(tmp_path):
    """As in Office-31, in folders of folds, or of colour and grey pictures."""
    names = [f"{one}/{kind}/1.png" for one in ("amazon", "dslr") for kind in ("a", "b")]
    fill(tmp_path, *names)
    words = r"'amazon', 'dslr' of .* the same folders: 'a', 'b'\..* attribute='folder'"
    with pytest.warns(UserWarning, match=words) as caught:
        assert load_folder(tmp_path).class_names == ("amazon", "dslr")
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert set(load_folder(tmp_path, attribute="folder").attribute) == {"a", "b"}
        load_folder(tmp_path, split="random")
        fill(tmp_path, "dslr/c/1.png")  # an attribute that not all classes have
        load_folder(tmp_path)


@pytest.mark.parametrize("parts", [("train", "test"), ("one", "two")])
def test_what_is_said_of_levels_below_splits_keeps_the_splits(tmp_path, parts):
    """Drawn splits, as the warning had it, made classes of train and test."""
    below = [f"{kind}/{seen}" for kind in ("cat", "dog") for seen in ("night", "day")]
    fill(tmp_path, *(f"{part}/{each}/1.png" for part in parts for each in below))
    names = None if "train" in parts else {"one": "train", "two": "test"}
    with pytest.warns(UserWarning, match="if neither, say split='folder'"):
        first = load_folder(tmp_path, split_names=names)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = load_folder(tmp_path, split_names=names, split="folder")
    assert again.y.tolist() == first.y.tolist()
    assert again.split.tolist() == first.split.tolist()


def test_a_folder_around_the_classes_of_one_split_is_warned_of(tmp_path):
    fill(tmp_path, *(f"seg_train/seg_train/{kind}/1.png" for kind in ("cat", "dog")))
    fill(tmp_path, "seg_pred/seg_pred/2.png")
    names = {"seg_train": "train", "seg_pred": "test"}
    with (
        pytest.warns(UserWarning, match="train lacks|train has no row"),
        pytest.warns(UserWarning, match="the classes, move these folders into the spl"),
    ):
        load_folder(tmp_path, split_names=names)
