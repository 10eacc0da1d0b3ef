"""Pictures of a results folder that somebody else made."""

import base64
import json
import os
import re

import pytest
from PIL import Image

from modal_pretrain.benchmark import DamagedRecords
from modal_pretrain.benchmark.report.page import page
from modal_pretrain.benchmark.report.summary import summary
from modal_pretrain.benchmark.report.thumbnails import sheets, thumbnail


@pytest.fixture
def folder(store):
    folder = store.folder / "examples"
    folder.mkdir()
    index = {}
    for row in (4, 5, 8):
        Image.new("RGB", (40, 30), (10 * row, 0, 0)).save(folder / f"{row}.jpg")
        index[str(row)] = {"group": f"{row}/<b>", "atypical": row == 4}
    (folder / "index.json").write_text(json.dumps(index))
    return folder


def test_the_first_questions(store, folder):
    found = sheets(summary(store))
    assert [sheet.title for sheet in found] == [
        "pretrained, uncertainty",
        "pretrained, random",
    ]
    # Rows 4, 5, 8 and 9 were asked about; 9 was not kept.
    assert [example.group for example in found[0].examples] == [
        "4/<b>",
        "5/<b>",
        "8/<b>",
    ]
    assert found[0].n_atypical == 1
    text = page([summary(store)])
    assert text.count('src="data:image/jpeg;base64,') == 6
    assert "4/<wbr>&lt;b&gt;" in text


@pytest.mark.parametrize(
    "row", ["../../secret", "/etc/secret", "4/../5", "", "-1", None]
)
def test_only_rows_have_pictures(store, folder, row):
    secret = store.folder.parent / "secret.jpg"
    Image.new("RGB", (10, 10)).save(secret)
    assert thumbnail(summary(store), 4).size == (40, 30)
    assert thumbnail(summary(store), row) is None


def test_neither_records_nor_examples_name_a_file_outside(store, folder):
    name = "../../secret"
    index = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps({**index, name: index["4"]}))
    with pytest.raises(DamagedRecords, match=r"index.json holds '\.\./\.\./secret'"):
        summary(store)
    (folder / "index.json").write_text(json.dumps(index))
    path = next((store.folder / "records").glob("*.jsonl"))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[1]["acquired"] = [name, 5]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(DamagedRecords, match=f"{path.name} is damaged: line 2 has acq"):
        summary(store)


def test_links_are_not_followed(store, folder):
    secret = store.folder.parent / "secret.jpg"
    Image.new("RGB", (10, 10)).save(secret)
    (folder / "4.jpg").unlink()
    (folder / "4.jpg").symlink_to(secret)
    assert thumbnail(summary(store), 4) is None
    moved = store.folder.parent / "elsewhere"
    folder.rename(moved)
    folder.symlink_to(moved)
    assert thumbnail(summary(store), 5) is None


@pytest.mark.parametrize("content", [b"", b"<svg onload='x()'/>", b"\xff\xd8\xff junk"])
def test_what_is_no_picture_is_left_out(store, folder, content):
    (folder / "4.jpg").write_bytes(content)
    assert thumbnail(summary(store), 4) is None
    assert page([summary(store)]).count('src="data:image/jpeg;base64,') == 4


def test_other_kinds_huge_pictures_and_fifos_are_left_out(store, folder):
    Image.new("RGB", (10, 10)).save(folder / "4.jpg", "PNG")
    Image.new("L", (4000, 10)).save(folder / "5.jpg")
    (folder / "8.jpg").unlink()
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "8.jpg")
    assert [thumbnail(summary(store), row) for row in (4, 5, 8)] == [None] * 3


def test_pictures_are_encoded_anew(store, folder):
    image = Image.new("RGB", (300, 200), (0, 200, 0))
    image.save(folder / "4.jpg", comment=b"a comment that nobody sees")
    found = thumbnail(summary(store), 4)
    assert found.size == (96, 64)
    text = page([summary(store)])
    data = re.findall(r"base64,([^\"]+)", text)
    assert len(data) == 6
    assert not any(b"nobody" in base64.b64decode(each) for each in data)
