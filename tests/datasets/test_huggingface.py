"""from_huggingface."""

import importlib
import io
import zipfile
from types import SimpleNamespace

import pytest
from PIL import Image

from modal_pretrain.datasets import from_huggingface
from modal_pretrain.images.accept import as_images


@pytest.fixture
def datasets():
    """The package, if it is installed: the folder of these tests has its name."""
    pytest.importorskip("datasets.arrow_dataset")
    return importlib.import_module("datasets")


def test_hugging_face_texts(datasets):
    rows = {
        "text": ["good", "bad", "fine", "dull"],
        "label": [1, 0, 1, 0],
        "shop": ["a", "b", "a", "a"],
        "stars": [5, 1, 4, 2],
    }
    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["neg", "pos"]),
            "shop": datasets.Value("string"),
            "stars": datasets.Value("int64"),
        }
    )
    part = datasets.Dataset.from_dict(rows, features=features)
    both = datasets.DatasetDict({"train": part, "test": part.select([1, 2])})
    columns = {"text": "text", "target": "label", "attribute": "shop"}
    data = from_huggingface(both, **columns, extra=["stars"], name="toy")
    assert data.X.tolist() == [*rows["text"], "bad", "fine"]
    assert data.split.tolist() == ["train"] * 4 + ["test"] * 2
    assert data.group_names == ("neg/a", "neg/b", "pos/a", "pos/b")
    assert data.extra["stars"].tolist() == [5, 1, 4, 2, 1, 4]
    assert data.modality == "text"
    assert len(from_huggingface(part, **columns).subset("train")) == 4
    with pytest.raises(ValueError, match="no column 'words'; its columns are 'text'"):
        from_huggingface(part, text="words", target="label")
    gaps = datasets.Dataset.from_dict({"text": ["a", None], "label": [0, 1]})
    with pytest.raises(ValueError, match="1 rows have no text in 'text', first row 1"):
        from_huggingface(gaps, text="text", target="label")
    with pytest.raises(TypeError, match="load it without streaming"):
        from_huggingface(part.to_iterable_dataset(), text="text", target="label")
    with pytest.raises(ValueError, match="one of image and text"):
        from_huggingface(part, target="label")


def test_hugging_face_images(datasets, tmp_path):
    files = [str(tmp_path / f"{i}.png") for i in range(4)]
    for i, file in enumerate(files):
        Image.new("RGB", (8, 8), (60 * i, 0, 0)).save(file)
    on_disk = datasets.Dataset.from_dict({"image": files, "label": list("abab")})
    on_disk = on_disk.cast_column("image", datasets.Image())
    data = from_huggingface(on_disk, image="image", target="label")
    assert data.X.tolist() == files
    assert data.class_names == ("a", "b")

    buffers = [io.BytesIO() for _ in files]
    for buffer, file in zip(buffers, files, strict=True):
        Image.open(file).save(buffer, "png")
    cells = [{"path": None, "bytes": buffer.getvalue()} for buffer in buffers]
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.Value("string")}
    )
    in_memory = datasets.Dataset.from_dict(
        {"image": cells, "label": list("abab")}, features=features
    )
    data = from_huggingface(in_memory, image="image", target="label", test_size=0)
    source = as_images(data.subset([3, 1]).X)
    assert source.load(0)[0, 0, 0] == 180
    gaps = datasets.Dataset.from_dict(
        {"image": [None, *cells[1:]], "label": list("abab")}, features=features
    )
    with pytest.raises(
        ValueError, match="1 rows have no image in 'image', first row 0"
    ):
        from_huggingface(gaps, image="image", target="label")


class Cell:
    """A feature of pictures."""

    def __init__(self, decode=True):
        self.decode = decode


class Pictures:
    """A data set of cells with path and bytes, as datasets stores them."""

    column_names = ("image", "label")

    def __init__(self, paths):
        self.features = {"image": Cell(), "label": None}
        self.paths = paths

    def __len__(self):
        return len(self.paths)

    def cast_column(self, column, feature):
        return self

    def __getitem__(self, column):
        cells = [{"path": path, "bytes": None} for path in self.paths]
        return cells if column == "image" else ["a"] * len(cells)


def test_pictures_in_a_zip_file_are_read_there(tmp_path):
    archive = tmp_path / "pictures.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for i in range(2):
            buffer = io.BytesIO()
            Image.new("RGB", (8, 8), (100 * i, 0, 0)).save(buffer, "png")
            file.writestr(f"cat/{i}.png", buffer.getvalue())
    paths = [f"zip://cat/{i}.png::{archive}" for i in (1, 0)]
    data = from_huggingface(Pictures(paths), image="image", target="label")
    assert [as_images(data.X).load(i)[0, 0, 0] for i in range(2)] == [100, 0]
    paths = [f"zip://cat/7.png::{archive}"]
    with pytest.raises(ValueError, match="row 0 has no picture in 'image'"):
        from_huggingface(Pictures(paths), image="image", target="label")


class Rows:
    """The few things that are asked of a datasets.Dataset."""

    column_names = ("text", "label")

    def __init__(self, labels, names=None):
        self.features = {"text": None, "label": SimpleNamespace(names=names)}
        self.columns = {"text": list("abcd")[: len(labels)], "label": labels}

    def __len__(self):
        return len(self.columns["label"])

    def __getitem__(self, column):
        return self.columns[column]


def test_names_have_one_number_in_all_splits():
    parts = {
        "train": Rows([0, 1, 0, 1], ["cat", "dog"]),
        "test": Rows([0, 1, 1, 2], ["dog", "cow", "cat"]),
    }
    with pytest.warns(UserWarning, match="2 of 4 rows of .* the class 'cow', "):
        data = from_huggingface(parts, text="text", target="label")
    assert data.class_names == ("cat", "dog", "cow")
    assert data.y.tolist() == [0, 1, 0, 1, 1, 2, 2, 0]


@pytest.mark.parametrize("labels", [[0, 1, 0, 1], ["x", "y", "x", "y"]])
def test_a_split_without_rows_changes_no_labels(labels):
    """As a filter may leave it; numbers became floats, and texts were refused."""
    parts = {"train": Rows(labels), "test": Rows([])}
    data = from_huggingface(parts, text="text", target="label")
    assert data.y.tolist() == labels
    alone = from_huggingface(Rows(labels), text="text", target="label")
    assert data.y.dtype == alone.y.dtype


def test_further_attributes_have_one_number_in_all_splits():
    parts = {
        "train": Rows([0, 1, 0, 1], ["cat", "dog"]),
        "test": Rows([0, 1, 1, 2], ["dog", "cow", "cat"]),
    }
    for part in parts.values():
        part.column_names = ("text", "label", "kind")
        part.columns["kind"] = ["x", "y", "x", "y"]
        part.features["kind"] = None
    columns = {"text": "text", "target": "kind", "extra": ["label"]}
    data = from_huggingface(parts, **columns)
    assert data.extra["label"].tolist() == [0, 1, 0, 1, 1, 2, 2, 0]


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ([2**63 + 5, 2**63 + 6, 7, 9], [2**63 + 5, 1, 2, 3]),  # hashes of 64 bits
        ([2**63 + 5, 2**63 + 6, 2**63 + 7, 2**63 + 8], [1, 2, 3, 4]),
        ([2**60 + 1, 2**60 + 2, 3, 4], [0.5, float("nan"), 3.0, 1.0]),
        (["a", "b", "a", "b"], [float("nan")] * 4),  # a column without a value
        (["a", None, "a", "b"], ["b", "b", None, "a"]),
        ([b"\1\0", b"\1", b"\0\2", b"\2\0"], [b"\1\0", b"\3\3", b"\2", b""]),
        ([b"\1", b"\2", b"\3", b"\4"], [float("nan")] * 4),
        ([b"\1\0", b"\1", b"\0\2", b"\2\0"], [None, b"\3\3", b"\2", b""]),
    ],
)
def test_further_attributes_stay_what_they_are(train, test):
    parts = {"train": Rows([0, 1, 0, 1]), "test": Rows([0, 1, 1, 0])}
    for part, values in zip(parts.values(), (train, test), strict=True):
        part.column_names = ("text", "label", "site")
        part.columns["site"] = values
        part.features["site"] = None
    data = from_huggingface(parts, text="text", target="label", extra=["site"])
    for found, value in zip(data.extra["site"].tolist(), [*train, *test], strict=True):
        assert found == value or (found != found and value != value)


def test_an_attribute_of_large_numbers_is_not_rounded_over_splits():
    parts = {"train": Rows([0, 1, 0, 1]), "test": Rows([0, 1, 1, 0])}
    for part, first in zip(parts.values(), (2**63, 0), strict=True):
        part.column_names = ("text", "label", "user")
        part.columns["user"] = [first + i for i in range(4)]
        part.features["user"] = None
    with pytest.raises(ValueError, match="attribute"):
        from_huggingface(parts, text="text", target="label", attribute="user")


def test_hugging_face_formats(datasets, tmp_path):
    rows = {"text": list("abcd"), "label": [0, 1, 0, 1], "at": [0.1, 2**53 - 1, 0, 1]}
    plain = datasets.Dataset.from_dict(rows)
    columns = {"text": "text", "target": "label", "extra": ["at"]}
    for part in (
        plain.with_format("torch"),
        plain.with_format("arrow"),
        plain.with_format("numpy", columns=["label"]),
    ):
        data = from_huggingface(part, **columns)
        assert data.X.tolist() == rows["text"]
        assert data.extra["at"].tolist() == rows["at"]
    with pytest.raises(ValueError, match="has a transform"):
        from_huggingface(plain.with_transform(lambda some: some), **columns)


def test_many_files_beside_pictures_in_memory_stay_closed(tmp_path):
    """As concatenated data sets have them; a process may open a thousand files."""
    Image.new("RGB", (4, 4), (9, 8, 7)).save(tmp_path / "a.png")
    inside = {"bytes": (tmp_path / "a.png").read_bytes(), "path": None}
    rows = Rows([0, 1, 0, 1])
    rows.column_names = ("image", "label")
    outside = {"bytes": None, "path": str(tmp_path / "a.png")}
    rows.columns["image"] = [inside, outside, outside, outside]
    rows.features["image"] = type("Image", (), {"__init__": _keep, "decode": True})()
    rows.cast_column = lambda column, feature: rows
    data = from_huggingface(rows, image="image", target="label")
    (tmp_path / "a.png").unlink()
    assert [image.getpixel((1, 1)) for image in data.X] == [(9, 8, 7)] * 4
    assert not any(image.filename for image in data.X)


def _keep(self, decode=True):
    self.decode = decode


@pytest.mark.parametrize(
    "labels, names, match",
    [
        ([-1, -1, 0, 1], ["a", "b"], "y is -1, which means no label, in 2 of 4 rows"),
        ([0, 1, 0, None], None, "'label' is missing .* in 1 of 4 rows, first in row 3"),
        (["0", "1", "0", "1"], None, "y holds numbers in one part and strings in"),
        ([[0], [1, 2], [0], [1]], None, "'label' must be 1-D"),
        ([{}, {}, {}, {}], None, "without an order, such as {}"),
    ],
)
def test_labels_that_are_none(labels, names, match):
    parts = {"train": Rows([0, 1, 0, 1], names), "test": Rows(labels, names)}
    if {} in labels:
        del parts["train"]
    with pytest.raises(ValueError, match=match):
        from_huggingface(parts, text="text", target="label")


def test_labels_without_an_order_are_refused_where_splits_are_drawn():
    with pytest.raises(ValueError, match="y holds labels without an order"):
        from_huggingface(Rows([{"a": 1}] * 4), text="text", target="label")


def test_class_and_attribute_are_two_columns():
    with pytest.raises(ValueError, match="target and attribute are both 'label'"):
        from_huggingface(
            Rows([0, 1, 0, 1]), text="text", target="label", attribute="label"
        )


@pytest.mark.parametrize(
    ("extra", "match"),
    [
        ("tags", r"extra must be a list of columns, got 'tags': \['tags'\]"),
        (["tags"], r"extra\['tags'\] must be 1-D with one entry for each"),
    ],
)
def test_further_attributes_that_are_none(extra, match):
    rows = Rows([0, 1, 0, 1])
    rows.column_names = [*rows.column_names, "tags"]
    rows.columns["tags"] = [["a"], ["a", "b"], [], ["b"]]
    rows.features["tags"] = None
    with pytest.raises(ValueError, match=match):
        from_huggingface(rows, text="text", target="label", extra=extra)


def test_bytes_that_are_no_picture():
    class Pictures(Rows):
        column_names = ("image", "label")

        def cast_column(self, column, feature):
            return self

    class Feature:
        def __init__(self, decode=True):
            self.decode = decode

    rows = Pictures([0, 1, 0, 1])
    rows.columns["image"] = [{"path": None, "bytes": b"none"}] * 4
    rows.features["image"] = Feature()
    with pytest.raises(ValueError, match="row 0 has no picture in 'image'"):
        from_huggingface(rows, image="image", target="label")


def test_hugging_face_needs_no_package_for_its_like():
    data = from_huggingface({"train": Rows([2, 1, 2, 2])}, text="text", target="label")
    assert data.y.tolist() == [2, 1, 2, 2]
    assert data.X.tolist() == list("abcd")
    with pytest.raises(TypeError, match=r"datasets\.Dataset is expected, got list"):
        from_huggingface([1, 2], text="text", target="label")


@pytest.mark.parametrize("in_memory", [False, True])
def test_pictures_have_the_mode_that_the_data_set_says(in_memory, tmp_path):
    file = tmp_path / "a.png"
    Image.new("RGB", (4, 4), (200, 0, 0)).save(file)
    outside = {"bytes": None, "path": str(file)}
    inside = {"bytes": file.read_bytes(), "path": None}
    rows = Rows([0, 1, 0, 1])
    rows.column_names = ("image", "label")
    rows.columns["image"] = [inside if in_memory else outside, *[outside] * 3]
    feature = type("Image", (), {"__init__": _keep, "decode": True, "mode": "L"})
    rows.features["image"] = feature()
    rows.cast_column = lambda column, feature: rows
    data = from_huggingface(rows, image="image", target="label")
    grey = round(0.299 * 200)
    assert (as_images(data.X).load(3) == grey).all()


class Words:
    """A data set whose texts are lists of words, or numbers."""

    column_names = ("words", "label")
    features = dict.fromkeys(column_names)

    def __init__(self, words):
        self.words = words

    def __len__(self):
        return len(self.words)

    def __getitem__(self, column):
        return self.words if column == "words" else ["a"] * len(self.words)


@pytest.mark.parametrize(
    "words, kind", [([["one"], ["two", "words"]], "list"), ([1, 2], "int")]
)
def test_what_is_no_text_is_not_called_missing(words, kind):
    with pytest.raises(ValueError, match=rf"2 rows .* row 0 \({kind}\); make texts"):
        from_huggingface(Words(words), text="words", target="label")


def test_rows_that_are_no_data_set_yet():
    with pytest.raises(TypeError, match=r"got list; .*Dataset\.from_list"):
        from_huggingface([{"text": "a", "label": 0}], text="text", target="label")
