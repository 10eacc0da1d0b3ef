"""Embeddings on disk: damage, crashes, full disks, several processes, limits."""

import os
import pickle
import re
import shutil
import sqlite3
import subprocess
import warnings
from contextlib import closing

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joblib import Parallel, delayed, parallel_config
from sklearn.base import clone

from modal_pretrain import (
    CacheWarning,
    DiskCache,
    PretrainedClassifier,
    TimmEncoder,
)
from modal_pretrain.cache import sqlite as disk_store
from modal_pretrain.cache.disk import disk_cache
from modal_pretrain.cache.resolve import resolve_cache
from modal_pretrain.cache.sqlite import DiskStore
from tests import processes
from tests.cache.cases import ENCODERS, WORK, D, file_of, fill, key, look_up, truth

look_ups = st.lists(
    st.tuples(
        st.sampled_from(ENCODERS),
        st.lists(st.integers(0, 30), min_size=1, max_size=20),
        st.booleans(),
    ),
    max_size=8,
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(look_ups, st.integers(1, 9))
def test_against_a_dict(tmp_path, steps, block):
    folder = tmp_path / "store"
    shutil.rmtree(folder, ignore_errors=True)
    cache, model, misses = DiskCache(folder), set(), 0
    cache.store.block_rows = block
    for encoder, numbers, reopen in steps:
        if reopen:
            cache, misses = DiskCache(folder), 0
            cache.store.block_rows = block
        wanted = {(encoder, n) for n in numbers}
        computed = look_up(cache, encoder, numbers)
        assert sorted(computed) == sorted(n for _, n in wanted - model)
        model |= wanted
        misses += len(computed)
    info = cache.info()
    assert (info["rows"], info["misses"]) == (len(model), misses)
    assert info["encoders"] == len({encoder for encoder, _ in model})


def test_memory_serves_what_was_looked_up_once(tmp_path, monkeypatch):
    assert look_up(DiskCache(tmp_path), "a", range(9)) == [*range(9)]
    cache = DiskCache(tmp_path)
    assert look_up(cache, "a", range(9)) == []
    monkeypatch.setattr(sqlite3, "connect", None)
    for n in range(8, 0, -1):  # a pool that shrinks
        assert look_up(cache, "a", range(n)) == []
    monkeypatch.undo()
    info = cache.info()
    assert (info["hits"], info["misses"], info["memory_hits"]) == (9, 0, 36)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
@pytest.mark.parametrize("name", ["embeddings-1.sqlite", "embeddings-1.sqlite-journal"])
def test_what_is_no_file_is_not_waited_for(tmp_path, name):
    store = DiskStore(tmp_path)
    look_up(store, "a", range(5))
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.warns(CacheWarning, match=f"no regular file.*{name}"):
        computed = look_up(DiskStore(tmp_path), "a", range(5))
    assert len(computed) == 5


@pytest.mark.parametrize(
    "what",
    [
        "CREATE TRIGGER t AFTER INSERT ON rows BEGIN DELETE FROM rows; END",
        "CREATE VIEW v AS SELECT * FROM rows",
    ],
)
def test_what_runs_by_itself_is_not_run(tmp_path, what):
    look_up(DiskStore(tmp_path), "a", range(5))
    with closing(sqlite3.connect(file_of(tmp_path))) as db:
        db.execute(what)
    with pytest.warns(CacheWarning, match="more than a table of rows.*dropped"):
        assert len(look_up(DiskStore(tmp_path), "a", range(5))) == 5
    assert len(look_up(DiskStore(tmp_path), "a", range(5))) == 0


@pytest.mark.parametrize("n_damaged", [1, 3])
def test_damaged_row_is_computed_again_and_reported(tmp_path, n_damaged):
    look_up(DiskCache(tmp_path), "a", range(12))
    file = file_of(tmp_path)
    content = bytearray(file.read_bytes())
    for n in range(n_damaged):
        at = content.index(truth("a", [n]).tobytes())
        content[at + 5] ^= 1
    file.write_bytes(content)
    with pytest.warns(CacheWarning, match=f"{n_damaged} embedding.*{file.name}"):
        assert look_up(DiskCache(tmp_path), "a", range(12)) == [*range(n_damaged)]
    assert look_up(DiskCache(tmp_path), "a", range(12)) == []


def test_rows_under_a_wrong_key_or_encoder_are_not_served(tmp_path):
    look_up(DiskCache(tmp_path), "a", range(4))
    with closing(sqlite3.connect(file_of(tmp_path))) as db, db:
        db.execute("UPDATE rows SET key = ? WHERE id = 1", (key(9),))
    with pytest.warns(CacheWarning, match="1 embedding"):
        assert look_up(DiskCache(tmp_path), "a", [9, 3]) == [9]
    with closing(sqlite3.connect(file_of(tmp_path))) as db, db:
        db.execute("UPDATE rows SET encoder = ?", (disk_store._code("b"),))
    with pytest.warns(CacheWarning, match="4 embedding"):
        assert look_up(DiskCache(tmp_path), "b", [1, 2, 3, 9]) == [1, 2, 3, 9]


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("filled")
    for encoder in ENCODERS:
        fill(folder, encoder, range(1500), 8192)
    return file_of(folder).read_bytes()


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_mutated_and_truncated_files_serve_no_wrong_row(tmp_path, filled, data):
    content = bytearray(filled)
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    starts = st.one_of(
        st.integers(0, len(content)),
        st.integers(0, len(content) // 32768).map(lambda page: page * 32768),
        st.integers(0, 100),
    )
    for _ in range(data.draw(st.integers(0, 6))):
        at = data.draw(starts)
        junk = data.draw(st.binary(min_size=1, max_size=40))
        content[at : at + len(junk)] = junk[: max(len(content) - at, 0)]
    folder = tmp_path / "store"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "embeddings-1.sqlite").write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CacheWarning)
        store = DiskStore(folder)
        for encoder in ENCODERS:
            look_up(store, encoder, [*range(0, 1500, 7), *range(1500, 1510)])
        for encoder in ENCODERS:  # what was computed is there, or anew
            look_up(store, encoder, range(1510))
        store.info()
    for encoder in ENCODERS:
        assert look_up(store, encoder, range(1510)) == []


@pytest.mark.parametrize(
    "content", [b"garbage" * 9999, b"SQLite format 3\0", b"\0" * 99]
)
def test_garbage_is_reported_and_rebuilt(tmp_path, content):
    (tmp_path / "embeddings-1.sqlite").write_bytes(content)
    with pytest.warns(CacheWarning, match=r"embeddings-1.sqlite is damaged"):
        assert look_up(DiskCache(tmp_path), "a", range(3)) == [0, 1, 2]
    assert look_up(DiskCache(tmp_path), "a", range(3)) == []
    assert file_of(tmp_path).name == "embeddings-2.sqlite"


def test_other_formats(tmp_path):
    look_up(DiskCache(tmp_path), "a", range(3))
    with closing(sqlite3.connect(file_of(tmp_path))) as db:
        db.execute(f"PRAGMA user_version = {disk_store._stamp(disk_store.FORMAT + 1)}")
    with pytest.raises(ValueError, match=r"newer modal_pretrain \(format 2"):
        look_up(DiskCache(tmp_path), "a", range(3))
    with closing(sqlite3.connect(file_of(tmp_path))) as db:
        db.execute(f"PRAGMA user_version = {disk_store._stamp(0)}")
    with pytest.warns(CacheWarning, match="old or unknown format"):
        assert look_up(DiskCache(tmp_path), "a", range(3)) == [0, 1, 2]


DELAYS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3)


def test_kill_in_mid_write(tmp_path):
    code = """
import os, signal, time
for delay in map(float, sys.argv[2:]):
    path = f"{sys.argv[1]}/{delay}"
    pid = os.fork()
    if pid == 0:
        fill(path, "a", range(24_000), 200)
        os._exit(0)
    while not (os.path.isdir(path) and os.listdir(path)):
        time.sleep(0.001)
    time.sleep(delay)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
"""
    processes.run(WORK + code, tmp_path, *DELAYS)
    n_computed = []
    for delay in DELAYS:
        store = DiskStore(tmp_path / str(delay))
        computed = look_up(store, "a", range(24_000))
        assert len(computed) % 200 == 0  # whole blocks, no warning
        assert look_up(store, "a", range(24_000)) == []
        n_computed.append(len(computed))
    assert max(n_computed) > 0


def test_processes_write_the_same_pool(tmp_path):
    code = """
import os
pids = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        for encoder in "ab":
            got = fill(sys.argv[1], encoder, range(4000), 300)
            assert (got == truth(encoder, range(4000))).all()
        os._exit(0)
    pids.append(pid)
sys.exit(any(os.waitpid(pid, 0)[1] for pid in pids))
"""
    processes.run(WORK + code, tmp_path)
    store = DiskStore(tmp_path)
    for encoder in ENCODERS:
        assert look_up(store, encoder, range(4000)) == []
    assert store.info()["rows"] == 8000


def _work(cache, seed):
    numbers = np.random.default_rng(seed).permutation(400)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return len(look_up(cache, "a", numbers))


def test_joblib_workers_share_it(tmp_path):
    with parallel_config("loky", n_jobs=2):
        tasks = (delayed(_work)(DiskCache(tmp_path), seed) for seed in range(6))
        computed = Parallel()(tasks)
    assert sum(n > 0 for n in computed) <= 2
    assert look_up(DiskCache(tmp_path), "a", range(400)) == []


def test_threads_share_it(tmp_path):
    cache = DiskCache(tmp_path, memory_bytes=0)
    with parallel_config("threading", n_jobs=4):
        Parallel()(delayed(_work)(cache, seed) for seed in range(12))
    assert cache.info()["rows"] == 400


class FailingWrites(sqlite3.Connection):
    reason = "database or disk is full"

    def executemany(self, *args):
        raise sqlite3.OperationalError(self.reason)


@pytest.mark.parametrize("reason", ["database or disk is full", "database is locked"])
def test_embedding_goes_on_where_it_cannot_write(tmp_path, monkeypatch, reason):
    real = sqlite3.connect
    monkeypatch.setattr(FailingWrites, "reason", reason)
    monkeypatch.setattr(
        sqlite3, "connect", lambda *a, **k: real(*a, factory=FailingWrites, **k)
    )
    store = DiskStore(tmp_path)
    with pytest.warns(CacheWarning, match=reason) as caught:
        for _ in range(3):
            assert look_up(store, "a", range(5)) == [*range(5)]
    assert len(caught) == 1
    monkeypatch.undo()
    assert look_up(store, "a", range(5)) == [*range(5)]
    assert look_up(store, "a", range(5)) == []


def test_full_disk(tmp_path):
    mount = tmp_path / "small"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mount)]
    if (
        not shutil.which("mount")
        or subprocess.run(command, capture_output=True).returncode
    ):
        pytest.skip("no right to mount a small disk")
    try:
        store = DiskStore(mount)
        store.block_rows = 500
        with pytest.warns(CacheWarning, match="full") as caught:
            look_up(store, "a", range(20_000))
        assert len(caught) == 1
        assert 0 < len(look_up(store, "a", range(20_000))) < 20_000
        look_up(DiskCache(mount), "a", range(500))
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_limit_drops_what_was_stored_first(tmp_path):
    limit = 2_000_000
    store = DiskStore(tmp_path, max_bytes=limit)
    for start in range(0, 40_000, 2000):
        assert len(look_up(store, "a", range(start, start + 2000))) == 2000
        assert store.info()["bytes"] <= limit
    assert store.info()["rows"] > 0.5 * limit / (4 * D)
    assert look_up(store, "a", range(38_000, 40_000)) == []
    assert len(look_up(store, "a", range(2000))) == 2000
    smaller = DiskStore(tmp_path, max_bytes=limit // 2)
    look_up(smaller, "b", range(10))
    assert smaller.info()["bytes"] <= limit // 2


@pytest.mark.filterwarnings("ignore::modal_pretrain.CacheWarning")
@pytest.mark.parametrize(("place", "byte"), [(5, 0), (-1, 100)])
def test_damaged_rows_give_way_as_others_do(tmp_path, place, byte):
    limit = 300_000
    look_up(DiskStore(tmp_path, limit), "a", range(1, 500))
    file = file_of(tmp_path)
    content = bytearray(file.read_bytes())
    # As SQLite writes the first row: its number, the types of its five values, a hash.
    row = re.compile(rb"(?s)\x07\x00\x06\x2c\x1c\x82\x4c.{8}" + re.escape(key(1)))
    start = row.search(content).start()
    assert content[start - 1] == 1
    content[start + place] = byte
    file.write_bytes(content)
    for numbers in np.arange(500, 4500).reshape(8, 500):
        look_up(DiskStore(tmp_path, limit), "b", numbers)


@pytest.mark.parametrize("max_bytes", [0, 100_000])
def test_nothing_fits(tmp_path, max_bytes):
    store = DiskStore(tmp_path, max_bytes=max_bytes)
    assert len(look_up(store, "a", range(50))) == 50
    assert len(look_up(store, "a", range(50))) == 50


def test_pool_beyond_the_limit_keeps_its_first_rows(tmp_path):
    store = DiskStore(tmp_path, max_bytes=1_000_000)
    store.block_rows = 700
    look_up(store, "a", range(20_000))
    computed = look_up(store, "a", range(20_000))
    assert computed == [*range(20_000 - len(computed), 20_000)]
    assert computed[0] > 2000
    assert computed == look_up(store, "a", range(20_000))


def test_clear_and_info(tmp_path):
    cache = DiskCache(tmp_path)
    empty = cache.info()
    look_up(cache, "a", range(5))
    assert cache.info()["rows"] == cache.info()["memory_rows"] == 5
    cache.clear()
    assert cache.info() == empty
    assert look_up(cache, "a", range(5)) == [*range(5)]
    assert len([*tmp_path.iterdir()]) == 1


def test_copies_and_pickles(tmp_path):
    cache = DiskCache(tmp_path, max_bytes=10**6, memory_bytes=10**5)
    assert clone(TimmEncoder(cache=cache)).cache is cache
    again = pickle.loads(pickle.dumps(cache))
    assert again is pickle.loads(pickle.dumps(again))
    assert again.info()["max_bytes"] == 10**6
    assert again.memory.max_bytes == 10**5


def test_parameter(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for value in (str(tmp_path / "x"), tmp_path / "x", "x"):
        assert clone(PretrainedClassifier(cache=value)).get_params()["cache"] == value
        assert resolve_cache(value) is resolve_cache(tmp_path / "x")
    for word in ("Memory", "memroy", "disk", "None"):
        with pytest.raises(ValueError, match=rf"write './{word}'"):
            resolve_cache(word)
    assert not list(tmp_path.iterdir())  # made when it is used
    assert isinstance(resolve_cache("./disk"), DiskCache)
    with pytest.raises(ValueError, match="got ''"):
        resolve_cache("")


def test_second_process_computes_nothing(tmp_path, make, pictures, labels):
    X = tmp_path / "X.npy"
    np.save(X, pictures)
    folder = tmp_path / "store"
    classifier = make(cache=folder).fit(pictures, labels)
    expected = classifier.predict_proba(pictures)
    code = """
from modal_pretrain import PretrainedClassifier
from modal_pretrain.cache.disk import disk_cache
X = np.load(sys.argv[2])
classifier = PretrainedClassifier(cache=sys.argv[1], image_size=32, device="cpu",
                                  precision="float32", random_state=0)
classifier.fit(X, np.arange(len(X)) % 2)
np.save(sys.argv[3], classifier.predict_proba(X))
print(disk_cache(sys.argv[1]).info()["misses"])
"""
    out = tmp_path / "out.npy"
    assert processes.run(WORK + code, folder, X, out).split() == ["0"]
    np.testing.assert_allclose(np.load(out), expected, atol=1e-5)


def test_own_classes_stay_in_memory(tmp_path, pictures):
    import torch

    class Mean(torch.nn.Module):
        def forward(self, batch):
            return batch.mean((2, 3))

    encoder = TimmEncoder(Mean, pretrained=False, image_size=32, cache=tmp_path)
    encoder.fit(pictures).transform(pictures)
    info = disk_cache(tmp_path).info()
    assert (info["rows"], info["memory_rows"]) == (0, len(pictures))


def test_keys_of_another_type_do_not_cost_the_store(tmp_path):
    look_up(DiskCache(tmp_path), "a", range(9))
    with pytest.raises(TypeError, match="keys must be bytes, got 'x' of str"):
        DiskCache(tmp_path).get("a", ["x"], lambda rows: np.zeros((1, D), np.float32))
    assert look_up(DiskCache(tmp_path), "a", range(9)) == []
