"""New rows that were taught, and the predictions of the model before."""

import warnings

import numpy as np
import pytest

from modal_pretrain.stopping import draw_audit, worst_part
from tests.stopping.pools import pool


@pytest.mark.parametrize("embeddings", [None, "some"])
def test_the_model_of_the_draw_is_no_model_that_was_taught_more(embeddings):
    proba, truth = pool()
    audit = draw_audit(proba, 40, taught=[3, 1], random_state=0)
    y = truth[audit.rows]
    more = np.setdiff1d(np.arange(50), audit.rows)
    X = None if embeddings is None else np.random.default_rng(0).normal(size=(1000, 3))
    with pytest.warns(UserWarning, match="measures the model of that draw"):
        audit.estimate(y, taught=more)
    with pytest.warns(UserWarning, match="measures the model of that draw"):
        worst_part(audit, y, X, taught=more)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        audit.estimate(y, proba, taught=more)
        worst_part(audit, y, X, proba=proba, taught=more)
        audit.estimate(y, taught=[1, 3])
        worst_part(audit, y, X, taught=[1, 3])
        audit.estimate(y)
