"""Measures of active learning under an ambiguous task. NumPy and scikit-learn only.

All of them take plain arrays: groups and disambiguating flags come from a
:class:`~modal_pretrain.datasets.GroupedDataset` or from anywhere else.
"""

from typing import TYPE_CHECKING

from modal_pretrain._lazy import attach

if TYPE_CHECKING:
    from modal_pretrain.metrics.bootstrap import Interval, paired_bootstrap
    from modal_pretrain.metrics.calibration import calibration_error
    from modal_pretrain.metrics.efficiency import (
        area_under_curve,
        label_efficiency,
        labels_needed,
    )
    from modal_pretrain.metrics.groups import (
        atypical_accuracy,
        enrichment,
        group_accuracies,
        worst_group_accuracy,
    )
    from modal_pretrain.metrics.probes import probe_separability

__all__ = [
    "Interval",
    "area_under_curve",
    "atypical_accuracy",
    "calibration_error",
    "enrichment",
    "group_accuracies",
    "label_efficiency",
    "labels_needed",
    "paired_bootstrap",
    "probe_separability",
    "worst_group_accuracy",
]

__getattr__, __dir__ = attach(__name__)
