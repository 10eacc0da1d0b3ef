"""The paper's finding on photographs, through modAL: PAPER's table, matched or beaten.

Land or water vehicles on photographs of land or water places, 5 % of the training set
atypical (a vehicle in the other kind of place). The numbers to reach are from a sketch
of the same protocol: 10 labels, 10 more in each of 20 rounds, five seeds.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from modAL.models import ActiveLearner
from modAL.uncertainty import uncertainty_sampling

from modal_pretrain import PretrainedClassifier

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "roadwater"
# By pretrained: random weights learn as little from less, 0.667 and 0.646 here.
SEEDS = {True: range(3), False: range(2)}
SIZE = {True: 96, False: 48}
ROUNDS, BATCH = 20, 10

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER.exists(), reason="needs ../shared/data/roadwater"),
]


class Data(NamedTuple):
    paths: np.ndarray
    y: np.ndarray
    atypical: np.ndarray
    train: np.ndarray
    test: np.ndarray


class Outcome(NamedTuple):
    """Means over seeds."""

    at_60: float
    at_210: float
    atypical: float  # accuracy at 210 labels on the atypical half
    share: float  # of atypical examples among the acquired


@pytest.fixture(scope="module")
def data():
    table = pd.read_csv(FOLDER / "metadata.csv")
    paths = [str(FOLDER / name) for name in table["img_filename"]]
    return Data(
        paths=np.array(paths),
        y=table["y"].to_numpy(),
        atypical=(table["y"] != table["place"]).to_numpy(),
        train=np.flatnonzero(table["split"] == 0),
        test=np.flatnonzero(table["split"] == 2),
    )


def run(data, pretrained, uncertain, seed):
    rng = np.random.default_rng(seed)

    def at_random(classifier, X, n_instances=1):
        return rng.choice(len(X), n_instances, replace=False), np.zeros(n_instances)

    seed_set = np.concatenate(
        [rng.choice(data.train[data.y[data.train] == c], 5, False) for c in (0, 1)]
    )
    learner = ActiveLearner(
        estimator=PretrainedClassifier(
            image_size=SIZE[pretrained], pretrained=pretrained, random_state=0
        ),
        query_strategy=uncertainty_sampling if uncertain else at_random,
        X_training=data.paths[seed_set],
        y_training=data.y[seed_set],
    )
    pool, acquired, correct = np.setdiff1d(data.train, seed_set), [], {}
    for _ in range(ROUNDS):
        indices, queried = learner.query(data.paths[pool], n_instances=BATCH)
        learner.teach(queried, data.y[pool[indices]])
        acquired += pool[indices].tolist()
        pool = np.delete(pool, indices)
        n_labels = len(learner.y_training)
        if n_labels in (60, 210):
            predicted = learner.predict(data.paths[data.test])
            correct[n_labels] = predicted == data.y[data.test]
    return Outcome(
        correct[60].mean(),
        correct[210].mean(),
        correct[210][data.atypical[data.test]].mean(),
        data.atypical[acquired].mean(),
    )


@pytest.fixture(scope="module")
def outcomes(data):
    """By (pretrained, uncertain)."""

    def mean(*arm):
        return Outcome(*np.mean([run(data, *arm, s) for s in SEEDS[arm[0]]], axis=0))

    return {
        (pretrained, uncertain): mean(pretrained, uncertain)
        for pretrained in (True, False)
        for uncertain in (True, False)
    }


# Measured with five seeds: 0.890 at 60 labels, 0.931 at 210, atypical 0.859, share
# 0.228; random 0.862, atypical 0.723; random initialisation 0.684 and 0.654. With the
# three seeds here: 0.894, 0.931, 0.860, 0.228; 0.859, 0.713.


def test_uncertainty_on_pretrained_features(outcomes):
    outcome = outcomes[True, True]
    assert outcome.at_60 >= 0.879 - 0.015
    assert outcome.at_210 >= 0.927 - 0.005
    assert outcome.atypical >= 0.850 - 0.01
    assert outcome.share >= 0.19


def test_it_beats_random_sampling(outcomes):
    uncertain, random = outcomes[True, True], outcomes[True, False]
    assert 0.85 < random.at_210 < 0.885
    assert uncertain.at_210 > random.at_210 + 0.04
    assert uncertain.atypical > random.atypical + 0.08
    # Fewer than a third of the labels suffice.
    assert uncertain.at_60 > random.at_210


def test_it_finds_the_atypical_examples(outcomes, data):
    pool = data.atypical[data.train].mean()
    assert pool == pytest.approx(0.045)
    assert outcomes[True, True].share > 3.5 * pool
    for others in ((True, False), (False, True), (False, False)):
        assert outcomes[others].share < 1.6 * pool


def test_without_pretraining_there_is_little_to_gain(outcomes):
    uncertain, random = outcomes[False, True], outcomes[False, False]
    gain = uncertain.at_210 - random.at_210
    # 0.005 in the sketch, 0.03 in this protocol with five seeds.
    assert gain < 0.05
    assert gain < outcomes[True, True].at_210 - outcomes[True, False].at_210
    # 0.03 to 0.07 with these seeds, as the processor rounds; pretrained 0.15.
    assert uncertain.atypical - random.atypical < 0.1
    assert uncertain.at_210 < 0.75
