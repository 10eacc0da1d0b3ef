"""The study of labels saved: its loop, records and table."""

import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "benchmarks" / "results" / "efficiency.csv"


@pytest.fixture(scope="module")
def study(script_of):
    return script_of("efficiency_study")


def test_a_curve_is_the_accuracy_after_each_round(script_of, study):
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=500)
    Z = rng.normal(0, 0.5, (500, 6)) + y[:, None]
    Sample = script_of("disambiguation_sets").Sample
    a = np.where(rng.random(500) < 0.1, 1 - y, y)
    sample = Sample(Z, y, a, y != a, np.arange(300), np.arange(300, 500))
    start, found = study.curve("random", Z, sample, seed=0)
    assert start == 10 and len(found) == study.ROUNDS
    assert found[-1] > 0.9


def test_seeds_that_both_have_are_compared(study, capsys):
    def record(data, strategy, seed, final):
        curve = np.linspace(0.5, final, study.ROUNDS)
        rounds = {f"round {i}": value for i, value in enumerate(curve)}
        run = {"data": data, "strategy": strategy, "seed": seed, "start": 10}
        return run | rounds

    whole = [
        record("a", strategy, seed, final + seed / 50)
        for strategy, final in (("random", 0.6), ("least confidence", 0.7))
        for seed in range(3)
    ]
    study.report(whole)
    expected = capsys.readouterr().out
    assert expected.count("x (") == 1
    more = [
        record("a", "random", 3, 0.9),  # of each a seed that the other lacks
        record("a", "least confidence", 5, 0.51),
        record("b", "random", 0, 0.8),
        record("c", "random", 0, 0.8),
        record("c", "least confidence", 1, 0.8),
    ]
    study.report([*more, *whole[::-1]])
    assert capsys.readouterr().out == expected


def test_the_pages_hold_what_the_records_say(study, runs, capsys):
    wanted = runs.of_sets(
        [name for key in ("first", "second", "blind") for name in runs.SETS[key]],
        "tf_efficientnet_lite0",
        224,
        runs.DEFAULTS,
    )
    records = runs.recorded(study.RECORDS, RECORDS, wanted)
    assert len(records) == 31 * 2 * 10 == len(study.RECORDS.read(RECORDS))
    study.report(records)
    rows = [r for r in capsys.readouterr().out.splitlines() if "x (" in r]
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert len(rows) == 31
    for row in rows:
        assert row in page
    pattern = r"([\d.]+)x \(([\d.]+)-([\d.]+)\)"
    found = np.array([re.search(pattern, row).groups() for row in rows], dtype=float)
    low, middle, high = (f"{f(found[:, 0]):.1f}" for f in (np.min, np.median, np.max))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    squeezed, whole = (re.sub(r"\s+", " ", text).lower() for text in (page, readme))
    for text in (squeezed, whole):
        assert f"between {low} and {high} times" in text
        assert f"above {middle}" in text
    assert f"above 1 on {(found[:, 1] > 1).sum()} of the 31" in page
    # The lower of the two curves' ends is what is to be reached.
    ends = np.array([row.strip("| ").split(" | ")[2:] for row in rows], dtype=float)
    assert (ends[:, 1] < ends[:, 0]).sum() == 5
    assert "on five of the sets, where least confidence ends below random" in squeezed
    assert "on the five of them where uncertainty ends below random" in whole
