"""Audits in the benchmark: beside the loop, left out of the pool, resumed."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from modal_pretrain.benchmark import BenchmarkConfig, run
from modal_pretrain.benchmark.auditing import Auditor
from modal_pretrain.benchmark.folder import open_stores
from modal_pretrain.benchmark.report.page import write_report
from modal_pretrain.benchmark.report.stopping import audits, stops
from modal_pretrain.benchmark.report.summary import summary
from modal_pretrain.stopping import draw_audit, predict_pool
from tests.benchmark.test_loop import unit, without_seconds


def audited(data, *, apart, done=(), rounds=5):
    auditor = Auditor(data, 12, apart=apart, seed=3)
    return unit(data, auditor=auditor, rounds=rounds, done=done)


def acquired(records):
    return [record["acquired"] for record in records]


def test_audits_beside_the_loop_change_nothing(tabular):
    plain, found = unit(tabular, rounds=5), audited(tabular, apart=False)
    extra = {"audit", "kappa", "expected_error", "stops", "forecast"}
    kept = [{k: v for k, v in r.items() if k not in extra} for r in found]
    assert without_seconds(kept) == without_seconds(plain)
    for record in found:
        audit = record["audit"]
        assert len(audit["rows"]) == 12 and not audit["apart"]
        assert 0 <= audit["low"] <= audit["value"] <= audit["high"] <= 1
    rows = {tuple(r["audit"]["rows"]) for r in found}
    assert len(rows) == len(found)  # another audit each round


def test_audits_apart_stay_out_of_the_pool(tabular):
    found = audited(tabular, apart=True, rounds=20)
    rows = found[0]["audit"]["rows"]
    assert all(record["audit"]["rows"] == rows for record in found)
    asked = np.concatenate(acquired(found))
    assert not np.isin(rows, asked).any()
    assert len(asked) + len(rows) == 60  # until the pool ran out


def test_record_by_hand(tabular):
    record = audited(tabular, apart=False, rounds=0)[0]
    train = np.flatnonzero(tabular.split == "train")
    taught = np.arange(4)
    model = LogisticRegression().fit(tabular.X[:4], tabular.y[:4])
    left = np.setdiff1d(train, taught)
    truth = np.mean(model.predict(tabular.X[left]) == tabular.y[left])
    assert record["audit"]["truth"] == pytest.approx(truth, abs=1e-6)
    audit = draw_audit(
        predict_pool(model, tabular.X[train]),
        12,
        taught=taught,
        random_state=np.random.default_rng([3, 0]),
    )
    assert record["audit"]["rows"] == train[audit.rows].tolist()
    value = audit.estimate(tabular.y[train][audit.rows]).accuracy.value
    assert record["audit"]["value"] == pytest.approx(value, abs=1e-6)
    assert record["kappa"] is None and "forecast" not in record
    assert record["stops"]["stable predictions"] is False


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("after", [1, 3])
def test_resumed_run_is_the_same(tabular, apart, after):
    whole = audited(tabular, apart=apart)
    rest = audited(tabular, apart=apart, done=whole[:after])
    assert without_seconds(rest) == without_seconds(whole[after:])


def test_an_audit_that_another_machine_drew_goes_on(tabular):
    """Its model is rounded in another way, so this one would draw other rows."""
    whole = audited(tabular, apart=True, rounds=20)
    rows = [*whole[-1]["acquired"], *whole[0]["audit"]["rows"]][:12]
    done = [{**r, "audit": {**r["audit"], "rows": rows}} for r in whole[:3]]
    rest = audited(tabular, apart=True, rounds=20, done=done)
    assert all(record["audit"]["rows"] == rows for record in rest)
    assert not np.isin(rows, np.concatenate(acquired([*done, *rest]))).any()


@pytest.mark.parametrize("apart", [False, True])
def test_nothing_is_left_to_do_when_the_pool_has_run_out(tabular, apart):
    whole = audited(tabular, apart=apart, rounds=20)
    assert audited(tabular, apart=apart, rounds=20, done=whole) == []


def test_hash_and_file_without_an_audit_are_as_before(small):
    plain, with_audit = small(), small(audit=10)
    assert "audit" not in json.loads(plain.to_json())
    assert plain.digest() == small(audit=0, audit_apart=False).digest()
    assert len({plain.digest(), with_audit.digest(), small(audit=11).digest()}) == 3
    assert BenchmarkConfig.from_json(with_audit.to_json()) == with_audit
    assert BenchmarkConfig().digest() == "9ec888e29879"


def test_settings_that_do_not_fit(small):
    with pytest.raises(ValueError, match="needs an audit"):
        small(audit_apart=True)
    with pytest.raises(ValueError, match="audit must be a whole number of at least 0"):
        small(audit=-1)


def test_report_shows_where_rules_would_have_stopped(small, tmp_path):
    config = small(audit=10, audit_apart=True, rounds=4, seeds=(0,))
    run(config, tmp_path, verbose=0)
    (store,) = open_stores(tmp_path)
    records = store.load()  # and so they pass the checks of a reader
    assert records["audit"].notna().all()
    report = write_report(tmp_path, tmp_path / "out")
    page = report.html.read_text(encoding="utf-8")
    assert "Where each rule would have stopped" in page
    assert "good enough, 90%" in report.markdown.read_text(encoding="utf-8")
    plain = small(rounds=1, seeds=(0,))
    run(plain, tmp_path / "plain", verbose=0)
    page = write_report(tmp_path / "plain", tmp_path / "out").html
    assert "Where each rule" not in page.read_text(encoding="utf-8")


def test_report_of_audits_without_stops(small, tmp_path):
    config = small(audit=10, rounds=1, seeds=(0, 1), models=("pretrained",))
    run(config, tmp_path, verbose=0)
    (store,) = open_stores(tmp_path)
    for one in store.config.units():
        path = store.path(one)
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines[: 2 - one.seed]:  # of the first run all
            del line["stops"]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert stops(summary(store)) is not None and audits(summary(store)) is not None


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    out = tmp_path_factory.mktemp("kept")
    settings = {
        "dataset_params": {"n_train": 60, "n_test": 40, "image_size": 32},
        "estimator_params": {"image_size": 32, "device": "cpu"},
    }
    config = BenchmarkConfig(
        **settings, audit=10, audit_apart=True, rounds=1, seed_set=4, batch=4,
        seeds=(0,), models=("pretrained",), strategies=("random",), references=(),
    )  # fmt: skip
    run(config, out, verbose=0)
    return open_stores(out)[0]


def test_the_end_of_a_run_may_have_no_row_left_to_audit(kept):
    s = summary(kept)
    last = s.records["round"] == 1
    s.records.loc[last, ["audit", "stops"]] = None
    s.records.loc[last, ["accuracy", "worst_group_accuracy"]] = 0.123, 0.045
    for row in stops(s).rows:
        assert row[-2].text.endswith("(0.123)") and row[-1].text.endswith("(0.045)")


def test_the_end_is_that_of_the_runs_which_a_rule_stopped(kept):
    s = summary(kept)
    other = s.records.assign(seed=1, stops=[{}, {}], accuracy=0.5)
    first = s.records.assign(stops=[{"stable error": True}, {}], accuracy=[0.8, 0.9])
    (row,) = stops(s._replace(records=pd.concat([first, other]))).rows
    assert (row[3].text, row[5].text) == ("1 of 2", "0.800 (0.900)")


@pytest.mark.parametrize(
    ("line", "change", "match"),
    [
        (0, lambda a, r: {"apart": 3}, "line 1 has audit="),
        (0, lambda a, r: {"rows": []}, "line 1 has audit="),
        (1, lambda a, r: {"low": a["high"], "high": a["low"]}, "line 2 has audit="),
        (1, lambda a, r: {"value": 0}, "line 2 has audit="),
        (0, lambda a, r: {"rows": [*a["rows"], 100]}, "named twice or not in the data"),
        (0, lambda a, r: {"rows": a["rows"] * 2}, "named twice or not in the data"),
        (1, lambda a, r: {"rows": r["acquired"]}, "whose rows are taught"),
        (1, lambda a, r: {"rows": a["rows"][1:]}, "line 2 has an audit of other rows"),
    ],
)
def test_damaged_audit_is_named(kept, line, change, match):
    path = kept.path(kept.config.units()[0])
    before = path.read_text()
    lines = [json.loads(text) for text in before.splitlines()]
    lines[line]["audit"] |= change(lines[line]["audit"], lines[line])
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(ValueError, match=match):
        kept.load()
    path.write_text(before)
    kept.load()
