"""Stores with given accuracies, to compare with hand computation."""

import json

import numpy as np
import pytest

from modal_pretrain.benchmark import RecordStore
from modal_pretrain.benchmark.config import Unit
from modal_pretrain.benchmark.description import keep_description

LABELS = np.array([10, 20, 30, 40])


@pytest.fixture
def store_of(tmp_path, small, tabular):
    """Make a store of one model from a curve for each strategy."""

    def make(curves_by_strategy, data=tabular, **config):
        settings = {"models": ("pretrained",), "strategies": tuple(curves_by_strategy)}
        settings["rounds"] = max(map(len, curves_by_strategy.values())) - 1
        store = RecordStore(tmp_path, small(**{**settings, **config}))
        store.create()
        keep_description(store, data)
        for name, curve in curves_by_strategy.items():
            for seed in store.config.seeds:
                write_run(store, Unit("pretrained", name, seed), curve)
        probes = {"pretrained": {"class": 0.9, "attribute": 0.8, "mismatch": None}}
        (store.folder / "probes.json").write_text(json.dumps(probes))
        return store

    return make


def write_run(store, unit, curve):
    with store.working_on(unit) as writer:
        for i, accuracy in enumerate(curve):
            writer.append(
                {
                    "round": i,
                    "n_labels": int(LABELS[i]),
                    "accuracy": accuracy,
                    "worst_group_accuracy": accuracy - 0.1,
                    "atypical_accuracy": accuracy - 0.05,
                    "calibration_error": 0.1,
                    "brier": 0.2,
                    "log_loss": 0.3,
                    "group_accuracy": {"0/0": accuracy, "0/1": accuracy},
                    "acquired": [4 * i, 4 * i + 1],
                    "acquired_atypical": int(i == 0 or unit.strategy == "uncertainty"),
                    "acquired_groups": {"0/0": 2},
                    "seconds": {"fit": 2.0, "query": 0.5, "predict": 1.0},
                }
            )
        writer.finish()


@pytest.fixture
def store(store_of):
    return store_of(
        {"uncertainty": [0.5, 0.8, 0.9, 0.9], "random": [0.5, 0.6, 0.7, 0.8]}
    )
