"""The study of heads that learn from the exceptions: its heads, records and table."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "benchmarks" / "results" / "exceptions.csv"
WRONG = RECORDS.with_name("tags.csv")
OTHERS = ["exceptions-mobilenetv2.csv", "exceptions-vit.csv"]


@pytest.fixture(scope="module")
def study():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        yield importlib.import_module("exceptions_study")
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))


def test_heads_and_records(study, tmp_path):
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=300)
    a = np.where(rng.random(300) < 0.1, 1 - y, y)
    Z = rng.normal(0, 0.5, (300, 6))
    Z[:, 0] += 2 * y
    Z[:, 1] += 2 * a
    sets = importlib.import_module("disambiguation_sets")
    rows = sets.Sample(Z, y, a, y != a, np.arange(200), np.arange(200, 300))
    setting = {"n_seed": 20, "batch": 20, "labels": 80}
    path = tmp_path / "records.csv"
    for name, head in study.HEADS.items():
        fit = head(rows, 0)
        found = study.run("least confidence", Z, rows, None, fit, seed=0, **setting)
        names = {"data": "a", "strategy": "least confidence", "head": name, "seed": 0}
        study.append(path, names | found)
    records = study.read(path)
    worst = {r["head"]: r["worst"] for r in records}
    assert list(worst) == list(study.HEADS)
    assert worst["errors:4"] > worst["plain"] and worst["tags:all"] > worst["plain"]


def test_wrong_tags(study):
    right = np.random.default_rng(0).choice([3, 5, 9], 2000)
    wrong = study.some_wrong(right, 0.2, seed=1)
    assert set(wrong) == {3, 5, 9}
    assert 0.17 < (wrong != right).mean() < 0.23
    for value in (3, 5, 9):  # each of the others alike
        others = wrong[(right == value) & (wrong != value)]
        assert np.ptp(np.unique(others, return_counts=True)[1]) < 40
    fewer = study.some_wrong(right, 0.1, seed=1) != right
    assert (wrong != right)[fewer].all() and 0.07 < fewer.mean() < 0.13
    assert (study.some_wrong(right, 0.0, seed=1) == right).all()
    assert (study.some_wrong(right, 0.2, seed=2) != wrong).any()


def test_the_page_holds_the_table_of_the_records(study, capsys):
    records = study.read(RECORDS)
    study.report(records, "worst")
    study.summary(records)
    page = (ROOT / "docs" / "exceptions.md").read_text(encoding="utf-8")
    rows = [line for line in capsys.readouterr().out.splitlines() if line[:2] == "| "]
    assert len(rows) >= 31 + 5
    for line in rows:
        assert line in page


@pytest.mark.parametrize("name", OTHERS)
def test_the_page_holds_the_summaries_of_other_backbones(study, capsys, name):
    records = study.read(RECORDS.with_name(name))
    study.summary(records)
    page = (ROOT / "docs" / "exceptions.md").read_text(encoding="utf-8")
    rows = [line for line in capsys.readouterr().out.splitlines() if line[:2] == "| "]
    assert len(rows) >= 1 + 4
    for line in rows:
        assert line in page


def test_the_page_holds_the_table_of_wrong_tags(study, capsys):
    wrong = study.read(WRONG)
    study.summary(wrong)  # nothing to compare with: no row
    assert "%" not in capsys.readouterr().out.replace("95 %", "")
    sets = {r["data"] for r in wrong}
    kinds = [("oracle", "plain"), ("least confidence", "tags:all"), study.BASE]
    records = [
        r
        for r in study.read(RECORDS)
        if r["data"] in sets and (r["strategy"], r["head"]) in kinds
    ]
    study.summary(records + wrong)
    page = (ROOT / "docs" / "exceptions.md").read_text(encoding="utf-8")
    lines = capsys.readouterr().out.splitlines()
    rows = [line for line in lines if line.startswith("| least confidence, tags:all")]
    assert len(rows) == 2 and " | 0 / " in rows[1]  # with wrong tags below on none
    for row in rows:
        assert row in page
    study.report(wrong + records, "worst")
    for line in capsys.readouterr().out.splitlines():
        if line.split(" | ")[0].lstrip("| ") in sets:
            data, wrongly, base, *_ = line.strip("| ").split(" | ")
            assert f"| {data} | {base} | {wrongly} |" in page


def test_the_readme_says_what_the_summary_says(study, capsys):
    study.summary(study.read(RECORDS))
    printed = capsys.readouterr().out.splitlines()
    row = next(r for r in printed if r.startswith("| least confidence, errors:2 |"))
    _, sets, gain, _, counts, *_ = row.strip("| ").split(" | ")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert sets == "31, 10" and f"{gain.lstrip('+')} more worst-group area" in readme
    assert counts.startswith("0 /")  # less than without on none
    gains = []
    for name in OTHERS:
        study.summary(study.read(RECORDS.with_name(name)))
        printed = capsys.readouterr().out.splitlines()
        row = next(r for r in printed if r.startswith("| least confidence, errors:2 |"))
        _, sets, gain, _, counts, *_ = row.strip("| ").split(" | ")
        assert sets.startswith("28, ") and counts.startswith("0 /")
        gains.append(gain.strip("+ %"))
    assert f"ViT-S/14 {gains[0]} and {gains[1]} % over 28" in readme
