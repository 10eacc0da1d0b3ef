"""Files written whole, and what is never written over."""

import os

import pytest

from modal_pretrain._disk import read_whole, write_whole


def test_a_file_is_replaced(tmp_path):
    for text in ("one", "two"):
        write_whole(tmp_path / "file", text)
        assert read_whole(tmp_path / "file") == text.encode()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_is_no_file_stays(tmp_path):
    """Else `--labels /dev/null` would make a file of it, for every program."""
    os.mkfifo(tmp_path / "fifo")
    for function in (read_whole, lambda path: write_whole(path, "x")):
        with pytest.raises(OSError, match="FIFO") as raised:
            function(tmp_path / "fifo")
        assert raised.value.filename == str(tmp_path / "fifo")
    assert (tmp_path / "fifo").is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["fifo"]
