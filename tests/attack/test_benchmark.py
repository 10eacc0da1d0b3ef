"""Damaged results, odd settings, odd CSV files: a line that names the file, no more."""

import contextlib
import io
import json
import shutil
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modal_pretrain.benchmark import BenchmarkConfig, run
from modal_pretrain.benchmark.settings import expand
from modal_pretrain.cli.main import main
from modal_pretrain.datasets import load_csv
from tests.attack.cases import check_error, odd_values
from tests.attack.test_files import damaged

json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=9),
        st.sampled_from(["../../x", "<b>x</b>", 1e300, -1]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(max_size=5), inner, max_size=3),
    ),
    max_leaves=4,
)


def command(*arguments):
    """Run the command line; return its status and what it wrote."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main([str(a) for a in arguments])
        except SystemExit as stop:  # argparse
            status = stop.code
    assert "Traceback" not in err.getvalue()
    return status, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "run"
    config = BenchmarkConfig(
        dataset_params={"n_train": 60, "n_test": 40, "image_size": 32},
        estimator_params={"image_size": 32, "device": "cpu"},
        models=("pretrained",),
        seeds=(0, 1),
        seed_set=4,
        batch=4,
        rounds=1,
        references=(),
    )
    run(config, folder)
    return folder


@given(data=st.data())
def test_damaged_results(data, results, tmp_path_factory):
    copy = tmp_path_factory.mktemp("copy") / "run"
    shutil.copytree(results, copy)
    files = sorted(p for p in copy.rglob("*") if p.is_file())
    path = data.draw(st.sampled_from(files))
    path.write_bytes(data.draw(damaged(path.read_bytes())))
    check_report(copy, results)


@given(data=st.data())
def test_foreign_results(data, results, tmp_path_factory):
    """The files are JSON, and mean something else."""
    copy = tmp_path_factory.mktemp("copy") / "run"
    shutil.copytree(results, copy)
    files = sorted(p for p in copy.rglob("*.json*") if p.is_file())
    path = data.draw(st.sampled_from(files))
    lines = [json.loads(line) for line in path.read_text().splitlines() if line] \
        if path.suffix == ".jsonl" else [json.loads(path.read_text())]  # fmt: skip
    at = data.draw(st.integers(0, len(lines) - 1))
    if isinstance(lines[at], dict) and lines[at] and data.draw(st.booleans()):
        key = data.draw(st.sampled_from(sorted(lines[at])))
        lines[at][key] = data.draw(json_values)
    else:
        lines[at] = data.draw(json_values)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    check_report(copy, results)


def check_report(copy, results):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        status, _, err = command("report", copy)
        assert status in (0, 2)
        if status == 2:
            assert err.startswith("error: ")
            assert str(copy) in err or copy.name in err
        else:
            page = (copy / "report.html").read_text()
            assert "<b>x</b>" not in page
        assert command("status", copy)[0] in (0, 2, 3, 4)


SETTINGS = ("dataset", "models", "strategies", "seeds", "seed_set", "batch", "rounds",
            "estimator", "data", "references", "rebalance", "unknown")  # fmt: skip


@given(settings=st.dictionaries(st.sampled_from(SETTINGS), odd_values, min_size=1))
def test_any_settings(settings):
    if any(isinstance(v, int) and abs(v) > 1_000_000 for v in settings.values()):
        return
    try:
        expand({"dataset": "shapes", **settings})
    except Exception as error:
        check_error(error, [*settings, *map(repr, settings.values()), "params"])


cells = st.one_of(
    st.text(max_size=6), st.sampled_from(["0", "1", "01", "1.0", "", "nan", "a", '"'])
)


@given(
    header=st.lists(
        st.sampled_from(["image", "label", "place", "split", ""]), max_size=4
    ),
    rows=st.lists(st.lists(cells, max_size=4), max_size=6),
    content=st.one_of(st.none(), st.binary(max_size=40)),
)
def test_any_csv(header, rows, content, tmp_path_factory):
    path = tmp_path_factory.mktemp("csv") / "table.csv"
    if content is None:
        lines = [",".join(header), *(",".join(row) for row in rows)]
        path.write_text("\n".join(lines), encoding="utf-8", errors="replace")
    else:
        path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            data = load_csv(path, image="image", target="label", attribute="place")
        except Exception as error:
            check_error(error, [path.name])
        else:
            assert len(data.X) == len(data.y)
