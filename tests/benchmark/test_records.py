"""Results folders that are damaged, edited or somebody else's: named, never misread."""

import errno
import json
import os
import pickle
import re
import shutil
from pathlib import Path

import pytest

from modal_pretrain.benchmark import (
    BenchmarkConfig,
    DamagedRecords,
    RecordStore,
    load,
    open_stores,
    run,
)
from modal_pretrain.benchmark.config import Unit
from modal_pretrain.benchmark.folder import check_not_renamed
from modal_pretrain.benchmark.report.page import write_report
from modal_pretrain.benchmark.status import status

UNIT = Unit("pretrained", "random", 0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Records of two strategies and one seed, made once."""
    out = tmp_path_factory.mktemp("whole")
    run(settings(), out, verbose=0, examples=2)
    return out


def settings(**changes):
    given = {
        "dataset_params": {"n_train": 60, "n_test": 40, "image_size": 32},
        "estimator_params": {"image_size": 32, "device": "cpu"},
        "models": ("pretrained",),
        "seeds": (0,),
        "seed_set": 4,
        "batch": 4,
        "rounds": 2,
        "references": (),
    }
    return BenchmarkConfig(**{**given, **changes})


@pytest.fixture
def out(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "out")
    return tmp_path / "out"


@pytest.fixture
def store(out):
    return RecordStore(out, settings())


def edited(store, line, **changes):
    """Change one line of the records of `UNIT`."""
    path = store.path(UNIT)
    records = [json.loads(text) for text in path.read_text().splitlines()]
    records[line] |= changes
    write(path, records)
    return path


def write(path, records):
    lines = [json.dumps({k: v for k, v in r.items() if v != "gone"}) for r in records]
    path.write_text("".join(line + "\n" for line in lines))


def refused(out, path, match):
    """Loading, reporting and going on name the file, what is wrong and what to do."""
    for work in (
        lambda: load(out),
        lambda: write_report(out, out),
        lambda: run(settings(), out, verbose=0),
    ):
        with pytest.raises(DamagedRecords, match=match) as caught:
            work()
        assert caught.value.path == path
        assert str(path) in str(caught.value)
        assert "Delete it" in str(caught.value) or "delete it" in str(caught.value)


@pytest.mark.parametrize(
    "content, match",
    [
        (b"", "is empty"),
        (b'{"dataset": "sha', "line 1 is no JSON"),
        (b"\xff\xfe\x00garbage", "is no text"),
        (b"[1]\n", "line 1 is no record"),
        (b'{"a": 1}\n', "line 1 lacks 'dataset'"),
    ],
)
def test_a_finished_run_that_is_damaged(out, store, content, match):
    store.path(UNIT).write_bytes(content)
    refused(out, store.path(UNIT), match)


@pytest.mark.parametrize(
    "line, changes, match",
    [
        (0, {"accuracy": float("nan")}, "line 1 has accuracy=nan instead of a share"),
        (1, {"accuracy": 1.5}, r"line 2 has accuracy=1.5 instead of a share"),
        (1, {"accuracy": True}, r"accuracy=True"),
        (1, {"round": 2}, "line 2 has round=2 instead of 1"),
        (1, {"round": True}, "line 2 has round=True"),
        (1, {"round": "gone"}, "lacks 'round'"),
        (1, {"accuracy": "gone"}, "lacks 'accuracy'"),
        (1, {"seed": 3}, "has seed=3 instead of 0"),
        (1, {"strategy": "badge"}, "has strategy='badge' instead of 'random'"),
        (1, {"n_labels": 4}, "has n_labels=4 after 4"),
        (1, {"acquired": [0, 1, 2, 100]}, "names row 100 of a data set of 100"),
        (1, {"acquired": ["../../../secret"]}, "instead of a list of row numbers"),
        (1, {"acquired": [-1, 2, 3, 4]}, "instead of a list of row numbers"),
        (1, {"acquired": [2.0]}, "instead of a list of row numbers"),
        (1, {"acquired": []}, "line 2 has acquired 0 rows, and n_labels grows by"),
        (1, {"acquired": [59, 59]}, "names row 59, which is labelled already"),
        (1, {"group_accuracy": {"a": "b"}}, "instead of shares by group"),
        (1, {"group_accuracy": {"a": None}}, "instead of shares by group"),
        (1, {"acquired_groups": [1]}, "instead of counts by group"),
        (1, {"log_loss": -1}, "instead of a number from 0"),
        (1, {"brier": 5}, "instead of a number from 0 to 2"),
    ],
)
def test_a_record_that_was_edited(out, store, line, changes, match):
    path = edited(store, line, **changes)
    with pytest.raises(DamagedRecords, match=match) as caught:
        load(out)
    assert caught.value.path == path
    assert "run the same command again" in str(caught.value)


def test_a_finished_run_that_was_cut(out, store):
    path = store.path(UNIT)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:2]))
    refused(out, path, "holds 2 rounds of 3")


def test_what_the_error_says_works(out, store):
    before = store.path(UNIT).read_bytes()
    store.path(UNIT).write_bytes(b"")
    with pytest.raises(DamagedRecords):
        run(settings(), out, verbose=0)
    store.path(UNIT).unlink()
    run(settings(), out, verbose=0)
    assert store.path(UNIT).read_bytes() == before


@pytest.mark.parametrize(
    "name, content, match",
    [
        ("config.json", "{", "is no configuration: Expecting"),
        ("config.json", "[1]", "is no configuration: it holds no names and values"),
        ("config.json", '{"batsch": 3}', "no setting 'batsch'. Did you mean 'batch'"),
        ("config.json", '{"seeds": [1.5]}', "each of seeds must be a whole number"),
        ("data.json", "no", "is no JSON"),
        ("data.json", "[" * 100_000, "is no JSON"),
        ("data.json", "[]", "holds no names and values"),
        ("data.json", '{"name": 3}', "has 3 under 'name' instead of a text"),
        ("probes.json", '{"pretrained": {"class": 7}}', "instead of shares from 0"),
        ("probes.json", '{"pretrained": 3}', "has 3 under 'pretrained'"),
        ("examples/index.json", '{"../x": {}}', r"holds '\.\./x', which is no row"),
        ("examples/index.json", '{"3": {"group": 1}}', "under '3' instead of a group"),
        ("runs/x.json", "{", "is no JSON"),
        ("runs/x.json", "{}", "has nothing under 'command'"),
    ],
)
def test_other_files_that_are_damaged(out, store, name, content, match):
    path = store.folder / name
    path.write_text(content)
    with pytest.raises(DamagedRecords, match=match) as caught:
        write_report(out, out)
    assert caught.value.path == path


@pytest.mark.parametrize(
    "content",
    ["", "no,table\n", "round,fit\n0,1.0\n", "\0\0", "round,fit\n0,1\n1,inf\n2,-1\n"],
)
def test_seconds_that_are_damaged(out, store, content):
    path = store.timings_path(UNIT)
    path.write_text(content)
    with pytest.raises(DamagedRecords, match="no table") as caught:
        load(out)
    assert caught.value.path == path
    path.unlink()
    assert load(out).seconds_fit.isna().sum() == 3


def test_records_that_may_not_be_read_are_not_to_be_deleted(out, store, monkeypatch):
    def refusing(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("modal_pretrain.benchmark.records.read_whole", refusing)
    with pytest.raises(DamagedRecords, match="Have its owner") as caught:
        store.records(UNIT)
    assert "Delete" not in str(caught.value)


def test_a_stray_folder_is_named(out):
    (out / "zzz" / "records").mkdir(parents=True)
    (out / "zzz" / "config.json").write_text("{")
    with pytest.raises(DamagedRecords, match=r"zzz.config.json is no configuration"):
        open_stores(out)


def test_a_model_beside_the_records_is_none_of_them(out):
    """Other programs write into ``results``, too, and name a file like that."""
    for folder in (out, out / "checkpoint-500"):
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text('{"architectures": ["Bert"]}')
    assert len(open_stores(out)) == 1
    with pytest.raises(ValueError, match="no benchmark records"):
        open_stores(out / "checkpoint-500")


@pytest.mark.parametrize("below", [True, False])
def test_a_folder_that_may_not_be_read_is_not_left_out(out, store, below, monkeypatch):
    closed, stat = (store.folder if below else out) / "config.json", os.stat

    def refusing(path, **kwargs):
        if path == closed:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, **kwargs)

    monkeypatch.setattr(os, "stat", refusing)
    with pytest.raises(PermissionError, match=re.escape(str(closed))):
        open_stores(out)


def test_lines_nested_without_end(out, store):
    store.path(UNIT).write_text("[" * 100_000)
    refused(out, store.path(UNIT), "line 1 is no JSON")
    path = store.folder / "config.json"
    path.write_text("[" * 100_000)
    refused(out, path, "is no configuration: maximum recursion depth")


@pytest.mark.parametrize("name", ["records", "timings", "data.json", "config.json"])
def test_fifos_in_the_place_of_files(out, store, name):
    path = {
        "records": store.path(UNIT),
        "timings": store.timings_path(UNIT),
    }.get(name, store.folder / name)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DamagedRecords, match="FIFO") as caught:
        load(out)
    assert caught.value.path == path


def test_directories_in_the_place_of_files(out, store):
    store.path(UNIT).unlink()
    store.path(UNIT).mkdir()
    with pytest.raises(DamagedRecords, match="cannot be read"):
        load(out)
    store.path(UNIT).rmdir()
    (store.folder / "partial" / f"{UNIT}.0.jsonl").mkdir()
    run(settings(), out, verbose=0)
    assert store.is_finished(UNIT)


def test_what_a_killed_run_left_is_checked_too(out, store):
    path = store.path(UNIT)
    before = path.read_bytes()
    records = [json.loads(line) for line in before.splitlines()]
    records = [{**record, "seconds": {"fit": 0.0}} for record in records]
    partial = store.folder / "partial" / f"{UNIT}.01234567.jsonl"
    wrong = [
        {"acquired": records[0]["acquired"]},  # rows that are labelled already
        {"acquired": [100, 101, 102, 103]},
        {"seconds": "gone"},
        {"acquired": "gone"},
        {"accuracy": float("inf")},
    ]
    for change in wrong:
        path.unlink()
        write(partial, [records[0], {**records[1], **change}, records[2]])
        run(settings(), out, verbose=0)
        assert path.read_bytes() == before, change


def test_runs_that_the_configuration_does_not_name(out, store):
    (store.folder / "config.json").write_text(
        settings(strategies=("random",)).to_json()
    )
    with pytest.warns(UserWarning, match="1 finished runs, which are left out: pretr"):
        found = load(out)
    assert set(found.strategy) == {"random"}
    run(settings(), out, verbose=0)
    assert set(load(out).strategy) == {"uncertainty", "random"}


def test_a_fit_on_all_labels_of_another_first_seed_is_no_stranger(tmp_path):
    for seed in (0, 1):  # as two processes that share the seeds among them
        run(settings(seeds=(seed,), references=("full",)), tmp_path, verbose=0)
    found = load(tmp_path)  # does not warn
    assert found.seed[found.strategy == "full"].tolist() == [0]
    assert set(found.seed) == {0, 1}


def test_the_error_travels_between_processes(tmp_path):
    error = DamagedRecords(tmp_path / "x", "is empty", "Delete it.")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.path) == (str(error), error.path)


def test_a_one_round_run_that_was_killed_before_its_name(tmp_path):
    config = settings(references=("full",), strategies=("random",))
    run(config, tmp_path, verbose=0)
    store, unit = RecordStore(tmp_path, config), Unit("pretrained", "full", 0)
    before = store.path(unit).read_bytes()
    record = {**json.loads(before), "seconds": {"fit": 0.0}}
    store.path(unit).unlink()
    write(store.folder / "partial" / f"{unit}.01234567.jsonl", [record])
    run(config, tmp_path, verbose=0)
    assert store.path(unit).read_bytes() == before


def test_a_copy_does_not_count_twice(out, store):
    shutil.copytree(store.folder, out / "copy")
    with pytest.raises(ValueError, match="of the same settings, which would count"):
        load(out)


def of(out, edit, unit=UNIT):
    """Change the records of a run, all lines at once."""
    path = RecordStore(out, settings()).path(unit)
    records = [json.loads(text) for text in path.read_text().splitlines()]
    edit(records)
    write(path, records)
    return path


def grow(records):
    """One row more in the second round, and all later counts with it."""
    taken = {row for record in records for row in record["acquired"]}
    records[1]["acquired"].append(next(r for r in range(60) if r not in taken))
    for record in records[1:]:
        record["n_labels"] += 1


def unknown(records):
    """One group is not known, and the others say what they like."""
    records[2].update(accuracy=1.0, worst_group_accuracy=1.0)
    records[2]["group_accuracy"] |= {next(iter(records[2]["group_accuracy"])): None}


@pytest.mark.parametrize(
    ("edit", "match"),
    [
        (
            lambda rs: [r.update(n_labels=9 * r["n_labels"]) for r in rs],
            "n_labels grow",
        ),
        (grow, "line 2 has acquired 5 rows instead of 4"),
        (lambda rs: rs[2].update(accuracy=1.0), "has accuracy=1.0, but its groups say"),
        (
            lambda rs: rs[2].update(worst_group_accuracy=1),
            "_accuracy=1, but its groups",
        ),
        (unknown, "instead of shares by group"),
        (lambda rs: rs[2].update(group_accuracy={}), "of other groups than the data"),
        (lambda rs: rs[2].update(group_accuracy={"z": 0.5}), "of other groups than"),
        (lambda rs: rs[1].update(acquired_atypical=5), "acquired_atypical=5 of 4 rows"),
        (
            lambda rs: rs[1].update(acquired_groups={"square/red": 5}),
            "for 4 rows of the",
        ),
        (lambda rs: rs[1].update(acquired_groups={"z": 4}), "for 4 rows of the pool"),
    ],
)
def test_a_record_that_contradicts_itself(out, edit, match):
    path = of(out, edit)
    with pytest.raises(DamagedRecords, match=match) as caught:
        load(out)
    assert caught.value.path == path


def test_a_folder_renamed_is_named_before_the_work(out, store):
    """All runs were done anew, and then the report stopped."""
    mine = store.folder.rename(out / "mine")
    name = store.folder.name
    with pytest.raises(ValueError, match=f"mine holds runs of these.*Call it {name} "):
        run(settings(), out, verbose=0)
    assert not store.folder.exists()
    (mine / "config.json").write_text("{")  # of whatever it was
    run(settings(strategies=("random",), references=()), out, verbose=0, examples=0)


def test_a_folder_that_another_process_just_made_is_not_renamed(tmp_path, monkeypatch):
    store = RecordStore(tmp_path, settings())

    def slow(self):
        monkeypatch.undo()
        store.create()
        return False

    monkeypatch.setattr(Path, "exists", slow)
    check_not_renamed(store)


def test_runs_of_a_seed_that_start_from_other_labels(out):
    config = settings(seeds=(0, 1))
    run(config, out, verbose=0)
    units = [Unit("pretrained", "random", seed) for seed in (0, 1)]
    paths = [RecordStore(out, config).path(unit) for unit in units]
    texts = [path.read_text() for path in paths]
    for path, text, seed in zip(paths, reversed(texts), (0, 1), strict=True):
        path.write_text(text.replace(f'"seed":{1 - seed}', f'"seed":{seed}'))
    with pytest.raises(
        DamagedRecords, match="starts from other labels than pretrained"
    ):
        load(out)
    damaged = [one for one in status(open_stores(out)[0]) if one.problem]
    assert [one.state for one in damaged] == ["damaged", "damaged"]
    assert "starts from other labels than pretrained" in damaged[0].problem


def test_rows_of_the_test_split(out, store):
    """Reports know how many rows a split has, a run knows which."""
    path = edited(store, 1, acquired=[60, 61, 62, 63])
    load(out)
    with pytest.raises(DamagedRecords, match="names row 60, which is not in") as caught:
        run(settings(), out, verbose=0)
    assert caught.value.path == path


@pytest.mark.parametrize(
    "change", [{"batch": 5}, {"estimator_params": {"image_size": 64}}, {"audit": 3}]
)
def test_settings_that_are_not_those_of_the_folder(out, store, change):
    path = store.folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DamagedRecords, match="holds settings whose folder ends in"):
        load(out)
    path.write_text(settings().to_json())
    store.folder.rename(out / "mine")
    assert len(load(out)) == 6


def test_what_is_known_of_the_data_agrees_with_itself(out, store):
    path = store.folder / "data.json"
    known = json.loads(path.read_text())
    for change in ({"rows": 61}, {"atypical": 61}, {"groups": {"square/red": 1}}):
        train = known["splits"]["train"] | change
        splits = known["splits"] | {"train": train}
        path.write_text(json.dumps(known | {"splits": splits}))
        with pytest.raises(DamagedRecords, match="instead of counts that agree"):
            load(out)
    path.unlink()
    with pytest.raises(DamagedRecords, match=r"is missing\. Run the same"):
        write_report(out, out)


def test_groups_that_once_had_one_name_need_another_folder(out, store):
    """As "a/b" with "c" and "a" with "b/c": one of them was left out."""
    path = store.folder / "data.json"
    known = json.loads(path.read_text())
    known["splits"]["train"]["groups"].popitem()
    path.write_text(json.dumps(known))
    refused(out, path, "had one name .* its records mix them: then use another folder")
    known["splits"]["train"]["groups"]["more"] = 61
    path.write_text(json.dumps(known))
    refused(out, path, "instead of counts that agree. Delete it and run [^.]* anew.$")


def test_rounds_of_other_runs_are_done_anew(out, store):
    path = store.path(UNIT)
    before = path.read_bytes()
    records = [json.loads(line) for line in before.splitlines()]
    records = [{**record, "seconds": {"fit": 0.0}} for record in records]
    partial = store.folder / "partial" / f"{UNIT}.01234567.jsonl"
    short = {"acquired": records[1]["acquired"][:3], "n_labels": 7}
    short["acquired_groups"] = {"square/red": 3}
    labelled = {row for record in records for row in record["acquired"]}
    free = [row for row in range(60) if row not in labelled]
    more = records[2] | {"round": 3, "acquired": free[:4], "n_labels": 16}
    for lines in ([records[0], records[1] | short], [*records, more]):
        path.unlink()
        write(partial, lines)
        run(settings(), out, verbose=0)
        assert path.read_bytes() == before
    path.unlink()
    write(partial, [records[0], records[1] | {"acquired": [60, 61, 62, 63]}])
    with pytest.raises(ValueError, match="not in the train split"):
        run(settings(), out, verbose=0)
