"""from_torchvision."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from modal_pretrain.datasets import from_torchvision
from modal_pretrain.images.accept import as_images


class Cifar:
    """What matters of torchvision's CIFAR10: data, targets and classes."""

    classes = ("plane", "car", "bird")
    transform = target_transform = None

    def __init__(self, n=12):
        self.data = np.random.default_rng(n).integers(0, 256, (n, 8, 8, 3), np.uint8)
        self.targets = [i % 3 for i in range(n)]

    def __len__(self):
        return len(self.data)

    def __getitem__(self, i):
        raise AssertionError("no need to decode items")

    __getitem__.__module__ = "torchvision.datasets.cifar"


def test_arrays_are_taken_as_they_are():
    train, test = Cifar(12), Cifar(6)
    data = from_torchvision({"train": train, "test": test})
    np.testing.assert_array_equal(data.X, np.concatenate([train.data, test.data]))
    assert data.y.tolist() == train.targets + test.targets
    assert data.class_names == ("plane", "car", "bird")
    assert data.split.tolist() == ["train"] * 12 + ["test"] * 6
    assert data.name == "cifar"
    alone = from_torchvision(train, test_size=0.25)
    assert alone.X is train.data
    assert (alone.split == "test").sum() == 3


def test_attributes_and_names():
    odd = np.arange(12) == 5
    place = np.where(odd, "water", "land")
    data = from_torchvision(
        Cifar(), attribute=place, attribute_name="place", disambiguating=odd, name="toy"
    )
    assert data.summary().startswith("toy: 3 classes x 2 place; train 9")
    np.testing.assert_array_equal(data.disambiguating, odd)


@pytest.mark.parametrize("shape", [(5, 3, 8, 8), (5, 8, 8)])
def test_other_layouts_of_arrays(shape):
    source = Cifar(5)
    source.data = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    data = from_torchvision(source)
    assert as_images(data.X).uniform_size == (8, 8)
    first = source.data[0, :, 2, 3] if len(shape) == 4 else [source.data[0, 2, 3]] * 3
    np.testing.assert_array_equal(as_images(data.X).load(0)[2, 3], first)


def test_torchvision_image_folder_stays_on_disk(tmp_path):
    datasets = pytest.importorskip("torchvision.datasets")
    for name in ("cat/1.png", "cat/2.png", "dog/3.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    data = from_torchvision(datasets.ImageFolder(tmp_path), test_size=0)
    assert data.X.tolist() == [
        str(tmp_path / name) for name in ("cat/1.png", "cat/2.png", "dog/3.png")
    ]
    assert data.class_names == ("cat", "dog")


def test_torchvision_fake_data_is_loaded():
    datasets = pytest.importorskip("torchvision.datasets")
    source = datasets.FakeData(9, (3, 8, 8), num_classes=2, random_offset=1)
    data = from_torchvision(source)
    assert data.y.tolist() == [int(source[i][1]) for i in range(9)]
    np.testing.assert_array_equal(np.asarray(data.X[4]), np.asarray(source[4][0]))
    assert len(data.subset([1, 2]).X) == 2


def test_unknown_names_of_splits_are_keys_to_be_renamed():
    """There is no split_names here, which the message asked for."""
    datasets = pytest.importorskip("torchvision.datasets")
    part = datasets.FakeData(4, (3, 4, 4), num_classes=2)
    with pytest.raises(ValueError, match=r"'pool' in 4 rows.*Give the keys these nam"):
        from_torchvision({"train": part, "pool": part})


def test_torch_subset_and_tensors():
    torch = pytest.importorskip("torch")
    half = torch.utils.data.Subset(Cifar(), [4, 2, 0])
    data = from_torchvision(half, test_size=0)
    np.testing.assert_array_equal(data.X, Cifar().data[[4, 2, 0]])
    assert data.y.tolist() == [1, 2, 0]
    pairs = torch.utils.data.TensorDataset(torch.rand(4, 3, 8, 8), torch.arange(4) % 2)
    data = from_torchvision(pairs, test_size=0)
    assert data.y.tolist() == [0, 1, 0, 1]
    assert len(as_images(data.subset([0, 3]).X)) == 2


def test_labels_go_through_their_transform():
    source = Cifar()
    source.target_transform = lambda label: label % 2
    data = from_torchvision(source)
    assert data.class_names == ("0", "1")
    assert data.y.tolist() == [label % 2 for label in source.targets]


def test_items_that_a_users_code_makes_are_loaded(tmp_path):
    folders = pytest.importorskip("torchvision.datasets")
    torch = pytest.importorskip("torch")

    class Coloured(Cifar):
        """As the coloured digits are made of MNIST: while the items are read."""

        def __getitem__(self, i):
            return Image.new("RGB", (8, 8), (i, 0, 0)), self.targets[i] % 2

    data = from_torchvision(Coloured(), test_size=0)
    assert [np.asarray(image)[0, 0, 0] for image in data.X] == list(range(12))
    assert data.y.tolist() == [i % 3 % 2 for i in range(12)]
    assert data.class_names == ("0", "1")  # no longer what Cifar calls them

    class Turned(torch.utils.data.Subset):
        def __getitem__(self, i):
            return np.flipud(self.dataset.data[self.indices[i]]), 1 - i

        def __getitems__(self, rows):
            return [self[i] for i in rows]

    data = from_torchvision(Turned(Cifar(), [4, 2]), test_size=0)
    np.testing.assert_array_equal(data.X[1], np.flipud(Cifar().data[2]))
    assert data.y.tolist() == [1, 0]

    (tmp_path / "cat").mkdir()
    Image.new("RGB", (8, 8), (9, 0, 0)).save(tmp_path / "cat" / "1.png")
    made = folders.ImageFolder(tmp_path, loader=lambda path: Image.new("RGB", (4, 4)))
    assert from_torchvision(made, test_size=0).X[0].size == (4, 4)


def test_files_of_tensors_are_loaded(tmp_path):
    torch = pytest.importorskip("torch")
    folders = pytest.importorskip("torchvision.datasets")
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        tensor = torch.full((3, 4, 4), len(name) + ord(name[0]), dtype=torch.uint8)
        torch.save(tensor, tmp_path / name / "0.pt")
    given = folders.DatasetFolder(tmp_path, loader=torch.load, extensions=(".pt",))
    data = from_torchvision(given)
    assert data.class_names == ("cat", "dog")
    for i in range(2):
        assert (data.X[i] == given[i][0]).all()


def test_concatenated_data_sets_are_read_one_by_one(tmp_path):
    torch = pytest.importorskip("torch").utils.data
    folders = pytest.importorskip("torchvision.datasets")
    for name in ("1/a", "1/b", "2/b", "2/c"):
        (tmp_path / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / name / "x.png")
    both = [folders.ImageFolder(tmp_path / name) for name in "12"]
    data = from_torchvision(torch.ConcatDataset(both), test_size=0)
    files = [str(tmp_path / name / "x.png") for name in ("1/a", "1/b", "2/b", "2/c")]
    assert data.X.tolist() == files
    assert [data.class_names[label] for label in data.y] == ["a", "b", "b", "c"]
    part = torch.Subset(torch.ConcatDataset(both), [3, 0])
    data = from_torchvision(torch.Subset(part, [1, 0]), test_size=0)
    assert data.X.tolist() == [files[0], files[3]]
    assert data.class_names == ("a", "c")
    both[1].transform = np.flipud
    with pytest.raises(ValueError, match="ImageFolder has a transform"):
        from_torchvision(torch.ConcatDataset(both))


def test_items_outside_a_subset_are_not_read():
    torch = pytest.importorskip("torch").utils.data

    class Broken(Cifar):
        def __getitem__(self, i):
            if i == 2:
                raise OSError("damaged")
            return self.data[i], self.targets[i]

    some = torch.Subset(torch.Subset(Broken(), [5, 0, 1, 3]), [3, 0])
    data = from_torchvision(some, test_size=0)
    np.testing.assert_array_equal(data.X, Cifar().data[[3, 5]])
    assert data.y.tolist() == [0, 2]


def test_items_outside_a_subset_of_concatenated_ones_are_not_read():
    torch = pytest.importorskip("torch").utils.data

    class Broken:
        def __len__(self):
            return 4

        def __getitem__(self, i):
            if i == 2:
                raise OSError("damaged")
            return Image.new("RGB", (4, 4), (i, 0, 0)), i % 2

    nothing = torch.Subset(Broken(), [])
    both = torch.ConcatDataset([Broken(), nothing, Broken(), Broken()])
    some = torch.Subset(both, [9, 0, -1, 3, 8])
    data = from_torchvision(some, test_size=0)
    assert [image.getpixel((0, 0))[0] for image in data.X] == [1, 0, 3, 3, 0]
    assert data.y.tolist() == [1, 0, 1, 1, 0]
    data = from_torchvision(torch.ConcatDataset([nothing, some]), test_size=0)
    assert data.y.dtype.kind == "i"


@pytest.mark.parametrize(
    "kept",
    [
        {"labels": lambda self: [0, 1]},
        {"labels": 10},
        {"targets": [[1], [1, 2], [1], [2, 3]]},
        {"samples": [("a.png", "car"), ("b.png", "cat")] * 2},
        {"data": np.zeros((4, 8, 8, 3), np.uint8), "targets": [2, 1, 2, 1]},
    ],
    ids=" ".join,
)
def test_what_a_users_class_keeps_may_be_anything(kept):
    torch = pytest.importorskip("torch").utils.data

    class Own(torch.Dataset):
        classes = ("cat", "car")

        def __len__(self):
            return 4

        def __getitem__(self, i):
            return Image.new("RGB", (4, 4)), i % 2

    for name, value in kept.items():
        setattr(Own, name, value)
    data = from_torchvision(Own(), test_size=0)
    assert data.y.tolist() == [0, 1, 0, 1]
    assert data.class_names == ("cat", "car")


def test_one_of_several_labels_each():
    class Several(Cifar):
        def __init__(self):
            super().__init__()
            self.targets = np.stack([self.targets, np.arange(12)], axis=1)

        def __getitem__(self, i):
            return self.data[i], self.targets[i][0]

        __getitem__.__module__ = "torchvision.datasets.mnist"

    data = from_torchvision(Several(), test_size=0)
    assert data.y.tolist() == [i % 3 for i in range(12)]


def test_names_are_those_of_the_labels_that_are_given(tmp_path):
    """Of pets either the breed or the kind; the names that are kept are of breeds."""
    datasets = pytest.importorskip("torchvision.datasets")
    folder = tmp_path / "oxford-iiit-pet"
    (folder / "images").mkdir(parents=True)
    (folder / "annotations" / "trimaps").mkdir(parents=True)
    breeds = ["Abyssinian", "beagle", "boxer", "Bengal"]
    lines = []
    for label, (breed, kind) in enumerate(zip(breeds, (1, 2, 2, 1), strict=True), 1):
        Image.new("RGB", (8, 8)).save(folder / "images" / f"{breed}_1.jpg")
        lines.append(f"{breed}_1 {label} {kind} 1")
    (folder / "annotations" / "trainval.txt").write_text("\n".join(lines))
    data = from_torchvision(datasets.OxfordIIITPet(tmp_path), test_size=0)
    assert data.class_names == ("Abyssinian", "Beagle", "Boxer", "Bengal")
    kinds = datasets.OxfordIIITPet(tmp_path, target_types="binary-category")
    data = from_torchvision(kinds, test_size=0)
    assert data.y.tolist() == [0, 1, 1, 0]
    assert data.class_names == ("0", "1")


def test_what_is_no_data_set_is_refused():
    source = Cifar()
    source.transform = np.flipud
    with pytest.raises(ValueError, match="Cifar has a transform; make it without"):
        from_torchvision(source)
    with pytest.raises(TypeError, match=r"make a data set of it, as in list\(root"):
        from_torchvision(list)
    with pytest.raises(TypeError, match="generator has no len or no items"):
        from_torchvision(i for i in range(3))
    with pytest.raises(TypeError, match="item 0 of list is not a pair"):
        from_torchvision([1, 2])
    with pytest.raises(TypeError, match=r"label of item 0 of list has shape \(2,\)"):
        from_torchvision([(np.zeros((8, 8, 3), np.uint8), [0, 1])])
    with pytest.raises(ValueError, match="no data set in the mapping"):
        from_torchvision({})
    with pytest.raises(ValueError, match="mapping of splits holds 'extra' in 12 rows"):
        from_torchvision({"train": Cifar(), "extra": Cifar()})


def test_what_a_wrapper_changes_counts():
    torch = pytest.importorskip("torch")
    half = torch.utils.data.Subset(Cifar(), [4, 2, 0])
    half.transform = np.flipud
    with pytest.raises(ValueError, match="Subset has a transform"):
        from_torchvision(half)

    class Fewer:
        """Lists more files than it has items."""

        samples = [("0.png", 0), ("1.png", 1), ("2.png", 0)]  # noqa: RUF012

        def __len__(self):
            return 2

        def __getitem__(self, i):
            return Image.new("RGB", (8, 8)), i

    assert len(from_torchvision(Fewer())) == 2


def test_images_that_items_open_keep_no_file_open(tmp_path):
    # Of Caltech256, say, or of one's own: 1,024 open files are the usual limit.
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for i, path in enumerate(paths):
        Image.fromarray(np.full((8, 8), 300 * i, np.uint16)).save(path)
    opened = []

    class Files:
        def __len__(self):
            return len(paths)

        def __getitem__(self, i):
            opened.append(Image.open(paths[i]))
            return opened[-1], i % 2

    data = from_torchvision(Files(), test_size=0)
    assert all(isinstance(image.fp, io.BytesIO) for image in data.X)
    assert [image.filename for image in data.X] == [str(path) for path in paths]
    for i, image in enumerate(opened):  # the user's own can still be read
        np.testing.assert_array_equal(np.asarray(image), 300 * i)
        np.testing.assert_array_equal(np.asarray(data.X[i]), 300 * i)


def test_members_of_archives_keep_no_archive_open(tmp_path):
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        for i in range(2):
            member = io.BytesIO()
            Image.new("RGB", (8, 8), (i, 0, 0)).save(member, "PNG")
            archive.writestr(f"{i}.png", member.getvalue())

    class Members:
        def __len__(self):
            return 2

        def __getitem__(self, i):
            with zipfile.ZipFile(tmp_path / "some.zip") as archive:
                return Image.open(archive.open(f"{i}.png")), i

    data = from_torchvision(Members(), test_size=0)
    assert all(isinstance(image.fp, io.BytesIO) for image in data.X)
    assert [image.getpixel((0, 0))[0] for image in data.X] == [0, 1]


@pytest.mark.parametrize(
    ("last", "message"),
    [(float("nan"), "y is missing .* in row 2"), (0, "y mixes numbers and strings")],
)
def test_labels_that_numpy_would_turn_into_texts_are_refused(last, message):
    """An empty cell of a table that a data set of one's own reads is no class."""
    labels = ["cat", "dog", last]
    items = [(np.zeros((8, 8), np.uint8), label) for label in labels]
    with pytest.raises(ValueError, match=message):
        from_torchvision(items)
    named = Cifar()
    named.target_transform = labels.__getitem__
    with pytest.raises(ValueError, match=message):
        from_torchvision(named)


def test_samples_with_labels_from_a_table_that_lacks_one_are_refused(tmp_path):
    folders = pytest.importorskip("torchvision.datasets")
    (tmp_path / "all").mkdir()
    for name in ("1.png", "2.png", "3.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / "all" / name)
    part = folders.ImageFolder(tmp_path)
    found = ["cat", "dog", float("nan")]
    part.samples = [(path, found[i]) for i, (path, _) in enumerate(part.samples)]
    with pytest.raises(ValueError, match=r"y is missing .* in row 2"):
        from_torchvision(part)


@pytest.mark.parametrize("kind", ["array", "list", "tensor", "float", "set"])
def test_indices_of_a_subset_that_are_no_row_numbers_are_refused(tmp_path, kind):
    torch = pytest.importorskip("torch")
    folders = pytest.importorskip("torchvision.datasets")
    for i, name in enumerate("aabbcc"):
        (tmp_path / name).mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / name / f"{i}.png")
    whole = folders.ImageFolder(tmp_path)
    mask = np.array(whole.targets) == 2
    indices = {
        "array": mask,
        "list": mask.tolist(),
        "tensor": torch.tensor(mask),
        "float": [4.0, 5.0],
        "set": {4, 5},
    }[kind]
    with pytest.raises(TypeError, match=r"of Subset must be .* whole numbers"):
        from_torchvision(torch.utils.data.Subset(whole, indices))
    rows = np.flatnonzero(mask).astype(object)
    data = from_torchvision(torch.utils.data.Subset(whole, rows), test_size=0)
    assert (data.y.tolist(), data.class_names) == ([2, 2], ("c",))
