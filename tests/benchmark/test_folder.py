"""Records of several folders: which settings tell them apart."""

import os

import pytest
import timm

from modal_pretrain.benchmark import RecordStore, load, run
from tests.datasets.trees import fill


def test_folders_without_records_are_named(tmp_path):
    with pytest.raises(ValueError, match="no benchmark records"):
        load(tmp_path)


def test_records_say_which_settings_differ(small, tmp_path):
    """Or the means of two sizes, say, would be one, with nothing to part them by."""
    own = {"models": ("pretrained",), "strategies": ("random",), "seeds": (0,)}
    sizes = [small(**own, estimator_params={"image_size": n}) for n in (32, 48)]
    audited = small(**own, audit=5, estimator_params={"image_size": 48})
    records = run([*sizes, audited], tmp_path, verbose=0)
    found = records.groupby("config").image_size.unique().map(list).to_dict()
    expected = zip([*sizes, audited], (32, 48, 48), strict=True)
    assert found == {config.digest(): [size] for config, size in expected}
    assert "rounds" not in records  # the same for all
    assert records.audit.dropna().map(type).eq(dict).all()  # what was measured
    alone = load(RecordStore(tmp_path, sizes[0]).folder)
    assert "image_size" not in alone


def test_no_row_is_lost_where_one_groups_by_a_setting(small, tmp_path):
    """`groupby` leaves out None, which stood where a folder has the default."""
    own = {"models": ("pretrained",), "strategies": ("random",), "seeds": (0,)}
    data = {"n_train": 60, "n_test": 40, "image_size": 32}
    configs = [
        small(**own),
        small(**own, pool_sample=20),
        small(**own, estimator_params={"device": "cpu"}),
        small(**own, dataset_params={**data, "image_size": 48}),
        small(**own, audit=4, audit_apart=True),
    ]
    records = run(configs, tmp_path, verbose=0)
    names = ["image_size", "pool_sample", "audit_apart", "dataset_image_size"]
    groups = records.groupby([*names, "config"]).size()
    assert groups.sum() == len(records) == 15
    assert {key[-1]: key[:-1] for key in groups.index} == {
        configs[0].digest(): (32, "default", False, 32),
        configs[1].digest(): (32, 20, False, 32),
        configs[2].digest(): ("default", "default", False, 32),
        configs[3].digest(): (32, "default", False, 48),
        configs[4].digest(): (32, "default", True, 32),
    }


def test_a_setting_called_as_what_is_recorded_has_a_column(small, tmp_path):
    """The means of audits of 4 and of 8 labels were one: ``audit`` is a record's."""
    own = {"models": ("pretrained",), "strategies": ("random",), "seeds": (0,)}
    configs = [small(**own, audit=n, audit_apart=True) for n in (4, 8)]
    records = run(configs, tmp_path, verbose=0)
    found = records.groupby("config").setting_audit.unique().map(list).to_dict()
    expected = zip(configs, (4, 8), strict=True)
    assert found == {config.digest(): [n] for config, n in expected}
    assert records.audit.map(type).eq(dict).all()


def _network():
    return timm.create_model("tf_efficientnet_lite0", num_classes=0)


def test_a_factory_is_called_alike_by_run_and_load(small, tmp_path):
    """`run` had the function itself there, whose text is its place in memory."""
    own = {"models": ("random-init",), "strategies": ("random",), "seeds": (0,)}
    params = {"backbone": _network, "image_size": 32}
    config = small(**own, references=(), rounds=0, estimator_params=params)
    (called,) = run(config, tmp_path, verbose=0).backbone.unique()
    assert [called] == load(tmp_path).backbone.unique().tolist()
    assert called.startswith(f"{__name__}:_network ")


def test_a_folder_without_finished_runs_leaves_whole_numbers_whole(small, tmp_path):
    own = {"models": ("pretrained",), "strategies": ("random",), "seeds": (0,)}
    whole = run(small(**own), tmp_path, verbose=0)
    RecordStore(tmp_path, small(**own, pool_sample=20)).create()
    found = load(tmp_path).drop(columns="pool_sample")
    assert found.equals(whole)
    assert found.dtypes.equals(whole.dtypes)


def test_runs_that_do_not_augment_say_so(tmp_path):
    """The hash leaves out False, and ``records.augment == False`` was no row."""
    grid = {
        "dataset": {"name": "shapes", "n_train": 60, "n_test": 40},
        "models": ["random-init"],
        "strategies": ["random"],
        "seeds": 1,
        "rounds": 0,
        "references": [],
        "estimator": {
            "image_size": 32,
            "tune": 1,
            "max_steps": 1,
            "augment": [False, True],
        },
    }
    assert run(grid, tmp_path, verbose=0).augment.tolist() == [False, True]


def test_results_lie_outside_the_pictures(tmp_path, monkeypatch):
    """Thumbnails of a report were a class of the next run."""
    fill(tmp_path / "flat", *(f"{name}/{i}.png" for name in "ab" for i in range(9)))
    settings = {
        "dataset": {"name": "folder", "root": str(tmp_path / "flat"), "test_size": 0.2},
        "models": ["pretrained"],
        "seeds": [0],
        "rounds": 1,
        "batch": 2,
        "seed_set": 4,
    }
    monkeypatch.chdir(tmp_path / "flat")
    for out in ("results", tmp_path / "flat" / "a" / "deep"):
        with pytest.raises(ValueError, match=r"out .* must lie outside the pictures"):
            run(settings, out)
    assert sorted(os.listdir()) == ["a", "b"]
    assert len(run(settings, tmp_path / "flat-results", verbose=0))
