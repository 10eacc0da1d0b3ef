"""Which file it is, although size and time of change say another one is the same."""

import os
import time
from pathlib import Path

import pytest

from modal_pretrain._identity import (
    NotAFileError,
    absolute,
    expanded,
    file_identity,
    normal,
)

TIME = 10**18


def write(path, content):
    path.write_bytes(content)
    os.utime(path, ns=(TIME, TIME))
    return path


def rewritten(path):
    time.sleep(0.05)  # within one tick of the clock nothing tells them apart
    write(path, b"new!")


def moved_over(path):
    os.replace(write(path.with_name("other"), b"new!"), path)


def link_leads_elsewhere(path):
    target = write(path.with_name("target"), b"new!")
    path.unlink()
    path.symlink_to(target)


@pytest.mark.parametrize("change", [rewritten, moved_over, link_leads_elsewhere])
def test_equal_size_and_time_are_told_apart(tmp_path, change):
    path = write(tmp_path / "file", b"old.")
    before = file_identity(path)
    assert file_identity(path) == before
    change(path)
    assert path.read_bytes() == b"new!"
    after = file_identity(path)
    assert after[:2] == before[:2]  # what the identity was once
    assert after != before


def test_a_link_is_its_target(tmp_path):
    target = write(tmp_path / "target", b"old.")
    (tmp_path / "link").symlink_to(target)
    assert file_identity(tmp_path / "link") == file_identity(target)


def test_what_is_no_file_says_what_it_is(tmp_path):
    with pytest.raises(NotAFileError, match="a directory, not a regular file"):
        file_identity(tmp_path)
    with pytest.raises(FileNotFoundError):
        file_identity(tmp_path / "absent")


def test_home_and_what_is_none(monkeypatch):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, os.path.abspath("home"))
    assert expanded("~/file") == Path("home/file").absolute()
    for odd in ("~no such user/file", "~\0/file", "file"):
        assert expanded(odd) == Path(odd)


def test_a_folder_called_tilde(monkeypatch, tmp_path):
    """A Path drops "./", and the next reader took "./~" for the home directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("~", "~/x", "~root", "~nobody-at-all/x"):
        once = expanded(f"./{name}")
        assert once == expanded(once) == tmp_path / name


@pytest.mark.skipif(os.name == "nt", reason="there '..' is resolved in the text")
def test_up_from_a_link_is_above_what_it_leads_to(tmp_path, monkeypatch):
    (tmp_path / "disk" / "data").mkdir(parents=True)
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "data").symlink_to(tmp_path / "disk" / "data")
    (tmp_path / "disk" / "a").write_text("right")
    (tmp_path / "project" / "a").write_text("wrong")
    monkeypatch.chdir(tmp_path / "project")
    for path in ("data/../a", str(tmp_path / "project" / "data" / ".." / "a")):
        assert Path(absolute(path)).read_text() == "right"
        assert Path(normal(path)).read_text() == "right"
    # Elsewhere they are what os.path makes of them.
    for path in ("../project/./a", "./a", "a..b", "data/x/../y", "none/../a", "..", ""):
        assert absolute(path) == os.path.abspath(path)
        assert normal(path) == os.path.normpath(path)


@pytest.mark.skipif(os.name == "nt", reason="there '..' is resolved in the text")
def test_ways_up_are_told_without_a_look_at_each_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(os.path, "realpath", None)  # slow, for 10,000 paths
    (tmp_path / "scripts").mkdir()
    (tmp_path / "..data").mkdir()
    up = f"{tmp_path}/scripts/../..data/gone.png"
    assert normal(up) == absolute(up) == f"{tmp_path}/..data/gone.png"
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert absolute(up) == f"{tmp_path}/..data/gone.png"
    monkeypatch.chdir(tmp_path)
