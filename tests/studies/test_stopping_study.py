"""The study of audits and stop rules: its loop, its tables, what the page says."""

from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def study(script_of):
    return script_of("stopping_study")


@pytest.fixture(scope="module")
def tables(script_of):
    return script_of("stopping_tables")


@pytest.fixture
def task(study, tmp_path):
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=900)
    a = np.where(rng.random(900) < 0.1, 1 - y, y)
    E = rng.normal(0, 1, (900, 6))
    E[:, 0] += y
    E[:, 1] += a
    path = tmp_path / "task.npz"
    np.savez(path, E=E, y=y, a=a, train=np.arange(700), test=np.arange(700, 900))
    return study.Task(path)


def test_a_loop_and_what_it_is_asked(study, tables, task, tmp_path):
    lines = list(study.answers(task, "task", 1, ["audits", "rounds", "arms"]))
    lines += list(study.answers(task, "task", 0, ["worst", "slips"]))
    kinds = {line["question"] for line in lines}
    assert kinds == {
        *("accuracy", "recall", "forecast", "stop", "carried", "worth"),
        *("worst", "slips"),
    }
    path = tmp_path / "out.csv"
    study.RECORDS.append(path, lines)
    assert len(study.RECORDS.read(path)) == len(lines)
    found = tables.read(path)
    assert len(found) == len(lines)
    audits = found[(found["question"] == "accuracy") & (found["method"] == "auto")]
    assert len(audits) == 9 and audits["held"].mean() > 0.5
    tables.main([str(path)])


def test_random_arm_and_audit_are_kept_apart(study, task):
    loop = study.run_loop(task, 1, arm=5, held=40)
    assert len(loop["chosen"]) == len(set(loop["chosen"])) == study.LABELS
    assert sum(loop["is_random"]) == 10 + (study.LABELS - 10) // 5
    assert not np.isin(loop["pool"][loop["audit"].rows], loop["chosen"]).any()
    assert not np.isin(loop["fresh"], loop["chosen"]).any()


def test_page_shows_what_the_script_prints(tables, capsys):
    tables.main([])
    page = (ROOT / "docs" / "stopping.md").read_text(encoding="utf-8")
    lines = [line for line in capsys.readouterr().out.splitlines() if line[:1] == "|"]
    assert len(lines) > 30
    missing = [line for line in lines if line not in page]
    assert not missing, "docs/stopping.md lacks:\n" + "\n".join(missing)


def test_what_must_hold(tables):
    lines = tables.read()
    audits = lines[(lines["question"] == "accuracy") & (lines["method"] == "auto")]
    assert audits.groupby(["data", "seed"]).ngroups >= 200
    assert audits["data"].nunique() >= 6
    for _, some in audits.groupby("budget"):
        assert 0.93 <= some["held"].mean() <= 0.98
    for _, some in audits.groupby("labels"):
        assert 0.93 <= some["held"].mean() <= 0.98
    assert tables.narrower(audits[audits["truth"] >= tables.GOOD]) >= 1.3
    forecasts = lines[lines["question"] == "forecast"]
    assert tables._held(forecasts) >= 0.85
    safe = lines[(lines["method"] == "good enough") & (lines["labels"] > 0)]
    assert (safe["truth"] < safe["extra"] - 0.03).mean() <= 0.025


def test_errors_that_confidence_does_not_see(script_of):
    """The page's warning: the default is fooled where a random audit is not."""
    held = script_of("stopping_blind").held
    default, above = held(60, 20, [1 / 6, 1 / 6], "auto", 100)
    random, _ = held(60, 20, [1 / 6, 1 / 6], "random", 100)
    assert 0.6 < default < 0.8
    assert above > (1 - default) / 2
    assert random > 0.93


def test_an_audit_carried_along_errs_either_way(script_of):
    """The page: too low if random, too high by default where labels are noise."""
    off = script_of("stopping_carried").off
    random = [off(0.15, "random", seed)[0] for seed in range(10)]
    default = [off(0.15, "auto", seed) for seed in range(10)]
    assert sum(random) / 10 < -0.02
    assert sum(value for value, _, _ in default) / 10 > 0
    assert not any(above for _, _, above in default)
