"""A benchmark that came by and by, and was stopped, is the one that came at once."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modal_pretrain.benchmark import BenchmarkConfig, run
from modal_pretrain.query import margin_sampling

STOP = {"in": None}  # questions until somebody presses Ctrl-C


def impatient(learner, X, n_instances=1):
    """Margin sampling, until it is stopped."""
    if STOP["in"] == 0:
        raise KeyboardInterrupt
    if STOP["in"] is not None:
        STOP["in"] -= 1
    return margin_sampling(learner, X, n_instances)


AXES = {
    "models": ["pretrained", "random-init"],
    "strategies": ["random", f"{__name__}:impatient"],
    "seeds": [0, 1],
    "references": ["oracle"],
}
some_axes = st.fixed_dictionaries(
    {name: st.lists(st.sampled_from(AXES[name]), min_size=name != "references",
                    unique=True) for name in AXES}
)  # fmt: skip


def benchmark(axes, out):
    config = BenchmarkConfig(
        dataset_params={"n_train": 60, "n_test": 40, "image_size": 32},
        estimator_params={"image_size": 32, "device": "cpu"},
        seed_set=4,
        batch=3,
        rounds=2,
        audit=5,
        **{name: tuple(values) for name, values in axes.items()},
    )
    return run(config, out, verbose=0)


@pytest.fixture(scope="module")
def at_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("once")
    table = benchmark(AXES, folder)
    return written(folder), numbers(table)


def numbers(table):
    """Return what does not depend on the clock, in an order of its own."""
    table = table.sort_values(["model", "strategy", "seed", "n_labels"])
    timed = [name for name in table if name.startswith("seconds")]
    return table.drop(columns=timed).reset_index(drop=True)


def written(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*/records/*.jsonl")}


# Each of them takes seconds.
@settings(max_examples=settings.default.max_examples * 2 // 5)
@given(calls=st.lists(st.tuples(some_axes, st.none() | st.integers(0, 9)), max_size=4))
def test_benchmark_by_and_by(calls, at_once, tmp_path_factory):
    """Runs that came one by one, and were stopped, are those that came at once."""
    folder = tmp_path_factory.mktemp("by-and-by")
    for axes, questions in [*calls, (AXES, None)]:
        STOP["in"] = questions
        try:
            table = benchmark(axes, folder)
        except KeyboardInterrupt:
            assert STOP["in"] == 0
        finally:
            STOP["in"] = None
        found = written(folder)
        assert found == {name: at_once[0][name] for name in found}
    pd.testing.assert_frame_equal(numbers(table), at_once[1])
