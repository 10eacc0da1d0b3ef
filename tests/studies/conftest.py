"""What tests of studies share."""

import importlib
import sys
from pathlib import Path

import pytest

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")


@pytest.fixture(scope="module")
def script_of():
    """Import a script of `benchmarks/` by its name; it finds those beside it."""
    sys.path.insert(0, BENCHMARKS)
    yield importlib.import_module
    sys.path.remove(BENCHMARKS)


@pytest.fixture(scope="module")
def runs(script_of):
    """What the studies of loops share."""
    return script_of("study_runs")
