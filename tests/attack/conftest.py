"""How long the attack lasts: seconds in the tests, else as long as `make fuzz` says."""

import os

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
settings.register_profile(
    "fuzz", max_examples=400, deadline=None, suppress_health_check=ALL
)
settings.load_profile(os.environ.get("ATTACK", "short"))
