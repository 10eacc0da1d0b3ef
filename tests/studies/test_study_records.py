"""Records of studies: key columns and numbers, other files, lines that are cut off."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def module(script_of):
    return script_of("study_records")


@pytest.fixture
def layout(module):
    keys = {"data": str, "size": module.whole_or_none, "part": float, "seed": int}
    return module.Layout(keys, {"worst": ".4f"})


def record(data="a, b", size=96, part=0.5, seed=0, worst=0.123456):
    return {"data": data, "size": size, "part": part, "seed": seed, "worst": worst}


def test_records_come_back_with_their_types(layout, tmp_path):
    path = tmp_path / "records.csv"
    assert layout.read(path) == [] and not path.exists()
    layout.append(path, [record(), record(size=None, part=1.0)])
    layout.append(path, [record("é", seed=7, worst=1) | {"other": "not written"}])
    assert path.read_bytes().decode() == (
        "data,size,part,seed,worst\n"
        '"a, b",96,0.5,0,0.1235\n"a, b",,1,0,0.1235\né,96,0.5,7,1.0000\n'
    )
    found = layout.read(path)
    assert found == [
        record(worst=0.1235),
        record(size=None, part=1.0, worst=0.1235),
        record("é", seed=7, worst=1.0),
    ]
    assert layout.key(found[1]) == ("a, b", None, 1.0, 0)


@pytest.mark.parametrize(
    "header", ["data,part,seed,worst\n", "data,size,part,seed,worst,more\n", "data"]
)
def test_a_file_with_other_columns_is_refused(layout, tmp_path, header):
    path = tmp_path / "records.csv"
    path.write_text(header + "\na,1,1,0.5\n")
    for do in (layout.read, lambda path: layout.append(path, [record()])):
        with pytest.raises(SystemExit, match=r"records\.csv has the columns 'data"):
            do(path)
    assert path.read_text() == header + "\na,1,1,0.5\n"


def test_a_line_that_is_no_record_is_named(layout, tmp_path):
    path = tmp_path / "records.csv"
    layout.append(path, [record()])
    for line in ("a,96,1,0\n", "a,96,1,zero,0.5\n", "\n"):
        damaged = path.with_name("damaged.csv")
        damaged.write_text(path.read_text() + line)
        with pytest.raises(SystemExit, match=r"damaged\.csv, line 3 is .* no record"):
            layout.read(damaged)


def test_a_line_that_was_cut_off_anywhere_is_written_again(layout, tmp_path):
    path = tmp_path / "records.csv"
    layout.append(path, [record(), record("é", seed=1)])
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        kept = layout.read(path)
        assert len(kept) == max(whole[:end].count(b"\n") - 1, 0)
        assert path.read_bytes() == whole[:end]  # reading changes nothing
        layout.append(path, [record(), record("é", seed=1)][len(kept) :])
        assert path.read_bytes() == whole


def test_all_lines_of_a_run_that_was_cut_off_go(module, tmp_path):
    keys = {"data": str, "seed": int, "part": int}
    layout = module.Layout(keys, {"worst": ".4f"}, run=("data", "seed"))
    path = tmp_path / "records.csv"

    def run(seed):
        return [record(part=part, seed=seed) for part in (1, 2, 3)]

    for seed in (0, 1):
        layout.append(path, run(seed))
    whole = path.read_bytes()
    path.write_bytes(whole[:-2])
    assert {r["seed"] for r in layout.read(path)} == {0}
    layout.append(path, run(1))
    assert path.read_bytes() == whole
