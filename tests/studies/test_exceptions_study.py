"""The study of heads that learn from the exceptions: its heads and records."""

import sys

import numpy as np
import pytest


@pytest.fixture(scope="module")
def study(script_of):
    return script_of("exceptions_study")


@pytest.fixture
def sample(script_of):
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=300)
    a = np.where(rng.random(300) < 0.1, 1 - y, y)
    Z = rng.normal(0, 0.5, (300, 6))
    Z[:, 0] += 2 * y
    Z[:, 1] += 2 * a
    sets = script_of("disambiguation_sets")
    return sets.Sample(Z, y, a, y != a, np.arange(200), np.arange(200, 300))


@pytest.fixture
def command(study, runs, sample, monkeypatch, tmp_path):
    """Run the command on a small set, into one file; give what there is then."""
    embedded = []

    def embed(sample, backbone, image_size, cache):
        embedded.append((backbone, image_size))
        return sample.X + (len(embedded) - 1) * sample.y[:, None]

    monkeypatch.setattr(runs, "embed", embed)
    monkeypatch.setattr(runs, "samples", lambda _, names: [(names[0], lambda: sample)])
    path = tmp_path / "records.csv"
    fixed = ["study", str(path), "--sets", "digits, colour", "--n-seed", "20",
             "--seeds", "1", "--strategies", "least confidence"]  # fmt: skip

    def main(*options):
        monkeypatch.setattr(sys, "argv", [*fixed, *map(str, options)])
        study.main()
        return study.RECORDS.read(path), embedded

    return main


def test_heads_and_records(study, command):
    records, _ = command("--batch", 20, "--labels", 80)
    worst = {r["head"]: r["worst"] for r in records}
    assert list(worst) == list(study.HEADS)
    assert worst["errors:4"] > worst["plain"] and worst["tags:all"] > worst["plain"]


def test_other_backbones_sizes_and_settings_are_other_runs(command, capsys):
    few = ("--labels", 60, "--heads", "plain", "errors:2")
    own, embedded = command(*few)
    assert [r["image size"] for r in own] == [224, 224]
    assert command(*few)[0] == command(*few, "--image-size", 224)[0] == own
    assert len(embedded) == 1  # what is there is not run again
    for options in (
        ("--backbone", "mobilenetv2_100"),
        ("--image-size", 96),
        ("--batch", 30),
        ("--labels", 80),
        ("--n-seed", 30),
    ):
        before = len(embedded)
        records, embedded = command(*few, *options)
        assert records[: len(own)] == own and len(records) == len(own) + 2
        assert len(embedded) == before + 1
        own = records
    capsys.readouterr()
    assert command(*few, "--backbone", "mobilenetv2_100")[0] == own
    (base,) = (
        r["worst"]
        for r in own
        if (r["backbone"], r["head"]) == ("mobilenetv2_100", "plain")
    )
    printed = capsys.readouterr().out
    assert f"| digits, colour | {base:.3f} |" in printed
    assert "| least confidence, errors:2 | 1, 1 |" in printed


def test_tables_without_running_anything(command, capsys):
    records, embedded = command("--labels", 20, "--heads", "plain")
    capsys.readouterr()
    again, embedded = command("--labels", 20, "--report")
    assert again == records and len(embedded) == 1
    printed = capsys.readouterr().out
    assert "| digits, colour |" in printed and "done" not in printed
    with pytest.raises(SystemExit, match="It has: tf_efficientnet_lite0 at 224"):
        command("--labels", 30, "--report")


def test_comparisons_with_another_head(study, command, capsys):
    few = ("--labels", 40, "--heads", "plain", "errors:2", "errors:4")
    records, _ = command(*few)
    of = {r["head"]: r["worst"] for r in records}
    capsys.readouterr()
    command(*few, "--report", "--against", "least confidence", "errors:2")
    printed = capsys.readouterr().out
    lead = f"{of['errors:4'] - of['errors:2']:+.3f}"
    back = f"{of['plain'] - of['errors:2']:+.3f}"
    row = [
        f"{back} [{back}, {back}]",
        f"{of['errors:2']:.3f}",
        f"{lead} [{lead}, {lead}]",
    ]
    assert f"| digits, colour | {' | '.join(row)} |" in printed
    assert "Against least confidence with the errors:2 head" in printed
    assert "\n| least confidence, errors:2 |" not in printed
    with pytest.raises(SystemExit, match=r"no runs of oracle, plain .* errors:4\."):
        command(*few, "--report", "--against", "oracle", "plain")


def test_the_gap_is_the_same_whatever_is_compared(study, capsys):
    areas = {study.BASE: 0.4, study.ORACLE: 0.8, ("x", "a"): 0.6, ("x", "b"): 0.5}
    records = [
        {"data": "d", "seed": seed, "strategy": strategy, "head": head}
        | dict.fromkeys(("worst", "accuracy"), area)
        for (strategy, head), area in areas.items()
        for seed in range(2)
    ]
    study.summary(records, ("x", "b"))
    printed = capsys.readouterr().out
    assert "| x, a | 1, 2 | +20.0 % | +25 % | 0 / 1 | +0.1000 | 0 / 1 |" in printed
    assert "| x, b |" not in printed


def test_a_file_without_the_columns_is_refused(study, command, tmp_path):
    path = tmp_path / "records.csv"
    path.write_text("data,strategy,head,seed,accuracy,worst,atypical\n")
    with pytest.raises(SystemExit, match=r"'data,strategy,head,seed,.*backbone"):
        command("--labels", 20)


def test_texts_are_of_their_encoder(runs):
    names = ("sentiment, domain", "digits, colour")
    text, picture = runs.of_sets(names, "mobilenetv2_100", None, {}).values()
    assert (text["backbone"], text["image size"]) == ("all-MiniLM-L6-v2", None)
    assert (picture["backbone"], picture["image size"]) == ("mobilenetv2_100", 224)


def test_heads_of_some_sets_have_a_table_of_their_own(study):
    def runs(head, sets, strategy="least confidence"):
        return [{"strategy": strategy, "head": head, "data": data} for data in sets]

    all_of, more, some = runs("plain", "abc"), runs("errors:2", "abc"), runs("x", "b")
    parts = list(study.by_sets([*some, *all_of, *more]))
    assert parts == [[*all_of, *more], [*some, all_of[1], more[1]]]


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
