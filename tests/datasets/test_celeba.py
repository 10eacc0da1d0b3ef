"""CelebA, on small trees in the official layouts."""

import os

import pytest

from modal_pretrain.datasets import (
    load_celeba,
)
from tests.datasets.official import picture, write

FACES = {  # Blond_Hair, Male, partition
    "000001.jpg": (-1, 1, 0),
    "000002.jpg": (1, -1, 0),
    "000003.jpg": (-1, 1, 0),
    "000004.jpg": (1, 1, 1),
    "000005.jpg": (-1, -1, 2),
}


def celeba(tmp_path, ending):
    if ending == "csv":
        folder = tmp_path / "celebA_v1.0"
        write(
            folder / "list_attr_celeba.csv",
            [["image_id", "Blond_Hair", "Male"]]
            + [[name, *values[:2]] for name, values in FACES.items()],
        )
        # Sorted in another way.
        write(
            folder / "list_eval_partition.csv",
            [["image_id", "partition"]]
            + [[name, values[2]] for name, values in reversed(FACES.items())],
        )
    else:
        folder = tmp_path / "celeba"
        folder.mkdir()
        lines = [f"{len(FACES)}", "Blond_Hair Male "]
        lines += [f"{name} {b:2d} {m:2d}" for name, (b, m, _) in FACES.items()]
        (folder / "list_attr_celeba.txt").write_text("\n".join([*lines, ""]))
        lines = [f"{name} {part}" for name, (*_, part) in FACES.items()]
        (folder / "list_eval_partition.txt").write_text("\n".join([*lines, ""]))
    return folder


@pytest.mark.parametrize("ending", ["csv", "txt"])
@pytest.mark.parametrize(
    "images", ["img_align_celeba", "img_align_celeba/img_align_celeba"]
)
def test_celeba(tmp_path, ending, images):
    folder = celeba(tmp_path, ending)
    for name in FACES:
        picture(folder / images / name)
    data = load_celeba(tmp_path)
    assert data.X[0] == str(folder / images / "000001.jpg")
    assert data.y.tolist() == [0, 1, 0, 1, 0]
    assert data.attribute.tolist() == [1, 0, 1, 1, 0]
    assert data.split.tolist() == ["train"] * 3 + ["validation", "test"]
    assert data.disambiguating.tolist() == [False, False, False, True, True]
    assert data.group_names[data.groups[3]] == "blond/male"
    turned = load_celeba(folder, target="Male", attribute="Blond_Hair")
    assert turned.group_names[turned.groups[3]] == "male/blond"
    with pytest.raises(ValueError, match="no column 'Hat'"):
        load_celeba(folder, target="Hat")


def test_celeba_refuses(tmp_path):
    folder = celeba(tmp_path, "txt")
    parts = folder / "list_eval_partition.txt"
    text = parts.read_text()
    parts.write_text(text.replace("000003.jpg 0\n", ""))
    with pytest.raises(ValueError, match=r"no split for 1 of the 5 .* 000003\.jpg"):
        load_celeba(folder, missing="ignore")
    parts.write_text(text + "000003.jpg 0\n")
    with pytest.raises(ValueError, match=r"lists 000003\.jpg more than once"):
        load_celeba(folder, missing="ignore")
    parts.write_text(text.replace("000003.jpg 0", "000003.jpg 0 0"))
    with pytest.raises(ValueError, match="2 cells, but row 3 has 3"):
        load_celeba(folder, missing="ignore")
    parts.write_text("\ufeff" + text)
    assert len(load_celeba(folder, missing="ignore")) == 5
    faces = folder / "list_attr_celeba.txt"
    known = faces.read_text()
    for content, match in (
        (known[: known.index("000005")], "says that it lists 5 images, but lists 4"),
        ("5\n", "has no column 'Blond_Hair'"),
        (b"\xff\xfe5", "list_attr_celeba.txt is no text"),
    ):
        data = content if isinstance(content, bytes) else content.encode()
        faces.write_bytes(data)
        with pytest.raises(ValueError, match=match):
            load_celeba(folder, missing="ignore")
    faces.unlink()
    os.mkfifo(faces)
    with pytest.raises(ValueError, match=r"list_attr_celeba\.txt is a FIFO"):
        load_celeba(folder, missing="ignore")


@pytest.mark.parametrize(
    ("attributes", "parts"),
    [
        ("", ""),
        ("5\nimage_id Blond_Hair Male\n", "image_id partition\n"),
        ("Blond_Hair Male\n", "5\n"),
        ("image_id Blond_Hair Male\n", "5\nimage_id partition\n"),
    ],
)
def test_celeba_with_and_without_headers(tmp_path, attributes, parts):
    folder = celeba(tmp_path, "txt")
    known = load_celeba(folder, missing="ignore")
    for name, header, length in (
        ("list_attr_celeba.txt", attributes, 2),
        ("list_eval_partition.txt", parts, 0),
    ):
        lines = (folder / name).read_text().splitlines(keepends=True)
        if header:
            (folder / name).write_text("".join([header, *lines[length:]]))
    data = load_celeba(folder, missing="ignore")
    assert data.X.tolist() == known.X.tolist()
    assert data.groups.tolist() == known.groups.tolist()
    assert data.split.tolist() == known.split.tolist()


def test_celeba_names_the_file_and_two_columns(tmp_path):
    folder = celeba(tmp_path, "csv")
    parts = folder / "list_eval_partition.csv"
    parts.write_text(parts.read_text().replace("000002.jpg,0", "000002.jpg,7"))
    with pytest.raises(ValueError, match=r"partition.csv holds 7 .* in row 4"):
        load_celeba(folder, missing="ignore")
    with pytest.raises(ValueError, match="target and attribute are both 'Male'"):
        load_celeba(folder, target="Male", missing="ignore")


def test_celeba_says_that_a_table_is_cut(tmp_path):
    folder = celeba(tmp_path, "csv")
    table = folder / "list_attr_celeba.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))
    with pytest.warns(UserWarning, match="lacks 1 of the 5 images of .* 000005.jpg"):
        assert len(load_celeba(folder, missing="ignore")) == 4
