"""The benchmark: grid, loop, records, summary, figure and command line."""

import json
import sys

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from modal_pretrain.benchmark import BenchmarkConfig, RecordStore, run, run_unit
from modal_pretrain.benchmark import registry as registry_module
from modal_pretrain.benchmark.cli import main
from modal_pretrain.benchmark.config import Unit
from modal_pretrain.benchmark.registry import strategy, strategy_names
from modal_pretrain.benchmark.summary import curves, summarise, to_markdown
from modal_pretrain.datasets import GroupedDataset


@pytest.fixture
def tabular():
    """Two features, one for the class and one for the attribute; 60 + 20 rows."""
    rng = np.random.default_rng(0)
    y = np.tile([0, 1], 40)
    attribute = y.copy()
    attribute[::10] = 1 - attribute[::10]
    X = np.column_stack([y, attribute]) + 0.05 * rng.normal(size=(80, 2))
    split = np.array(["train"] * 60 + ["test"] * 20)
    return GroupedDataset(X=X, y=y, attribute=attribute, split=split)


def first_rows(classifier, X, n_instances=1):
    return np.arange(n_instances), np.zeros(n_instances)


def small(**changes):
    settings = {
        "dataset_params": {"n_train": 60, "n_test": 40, "image_size": 32},
        "estimator_params": {"image_size": 32, "device": "cpu"},
        "seeds": (0, 1),
        "seed_set": 4,
        "batch": 4,
        "rounds": 2,
    }
    return BenchmarkConfig(**{**settings, **changes})


def test_loop_records_what_happened(tabular):
    seed_set = np.array([0, 1, 2, 3])
    records = list(
        run_unit(
            tabular,
            LogisticRegression(),
            first_rows,
            seed_set=seed_set,
            batch=5,
            rounds=3,
        )
    )
    assert [record["n_labels"] for record in records] == [4, 9, 14, 19]
    assert records[0]["acquired"] == [0, 1, 2, 3]
    assert records[1]["acquired"] == [4, 5, 6, 7, 8]
    assert records[2]["acquired"] == [9, 10, 11, 12, 13]
    assert records[2]["acquired_atypical"] == 1  # row 10
    assert sum(records[1]["acquired_groups"].values()) == 5
    for record in records:
        groups = record["group_accuracy"].values()
        assert record["worst_group_accuracy"] == min(groups)
        assert set(record["seconds"]) == {"fit", "predict", "query"}


def test_loop_ends_with_the_pool(tabular):
    records = list(
        run_unit(
            tabular,
            LogisticRegression(),
            first_rows,
            seed_set=np.arange(50),
            batch=8,
            rounds=9,
        )
    )
    assert [record["n_labels"] for record in records] == [50, 58, 60]
    acquired = np.concatenate([record["acquired"] for record in records])
    assert sorted(acquired) == list(range(60))


def test_strategies_get_a_seed_of_their_round(tabular):
    seen = []

    def strategy(classifier, X, n_instances=1, *, random_state=None):
        seen.append(random_state)
        return first_rows(classifier, X, n_instances)

    for seed in (0, 0, 1):
        list(
            run_unit(
                tabular,
                LogisticRegression(),
                strategy,
                seed_set=np.arange(4),
                batch=1,
                rounds=2,
                seed=seed,
            )
        )
    assert seen[:2] == seen[2:4]
    assert len(set(seen)) == 4


def test_the_oracle_sees_the_groups(tabular):
    records = list(
        run_unit(
            tabular,
            LogisticRegression(),
            strategy("group_balanced"),
            seed_set=np.array([1, 2, 3, 4]),
            batch=2,
            rounds=1,
        )
    )
    # The seed set has two rows of each group but the atypical one.
    assert records[1]["acquired_atypical"] == 2


def test_digest_ignores_the_axes_and_nothing_else():
    base = small()
    assert base.digest() == small(seeds=(5,), strategies=("random",)).digest()
    for changed in (
        small(batch=5),
        small(rounds=3),
        small(estimator_params={"image_size": 64}),
        small(dataset_params={"n_train": 61}),
        small(seed_set_atypical=0),
    ):
        assert changed.digest() != base.digest()


@pytest.mark.parametrize(
    "change, match",
    [
        ({"batch": 0}, "batch"),
        ({"rounds": -1}, "rounds"),
        ({"seeds": ()}, "seeds"),
        ({"models": ("pretrained", "pretrained")}, "models"),
    ],
)
def test_bad_settings_are_refused(change, match):
    with pytest.raises(ValueError, match=match):
        small(**change)


def test_unknown_names_fail_before_the_work(tmp_path):
    with pytest.raises(ValueError, match="no strategy 'nonsense'; there are"):
        run(small(strategies=("nonsense",)), tmp_path, verbose=0)
    with pytest.raises(ValueError, match="no dataset"):
        run(small(dataset="nonsense"), tmp_path, verbose=0)
    assert list(tmp_path.iterdir()) == []


def test_every_listed_strategy_can_be_had():
    assert {"random", "uncertainty", "margin", "entropy"} <= set(strategy_names())
    for name in strategy_names():
        assert callable(strategy(name))


def test_a_run_resumes_and_grows_without_redoing(tmp_path, monkeypatch):
    config = small()
    store, _ = run(config, tmp_path, verbose=0)
    files = {path: path.read_bytes() for path in store.folder.glob("records/*")}
    assert len(files) == 8
    removed = store.path(Unit("pretrained", "random", 1))
    removed.unlink()

    calls = []
    make = registry_module.make_estimator

    def counting(*args):
        calls.append(args[:2])
        return make(*args)

    monkeypatch.setattr("modal_pretrain.benchmark.runner.make_estimator", counting)
    run(config, tmp_path, verbose=0)
    assert calls == [("pretrained", 1)]
    assert {p: p.read_bytes() for p in store.folder.glob("records/*")} == files
    grown = small(seeds=(0, 1, 2))
    run(grown, tmp_path, verbose=0)
    assert len(calls) == 1 + 4
    assert RecordStore(tmp_path, grown).load().seed.nunique() == 3


def test_a_half_written_unit_is_not_taken_for_finished(tmp_path):
    store = RecordStore(tmp_path, small())
    unit = Unit("pretrained", "random", 0)

    def dying():
        yield {"round": 0, "seconds": {}}
        raise MemoryError

    with pytest.raises(MemoryError):
        store.save(unit, dying())
    assert not store.is_finished(unit)
    assert store.load().empty


def fake_store(tmp_path, curves_by_strategy):
    """A store with given accuracies, to compare the summary with hand computation."""
    config = small(models=("pretrained",), strategies=tuple(curves_by_strategy))
    store = RecordStore(tmp_path, config)
    for name, curve in curves_by_strategy.items():
        for seed in config.seeds:
            records = [
                {
                    "round": i,
                    "n_labels": 10 * (i + 1),
                    "accuracy": accuracy,
                    "worst_group_accuracy": accuracy - 0.1,
                    "atypical_accuracy": accuracy - 0.05,
                    "acquired": [i],
                    "seconds": {},
                }
                for i, accuracy in enumerate(curve)
            ]
            store.save(Unit("pretrained", name, seed), records)
    (store.folder / "probes.json").write_text(
        json.dumps({"pretrained": {"class": 0.9, "attribute": 0.8}})
    )
    return store


def test_summary_by_hand(tmp_path, tabular):
    store = fake_store(
        tmp_path,
        {"uncertainty": [0.5, 0.8, 0.9, 0.9], "random": [0.5, 0.6, 0.7, 0.8]},
    )
    labels, values = curves(store.load(), "pretrained", "random")
    assert labels.tolist() == [10, 20, 30, 40]
    assert values.shape == (2, 4)
    table = summarise(store, tabular).set_index("strategy")
    row = table.loc["uncertainty"]
    assert row.multiple == row.multiple_low == row.multiple_high == 2.0
    assert row.accuracy == pytest.approx(0.9)
    assert row.worst_group == pytest.approx(0.8)
    assert row.atypical == pytest.approx(0.85)
    # Rows 1, 2 and 3 were acquired, none of them disambiguating; the seed set,
    # row 0, is, and does not count.
    assert tabular.disambiguating[[0, 1, 2, 3]].tolist() == [True, False, False, False]
    assert row.atypical_share == 0
    assert row.probe_class == 0.9
    assert np.isnan(row.probe_mismatch)
    text = to_markdown(table.reset_index())
    assert "| 2.0x (2.0-2.0) |" in text
    assert len(text.splitlines()) == 4


def test_command_line(tmp_path, capsys):
    arguments = ["--seeds", "1", "--rounds", "1", "--quiet", "--image-size", "32"]
    assert main([*arguments, "--models", "pretrained", "--out", str(tmp_path)]) == 0
    output = capsys.readouterr()
    assert "| pretrained | uncertainty |" in output.out
    assert output.err == ""
    (folder,) = tmp_path.iterdir()
    assert (folder / "figure.png").stat().st_size > 10_000
    assert "| pretrained | random |" in (folder / "summary.md").read_text()


def test_command_line_without_matplotlib(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    arguments = ["--seeds", "1", "--rounds", "0", "--quiet", "--image-size", "32"]
    assert main([*arguments, "--models", "pretrained", "--out", str(tmp_path)]) == 0
    output = capsys.readouterr().out
    assert "| pretrained | uncertainty |" in output
    assert "pip install 'modal_pretrain[report]'" in output


def test_command_line_names_what_is_wrong(tmp_path, capsys):
    assert main(["--strategies", "nonsense", "--out", str(tmp_path)]) == 2
    assert "no strategy 'nonsense'" in capsys.readouterr().err
