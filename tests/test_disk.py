"""Files written whole, and what is never written over."""

import os

import pytest

from modal_pretrain._disk import write_whole
from modal_pretrain._identity import read_whole


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
