"""The study of disambiguation: its loop, its records and the page's summary."""

import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
ALL = ("first", "second", "blind")
NET = "tf_efficientnet_lite0"


def records_of(study, runs, names, file="disambiguation.csv", size=224, batch=10):
    setting = {"n_seed": 10, "batch": batch, "labels": 200}
    wanted = runs.of_sets(names, NET, size, setting)
    return runs.recorded(study.RECORDS, ROOT / "benchmarks/results" / file, wanted)


@pytest.fixture(scope="module")
def study(script_of):
    return script_of("disambiguation_study")


@pytest.fixture(scope="module")
def sample(script_of):
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=300)
    a = np.where(rng.random(300) < 0.1, 1 - y, y)
    Z = rng.normal(0, 0.5, (300, 6))
    Z[:, 0] += y
    Z[:, 1] += 2 * a
    sets = script_of("disambiguation_sets")
    return Z, sets.Sample(Z, y, a, y != a, np.arange(200), np.arange(200, 300))


def test_loop_and_records(study, runs, sample, tmp_path):
    Z, rows = sample
    groups = study.groups_of(rows)
    posterior = np.zeros((300, 4))
    posterior[:200] = study.group_posterior(Z[:200], groups[:200], 4)
    np.testing.assert_allclose(posterior[:200].sum(axis=1), 1)
    setting = {"n_seed": 10, "batch": 10, "labels": 20}
    path = tmp_path / "records.csv"
    for name in ("least confidence", "oracle", "informed", "attribute known"):
        found = study.run(name, Z, rows, posterior, seed=0, **setting)
        where = runs.of_sets(["a, b"], "net", 96, setting)["a, b"]
        record = {**where, "strategy": name, "seed": 0, **found}
        study.RECORDS.append(path, [record])
    records = study.RECORDS.read(path)
    assert [r["strategy"] for r in records][2] == "informed"
    assert records[0]["data"] == "a, b" and records[0]["batch"] == 10
    assert (records[0]["backbone"], records[0]["image size"]) == ("net", 96)
    share = {r["strategy"]: r["atypical share"] for r in records}
    assert share["oracle"] > 0.4 > share["least confidence"]
    assert all(0 <= r["worst"] <= r["accuracy"] <= 1 for r in records)


def test_other_backbones_sizes_and_settings_are_other_runs(
    study, runs, sample, monkeypatch, tmp_path
):
    Z, rows = sample
    path, embedded, shown = tmp_path / "records.csv", [], []

    def embed(sample, backbone, image_size, cache):
        embedded.append((backbone, image_size))
        return Z

    monkeypatch.setattr(runs, "embed", embed)
    monkeypatch.setattr(study, "report", lambda records, *_: shown.append(records))
    monkeypatch.setattr(runs, "samples", lambda _, names: [(names[0], lambda: rows)])
    fixed = ["study", str(path), "--sets", "digits, colour", "--seeds", "1",
             "--strategies", "least confidence", "oracle"]  # fmt: skip

    def command(*options):
        arguments = [*fixed, "--labels", "20", *options]
        monkeypatch.setattr(sys, "argv", arguments)
        study.main()
        return study.RECORDS.read(path)

    first = command()
    assert [r["image size"] for r in first] == [224, 224]
    assert command() == command("--image-size", "224") == first  # known by its number
    assert len(embedded) == 1
    two = command("--backbone", "mobilenetv2_100")
    assert two[:2] == first and len(two) == 4
    three = command("--image-size", "96")
    assert three[:4] == two and len(three) == 6
    assert embedded[1:] == [("mobilenetv2_100", None), (NET, 96)]
    # The tables are of the runs that the options name.
    assert command("--backbone", "mobilenetv2_100", "--report") == three
    assert shown[-1] == two[2:] and shown[0] == first
    path.write_text(path.read_text().replace("image size", "size"))
    with pytest.raises(SystemExit, match="has the columns 'backbone,size,"):
        command()


def test_ceilings_ask_for_the_group_with_the_fewest_labels(script_of):
    ceilings = script_of("disambiguation_ceilings")
    posterior = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]])
    # Group 1 lacks most: row 1, which counts 0.8 there. 0.8 against 1.2: again, row 2.
    chosen, scores = ceilings.balance(posterior, np.array([0]), 2)
    assert chosen.tolist() == [1, 2]
    np.testing.assert_allclose(scores, [0.8, 0.6])


def test_the_page_says_what_the_summary_says(study, runs, capsys):
    names = ("random", "least confidence", "disambiguation", "oracle")
    sets = {name for key in ALL for name in runs.SETS[key]}
    assert len(sets) == 31
    some = [r for r in records_of(study, runs, sets) if r["strategy"] in names]
    page = (ROOT / "docs" / "disambiguation.md").read_text(encoding="utf-8")
    titles = {
        "worst": "worst group",
        "atypical": "atypical groups",
        "accuracy": "accuracy",
    }
    for metric, title in titles.items():
        study.report(some, metric, "disambiguation")
        printed = capsys.readouterr().out.splitlines()
        row = next(line for line in printed if line.startswith("| disambiguation |"))
        gain, pooled, counts, mean = row.strip("| ").split(" | ")[1:]
        assert f"| all, 31 | {title} | {gain} | {pooled} | {mean} | {counts} |" in page
        if metric == "worst":
            below, above = counts.split(" / ")
            readme = (ROOT / "README.md").read_text(encoding="utf-8")
            assert f"above least confidence on {above} of" in readme
            assert f"and below it on {below}, by" in readme


@pytest.mark.parametrize("name, size, batch", [("-96px", 96, 10), ("", 224, 50)])
def test_the_page_holds_the_other_summaries(study, runs, capsys, name, size, batch):
    file = f"disambiguation{name}.csv"
    some = records_of(study, runs, runs.SETS["named"], file, size, batch)
    assert len(some) >= 8 * 4 * 10
    study.report(some, "worst", "disambiguation")
    page = (ROOT / "docs" / "disambiguation.md").read_text(encoding="utf-8")
    printed = capsys.readouterr().out
    rows = printed[printed.index("| strategy |") :].splitlines()
    assert len(rows) >= 5
    assert all(line in page for line in rows)


def test_data_sets_without_a_folder(script_of):
    sets = script_of("disambiguation_sets")
    makers = dict(sets.samples(None, [*sets.FIRST, *sets.SECOND, *sets.BLIND]))
    assert len(makers) == 7 and "digits, colour" in makers
    rows = makers["digits, colour"]()
    assert rows.X.shape[1:] == (96, 96, 3) and rows.X.dtype == np.uint8
    assert 0.045 < rows.atypical[rows.train].mean() < 0.055
    assert rows.atypical[rows.test].mean() == 0.5
    assert not set(rows.train) & set(rows.test)
