"""What comes later with an index is in the order of the pool's, or refused."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from modal_pretrain.stopping import (
    audit_groups,
    draw_audit,
    out_of_fold,
    predict_pool,
    suspicious_labels,
    worst_part,
)


@pytest.fixture
def table():
    """A frame with an index of its own, and its labels."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(120, 3)), index=1000 + rng.permutation(120))
    return X, pd.Series((X[0] + rng.normal(size=120) > 0).astype(int), X.index)


@pytest.fixture
def audit(table):
    model = LogisticRegression().fit(*(part.to_numpy()[:20] for part in table))
    pool = table[0].rename(columns=str).set_axis(table[0].index)
    model.fit(pool[:20], table[1][:20])
    return draw_audit(predict_pool(model, pool), 40, random_state=0)


@pytest.mark.parametrize("how", [lambda a: a, copy.deepcopy, "pickle"])
def test_labels_of_audited_rows(table, audit, how):
    audit = pickle.loads(pickle.dumps(audit)) if how == "pickle" else how(audit)
    labels = table[1].iloc[audit.rows]
    right = audit.estimate(labels.to_numpy())
    assert audit.estimate(labels) == right
    for wrong in (audit.estimate, lambda y: worst_part(audit, y)):
        with pytest.raises(ValueError, match=r"y\.loc\[X\.index\[audit\.rows\]\]"):
            wrong(labels.sort_index())
    groups = labels.map({0: "a", 1: "b"})
    audit_groups(audit, labels, groups)
    with pytest.raises(ValueError, match="groups has, by its index"):
        audit_groups(audit, labels, groups.sort_index())


def test_what_comes_for_every_row(table, audit):
    X, y = table
    labels, proba = y.iloc[audit.rows], pd.DataFrame(audit.predictions.proba, X.index)
    right = audit.estimate(labels)
    assert audit.estimate(labels, proba) == right
    with pytest.raises(ValueError, match="proba has, by its index"):
        audit.estimate(labels, proba.sort_index())
    with pytest.raises(ValueError, match="proba has, by its index"):
        audit.extend(proba.sort_index(), 10)
    with pytest.raises(ValueError, match="embeddings has, by its index"):
        worst_part(audit, labels, X.sort_index())
    longer = audit.extend(proba, 10, random_state=0)
    with pytest.raises(ValueError, match="y has, by its index"):
        longer.estimate(y.iloc[longer.rows].sort_index())


def test_labels_beside_predictions_out_of_fold(table):
    X, y = table
    predictions = out_of_fold(LogisticRegression(), X, y)
    proba, classes = predictions
    assert proba.shape == (120, 2) and classes.tolist() == [0, 1]
    suspicious_labels(predictions, y)
    with pytest.raises(ValueError, match="y has, by its index"):
        suspicious_labels(predictions, y.sort_index())
