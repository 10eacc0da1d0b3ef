"""The draw of the first labelled examples."""

from __future__ import annotations

from typing import Any

import numpy as np

from modal_pretrain._checks import OneOf, Whole
from modal_pretrain.datasets._draws import check_random


def draw_seed_set(
    n: int,
    train: np.ndarray,
    labels: np.ndarray,
    disambiguating: np.ndarray,
    *,
    balanced: bool,
    atypical: int | None,
    random_state: Any,
) -> np.ndarray:
    """Draw rows of the train split, see `GroupedDataset.seed_set`.

    `train` and `disambiguating` are flags of the rows, `labels` their classes' numbers.
    """
    OneOf((True, False)).check("balanced", balanced)
    rng = check_random(random_state)
    if not balanced:
        labels = np.zeros_like(labels)
    present = rng.permutation(np.unique(labels[train]))
    Whole(least=0).check("n", n)
    Whole(least=0, also=(None,)).check("atypical", atypical)
    if not 1 <= n <= train.sum() or (balanced and n < len(present)):
        least = f"{len(present)} (one per class)" if balanced else "1"
        raise ValueError(
            f"a seed set of n={n} is not possible: n may be from {least} to "
            f"{train.sum()}, the rows of the train split"
        )
    if atypical is not None and not 0 <= atypical <= n:
        raise ValueError(f"atypical must be None or in [0, n={n}], got {atypical}")
    k = len(present)
    # The permutation above decides who gets one of the remainder.
    quota = np.full(k, n // k) + (np.arange(k) < n % k)
    if atypical is None:
        pools = [train & (labels == c) for c in present]
        wanted = list(zip(pools, quota, strict=True))
    else:
        rare = [train & (labels == c) & disambiguating for c in present]
        usual = [train & (labels == c) & ~disambiguating for c in present]
        odd = share_out(
            atypical, [min(q, r.sum()) for q, r in zip(quota, rare, strict=True)]
        )
        wanted = list(zip(rare, odd, strict=True))
        wanted += list(zip(usual, quota - odd, strict=True))
    for pool, count in wanted:
        if count > pool.sum():
            raise ValueError(
                f"not enough examples for a seed set of n={n} with "
                f"balanced={balanced}, atypical={atypical}: a class needs {count} "
                f"and has {pool.sum()}"
            )
    drawn = [
        rng.choice(np.flatnonzero(pool), count, replace=False) for pool, count in wanted
    ]
    return rng.permutation(np.concatenate(drawn))


def share_out(total: int, capacity: list[int]) -> np.ndarray:
    """Share `total` out as evenly as the capacities allow; the first come first."""
    share = np.zeros(len(capacity), dtype=int)
    while share.sum() < total:
        free = [i for i, c in enumerate(capacity) if share[i] < c]
        if not free:
            raise ValueError(
                f"atypical={total} disambiguating examples are wanted in the seed set "
                f"and only {sum(capacity)} fit or exist"
            )
        for i in free[: total - share.sum()]:
            share[i] += 1
    return share
