"""The random orders of questions, apart from sessions."""

import numpy as np

from modal_pretrain.labelling.questions import Questions


def _near(rows, others, within=2):
    return sum(np.abs(others - row).min() <= within for row in rows)


def test_a_picture_more_or_less_draws_no_neighbours_of_those_asked_before():
    # In a folder of frames, neighbours say the same as what was answered before.
    found = 0
    for seed in range(5):
        before, after = (Questions(n, 0.2, seed) for n in (3000, 3001))
        found += _near(after._audit[:40], before._audit[:40])
        found += _near(after.order[:40], before.order[:40])
    assert found < 60  # of 400; chance: 26
