"""Which store keeps embeddings on disk? Speed, crashes, damage, two writers.

    pip install lmdb zarr h5py
    python benchmarks/disk_stores.py [--rows 20000] [--dir FOLDER]

Each candidate is written the way a cache would use it: rows come in blocks of 1,000
and are looked up by 16-byte keys in random order, first all at once, then 64 at a
time. The printed table is the one in docs/embedding-cache.md.
"""

import argparse
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from arguments import count, existing_folder

D, BLOCK = 1280, 1000


class SQLite:
    page, journal, sync = 32768, "DELETE", "NORMAL"

    def __init__(self, folder):
        self.db = sqlite3.connect(folder / "rows.sqlite", timeout=60)
        self.db.execute(f"PRAGMA page_size={self.page}")
        self.db.execute(f"PRAGMA journal_mode={self.journal}")
        self.db.execute(f"PRAGMA synchronous={self.sync}")
        self.db.execute(
            "CREATE TABLE IF NOT EXISTS rows "
            "(id INTEGER PRIMARY KEY, key BLOB UNIQUE, data BLOB)"
        )

    def write(self, keys, rows):
        with self.db:
            self.db.executemany(
                "INSERT OR REPLACE INTO rows(key, data) VALUES (?, ?)",
                zip(keys, map(bytes, rows), strict=True),
            )

    def read(self, keys):
        found = {}
        for i in range(0, len(keys), 500):
            some = keys[i : i + 500]
            marks = ",".join("?" * len(some))
            found.update(
                self.db.execute(
                    f"SELECT key, data FROM rows WHERE key IN ({marks})", some
                )
            )
        flat = b"".join([found[key] for key in keys])
        return np.frombuffer(flat, np.float32).reshape(len(keys), D)


class SQLiteWAL(SQLite):
    journal = "WAL"


class LMDB:
    def __init__(self, folder):
        import lmdb

        self.env = lmdb.open(str(folder), map_size=2**34)

    def write(self, keys, rows):
        with self.env.begin(write=True) as txn:
            txn.cursor().putmulti(zip(keys, map(bytes, rows), strict=True))

    def read(self, keys):
        with self.env.begin(buffers=True) as txn:
            flat = b"".join([txn.get(key) for key in keys])
        return np.frombuffer(flat, np.float32).reshape(len(keys), D)


class Indexed:
    """Stores without keys of their own: an array of keys beside the rows."""

    slots = None

    def read(self, keys):
        if self.slots is None:
            self.slots = {bytes(k): i for i, k in enumerate(self.stored_keys())}
        slots = np.array([self.slots[key] for key in keys])
        order = np.argsort(slots)
        rows = np.empty((len(keys), D), np.float32)
        rows[order] = self.take(slots[order])
        return rows


class HDF5(Indexed):
    def __init__(self, folder):
        import h5py

        self.file = h5py.File(folder / "rows.h5", "a")
        for name, width, kind in (("rows", D, "f4"), ("keys", 16, "u1")):
            self.file.require_dataset(
                name, (0, width), kind, maxshape=(None, width), chunks=(64, width)
            ) if name not in self.file else None

    def write(self, keys, rows):
        new = {"rows": rows, "keys": np.frombuffer(b"".join(keys), "u1")}
        for name, values in new.items():
            data = self.file[name]
            data.resize(len(data) + len(keys), axis=0)
            data[-len(keys) :] = values.reshape(len(keys), -1)
        self.file.flush()

    def stored_keys(self):
        return self.file["keys"][:]

    def take(self, slots):
        if len(slots) > 2000:  # its fancy indexing takes milliseconds a row
            return self.file["rows"][:][slots]
        return self.file["rows"][slots]


class Zarr(Indexed):
    def __init__(self, folder):
        import zarr

        self.root = zarr.open_group(folder / "rows.zarr", mode="a")
        for name, width, kind in (("rows", D, "f4"), ("keys", 16, "u1")):
            if name not in self.root:
                self.root.create_array(
                    name,
                    shape=(0, width),
                    chunks=(64, width),
                    dtype=kind,
                    compressors=None,
                )

    def write(self, keys, rows):
        keys = np.frombuffer(b"".join(keys), "u1").reshape(-1, 16)
        for name, values in (("rows", rows), ("keys", keys)):
            data = self.root[name]
            first = data.shape[0]
            data.resize((first + len(values), data.shape[1]))
            data[first:] = values

    def stored_keys(self):
        return self.root["keys"][:]

    def take(self, slots):
        return self.root["rows"].oindex[slots]


class Shards(Indexed):
    """One .npy file a block, renamed into place."""

    def __init__(self, folder):
        self.folder = folder
        self.kind = np.dtype([("key", "V16"), ("row", "f4", D)])

    def write(self, keys, rows):
        block = np.empty(len(keys), self.kind)
        block["key"], block["row"] = np.array(keys, "V16"), rows
        name = self.folder / f"{time.time_ns()}-{os.getpid()}"
        with open(name, "wb") as file:
            np.save(file, block)
            os.fsync(file.fileno())
        name.rename(name.with_suffix(".npy"))

    def stored_keys(self):
        files = sorted(self.folder.glob("*.npy"))
        self.maps = [np.load(file, mmap_mode="r") for file in files]
        self.starts = np.cumsum([0, *map(len, self.maps)])
        return [key for block in self.maps for key in block["key"].tolist()]

    def take(self, slots):
        parts = np.split(slots, np.searchsorted(slots, self.starts[1:-1]))
        return np.concatenate(
            [
                block["row"][part - start]
                for block, part, start in zip(
                    self.maps, parts, self.starts[:-1], strict=True
                )
            ]
        )


STORES = {s.__name__: s for s in (SQLite, SQLiteWAL, LMDB, HDF5, Zarr, Shards)}


def data(n, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.bytes(16) for _ in range(n)], rng.random((n, D), np.float32)


def fill(store, keys, rows):
    for i in range(0, len(keys), BLOCK):
        store.write(keys[i : i + BLOCK], rows[i : i + BLOCK])


def speed(name, n, folder):
    keys, rows = data(n)
    start = time.perf_counter()
    fill(STORES[name](folder), keys, rows)
    written = time.perf_counter() - start
    order = np.random.default_rng(1).permutation(n)
    wanted = [keys[i] for i in order]
    store = STORES[name](folder)
    start = time.perf_counter()
    read = store.read(wanted)
    at_once = time.perf_counter() - start
    assert np.array_equal(read, rows[order])
    start = time.perf_counter()
    for i in range(0, min(n, 6400), 64):
        store.read(wanted[i : i + 64])
    by_64 = (time.perf_counter() - start) / min(n, 6400)
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    rates = n / written, n / at_once, 1 / by_64, size / 1e6
    return " | ".join(f"{rate:,.0f}" for rate in rates)


def child(*args):
    command = [sys.executable, __file__, "--child", *map(str, args)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.PIPE)


def verdict(name, folder, n):
    """Read in a process of its own: a store may take the process down with it."""
    process = child("check", name, folder, n)
    out = process.communicate(timeout=120)[0].decode().strip()
    if process.returncode < 0:
        return signal.Signals(-process.returncode).name
    return out or "error"


def killed(name, folder, trials):
    outcomes = []
    for trial in range(trials):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        process = child("fill", name, folder, 10_000, 0)
        assert process.stdout.readline()
        time.sleep(0.05 + 0.05 * trial)
        process.kill()
        process.wait()
        process.stdout.close()
        outcomes.append(verdict(name, folder, 10_000))
    return outcomes


def two_writers(name, folder):
    writers = [child("fill", name, folder, 4000, seed) for seed in (0, 1)]
    for writer in writers:
        writer.communicate(timeout=120)
    failed = sum(writer.returncode != 0 for writer in writers)
    return [f"{failed} writers failed"] if failed else [verdict(name, folder, 4000)]


def mutated(name, folder, trials):
    """Overwrite 64 bytes at random places, or cut the largest file."""
    fill(STORES[name](folder), *data(2000))
    rng = np.random.default_rng(0)
    outcomes = []
    for trial in range(trials):
        with tempfile.TemporaryDirectory() as other:
            copy = Path(other) / "copy"
            shutil.copytree(folder, copy)
            files = [f for f in copy.rglob("*") if f.is_file()]
            file = max(files, key=lambda f: f.stat().st_size)
            size = file.stat().st_size
            if trial % 4 == 3:
                os.truncate(file, int(size * rng.random()))
            else:
                with open(file, "r+b") as handle:
                    for _ in range(20):
                        handle.seek(int(rng.integers(size)))
                        handle.write(rng.bytes(64))
            outcomes.append(verdict(name, copy, 2000))
    return outcomes


def check(name, folder, n):
    """Print what reading finds: right, missing or wrong rows, or an error."""
    store = STORES[name](folder)
    keys, rows = data(n)
    right = wrong = 0
    for i in range(n):
        try:
            row = store.read([keys[i]])[0]
        except (KeyError, TypeError):
            continue
        right, wrong = (
            (right + 1, wrong)
            if np.array_equal(row, rows[i])
            else (
                right,
                wrong + 1,
            )
        )
    return "wrong rows" if wrong else "all right" if right == n else "rows missing"


def tally(outcomes):
    return ", ".join(f"{outcomes.count(o)} {o}" for o in sorted(set(outcomes)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=count, default=20_000)
    parser.add_argument("--dir", type=existing_folder)
    parser.add_argument("--trials", type=count, default=8)
    parser.add_argument("--stores", nargs="+", choices=STORES, default=list(STORES))
    parser.add_argument("--child", nargs="*")
    options = parser.parse_args()
    if options.child:
        what, name, folder, n, *seed = options.child
        if what == "fill":
            print("go", flush=True)
            fill(STORES[name](Path(folder)), *data(int(n), int(seed[0])))
        else:
            print(check(name, Path(folder), int(n)))
        return
    print(
        "store | rows written/s | read/s, all | read/s, by 64 | MB | "
        "kill -9 | 2 writers | damage"
    )
    for name in options.stores:
        with tempfile.TemporaryDirectory(dir=options.dir) as base:
            folders = [Path(base) / str(i) for i in range(4)]
            for folder in folders:
                folder.mkdir()
            cells = [
                speed(name, options.rows, folders[0]),
                tally(killed(name, folders[1], options.trials)),
                tally(two_writers(name, folders[2])),
                tally(mutated(name, folders[3], 2 * options.trials)),
            ]
        print(name, *cells, sep=" | ", flush=True)


if __name__ == "__main__":
    main()
