"""from_torchvision: names of classes, where numbers are the user's own."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from modal_pretrain.datasets import from_torchvision


def test_a_class_that_a_split_lacks_moves_no_names(tmp_path):
    folders = pytest.importorskip("torchvision.datasets")
    for place in ("train/a", "train/b", "train/c", "test/a", "test/c", "test/d"):
        (tmp_path / place).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / place / "1.png")
    parts = {
        part: folders.ImageFolder(tmp_path / part, allow_empty=True)
        for part in ("train", "test")
    }
    with pytest.warns(UserWarning, match="1 of 3 rows of .* the class 'd', ") as caught:
        data = from_torchvision(parts)
    assert caught[0].filename == __file__
    assert data.class_names == ("a", "b", "c", "d")
    assert [path.split("/")[-2] for path in data.X] == [
        data.class_names[label] for label in data.y
    ]


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ({"beagle": 0, "pug": 0, "tabby": 1}, ["beagle or pug", "tabby"]),
        ({"beagle": 2, "pug": 1, "tabby": 0}, ["tabby", "pug", "beagle"]),
    ],
)
def test_names_are_those_of_ones_own_numbers(tmp_path, numbers, expected):
    torchvision = pytest.importorskip("torchvision")
    _a_picture_each(tmp_path, numbers)

    class Numbered(torchvision.datasets.ImageFolder):
        def find_classes(self, directory):
            return sorted(numbers), numbers

    data = from_torchvision(Numbered(tmp_path), test_size=0)
    assert list(data.class_names) == expected
    for path, label in zip(data.X, data.y, strict=True):
        assert Path(path).parent.name in data.class_names[label]


@pytest.mark.parametrize("joined", [False, True])
def test_merged_classes_are_one_where_a_part_lacks_some_of_their_folders(
    tmp_path, joined
):
    torchvision = pytest.importorskip("torchvision")
    torch = pytest.importorskip("torch.utils.data")
    numbers = {"beagle": 0, "pug": 0, "tabby": 1, "lynx": 1}

    class Merged(torchvision.datasets.ImageFolder):
        def find_classes(self, directory):
            found, _ = super().find_classes(directory)
            return found, {name: numbers[name] for name in found}

    parts = {"train": ["beagle", "pug", "tabby"], "test": ["pug", "tabby", "lynx"]}
    for part, names in parts.items():
        (tmp_path / part).mkdir()
        _a_picture_each(tmp_path / part, names)
    data = {part: Merged(tmp_path / part) for part in parts}
    if joined:
        data = torch.ConcatDataset(list(data.values()))
    found = from_torchvision(data)
    assert list(found.class_names) == ["beagle or pug", "lynx or tabby"]
    assert list(found.y) == [numbers[Path(path).parent.name] for path in found.X]


def test_classes_are_merged_in_all_parts_or_in_none(tmp_path):
    torchvision = pytest.importorskip("torchvision")
    torch = pytest.importorskip("torch.utils.data")

    class Merged(torchvision.datasets.ImageFolder):
        def find_classes(self, directory):
            return ["beagle", "pug"], {"beagle": 0, "pug": 0}

    _a_picture_each(tmp_path, ["beagle", "pug"])
    both = [Merged(tmp_path), torchvision.datasets.ImageFolder(tmp_path)]
    message = "'beagle or pug' is one class in a data set and several in another"
    with pytest.raises(ValueError, match=message):
        from_torchvision(torch.ConcatDataset(both))
    with pytest.raises(ValueError, match=message):
        from_torchvision({"train": both[1], "test": both[0]})


def test_numbers_of_another_split_that_were_set_afterwards_do_not_count(tmp_path):
    torchvision = pytest.importorskip("torchvision")
    _a_picture_each(tmp_path, ["beagle", "tabby"])
    part = torchvision.datasets.ImageFolder(tmp_path)
    part.class_to_idx = {"beagle": 0, "pug": 1, "tabby": 2}
    data = from_torchvision(part, test_size=0)
    assert data.class_names == ("beagle", "tabby")


@pytest.mark.parametrize(
    ("change", "classes", "expected"),
    [
        ({0: 0, 1: 0, 2: 1}, None, ("beagle or pug", "tabby")),
        ({0: 1, 1: 0, 2: 1}, None, ("pug", "beagle or tabby")),
        ({0: 0, 1: 0, 2: 1}, ["dog", "cat"], ("dog", "cat")),
        ({0: 0, 1: 1, 2: 2}, None, ("beagle", "pug", "tabby")),
    ],
)
def test_labels_that_were_edited_have_the_names_of_their_folders(
    tmp_path, change, classes, expected
):
    torchvision = pytest.importorskip("torchvision")
    _a_picture_each(tmp_path, ["beagle", "pug", "tabby"])
    part = torchvision.datasets.ImageFolder(tmp_path)
    part.samples = [(path, change[label]) for path, label in part.samples]
    part.classes = classes or part.classes
    data = from_torchvision(part, test_size=0)
    assert data.class_names == expected
    assert data.y.tolist() == list(change.values())


@pytest.mark.parametrize("concatenated", [False, True])
def test_edited_numbers_mean_the_same_in_all_parts(tmp_path, concatenated):
    # "husky" is merged into "dog" and has no picture in test, where "dog" is 1, not 2.
    torchvision = pytest.importorskip("torchvision")
    torch = pytest.importorskip("torch.utils.data")
    names = {"train": ["ant", "bee", "dog", "husky"], "test": ["bee", "dog"]}
    parts = {}
    for split, some in names.items():
        (tmp_path / split).mkdir()
        _a_picture_each(tmp_path / split, some)
        parts[split] = torchvision.datasets.ImageFolder(tmp_path / split)
    train, test = parts.values()
    train.samples = [(path, min(label, 2)) for path, label in train.samples]
    if concatenated:
        parts = torch.ConcatDataset(parts.values())
    data = from_torchvision(parts, test_size=0)
    assert data.y.tolist() == [0, 1, 2, 2, 1, 2]
    assert data.class_names == ("ant", "bee", "dog or husky")
    test.samples = [(path, label + 1) for path, label in test.samples]
    assert from_torchvision(parts, test_size=0).y.tolist() == [0, 1, 2, 2, 1, 2]


def test_classes_of_a_selection_keep_their_names(tmp_path):
    torchvision = pytest.importorskip("torchvision")
    _a_picture_each(tmp_path, ["ant", "bee", "cat", "dog"])
    part = torchvision.datasets.ImageFolder(tmp_path)
    part.samples = [(p, {1: 0, 3: 1}[y]) for p, y in part.samples if y in (1, 3)]
    data = from_torchvision(part, test_size=0)
    assert data.class_names == ("bee", "dog")


@pytest.mark.parametrize("names", [["bee", "cow"], ["bee/1", "bee/2", "cow/1"]])
def test_labels_edited_where_the_folders_of_classes_lie_deeper(tmp_path, names):
    """EuroSAT's, say: its root is that of all data sets."""
    torchvision = pytest.importorskip("torchvision")
    place = tmp_path / "eurosat" / "2750"
    place.mkdir(parents=True)
    _a_picture_each(place, ["ant", *names])
    part = torchvision.datasets.ImageFolder(place)
    part.root = tmp_path
    assert from_torchvision(part).class_names == ("ant", "bee", "cow")
    part.samples = [(path, label - 1) for path, label in part.samples if label]
    assert from_torchvision(part).class_names == ("bee", "cow")
    part.samples = [(path, 0) for path, label in part.samples if not label]
    assert from_torchvision(part).class_names == ("bee",)


def test_many_merged_classes_have_a_short_name(tmp_path):
    torchvision = pytest.importorskip("torchvision")
    _a_picture_each(tmp_path, "abcdefgh")
    part = torchvision.datasets.ImageFolder(tmp_path)
    part.samples = [(path, int(label > 5)) for path, label in part.samples]
    assert from_torchvision(part).class_names == ("a or 5 others", "g or h")


def test_some_wrong_labels_keep_their_names(tmp_path):
    torchvision = pytest.importorskip("torchvision")
    _a_picture_each(tmp_path, ["beagle", "pug"])
    Image.new("RGB", (8, 8)).save(tmp_path / "beagle" / "1.png")
    part = torchvision.datasets.ImageFolder(tmp_path)
    part.samples[0] = (part.samples[0][0], 1)
    data = from_torchvision(part, test_size=0)
    assert data.class_names == ("beagle", "pug")


def test_classes_of_ones_own_keep_their_names_where_a_folder_has_several(tmp_path):
    """`class_to_idx` is still that of the folders then."""
    datasets = pytest.importorskip("torchvision.datasets")
    _a_picture_each(tmp_path, ["defect/dent", "defect/scratch", "good"])
    source = datasets.ImageFolder(tmp_path)
    source.classes = ["good", "scratch", "dent"]
    folders = [os.path.basename(os.path.dirname(path)) for path, _ in source.samples]
    source.samples = [
        (path, source.classes.index(folder))
        for (path, _), folder in zip(source.samples, folders, strict=True)
    ]
    data = from_torchvision(source, test_size=0)
    assert [data.class_names[label] for label in data.y] == folders


def _a_picture_each(root, names):
    for name in names:
        (root / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(root / name / "0.png")


# torchvision leaves it to the garbage collector to close the files of its images.
@pytest.mark.filterwarnings("ignore:.*:pytest.PytestUnraisableExceptionWarning")
def test_names_may_stand_in_categories_or_class_to_idx_alone(tmp_path):
    folders = pytest.importorskip("torchvision.datasets")
    place = tmp_path / "caltech256" / "256_ObjectCategories"
    for name in ("001.ak47", "002.flag"):
        (place / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(place / name / f"{name[:3]}_0001.jpg")
    data = from_torchvision(folders.Caltech256(tmp_path), test_size=0)
    assert data.class_names == ("001.ak47", "002.flag")

    class People:
        def __init__(self, names):
            self.class_to_idx = {name: number for number, name in enumerate(names)}

        def __len__(self):
            return len(self.class_to_idx)

        def __getitem__(self, row):
            return Image.new("RGB", (8, 8)), list(self.class_to_idx.values())[row]

    # The second one would have given Cid the number of Bo.
    data = from_torchvision(
        {"train": People(["Al", "Bo", "Cid"]), "test": People(["Al", "Cid"])}
    )
    assert [data.class_names[label] for label in data.y] == [
        *("Al", "Bo", "Cid"),
        *("Al", "Cid"),
    ]


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


def test_labels_edited_to_count_from_one_keep_their_folders_names(tmp_path):
    folders = pytest.importorskip("torchvision.datasets")
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "1.png")
    part = folders.ImageFolder(tmp_path)
    part.samples = [(path, number + 1) for path, number in part.samples]
    assert from_torchvision(part).class_names == ("cat", "dog")


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
