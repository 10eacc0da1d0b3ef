"""The study of what tags gain and cost: its heads, scores, records and tables."""

import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "benchmarks" / "results" / "balance.csv"


@pytest.fixture(scope="module")
def study(script_of):
    return script_of("balance_study")


@pytest.fixture
def sample(script_of):
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=500)
    a = np.where(rng.random(500) < 0.1, 1 - y, y)
    a[400:] = np.arange(100) % 2  # test rows are of all groups alike
    Z = rng.normal(0, 0.5, (500, 6)).astype(np.float32)
    Z[:, 0] += 2 * y
    Z[:, 1] += 4 * a
    Sample = script_of("disambiguation_sets").Sample
    return Sample(Z, y, a, y != a, np.arange(400), np.arange(400, 500))


def test_the_head_is_scikit_learns(study, sample):
    Z, y = sample.X[:60], sample.y[:60]
    weight = np.random.default_rng(0).uniform(0.2, 2, 60)
    one = study.Span(Z).fit(y, 2, 0.05, weight)
    other = LogisticRegression(C=0.1, tol=1e-8).fit(Z, y, sample_weight=weight)
    expected = other.predict_proba(sample.X)
    np.testing.assert_allclose(one.predict_proba(sample.X), expected, atol=2e-3)


def test_scores_on_the_pools_mixture(study, sample):
    class Attribute:  # right about typical rows alone
        def predict(self, Z):
            return (Z[:, 1] > 2).astype(int)

    pool, worst = study.Scores(sample.X, sample)(Attribute())
    train = sample.train
    typical = (sample.y == sample.attribute)[train].mean()
    assert abs(pool - typical) < 0.03 and worst < 0.05


def test_loops_records_and_tables(study, sample, tmp_path, capsys):
    setting = {"n_seed": 20, "batch": 20, "labels": 120}
    records = []
    for seed in (0, 1):
        for asks in (0, 1):
            found, at = study.curves(sample.X, sample, asks, seed=seed, **setting)
            assert at.tolist() == [20, 40, 60, 80, 100, 120, 140]
            for balance, curve in found.items():
                scores = study.points(curve, at)
                np.testing.assert_allclose(scores[2:4], curve[2])
                record = ("net", 96, "a", asks, balance, seed, *scores)
                columns = study.RECORDS.columns
                records.append(dict(zip(columns, record, strict=True)))
    study.RECORDS.append(tmp_path / "records.csv", records)
    again = study.RECORDS.read(tmp_path / "records.csv")
    assert len(again) == 2 * (1 + 5)
    worst = {r["balance"]: r["worst"] for r in again if r["asks"] and not r["seed"]}
    assert worst[1] > worst[0.5] > worst[0]
    study.report(again)
    out = capsys.readouterr().out
    assert "net, 96 px, 1 sets, 2 seeds" in out
    found = study.difference(again, (1, 1, " at 60"), (0, 0, " at 120"))
    assert f"| {study.cell(found)} |" in out


def test_other_backbones_and_sizes_are_other_runs(
    study, runs, sample, monkeypatch, tmp_path, capsys
):
    path, embedded = tmp_path / "records.csv", []

    def embed(sample, backbone, image_size, cache):
        embedded.append((backbone, image_size))
        return sample.X

    curve = np.full((20, 2), 0.5), np.arange(10, 210, 10)
    monkeypatch.setattr(runs, "embed", embed)
    monkeypatch.setattr(
        study,
        "curves",
        lambda *_, **__: (dict.fromkeys(study.BALANCES, curve[0]), curve[1]),
    )
    shown = []
    monkeypatch.setattr(study, "report", shown.append)
    monkeypatch.setattr(runs, "samples", lambda _, names: [(names[0], lambda: sample)])

    def command(*options):
        fixed = ["study", str(path), "--sets", "digits, colour", "--seeds", "1"]
        monkeypatch.setattr(sys, "argv", [*fixed, *options])
        study.main()
        return study.RECORDS.read(path)

    with pytest.raises(SystemExit, match="has no records"):
        command("--report")
    first = command()
    assert len(first) == 2 * 5 and {r["image size"] for r in first} == {224}
    assert command() == first and len(embedded) == 1
    other = command("--image-size", "96")
    assert other[:10] == first and len(other) == 20
    assert {r["image size"] for r in other[10:]} == {96}
    capsys.readouterr()
    assert command("--report", "--seeds", "3") == shown[-1] == other  # of all sizes
    assert len(embedded) == 2 and not capsys.readouterr().out


def test_the_page_holds_the_tables_of_the_records(study, capsys):
    records = study.RECORDS.read(RECORDS)
    assert {r["image size"] for r in records} == {224}
    by_backbone = {}
    for record in records:
        by_backbone.setdefault(record["backbone"], []).append(record)
    assert len(by_backbone) == 2
    page = (ROOT / "docs" / "exceptions.md").read_text(encoding="utf-8")
    for backbone, own in by_backbone.items():
        assert len(own) == len({r["data"] for r in own}) * 8 * 6, "unfinished"
        study.report(own)
        lines = capsys.readouterr().out.splitlines()
        # Set by set for the default backbone, overall for every one.
        whole = backbone == "tf_efficientnet_lite0"
        rows = [r for r in lines if r.startswith(("| 0.", "| 1 ", "| mean"))]
        assert len(rows) == 5
        for row in [r for r in lines if r.startswith("| ")] if whole else rows:
            assert row in page
