"""How long the attack lasts: seconds in the tests, else as long as `make fuzz` says."""

import os

import pytest
from hypothesis import HealthCheck, settings

ALL = list(HealthCheck)
# Short and the same each time, so that a run of the tests says the same twice.
settings.register_profile(
    "short",
    max_examples=10,
    deadline=None,
    derandomize=True,
    suppress_health_check=ALL,
)
# Others each time; few, so that a pass takes minutes: `make fuzz` begins another.
settings.register_profile(
    "fuzz", max_examples=40, deadline=None, suppress_health_check=ALL
)
settings.load_profile(os.environ.get("ATTACK", "short"))


@pytest.fixture(scope="module", autouse=True)
def _elsewhere(tmp_path_factory):
    """Names of files and folders are among the odd values."""
    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("here"))
    yield
    os.chdir(before)
