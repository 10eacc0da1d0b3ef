"""Embeddings in a memory-mapped file: complete or absent, and resumed after a kill."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

from modal_pretrain import TimmEncoder
from modal_pretrain.embedding import encoder as embedding_module
from modal_pretrain.embedding import npy_file
from modal_pretrain.embedding.npy_file import write_rows
from modal_pretrain.query import core_set_sampling

N, D = 50, 3


class Counter:
    """Row i is (i, i, i); notes what was asked for, and fails where told to."""

    def __init__(self, fails_at=N):
        self.asked = []
        self.fails_at = fails_at

    def __call__(self, start, stop):
        if start >= self.fails_at:
            raise OSError("no more")
        self.asked.append((start, stop))
        return np.repeat(np.arange(start, stop, dtype=np.float32), D).reshape(-1, D)


EXPECTED = Counter()(0, N)


def write(path, compute, **params):
    return write_rows(path, N, compute, **{"block_rows": 20, "identity": "a", **params})


def test_blocks_fill_the_file(tmp_path):
    compute = Counter()
    rows = write(tmp_path / "X.npy", compute)
    assert isinstance(rows, np.memmap) and rows.dtype == np.float32
    np.testing.assert_array_equal(rows, EXPECTED)
    np.testing.assert_array_equal(np.load(tmp_path / "X.npy"), EXPECTED)
    assert compute.asked == [(0, 20), (20, 40), (40, 50)]
    assert {*os.listdir(tmp_path)} == {"X.npy", ".X.npy.lock"}


def interrupted(path, **params):
    with pytest.raises(OSError, match="no more"):
        write(path, Counter(fails_at=40), **params)
    assert not path.exists()


def test_an_interrupted_pass_goes_on(tmp_path):
    interrupted(tmp_path / "X.npy")
    compute = Counter()
    np.testing.assert_array_equal(write(tmp_path / "X.npy", compute), EXPECTED)
    assert compute.asked == [(40, 50)]


@pytest.mark.parametrize("identity", ["b", None])
def test_another_identity_begins_anew(tmp_path, identity):
    interrupted(tmp_path / "X.npy", identity=identity and "a")
    compute = Counter()
    write(tmp_path / "X.npy", compute, identity=identity)
    assert compute.asked[0] == (0, 20)


@pytest.mark.parametrize("damage", ["cut", "note", "nothing"])
def test_a_damaged_part_begins_anew(tmp_path, damage):
    path = tmp_path / "X.npy"
    interrupted(path)
    part, note = tmp_path / "X.npy.part", tmp_path / "X.npy.part.json"
    if damage == "cut":
        os.truncate(part, part.stat().st_size - 1)
    elif damage == "note":
        note.write_text("{")
    else:
        note.unlink()
    compute = Counter()
    np.testing.assert_array_equal(write(path, compute), EXPECTED)
    assert compute.asked[0] == (0, 20)


def test_an_older_file_stays_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "X.npy"
    np.save(path, np.zeros(2))
    with pytest.raises(OSError, match="no more"):
        write(path, Counter(fails_at=20))
    assert np.load(path).shape == (2,)
    np.testing.assert_array_equal(write(path, Counter()), EXPECTED)


def test_rows_of_another_pass_are_not_gone_on_from(tmp_path, monkeypatch):
    path = tmp_path / "X.npy"
    interrupted(path)

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:  # its rows are written, its note is not
        patch.setattr(npy_file, "write_whole", killed)
        with pytest.raises(KeyboardInterrupt):
            write(path, lambda i, j: -Counter()(i, j), identity="b", block_rows=40)
    np.testing.assert_array_equal(write(path, Counter()), EXPECTED)


@pytest.mark.skipif(sys.platform == "win32", reason="has no limits of files")
@pytest.mark.parametrize("block_rows", [8192, 100])  # a buffer keeps the end of some
def test_a_full_disk_is_named(tmp_path, block_rows):
    path, n = tmp_path / "X.npy", 10_000
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n, limits[1]))
    try:
        with pytest.raises(OSError) as raised:
            write_rows(
                path,
                n,
                lambda i, j: np.zeros((j - i, D), np.float32),
                block_rows=block_rows,
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert raised.value.filename == f"{path}.part"
    write(path, Counter())


def test_two_writers(tmp_path):
    def compute(start, stop):
        with pytest.raises(RuntimeError, match="Another process is writing"):
            write(tmp_path / "X.npy", Counter())
        return Counter()(start, stop)

    np.testing.assert_array_equal(write(tmp_path / "X.npy", compute), EXPECTED)


KILLED = """
import os, signal, sys
import numpy as np
from modal_pretrain.embedding.npy_file import write_rows

def compute(start, stop):
    if start == 40:
        os.kill(os.getpid(), signal.SIGKILL)
    return np.repeat(np.arange(start, stop, dtype=np.float32), 3).reshape(-1, 3)

write_rows(sys.argv[1], 50, compute, identity="a", block_rows=20)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")
def test_kill(tmp_path):
    path = tmp_path / "X.npy"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", KILLED, str(path)])
    assert done.returncode == -signal.SIGKILL and not path.exists()
    compute = Counter()
    np.testing.assert_array_equal(write(path, compute), EXPECTED)
    assert compute.asked == [(40, 50)]


# Of encoders --------------------------------------------------------------------------


@pytest.fixture
def encoder(cache):
    return TimmEncoder(
        "test_efficientnet",
        pretrained=False,
        random_state=0,
        image_size=32,
        precision="float32",
        device="cpu",
        cache=cache,
        batch_size=4,
    )


@pytest.fixture
def small_blocks(monkeypatch):
    def write(*args, **kwargs):
        return write_rows(*args, block_rows=8, **kwargs)

    monkeypatch.setattr(embedding_module, "write_rows", write)


@pytest.mark.parametrize("cached", [True, False])
def test_embed_to(encoder, pictures, labels, cache, tmp_path, small_blocks, cached):
    expected = clone(encoder).set_params(cache=None).fit_transform(pictures)
    encoder.fit(pictures).set_params(cache=cache if cached else None)
    rows = encoder.embed_to(pictures, tmp_path / "X.npy")
    assert isinstance(rows, np.memmap)
    np.testing.assert_array_equal(rows, expected)
    assert cache.info()["rows"] == (len(pictures) if cached else 0)
    model = LogisticRegression().fit(rows, labels)
    idx, _ = core_set_sampling(model, rows, 3, X_labelled=np.array(rows[:2]))
    assert len(idx) == 3


def test_embed_to_goes_on(encoder, paths, tmp_path, small_blocks, monkeypatch):
    encoder.set_params(cache=None).fit(paths)
    plain, asked = embedding_module.Encoder.compute, []

    def compute(self, source):
        asked.append(len(source))
        if len(asked) == 3:
            raise OSError("no more")
        return plain(self, source)

    monkeypatch.setattr(embedding_module.Encoder, "compute", compute)
    with pytest.raises(OSError, match="no more"):
        encoder.embed_to(paths, tmp_path / "X.npy")
    rows = encoder.embed_to(paths, tmp_path / "X.npy")
    assert asked == [8, 8, 8, 8]
    np.testing.assert_array_equal(rows, encoder.transform(paths))
    # A file that was touched makes another pool.
    asked.clear()
    with pytest.raises(OSError, match="no more"):
        encoder.embed_to(paths, tmp_path / "X.npy")
    os.utime(paths[0], (1, 1))
    encoder.embed_to(paths, tmp_path / "X.npy")
    assert asked == [8] * 6


def test_embed_to_before_fit(encoder, pictures, tmp_path):
    with pytest.raises(NotFittedError):
        encoder.embed_to(pictures, tmp_path / "X.npy")


def test_classifiers_and_tables(make, pictures, tmp_path):
    classifier = make(cache=None)
    rows = classifier.embed_to(pictures, str(tmp_path / "X.npy"))
    np.testing.assert_allclose(rows, classifier.embed(pictures), atol=1e-6)
    table = np.arange(12.0).reshape(6, 2)
    encoder = TimmEncoder(torch.nn.Identity, pretrained=False).fit(table)
    np.testing.assert_array_equal(encoder.embed_to(table, tmp_path / "t.npy"), table)


def test_only_files_are_replaced(tmp_path):
    """The null device of a machine was, by a file."""
    (tmp_path / "folder").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "fifo")
    there = sorted(os.listdir(tmp_path))
    for name in there:
        compute, kind = Counter(), "a folder" if name == "folder" else "no regular file"
        words = f"it is {kind}, and no file is put in its place.*{name}"
        with pytest.raises(OSError, match=words):
            write(tmp_path / name, compute)
        assert not compute.asked
    assert sorted(os.listdir(tmp_path)) == there


def test_a_file_of_another_kind_is_not_replaced(encoder, paths):
    before = Path(paths[0]).read_bytes()
    with pytest.raises(ValueError, match=r"path is '.*00\.png', a file that holds no"):
        encoder.fit(paths).embed_to(paths, paths[0])
    assert Path(paths[0]).read_bytes() == before


@pytest.mark.parametrize("left", [b"", bytes(100)])
def test_what_a_crash_left_is_replaced(tmp_path, left):
    (tmp_path / "X.npy").write_bytes(left)
    write(tmp_path / "X.npy", Counter())
    np.testing.assert_array_equal(np.load(tmp_path / "X.npy"), EXPECTED)


@pytest.mark.parametrize("path", [None, 3, "", ".", "/"])
def test_what_is_no_path(path):
    with pytest.raises(ValueError, match=r"path must be that of a \.npy file to write"):
        write(path, Counter())


@pytest.mark.parametrize(
    "note",
    [
        '{"identity": "a", "rows": 1e400, "d": 3}',
        "[" * 100_000,
        '{"identity": "a", "rows": [], "d": 3}',
    ],
)
def test_a_damaged_note_begins_anew(tmp_path, note):
    interrupted(tmp_path / "X.npy")
    (tmp_path / "X.npy.part.json").write_text(note)
    compute = Counter()
    np.testing.assert_array_equal(write(tmp_path / "X.npy", compute), EXPECTED)
    assert compute.asked[0] == (0, 20)


def test_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    write("~/X.npy", Counter())
    np.testing.assert_array_equal(np.load(tmp_path / "X.npy"), EXPECTED)


def test_a_path_with_a_nul():
    with pytest.raises(ValueError, match=r"path must be that of a \.npy file"):
        write("a\0b.npy", Counter())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_what_stands_in_the_place_of_the_part_file_stays(tmp_path):
    os.mkfifo(tmp_path / "X.npy.part")
    with pytest.raises(OSError, match=r"no regular file.*X\.npy\.part"):
        write(tmp_path / "X.npy", Counter())
    (tmp_path / "other").write_text("mine")
    os.symlink(tmp_path / "other", tmp_path / "Y.npy.part")
    with pytest.raises(OSError, match=r"Y\.npy\.part"):
        write(tmp_path / "Y.npy", Counter())
    assert (tmp_path / "other").read_text() == "mine"
