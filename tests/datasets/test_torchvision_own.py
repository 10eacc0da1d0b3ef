"""from_torchvision: names of classes in data sets as people write them."""

import os

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from modal_pretrain.datasets import from_torchvision


class _Own(torch.utils.data.Dataset):
    """As people write them: a list of labels, and classes in some form."""

    def __init__(self, y, classes):
        self.y, self.classes = y, classes

    def __len__(self):
        return len(self.y)

    def __getitem__(self, row):
        return Image.new("RGB", (8, 8), (row, 0, 0)), self.y[row]


def test_classes_that_list_the_labels_themselves_are_no_names_by_place():
    train, test = [1, 2, 3, 4] * 3, [1, 2, 4] * 2
    data = from_torchvision(
        {"train": _Own(train, np.unique(train)), "test": _Own(test, sorted({*test}))}
    )
    assert data.y.tolist() == train + test  # 2 became 3, the place of 4 in train
    assert data.class_names == ("1", "2", "3", "4")
    sizes = _Own([0, 1] * 3, [224, 384])  # by place
    assert from_torchvision(sizes).class_names == ("224", "384")


def test_the_labels_of_all_rows_tell_how_classes_are_listed():
    """A Subset may lack those that tell."""
    by_place, themselves = (_Own([i, i + 1, i + 2], [1, 2, 3]) for i in (0, 1))
    for data, names in ((by_place, ("2", "3")), (themselves, ("1", "2"))):
        data.targets = data.y
        rows = [1, 2] if data is by_place else [0, 1]
        part = torch.utils.data.Subset(data, rows)
        assert from_torchvision(part).class_names == names


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        ({"dog": 2, "cat": 1}, ("cat", "dog")),
        ({1: "cat", 2: "dog"}, ("cat", "dog")),
        (torch.tensor([1, 2]), ("1", "2")),
        ({"cat", "dog"}, ("1", "2")),
        (2, ("1", "2")),
        (["cat", "dog"], ("1", "2")),  # not "dog" and "2"
    ],
)
def test_classes_of_own_data_sets_come_in_many_forms(classes, names):
    assert from_torchvision(_Own([1, 2] * 3, classes)).class_names == names


@pytest.mark.parametrize("labels", [[0, 255], [1, 3], [0, 1, 2]])
def test_a_list_has_no_names_for_labels_that_lie_beyond_it(labels):
    """As of masks, or where 0 is the background, which the list leaves out."""
    data = from_torchvision(_Own(labels * 4, ["cat", "dog"]))
    assert data.class_names == tuple(map(str, labels))


@pytest.mark.parametrize("concatenated", [False, True])
def test_a_split_that_lacks_the_last_class_counts_from_one_too(concatenated):
    names = ["cat", "dog", "bird"]
    parts = [_Own([1, 2, 3] * 3, names), _Own([1, 2] * 3, names)]
    whole = torch.utils.data.ConcatDataset(parts)
    data = from_torchvision(
        whole if concatenated else dict(zip(("train", "test"), parts, strict=True))
    )
    assert data.class_names == ("1", "2", "3")
    data = from_torchvision({"train": whole, "test": parts[1]})
    assert data.class_names == ("1", "2", "3")


@pytest.mark.parametrize("numbers", [[2, 0, 1], [1, 2, 3], [0, 2, 5]])
def test_a_series_of_pandas_names_the_labels_of_its_index(numbers):
    classes = pd.Series(["bird", "cat", "dog"], index=numbers)
    data = from_torchvision(_Own(numbers * 3, classes))
    assert list(data.class_names) == [classes[label] for label in sorted(numbers)]


@pytest.mark.parametrize("names", [["cat", "dog"], ["dog", "rest"], ["beast", "rest"]])
def test_edited_classes_go_before_numbers_from_before_the_edit(names):
    """As of CIFAR-10 with cats and dogs alone, whose `class_to_idx` is left."""
    parts = {"train": _Own([0, 1] * 3, names), "test": _Own([1, 1], names)}
    for part in parts.values():
        part.class_to_idx = {"airplane": 0, "bird": 1, "cat": 2, "dog": 3}
    data = from_torchvision(parts)
    assert data.class_names == tuple(names)
    assert data.y.tolist() == [0, 1] * 3 + [1, 1]


@pytest.mark.parametrize("y", [[1, 2], [0, 2], [1], [2]])
def test_classes_that_are_there_may_be_numbered_among_all(y):
    numbers = {"ant": 0, "bee": 1, "cat": 2}
    part = _Own(y * 3, [name for name, number in numbers.items() if number in y])
    part.class_to_idx = numbers
    data = from_torchvision(part)
    assert [numbers[name] for name in data.class_names] == y


def test_numbers_that_are_two_classes_have_no_names():
    data = _Own([0, 1] * 3, ["automobile", "airplane"])
    data.class_to_idx = {"airplane": 0, "automobile": 1, "bird": 2}
    with pytest.warns(UserWarning, match="label 0 is 'automobile' in one and 'airpl"):
        found = from_torchvision(data)
    assert found.class_names == ("0", "1")
    data.class_to_idx = {"automobile": 0, "airplane": 1, "bird": 2}
    assert from_torchvision(data).class_names == ("automobile", "airplane")


def test_a_split_without_the_last_class_keeps_numbers_that_leave_0_to_no_class():
    parts = {"train": [0, 1, 2] * 3, "test": [0, 1]}
    data = {split: _Own(y, ["cat", "dog"]) for split, y in parts.items()}
    for part in data.values():
        part.class_to_idx = {"cat": 1, "dog": 2}
    found = from_torchvision(data)
    assert found.y.tolist() == parts["train"] + parts["test"]
    assert found.class_names == ("0", "cat", "dog")


@pytest.mark.parametrize("folders", [["all"], ["north", "south"]])
def test_folders_that_no_class_is_called_by_leave_the_names_to_class_to_idx(folders):
    """As of pictures in one folder, or by camera, with labels from a table.

    Each split numbers the classes that it has: without names, foxes became dogs.
    """
    parts = {}
    for split, names in (("train", ["cat", "dog", "fox"]), ("test", ["cat", "fox"])):
        part = parts[split] = _Own([*range(len(names))] * 2, None)
        part.root, part.class_to_idx = "pictures", {n: i for i, n in enumerate(names)}
        part.samples = [
            (os.path.join("pictures", folders[row % len(folders)], f"{row}.png"), label)
            for row, label in enumerate(part.y)
        ]
    data = from_torchvision(parts)
    shown = dict(zip(data.classes.tolist(), data.class_names, strict=True))
    assert [shown[label] for label in data.y.tolist()] == [
        *(["cat", "dog", "fox"] * 2),
        *(["cat", "fox"] * 2),
    ]


@pytest.mark.parametrize("kind", [float, np.float32, torch.tensor, "series"])
def test_labels_as_decimals_and_numbers_in_a_series_have_names(kind):
    """As for a loss of two classes; each split numbers the classes that it has."""
    parts = {}
    for split, names in (("train", ["cat", "dog", "fox"]), ("test", ["cat", "fox"])):
        numbers = [float(i) for i in range(len(names))] * 2
        y = [int(i) if kind == "series" else kind(i) for i in numbers]
        part = parts[split] = _Own(y, None)
        part.class_to_idx = {name: i for i, name in enumerate(names)}
        if kind == "series":
            part.class_to_idx = pd.Series(part.class_to_idx)
    data = from_torchvision(parts)
    assert data.class_names == ("cat", "dog", "fox")
    assert data.y.tolist() == [0, 1, 2, 0, 1, 2, 0, 2, 0, 2]
    for change in (0.5, -1.0):
        part.y = [label + change for label in y]
        assert str(change) in from_torchvision(part).class_names


def _numbered(y, **numbers):
    part = _Own(y, None)
    part.class_to_idx = numbers
    return part


def test_torchvision_classes_in_another_order_have_no_names():
    """As of class-incremental learning: targets and classes edited, not class_to_idx.

    Each class had another one's name.
    """
    folders = pytest.importorskip("torchvision.datasets")
    names, order = ["ant", "bee", "cat"], [2, 0, 1]
    data = folders.FakeData(6, (3, 8, 8), num_classes=3)
    data.data = np.zeros((6, 8, 8, 3), np.uint8)
    data.targets = [order.index(label) for label in [0, 1, 2] * 2]
    data.classes = [names[i] for i in order]
    data.class_to_idx = {name: i for i, name in enumerate(names)}
    with pytest.warns(UserWarning, match="label 0 is 'cat' in one and 'ant' in the"):
        assert from_torchvision(data).class_names == ("0", "1", "2")
    # Nor do those of a split whose labels leave no doubt go to the others.
    one = torch.utils.data.Subset(_numbered([1] * 3, ant=0, bee=1, cat=2), [0])
    with pytest.warns(UserWarning, match="disagree"):
        found = from_torchvision({"train": data, "test": one})
    assert found.class_names == ("0", "1", "2")
    # Numbers of the user's own are there on purpose.
    own = _numbered([0, 1, 2] * 2, ant=0, bee=1, cat=2)
    own.classes = data.classes
    assert from_torchvision(own).class_names == ("ant", "bee", "cat")


@pytest.mark.parametrize("concatenated", [False, True])
def test_a_part_without_names_may_number_its_classes_otherwise(concatenated):
    """A wrapper that keeps no classes, beside a folder that lacks one of them."""
    bare, named = _Own([0, 1, 2] * 3, None), _numbered([0, 1] * 2, ant=0, cat=1)
    parts = {"train": bare, "test": named}
    if concatenated:
        both = torch.utils.data.ConcatDataset([bare, named])
        parts = {"train": both, "test": _numbered([1, 2], ant=1, cat=2)}
    with pytest.warns(UserWarning, match="in it is none that the others know"):
        data = from_torchvision(parts)
    assert data.class_names == ("0", "1", "2")
    other = _numbered([0, 1, 2], ant=0, bee=1, cat=2)
    with pytest.warns(UserWarning, match="the others number their names differently"):
        data = from_torchvision({"train": other, "val": named, "test": bare})
    assert data.class_names == ("0", "1", "2")
    # What the others know has their names: labels with noise, say.
    data = from_torchvision({"train": bare, "test": other})
    assert data.class_names == ("ant", "bee", "cat")


def test_labels_without_a_name_are_no_class_that_has_one():
    """As an unknown class, numbered after the others."""
    train = _numbered([0, 1, 2] * 2, ant=0, bee=1)
    test = _numbered([0, 1], ant=0, cat=1)
    with pytest.warns(UserWarning, match="the class 'cat'"):
        data = from_torchvision({"train": train, "test": test})
    assert data.y.tolist() == [0, 1, 2] * 2 + [0, 3]  # cats were 2, too
    train = _numbered([0, 1, 2] * 2, ant=0, bee=1, cat=2)
    test = _numbered([0, 1, 2], ant=0, cat=1)
    with pytest.raises(ValueError, match="y 2 has no name in one part and is 'cat' in"):
        from_torchvision({"train": train, "test": test})


def test_a_name_of_two_classes_moves_no_labels():
    """As "crane" of ImageNet, a bird and a machine, where a split lacks a class."""
    train = _Own([0, 1, 2] * 2, ["crane", "dog", "crane"])
    assert from_torchvision({"train": train, "test": train}).y.tolist() == train.y * 2
    with pytest.raises(ValueError, match="two classes are called 'crane'"):
        from_torchvision({"train": train, "test": _Own([0, 1], ["dog", "crane"])})


def test_a_list_that_labels_lie_beyond_leaves_the_names_to_other_words():
    data = _numbered([1, 2] * 2, CAT=1, DOG=2)
    data.classes = ["cat", "dog"]
    assert from_torchvision(data).class_names == ("CAT", "DOG")


@pytest.mark.parametrize("concatenated", [False, True])
def test_labels_that_a_transform_changed_are_not_named_by_another_part(
    tmp_path, concatenated
):
    """Cats and dogs against foxes in training, and not in the test split."""
    folders = pytest.importorskip("torchvision.datasets")
    for place in ("train/cat", "train/dog", "train/fox", "test/cat", "test/dog"):
        (tmp_path / place).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / place / "1.png")
    train, test = (folders.ImageFolder(tmp_path / part) for part in ("train", "test"))
    train.target_transform = [0, 0, 1].__getitem__
    both = torch.utils.data.ConcatDataset([train, test])
    with pytest.warns(UserWarning, match="y has names in one part, and in another num"):
        data = from_torchvision(
            both if concatenated else {"train": train, "test": test}, test_size=0
        )
    assert data.y.tolist() == [0, 0, 1, 0, 1]
    assert data.class_names == ("0", "1")


def test_indices_as_a_shuffled_series_are_in_pytorch_s_order():
    """PyTorch takes the one of the index 0 first; attributes go by its order."""
    indices = pd.Series([5, 3, 8], index=[2, 0, 1])
    whole = _Own(list(range(9)), None)
    part = torch.utils.data.Subset(whole, indices)
    data = from_torchvision(part, attribute=["a", "b", "c"], test_size=0)
    assert data.y.tolist() == [part[i][1] for i in range(3)] == [3, 8, 5]
    rows = torch.utils.data.Subset(whole, indices.set_axis([7, 1, 4]))
    assert from_torchvision(rows, test_size=0).y.tolist() == [5, 3, 8]  # by place only
