"""Runs on disk: resumed, grown, killed, shared between processes, spread."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest

from modal_pretrain.backbones.weights import BackboneWeightsError
from modal_pretrain.benchmark import RecordStore, load, open_stores, run
from modal_pretrain.benchmark import lock as claims_module
from modal_pretrain.benchmark.config import Unit
from modal_pretrain.benchmark.environment import command_line
from modal_pretrain.benchmark.lock import claim, is_abandoned
from modal_pretrain.benchmark.loop import run_unit
from modal_pretrain.benchmark.report.summary import summary
from modal_pretrain.benchmark.status import status
from modal_pretrain.datasets import make_shapes
from tests import processes

# A strategy that writes down every query, and kills its process at the one it is told.
ASKING = """
import os, signal, time
import numpy as np

def ask(classifier, X, n_instances=1):
    with open(os.environ["ASKED"], "a") as file:
        file.write(f"{os.getpid()}\\n")
    if os.path.getsize(os.environ["ASKED"]) and "KILL_AT" in os.environ:
        if len(open(os.environ["ASKED"]).readlines()) == int(os.environ["KILL_AT"]):
            os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(float(os.environ.get("SLEEP", 0)))
    return np.arange(n_instances), np.zeros(n_instances)
"""
SETTINGS = """
models = ["pretrained"]
strategies = ["asking:ask", "random"]
seeds = 2
seed_set = 4
batch = 4
rounds = 3
references = []

[dataset]
name = "shapes"
n_train = 60
n_test = 40
image_size = 32

[estimator]
image_size = 32
device = "cpu"
"""
N_QUERIES = 2 * 3  # of ask, in a whole run
ROOT = str(Path(__file__).parents[2])


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Start ``bench`` in a process of its own, on the same settings."""
    code = tmp_path_factory.mktemp("asking")
    (code / "asking.py").write_text(ASKING)
    (code / "settings.toml").write_text(SETTINGS)

    def start(out, *arguments, **environment):
        return processes.start_module(
            "modal_pretrain.benchmark",
            *("--quiet", "--config", code / "settings.toml"),
            *("--out", out, *arguments),
            env={
                "PYTHONPATH": os.pathsep.join([str(code), ROOT]),
                "ASKED": str(asked(out)),
                "OMP_NUM_THREADS": "1",
                **environment,
            },
        )

    return start


@pytest.fixture(scope="module")
def alone(start, tmp_path_factory):
    """What one process writes that nobody disturbs, by file."""
    out = tmp_path_factory.mktemp("alone") / "run"
    finish(start(out))
    assert len(lines(asked(out))) == N_QUERIES
    assert len(contents(out)) == 4
    return contents(out)


def asked(out):
    return out.with_name(f"asked-{out.name}")


def finish(process):
    _, errors = process.communicate()
    assert process.returncode == 0, errors


def contents(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.glob("*/records/*.jsonl"))}


def lines(path):
    return path.read_text().splitlines()


def left_over(folder):
    return [*folder.glob("*/partial/*"), *folder.glob("*/claims/*")]


@pytest.mark.slow
def test_killed_anywhere_and_run_again(start, alone, tmp_path):
    # In the first unit, at its last round, and in the third unit.
    kills, out = (2, 3, 5), tmp_path / "cut"
    for at in kills:
        process = start(out, KILL_AT=str(at))
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert len(lines(asked(out))) == at
        # This query was not answered.
        asked(out).write_text("".join("1\n" for _ in range(at - 1)))
    finish(start(out))
    assert contents(out) == alone
    # Answered queries were not asked again.
    assert len(lines(asked(out))) == N_QUERIES
    assert left_over(out) == []


@pytest.mark.slow
def test_two_processes_on_one_folder(start, alone, tmp_path):
    out = tmp_path / "shared"
    both = [start(out, SLEEP="0.1") for _ in range(2)]
    for process in both:
        finish(process)  # both wait until all of it is there
    assert contents(out) == alone
    assert len(lines(asked(out))) == N_QUERIES  # nothing twice
    assert left_over(out) == []


@pytest.mark.slow
def test_one_of_two_processes_is_killed(start, alone, tmp_path):
    out = tmp_path / "shared"
    first, second = (start(out, SLEEP="0.3") for _ in range(2))
    for _ in range(3000):
        if asked(out).exists() and str(first.pid) in lines(asked(out)):
            break
        time.sleep(0.02)
    first.kill()
    first.communicate()
    finish(second)
    assert contents(out) == alone


@pytest.mark.slow
def test_jobs_give_the_same_records(start, alone, tmp_path):
    finish(start(tmp_path / "spread", "--jobs", "2"))
    assert contents(tmp_path / "spread") == alone
    assert len({*lines(asked(tmp_path / "spread"))}) == 2  # both workers worked


@pytest.mark.slow
def test_a_worker_that_is_killed_is_an_error_in_a_line(start, alone, tmp_path):
    process = start(tmp_path / "cut", "--jobs", "2", KILL_AT="2")
    _, errors = process.communicate()
    assert process.returncode == 2
    assert "error: a worker process was killed" in errors
    assert "Traceback" not in errors
    finish(start(tmp_path / "cut"))
    assert contents(tmp_path / "cut") == alone


@pytest.mark.slow
def test_on_dask(small, tmp_path):
    pytest.importorskip("distributed")
    config = small(models=("pretrained",), rounds=1)
    expected = run(config, tmp_path / "alone", verbose=0)
    with processes.dask_client(1), joblib.parallel_config(backend="dask"):
        run(config, tmp_path / "dask", verbose=0)
    assert contents(tmp_path / "dask") == contents(tmp_path / "alone")
    assert len(expected) == 8


def test_records_are_tidy(small, tmp_path):
    config = small(references=("oracle", "full"))
    records = run(config, tmp_path, verbose=0, examples=2)
    assert len(records) == 2 * 3 * 2 * 3 + 2
    assert set(records.strategy) == {"uncertainty", "random", "group_balanced", "full"}
    full = records[records.strategy == "full"]
    assert full.n_labels.tolist() == [60, 60]
    for column in ("config", "seed_set", "batch", "tune", "backbone", "seconds_fit"):
        assert records[column].notna().all(), column
    pd.testing.assert_frame_equal(load(tmp_path), records)
    # Paired: whatever the model and strategy, a seed starts from one seed set.
    first = records[(records["round"] == 0) & (records.strategy != "full")]
    starts = first.groupby("seed").acquired.agg(lambda rows: len({*map(tuple, rows)}))
    assert starts.tolist() == [1, 1]


def test_a_run_grows_without_redoing(small, tmp_path, monkeypatch):
    config = small()
    run(config, tmp_path, verbose=0)
    (store,) = open_stores(tmp_path)
    before = contents(tmp_path)
    assert len(before) == 8
    store.path(Unit("pretrained", "random", 1)).unlink()

    calls = []

    def counting(*args, **kwargs):
        calls.append(kwargs["seed"])
        return run_unit(*args, **kwargs)

    monkeypatch.setattr("modal_pretrain.benchmark.unit.run_unit", counting)
    run(config, tmp_path, verbose=0)
    assert calls == [1]
    assert contents(tmp_path) == before
    grown = run(small(seeds=(0, 2)), tmp_path, verbose=0)
    assert calls == [1, 2, 2, 2, 2]
    assert set(grown.seed) == {0, 2}
    # The folder knows all that it holds.
    assert set(load(tmp_path).seed) == {0, 1, 2}
    run(config, tmp_path, verbose=0)
    assert len(calls) == 5


def test_runs_that_two_configurations_name_are_there_once(small, tmp_path):
    one, other = (
        small(models=("pretrained",), strategies=(name, "random"), seeds=(0,))
        for name in ("uncertainty", "margin")
    )
    records = run([one, other], tmp_path, verbose=0)
    assert records.groupby("strategy").size().to_dict() == {
        "margin": 3,
        "random": 3,
        "uncertainty": 3,
    }
    pd.testing.assert_frame_equal(load(tmp_path), records)


def test_of_configurations_in_one_folder_only_what_is_named_runs(small, tmp_path):
    """Many seeds of what is cheap beside few of what is not."""
    cheap, dear = (
        small(models=("pretrained",), strategies=(name,), seeds=seeds)
        for name, seeds in (("random", (0, 1)), ("margin", (0,)))
    )
    records = run([cheap, dear], tmp_path, verbose=0)
    done = records[["strategy", "seed"]].drop_duplicates().values.tolist()
    assert sorted(done) == [["margin", 0], ["random", 0], ["random", 1]]
    pd.testing.assert_frame_equal(load(tmp_path), records)


@pytest.mark.parametrize("settings", [None, [], "configs/shapes.toml", [{}]])
def test_settings_of_a_wrong_type(tmp_path, settings):
    with pytest.raises(ValueError, match="settings must be a BenchmarkConfig"):
        run(settings, tmp_path)


def test_data_without_a_test_split(small, tabular, tmp_path, monkeypatch):
    tabular.split[:] = "train"
    monkeypatch.setattr(
        "modal_pretrain.benchmark.runner.load_data", lambda config, call: tabular
    )
    message = "a train and a test split, got 'train'.*less than half a row of each"
    with pytest.raises(ValueError, match=message):
        run(small(), tmp_path, verbose=0)
    assert not [*tmp_path.iterdir()]


def test_each_run_leaves_its_versions(small, tmp_path):
    config = small(models=("pretrained",), strategies=("random",), seeds=(0,))
    run(config, tmp_path, verbose=0)
    run(config, tmp_path, verbose=0)  # nothing to do, nothing to note
    (path,) = tmp_path.glob("*/runs/*.json")
    description = json.loads(path.read_text())
    assert description["versions"]["numpy"] == np.__version__
    assert description["hardware"]["cores"] >= 1
    assert description["seconds"] > 0
    assert "command" in description


def test_a_line_cut_short_is_done_again(small, tmp_path):
    config = small(models=("pretrained",), strategies=("random",), seeds=(0,))
    run(config, tmp_path, verbose=0)
    store, unit = RecordStore(tmp_path, config), Unit("pretrained", "random", 0)
    whole = store.path(unit).read_bytes()
    kept = [
        json.dumps({**json.loads(line), "seconds": {"fit": 0.0}}) + "\n"
        for line in lines(store.path(unit))
    ]
    partial = store.folder / "partial" / f"{unit}.0123abcd.jsonl"
    damaged = {
        "half": kept[0] + kept[1][:40],
        "no newline": kept[0] + kept[1].rstrip("\n"),
        "nul bytes": kept[0] + "\0" * 50,
        "not a record": kept[0] + "[1]\n" + kept[2],
        "a round missing": kept[0] + kept[2],
        "nothing": "",
        "all there": "".join(kept),
    }
    for name, text in damaged.items():
        store.path(unit).unlink()
        partial.write_text(text)
        run(config, tmp_path, verbose=0)
        assert store.path(unit).read_bytes() == whole, name
        assert left_over(tmp_path) == [], name


def test_other_data_in_a_known_folder_is_refused(small, tmp_path, monkeypatch):
    config = small(models=("pretrained",), strategies=("random",), seeds=(0,))
    run(config, tmp_path, verbose=0)
    other = make_shapes(60, 40, image_size=32, random_state=1, match_rate=0.8)
    monkeypatch.setattr(
        "modal_pretrain.benchmark.runner.load_data", lambda config, call: other
    )
    with pytest.raises(ValueError, match="holds records of other data"):
        run(config, tmp_path, verbose=0)


def test_a_refused_call_leaves_what_was_begun_as_it_is(small, tmp_path, monkeypatch):
    """No seed, model or folder is added that status would call left."""
    own = {"image_size": 32, "backbone": "repvgg_a0"}
    asked = {"strategies": ("random",), "rounds": 1, "estimator_params": own}
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    config = small(models=("random-init",), **asked)
    run(config, tmp_path, verbose=0)
    [store] = open_stores(tmp_path)
    before = (store.folder / "config.json").read_bytes()
    with pytest.raises(BackboneWeightsError):
        run(small(**asked), tmp_path, verbose=0)
    assert (store.folder / "config.json").read_bytes() == before
    more = small(models=("random-init",), **{**asked, "seeds": (0, 1, 2)})
    other = small(models=("random-init",), **{**asked, "batch": 8})
    data = make_shapes(60, 40, image_size=32, random_state=1, match_rate=0.8)
    monkeypatch.setitem(run.__globals__, "load_data", lambda config, call: data)
    with pytest.raises(ValueError, match="holds records of other data"):
        run([other, more], tmp_path, verbose=0)
    assert (store.folder / "config.json").read_bytes() == before
    assert list(tmp_path.iterdir()) == [store.folder]


def test_a_claim_is_held_by_one(tmp_path):
    path = tmp_path / "unit"
    with claim(path) as first:
        with claim(path) as second:
            assert (first, second) == (True, False)
        assert path.exists()
    assert not path.exists()


def test_abandoned_claims(tmp_path, monkeypatch):
    path = tmp_path / "unit"
    assert is_abandoned(path)
    path.write_text("")  # between being made and being written
    assert not is_abandoned(path)
    host = claims_module.platform.node()
    done = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"],
        capture_output=True,
        text=True,
        check=True,
    )
    path.write_text(json.dumps({"host": host, "pid": int(done.stdout)}))
    assert is_abandoned(path)
    path.write_text(json.dumps({"host": host, "pid": os.getpid()}))
    assert not is_abandoned(path)
    path.write_text(json.dumps({"host": "elsewhere", "pid": int(done.stdout)}))
    assert not is_abandoned(path)
    old = time.time() - claims_module.STALE - 1
    os.utime(path, (old, old))
    assert is_abandoned(path)
    with claim(path) as mine:
        assert mine


def test_a_claim_gives_signs_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr(claims_module, "BEAT", 0.02)
    path = tmp_path / "unit"
    with claim(path):
        os.utime(path, (0, 0))
        deadline = time.time() + 30
        while path.stat().st_mtime < 1 and time.time() < deadline:
            time.sleep(0.02)
        assert path.stat().st_mtime > 1


@pytest.mark.parametrize(
    "content",
    [
        *("[]", "{}", "3", '{"pid": "x"}', '{"pid": null}', '{"pid": 0}'),
        *('{"pid": -1}', f'{{"pid": {2**70}}}'),
    ],
)
def test_odd_claims_are_nobodys(tmp_path, content):
    path = tmp_path / "unit"
    host = json.dumps(claims_module.platform.node())
    path.write_text(content.replace('{"pid"', f'{{"host": {host}, "pid"'))
    assert is_abandoned(path)


def test_a_claim_of_a_clock_that_is_ahead_ends(tmp_path):
    path = tmp_path / "unit"
    path.write_text(json.dumps({"host": "elsewhere", "pid": 1}))
    ahead = time.time() + claims_module.STALE + 60
    os.utime(path, (ahead, ahead))
    assert is_abandoned(path)


def test_no_run_sees_what_a_strategy_kept_of_another(small, tmp_path, monkeypatch):
    """Seeds in one call, and in two, ask for the same rows."""
    (tmp_path / "remembers.py").write_text(
        "import numpy as np\n"
        "class Strategy:\n"
        "    calls = 0\n"
        "    def __call__(self, classifier, X, n_instances=1):\n"
        "        self.calls += 1\n"
        "        rows = np.arange(n_instances) + self.calls\n"
        "        return rows, np.zeros(n_instances)\n"
        "strategy = Strategy()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    settings = {"strategies": ("remembers:strategy",), "models": ("random-init",)}
    both = run(small(**settings), tmp_path / "both", verbose=0, examples=0)
    run(small(**settings, seeds=(1,)), tmp_path / "one", verbose=0, examples=0)
    one = load(tmp_path / "one")
    asked = both[both.seed == 1].acquired.tolist()
    assert len(asked) == 3 and asked == one.acquired.tolist()


def test_all_labels_of_a_later_call_with_other_seeds_first(small, tmp_path):
    """They are fitted for its first seed, which is not the first of the folder."""
    run(small(seeds=(2,)), tmp_path, verbose=0)
    run(small(seeds=(0, 2), references=("full",)), tmp_path, verbose=0)
    table = load(tmp_path)
    assert (table["strategy"] == "full").sum() == table["model"].nunique()
    (store,) = open_stores(tmp_path)
    assert {one.state for one in status(store)} == {"done"}
    assert summary(store).n_left == 0


@pytest.mark.parametrize("models", [("random-init",), ("pretrained",)])
def test_all_labels_where_configurations_differ_in_seeds(small, tmp_path, models):
    """The first seed of the one that asks is not the first seed of the folder."""
    one = small(models=("pretrained",), seeds=(2,), strategies=("random",))
    other = small(models=models, strategies=("random",), references=("full",))
    table = run([one, other], tmp_path, verbose=0)
    full = table[table["strategy"] == "full"]
    assert set(models) <= set(full["model"])
    pd.testing.assert_frame_equal(load(tmp_path), table)


@pytest.mark.parametrize("module", ["modal_pretrain", "modal_pretrain.benchmark"])
def test_the_command_can_be_typed_again(module, monkeypatch):
    """Also where the whole package was called as a module, with "bench" behind."""
    spec = importlib.util.find_spec(f"{module}.__main__")
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", spec)
    monkeypatch.setattr(sys, "argv", [spec.origin, "bench", "--out", "a b"])
    assert command_line() == f"python -m {module} bench --out 'a b'"
