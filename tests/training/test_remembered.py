"""Tags stay with what is in a row, whatever its file is called."""

import os
import shutil

import pytest
from PIL import Image

from modal_pretrain import ImageLoadError
from modal_pretrain.images import files


def known(classifier, paths):
    table = classifier.known_tags(list(map(str, paths)))
    return table.ravel().tolist() if table.size else [None] * len(paths)


def test_files_keep_their_tags(make, paths, tmp_path):
    one = make().tag(paths[:4], ["a", "b", "c", "d"])
    assert known(one, paths[:5]) == ["a", "b", "c", "d", None]
    os.chmod(paths[0], 0o600)
    os.utime(paths[1], (1, 1))
    os.link(paths[2], tmp_path / "link.png")
    moved = shutil.move(paths[3], tmp_path / "moved.png")
    now = [*paths[:3], tmp_path / "link.png", moved, paths[4]]
    assert known(one, now) == ["a", "b", "c", "c", "d", None]
    one.set_params(scaled_decoding=False)
    assert known(one, now) == ["a", "b", "c", "c", "d", None]


def test_equal_files_have_the_last_tag(make, paths, tmp_path):
    copy = str(shutil.copy(paths[0], tmp_path / "copy.png"))
    one = make().tag(paths[:2], ["a", "b"]).tag([copy], ["c"])
    assert known(one, [paths[0], paths[1], copy]) == ["c", "b", "c"]
    one.tag([copy], [None])
    assert known(one, [paths[0], paths[1], copy]) == [None, "b", None]
    assert len(one.remembered_tags_) == len(one.remembered_tags_.files) == 1


def test_an_edited_file_is_another(make, paths):
    one = make().tag(paths[:2], ["a", "b"])
    size = os.path.getsize(paths[0])
    Image.open(paths[1]).rotate(90).save(paths[0])
    with open(paths[0], "r+b") as file:  # as long as a tagged one
        file.truncate(size)
    assert known(one, paths[:2]) == [None, "b"]


def test_other_files_are_not_read(make, paths, monkeypatch):
    one = make().tag(paths[:1], ["a"])
    size, read = os.path.getsize(paths[0]), []
    for path in paths[1:]:
        with open(path, "ab") as file:
            file.write(b"x" * (os.path.getsize(path) == size))
    monkeypatch.setattr(files, "read_whole", read.append)
    assert known(one, paths) == ["a"] + [None] * 23
    assert not read


def test_a_file_that_is_gone_is_named(make, paths):
    one = make().tag(paths[:2], ["a", "b"])
    os.remove(paths[1])
    for call in (one.known_tags, lambda X: one.tag(X, ["a"] * 3)):
        with pytest.raises(ImageLoadError, match=r"X\[1\] .*01\.png"):
            call(paths[:3])
