"""Several calls of `run` in one process, and workers that outlive a call."""

import contextlib
import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from modal_pretrain.benchmark import load, open_stores, run, runner
from modal_pretrain.benchmark.call import Call
from modal_pretrain.cli.main import main

SETTINGS = {
    "dataset": {
        "name": "csv",
        "path": "data.csv",
        "image": "file",
        "target": "label",
        "attribute": "place",
    },
    "models": ["pretrained"],
    "strategies": ["random"],
    "seeds": 1,
    "seed_set": 4,
    "batch": 4,
    "rounds": 1,
    "references": [],
    "estimator": {"image_size": 32, "device": "cpu"},
}


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Write a CSV file and its pictures into the working directory."""
    monkeypatch.chdir(tmp_path)

    def write(n_rows):
        rows = []
        for row in range(n_rows):
            shade, place = 250 * (row % 2), row // 2 % 2
            Image.fromarray(np.full((32, 32, 3), shade, np.uint8)).save(f"{row}.png")
            rows.append((f"{row}.png", f"class {row % 2}", f"place {place}"))
        table = pd.DataFrame(rows, columns=["file", "label", "place"])
        table.to_csv("data.csv", index=False)

    return write


def n_rows(folder):
    (store,) = open_stores(folder)
    splits = store.description()["splits"]
    return sum(split["rows"] for split in splits.values())


def test_data_that_changed_since_the_call_before(data, tmp_path):
    for number, n in enumerate((40, 20)):
        data(n)
        out = tmp_path / str(number)
        records = run(SETTINGS, out, verbose=0, examples=0)
        assert n_rows(out) == n
        assert max(map(max, records.acquired)) < n


def test_the_same_path_in_another_folder(data, tmp_path, monkeypatch):
    for n in (40, 20):
        folder = tmp_path / str(n)
        folder.mkdir()
        monkeypatch.chdir(folder)
        data(n)
        run(SETTINGS, "out", verbose=0, examples=0)
        assert n_rows(folder / "out") == n


def test_workers_that_were_started_in_another_folder(data, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    data(20)
    calls = []

    def work(tasks):
        calls.append(len(calls))
        assert len(calls) <= 2, "what is done is not found, and asked for without end"
        here = os.getcwd()
        os.chdir(elsewhere)
        try:
            done = [function(*args) for function, args, _ in tasks]
            assert os.getcwd() == str(elsewhere)
        finally:
            os.chdir(here)
        return done

    monkeypatch.setattr(runner.joblib, "Parallel", lambda n_jobs: work)
    run(SETTINGS, "out", n_jobs=2, verbose=0, examples=0)
    assert len(load("out")) == 2
    assert not [*elsewhere.iterdir()]


def test_a_working_directory_that_is_gone(data, tmp_path, monkeypatch):
    data(20)
    table = pd.read_csv("data.csv")
    table["file"] = [str(tmp_path / name) for name in table["file"]]
    table.to_csv("data.csv", index=False)
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    named = {**SETTINGS["dataset"], "path": str(tmp_path / "data.csv")}
    settings = {**SETTINGS, "dataset": named}
    assert len(run(settings, tmp_path / "out", verbose=0, examples=0)) == 2


def test_threads_of_a_worker_share_a_folder(tmp_path, monkeypatch):
    """As those of Dask do: one that is done must not take the others along."""
    (tmp_path / "worker").mkdir()
    monkeypatch.chdir(tmp_path)
    call = Call.now()
    monkeypatch.chdir(tmp_path / "worker")
    with contextlib.ExitStack() as first, contextlib.ExitStack() as second:
        first.enter_context(call.in_folder())
        second.enter_context(call.in_folder())
        first.close()
        assert os.getcwd() == call.folder
        second.close()
    assert os.getcwd() == str(tmp_path / "worker")


def test_a_loader_that_gives_other_data_each_time(tmp_path, monkeypatch):
    # As a process does that lists a set of names, or has an older state of the module.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "unseeded_loader.py").write_text(
        "from modal_pretrain.datasets import make_shapes\n"
        "def shapes(n):\n"
        "    return make_shapes(n, 20, image_size=32, random_state=None)\n"
    )
    grid = [{"name": "unseeded_loader:shapes", "n": n} for n in (40, 41, 42)]
    with pytest.raises(ValueError, match="gave one process other data than"):
        # Two sets stay in memory, the third is loaded anew.
        run({**SETTINGS, "dataset": grid}, "out", verbose=0, examples=0)


def test_a_loader_that_goes_to_another_folder(data, tmp_path, monkeypatch):
    data(20)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "goes_away.py").write_text(
        "import os\n"
        "from modal_pretrain.datasets import load_csv\n"
        "def read():\n"
        "    found = load_csv('data.csv', image='file', target='label',\n"
        "                     attribute='place')\n"
        "    os.chdir('elsewhere')\n"
        "    return found\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    settings = {**SETTINGS, "dataset": "goes_away:read"}
    records = run(settings, "out", verbose=0, examples=0)
    assert len(records) == 2 and len(load(tmp_path / "out")) == 2


def test_a_module_that_goes_to_another_folder(data, tmp_path, monkeypatch):
    """As some do at their top, to find what lies beside them."""
    data(20)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    for number, work in enumerate((_run, _bench)):
        monkeypatch.chdir(tmp_path)
        (tmp_path / f"goes_at_once_{number}.py").write_text(
            "import os\n"
            "from modal_pretrain.datasets import load_csv\n"
            "os.chdir('elsewhere')\n"
            "def read():\n"
            "    return load_csv('../data.csv', image='file', target='label',\n"
            "                    attribute='place')\n"
        )
        work(f"goes_at_once_{number}:read", f"out{number}")
        assert len(load(tmp_path / f"out{number}")) == 2
    assert (tmp_path / "out1" / "report.html").exists()
    assert not [*(tmp_path / "elsewhere").iterdir()]


def _run(dataset, out):
    cache = "embeddings"
    run({**SETTINGS, "dataset": dataset}, out, cache=cache, verbose=0, examples=0)


def _bench(dataset, out):
    flags = "--models pretrained --strategies random --seeds 1 --seed-set 4 --batch 4"
    flags += " --rounds 1 --references --image-size 32 --examples 0 --quiet"
    named = ["--dataset", dataset, "--out", out, "--cache", "embeddings"]
    assert main(["bench", *flags.split(), *named]) == 0
