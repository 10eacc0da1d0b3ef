"""Texts under modAL and the strategies."""

from functools import partial

import numpy as np
import pytest
from modAL.models import ActiveLearner, Committee
from modAL.uncertainty import margin_sampling, uncertainty_sampling

from modal_pretrain import (
    query,
)
from tests.text.cases import (
    KINDS,
)


@pytest.mark.parametrize("kind", ["head", "all"])
@pytest.mark.parametrize("as_list", [False, True])
def test_active_learning(text_classifier, texts, names, kind, as_list):
    X = list(texts) if as_list else texts
    learner = ActiveLearner(
        text_classifier(**KINDS[kind]), uncertainty_sampling, X[:4], names[:4]
    )
    pool = np.arange(4, 24)
    for n_instances in (1, 2, 3):
        rows = [X[i] for i in pool] if as_list else X[pool]
        chosen, queried = learner.query(rows, n_instances=n_instances)
        assert list(queried) == [texts[i] for i in pool[chosen]]
        learner.teach(queried, names[pool[chosen]])
        pool = np.delete(pool, chosen)
    assert len(learner.X_training) == 10
    assert learner.predict(X).shape == (24,)


def test_committee(text_classifier, texts, names):
    members = [
        ActiveLearner(
            text_classifier(pretrained=False, random_state=seed),
            margin_sampling,
            texts[:6],
            names[:6],
        )
        for seed in (0, 1)
    ]
    chosen, _ = Committee(members).query(texts[6:], n_instances=3)
    assert len(set(chosen)) == 3


STRATEGIES = [name for name in query.__all__ if name.endswith("_sampling")]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_strategies(text_classifier, texts, names, labels, strategy):
    params = {"module__dropout": 0.2} if strategy[:4] in ("bald", "epig") else {}
    learner = ActiveLearner(
        text_classifier(**params), X_training=texts[:8], y_training=names[:8]
    )
    extra = {"groups": labels[8:]} if strategy == "group_balanced_sampling" else {}
    ask = partial(getattr(query, strategy), n_instances=3, random_state=0, **extra)
    chosen, _ = ask(learner, texts[8:])
    assert len(set(chosen.tolist())) == 3
    assert chosen.max() < 16
    np.testing.assert_array_equal(ask(learner, texts[8:])[0], chosen)
