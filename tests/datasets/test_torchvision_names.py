"""from_torchvision: names of classes, where numbers are the user's own."""

import os
from pathlib import Path

import pytest
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


def test_labels_edited_to_count_from_one_keep_their_folders_names(tmp_path):
    folders = pytest.importorskip("torchvision.datasets")
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "1.png")
    part = folders.ImageFolder(tmp_path)
    part.samples = [(path, number + 1) for path, number in part.samples]
    assert from_torchvision(part).class_names == ("cat", "dog")
