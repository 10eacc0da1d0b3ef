"""Files written whole, and what is never written over."""

import errno
import os
from pathlib import Path

import pytest

from modal_pretrain._disk import write_whole
from modal_pretrain._identity import expanded, read_whole


def test_a_file_is_replaced(tmp_path):
    for text in ("one", "two"):
        write_whole(tmp_path / "file", text)
        assert read_whole(tmp_path / "file") == text.encode()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_is_no_file_stays(tmp_path):
    """Else `--labels /dev/null` would make a file of it, for every program."""
    os.mkfifo(tmp_path / "fifo")
    for function in (read_whole, lambda path: write_whole(path, "x")):
        with pytest.raises(OSError, match=r"FIFO|no regular file") as raised:
            function(tmp_path / "fifo")
        assert raised.value.filename == str(tmp_path / "fifo")
    assert (tmp_path / "fifo").is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["fifo"]


def test_errors_name_the_file_that_was_asked_for(tmp_path):
    with pytest.raises(FileNotFoundError) as raised:
        write_whole(tmp_path / "absent" / "file", "x")
    assert raised.value.filename == str(tmp_path / "absent" / "file")
    assert "tmp'" not in str(raised.value)


def test_errors_of_a_full_disk_name_the_file(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as raised:
        write_whole(tmp_path / "file", "x")
    assert raised.value.filename == str(tmp_path / "file")
    assert str(raised.value).endswith("file'")
    assert not list(tmp_path.iterdir())


def test_no_home(monkeypatch):
    assert expanded("~nobody-at-all/x") == Path("~nobody-at-all/x")
    monkeypatch.setenv("HOME", "/home/me")
    assert expanded("~/x") == Path("/home/me/x")
