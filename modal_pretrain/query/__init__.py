"""Query strategies: which rows of the pool to have labelled next.

A strategy is a function ``(classifier, X, n_instances=1, *, random_state=None, ...)``
that returns the rows to query and their scores. Its name ends in ``_sampling``. Score
functions, whose names end in ``_score``, take probabilities only.
"""

from typing import TYPE_CHECKING

from modal_pretrain._lazy import attach

if TYPE_CHECKING:
    from modal_pretrain.query.atypicality import atypicality_sampling
    from modal_pretrain.query.badge import badge_sampling
    from modal_pretrain.query.clue import clue_sampling
    from modal_pretrain.query.committee import bald_sampling
    from modal_pretrain.query.core_set import core_set_sampling
    from modal_pretrain.query.disambiguation import disambiguation_sampling
    from modal_pretrain.query.drop_query import drop_query_sampling
    from modal_pretrain.query.early_late import early_late_sampling
    from modal_pretrain.query.epig import epig_sampling
    from modal_pretrain.query.herding import (
        max_herding_sampling,
        uncertainty_herding_sampling,
    )
    from modal_pretrain.query.oracle import group_balanced_sampling
    from modal_pretrain.query.prob_cover import prob_cover_sampling
    from modal_pretrain.query.probes import (
        divdis_sampling,
        orthogonal_probe_sampling,
    )
    from modal_pretrain.query.pseudo_groups import pseudo_group_sampling
    from modal_pretrain.query.ranked_batch import ranked_batch_sampling
    from modal_pretrain.query.scores import (
        bald_score,
        entropy_score,
        epig_score,
        least_confidence_score,
        margin_score,
    )
    from modal_pretrain.query.tag_exceptions import tag_exception_sampling
    from modal_pretrain.query.typiclust import typiclust_sampling
    from modal_pretrain.query.uncertainty import (
        entropy_sampling,
        least_confidence_sampling,
        margin_sampling,
        random_sampling,
    )

__all__ = [
    "atypicality_sampling",
    "badge_sampling",
    "bald_sampling",
    "bald_score",
    "clue_sampling",
    "core_set_sampling",
    "disambiguation_sampling",
    "divdis_sampling",
    "drop_query_sampling",
    "early_late_sampling",
    "entropy_sampling",
    "entropy_score",
    "epig_sampling",
    "epig_score",
    "group_balanced_sampling",
    "least_confidence_sampling",
    "least_confidence_score",
    "margin_sampling",
    "margin_score",
    "max_herding_sampling",
    "orthogonal_probe_sampling",
    "prob_cover_sampling",
    "pseudo_group_sampling",
    "random_sampling",
    "ranked_batch_sampling",
    "tag_exception_sampling",
    "typiclust_sampling",
    "uncertainty_herding_sampling",
]

__getattr__, __dir__ = attach(__name__)
