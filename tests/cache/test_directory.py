"""Directories that cannot be made, entered or kept: one warning, and on it goes."""

import os
import pickle
import shutil
import sqlite3
import stat
import subprocess
import warnings

import numpy as np
import pytest

from modal_pretrain import CacheWarning, DiskCache
from modal_pretrain.cache.disk import disk_cache
from modal_pretrain.cache.memory import EmbeddingCache
from modal_pretrain.cache.resolve import resolve_cache
from modal_pretrain.cache.sqlite import DiskStore
from tests.cache.cases import file_of, look_up


def a_file(root):
    path = root / "cache"
    path.touch()
    return path, "cache is not a directory"


def below_a_file(root):
    (root / "file").touch()
    return root / "file" / "cache", "file.cache is not a directory"


def a_device(root):
    return os.devnull, "null is not a directory"


def link_to_itself(root):
    (root / "cache").symlink_to("cache")
    return root / "cache", r"cache"


def long_name(root):
    return root / ("x" * 300), "File name too long"


def in_proc(root):
    if not os.path.isdir("/proc"):
        pytest.skip("no such file system")
    return "/proc/cache", "No such file or directory: /proc/cache"


each = pytest.mark.parametrize(
    "make", [a_file, below_a_file, a_device, link_to_itself, long_name, in_proc]
)


@each
def test_one_warning_names_directory_reason_and_fix(tmp_path, make):
    path, reason = make(tmp_path)
    cache = DiskCache(path)
    with pytest.warns(CacheWarning, match=reason) as caught:
        assert look_up(cache, "a", range(5)) == [*range(5)]
        assert look_up(cache, "a", range(7)) == [5, 6]
        assert look_up(cache, "b", range(2)) == [0, 1]
        assert cache.info()["rows"] == cache.info()["bytes"] == 0
    assert len(caught) == 1
    message = str(caught[0].message)
    assert str(path) in message and "name another directory as cache" in message


@each
def test_loaded_and_used_where_it_cannot_be(tmp_path, make):
    path, reason = make(tmp_path)
    for cache in (DiskCache(path), resolve_cache(path)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            cache = pickle.loads(pickle.dumps(cache))
    with pytest.warns(CacheWarning, match=reason):
        assert look_up(cache, "a", range(5)) == [*range(5)]
    cache.memory.clear()
    assert look_up(cache, "a", range(2)) == [0, 1]


def test_fitted_model_whose_directory_became_a_file(tmp_path, make, pictures, labels):
    folder = tmp_path / "cache"
    classifier = make(cache=folder).fit(pictures, labels)
    saved = pickle.dumps(classifier)
    others = 255 - pictures
    expected = make(cache=None).fit(pictures, labels).predict_proba(others)
    shutil.rmtree(folder)
    folder.touch()
    with pytest.warns(CacheWarning, match="cache is not a directory"):
        probabilities = pickle.loads(saved).predict_proba(others)
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)


def as_nobody(function):
    """Run it in a fork without root's rights; return what it said."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer Pythons warn of forks
        child = os.fork()
    if child == 0:
        try:
            os.setgid(65534)
            os.setuid(65534)
            said = function()
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with open(reading) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


@pytest.fixture
def folder_of_another(tmp_path):
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("needs the right to become another user")
    above, opened = tmp_path, []
    while above != above.parent:  # so that the other user comes here at all
        opened.append((above, stat.S_IMODE(above.stat().st_mode)))
        above.chmod(opened[-1][1] | 0o011)
        above = above.parent
    folder = tmp_path / "theirs"
    folder.mkdir()
    look_up(DiskCache(folder / "cache"), "a", range(5))
    yield folder
    for above, mode in opened:
        above.chmod(mode)


@pytest.mark.parametrize(
    ("mode", "name", "reason"),
    [
        (0o700, "cache", "Permission denied: .*theirs/cache"),  # may not be entered
        (0o755, "other", "Permission denied: .*theirs/other"),  # may not be made
        (0o755, "cache", "it is read-only for this user"),
    ],
)
def test_directory_of_another_user(folder_of_another, mode, name, reason):
    folder_of_another.chmod(mode)
    cache = pickle.loads(pickle.dumps(DiskCache(folder_of_another / name)))

    def use():
        with pytest.warns(CacheWarning, match=reason) as caught:
            look_up(cache, "a", range(9))
            look_up(cache, "a", range(12))
        return f"{len(caught)} {look_up(cache, 'a', range(12))}"

    assert as_nobody(use) == "1 []"


def test_read_only_file_system(tmp_path):
    command = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(tmp_path)]
    if (
        not shutil.which("mount")
        or subprocess.run(command, capture_output=True).returncode
    ):
        pytest.skip("no right to mount a file system")
    try:
        for path, reason in (
            (tmp_path / "cache", "Read-only file system"),
            (tmp_path, "it is read-only for this user"),
        ):
            cache = DiskCache(path)
            with pytest.warns(CacheWarning, match=reason) as caught:
                assert look_up(cache, "a", range(5)) == [*range(5)]
                assert look_up(cache, "a", range(6)) == [5]
            assert len(caught) == 1
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_removed_while_in_use(tmp_path):
    cache = DiskCache(tmp_path / "cache")
    look_up(cache, "a", range(5))
    shutil.rmtree(tmp_path / "cache")
    assert look_up(cache, "a", range(7)) == [5, 6]  # and nothing to warn of
    assert look_up(DiskCache(tmp_path / "cache"), "a", range(7)) == [*range(5)]
    shutil.rmtree(tmp_path / "cache")
    cache.clear()
    assert look_up(cache, "a", range(2)) == [0, 1]


def test_clear_says_that_it_cannot(tmp_path):
    path, _ = a_file(tmp_path)
    with pytest.raises(NotADirectoryError, match="cache"):
        DiskStore(path).clear()


class OfBytes(os.PathLike):
    def __fspath__(self):
        return b"cache"


def test_a_path_of_bytes_is_no_cache():
    with pytest.raises(ValueError, match=r"cache must be 'memory'.*OfBytes"):
        resolve_cache(OfBytes())


@pytest.mark.parametrize("path", [5, None, b"cache", ["cache"], OfBytes()])
def test_path_of_another_type(path):
    with pytest.raises(TypeError, match=r"path must be a directory, got .* of type"):
        DiskCache(path)


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_path_of_no_directory(path):
    with pytest.raises(ValueError, match="path must be a directory, got"):
        DiskCache(path)


@pytest.mark.parametrize("limit", ["a", None, -1, True, 1e9, float("nan")])
def test_limits_are_checked_by_name(tmp_path, limit):
    match = "max_bytes must be a whole number of at least 0, got"
    for make in (EmbeddingCache, lambda n: DiskCache(tmp_path, n), DiskStore):
        with pytest.raises(ValueError, match=match):
            make(limit) if make is not DiskStore else make(tmp_path, limit)
    with pytest.raises(ValueError, match=match.replace("max", "memory")):
        DiskCache(tmp_path, memory_bytes=limit)


def test_directory_deleted_meanwhile(tmp_path):
    folder = tmp_path / "store"
    look_up(disk_cache(folder), "a", range(5))
    shutil.rmtree(folder)
    assert look_up(disk_cache(folder), "b", range(5)) == [*range(5)]


def test_directory_deleted_while_it_is_written(tmp_path, monkeypatch):
    folder = tmp_path / "store"

    def deleted(*_, **__):
        shutil.rmtree(folder)
        raise sqlite3.OperationalError("unable to open database file")

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", deleted)
        assert look_up(DiskCache(folder), "a", range(5)) == [*range(5)]
    look_up(DiskCache(folder), "a", range(5))
    assert look_up(DiskCache(folder), "a", range(5)) == []


@pytest.mark.parametrize("real", [True, False])
def test_read_only_directory_serves_what_it_has(tmp_path, monkeypatch, real):
    look_up(DiskCache(tmp_path), "a", range(5))
    file = file_of(tmp_path)
    file.chmod(0o444)
    tmp_path.chmod(0o555)
    try:
        if real and os.access(tmp_path, os.W_OK):
            pytest.skip("root may write anywhere")
        if not real:
            monkeypatch.setattr(os, "access", lambda *_: False)
        cache = DiskCache(tmp_path)
        assert look_up(cache, "a", range(5)) == []
        with pytest.warns(CacheWarning, match="read-only") as caught:
            assert look_up(cache, "a", range(7)) == [5, 6]
            assert look_up(cache, "a", range(8)) == [7]
        assert len(caught) == 1
        assert cache.info()["rows"] == 5
    finally:
        tmp_path.chmod(0o755)
