"""Made signals with a class, an attribute and a split."""

import numpy as np

from modal_pretrain.datasets import GroupedDataset
from tests.modality import signals


def make_signals(n_train=60, n_test=24, random_state=0):
    """Slow or fast waves, most of the slow ones loud and of the fast ones soft."""
    rng = np.random.default_rng(random_state)
    n = n_train + n_test
    fast = np.arange(n) % 2
    typical = rng.random(n) < 0.8
    typical[:4] = True, True, False, False
    loud = np.where(typical, 1 - fast, fast)
    time = np.linspace(0, 1, 64) + rng.random((n, 1))
    waves = np.sin(2 * np.pi * np.where(fast, 12, 3)[:, None] * time)
    noise = 0.1 * rng.standard_normal(waves.shape)
    return GroupedDataset(
        X=(np.where(loud, 2.0, 0.5)[:, None] * waves + noise).astype(np.float32),
        y=np.array(["slow", "fast"])[fast],
        attribute=np.array(["soft", "loud"])[loud],
        split=np.array(["train"] * n_train + ["test"] * n_test),
        name="signals",
        attribute_name="loudness",
        modality=signals.SIGNALS.name,
    )


make_signals.modality = signals.SIGNALS.name
