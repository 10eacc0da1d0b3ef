"""How good is the model now, is asking paying off, and when to stop.

NumPy and scikit-learn only, for any classifier with `predict_proba`: modAL learners and
committees, pipelines, estimators. `predict_pool` gives what the functions take.
"""

from modal_pretrain.stopping._estimators import AuditResult
from modal_pretrain.stopping._inputs import predict_pool
from modal_pretrain.stopping._intervals import Estimate, wilson
from modal_pretrain.stopping._predictions import Predictions
from modal_pretrain.stopping.audit import Audit, draw_audit
from modal_pretrain.stopping.drawn_before import audit_of
from modal_pretrain.stopping.forecast import Forecast, forecast_labels
from modal_pretrain.stopping.rules import (
    Decision,
    good_enough,
    stable_error,
    stable_predictions,
)
from modal_pretrain.stopping.suspicious import (
    Suspicious,
    out_of_fold,
    suspicious_labels,
)
from modal_pretrain.stopping.worst_part import WorstPart, audit_groups, worst_part
from modal_pretrain.stopping.worth import Worth, random_share, worth_of_labels

__all__ = [
    "Audit",
    "AuditResult",
    "Decision",
    "Estimate",
    "Forecast",
    "Predictions",
    "Suspicious",
    "WorstPart",
    "Worth",
    "audit_groups",
    "audit_of",
    "draw_audit",
    "forecast_labels",
    "good_enough",
    "out_of_fold",
    "predict_pool",
    "random_share",
    "stable_error",
    "stable_predictions",
    "suspicious_labels",
    "wilson",
    "worst_part",
    "worth_of_labels",
]
