"""Stores with given accuracies, to compare with hand computation."""

import json

import numpy as np
import pytest

from modal_pretrain.benchmark import RecordStore
from modal_pretrain.benchmark.config import Unit
from modal_pretrain.benchmark.description import keep_description

LABELS = np.array([10, 20, 30, 40])
# The first questions are rows 4, 5, 8 and 9.
ROWS = np.concatenate(
    [[0, 1, 2, 3, 6, 7], range(20, 24), [4, 5, 8, 9], range(24, 50)]
).reshape(4, 10)


@pytest.fixture
def store_of(tmp_path, small, tabular):
    """Make a store of one model from a curve for each strategy."""

    def make(curves_by_strategy, data=tabular, **config):
        settings = {"models": ("pretrained",), "strategies": tuple(curves_by_strategy)}
        settings |= {"seed_set": 10, "batch": 10}
        settings["rounds"] = max(map(len, curves_by_strategy.values())) - 1
        store = RecordStore(tmp_path, small(**{**settings, **config}))
        store.create()
        keep_description(store, data)
        for name, curve in curves_by_strategy.items():
            for seed in store.config.seeds:
                write_run(store, Unit("pretrained", name, seed), curve, data)
        probes = {"pretrained": {"class": 0.9, "attribute": 0.8, "mismatch": None}}
        (store.folder / "probes.json").write_text(json.dumps(probes))
        return store

    return make


def write_run(store, unit, curve, data):
    test, names = data.subset("test"), data.group_names
    numbers, counts = np.unique(test.groups, return_counts=True)
    share = counts.min() / counts.sum()
    with store.working_on(unit) as writer:
        for i, accuracy in enumerate(curve):
            # The smallest group is the worst, by 0.1.
            groups = {
                names[number]: accuracy + 0.1 * share / (1 - share)
                for number in numbers
            }
            groups[names[numbers[counts.argmin()]]] = accuracy - 0.1
            odd = i == 0 or unit.strategy == "uncertainty"
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
                    "group_accuracy": groups,
                    "acquired": ROWS[i].tolist(),
                    "acquired_atypical": 5 * odd,
                    "acquired_groups": {names[0]: 10},
                    "seconds": {"fit": 2.0, "query": 0.5, "predict": 1.0},
                }
            )
        writer.finish()


@pytest.fixture
def store(store_of):
    return store_of(
        {"uncertainty": [0.5, 0.8, 0.9, 0.9], "random": [0.5, 0.6, 0.7, 0.8]}
    )
