"""Audits: what is drawn, what is estimated, what cannot be."""

import time
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import torch
from modAL.models import ActiveLearner, Committee
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from modal_pretrain.metrics import calibration_error
from modal_pretrain.stopping import (
    audit_groups,
    draw_audit,
    predict_pool,
    wilson,
)
from tests.stopping.pools import coverage, pool

DESIGNS = ("auto", "weighted", "random", "stratified", "active")


@pytest.mark.parametrize("design", DESIGNS)
def test_rows_are_drawn_once_and_by_random_state(design):
    proba, _ = pool()
    taught = np.arange(0, 1000, 3)
    drawn = [
        draw_audit(proba, 60, taught=taught, design=design, random_state=s)
        for s in (1, 1, 2)
    ]
    rows = drawn[0].rows
    assert len(np.unique(rows)) == 60 and not np.isin(rows, taught).any()
    np.testing.assert_array_equal(rows, drawn[1].rows)
    assert not np.array_equal(rows, drawn[2].rows)


def _near(rows, others, within=4):
    """Say how many of the rows have one of the others next to them."""
    return sum(np.abs(others - row).min() <= within for row in rows)


@pytest.mark.parametrize("design", ["weighted", "random"])
def test_rows_added_with_the_same_seed_are_no_neighbours_of_the_first_ones(design):
    # Neighbours in a pool of videos are alike, and say nothing new.
    proba = np.column_stack([np.linspace(0.6, 0.9, 4000), np.linspace(0.4, 0.1, 4000)])
    audit = draw_audit(proba, 30, design=design, random_state=0)
    for done in (30, 60, 90):
        audit = audit.extend(proba, 30, random_state=0)
        assert _near(audit.rows[done:], audit.rows[:done]) < 18  # chance: 2 to 6


@pytest.mark.parametrize("design", ["weighted", "random", "stratified", "active"])
def test_rows_are_no_neighbours_of_taught_ones_drawn_with_the_same_seed(design):
    proba = np.tile([0.7, 0.3], (4000, 1))
    for seed in range(5):
        taught = np.random.default_rng(seed).choice(4000, 30, replace=False)
        audit = draw_audit(proba, 30, taught=taught, design=design, random_state=seed)
        assert _near(audit.rows, taught) < 12  # chance: 2


@pytest.mark.parametrize("design", DESIGNS)
def test_estimates_have_no_bias(design):
    # Over many draws the mean comes to the truth, also where the model is too sure.
    proba, y = pool(500, seed=3)
    shown = proba**2 / (proba**2).sum(axis=1, keepdims=True)
    truth = np.mean(shown.argmax(axis=1) == y)
    found = []
    for seed in range(100):
        audit = draw_audit(shown, 40, design=design, random_state=seed)
        found.append(audit.estimate(y[audit.rows]).accuracy.value)
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found) - truth) < 4 * error + 0.004


@pytest.mark.parametrize("design", ["weighted", "random", "stratified"])
def test_estimates_have_no_bias_once_random_rows_are_taught(design):
    proba, y = pool(500, seed=3)
    shown = proba**3 / (proba**3).sum(axis=1, keepdims=True)
    off = []
    for seed in range(150):
        audit = draw_audit(shown, 40, design=design, random_state=seed)
        others = np.setdiff1d(np.arange(500), audit.rows)
        taught = np.random.default_rng(seed).choice(others, 350, replace=False)
        left = audit.left(taught)
        truth = np.mean(shown[left].argmax(axis=1) == y[left])
        found = audit.estimate(y[audit.rows], shown, taught=taught).accuracy.value
        off.append(found - truth)
    assert abs(np.mean(off)) < 0.015


@pytest.mark.parametrize(
    ("distort", "budget"), [(0.5, 20), (1.0, 20), (2.0, 20), (1.0, 100)]
)
def test_intervals_hold_the_truth(distort, budget):
    held, width = coverage("auto", budget, distort=distort)
    _, plain = coverage("random", budget, distort=distort)
    assert held >= 0.85  # 40 pools: 95 % but for chance
    assert width < 1.03 * plain


def test_narrower_where_confidence_tells():
    # Nine rows in ten are sure and right: chance is only in the tenth.
    rng = np.random.default_rng(0)
    right = np.where(np.arange(2000) % 10 == 0, 0.6, 0.999)
    proba = np.column_stack([right, 1 - right])
    y = (rng.random(2000) > right).astype(int)
    widths = {}
    for design in ("auto", "random"):
        ends = []
        for seed in range(20):
            audit = draw_audit(proba, 40, design=design, random_state=seed)
            found = audit.estimate(y[audit.rows]).accuracy
            ends.append(found.high - found.low)
        widths[design] = np.median(ends)
    assert widths["auto"] < widths["random"] / 1.3


def test_confidence_that_says_nothing_falls_back_to_wilson():
    proba = np.tile([0.8, 0.2], (500, 1))
    y = (np.arange(500) % 10 == 0).astype(int)
    audit = draw_audit(proba, 40, random_state=0)
    found = audit.estimate(y[audit.rows]).accuracy
    assert audit.design == "random"
    hits = np.sum(y[audit.rows] == 0)
    assert (found.low, found.high) == pytest.approx(wilson(hits, 40), abs=1e-12)
    # And the weighted interval is the same but for the part of the pool that is seen.
    same = draw_audit(proba, 40, design="weighted", random_state=0)
    found = same.estimate(y[same.rows]).accuracy
    low, high = wilson(np.sum(y[same.rows] == 0), 40)
    assert 0.93 < (found.high - found.low) / (high - low) < 1.01


@pytest.mark.parametrize("design", DESIGNS)
def test_all_rows_leave_nothing_to_chance(design):
    proba, y = pool(50)
    audit = draw_audit(proba, 50, design=design, random_state=0)
    found = audit.estimate(y[audit.rows]).accuracy
    truth = np.mean(proba.argmax(axis=1) == y)
    assert found[:3] == pytest.approx((truth,) * 3)


def test_recall_of_each_class():
    proba, y = pool(2000, n_classes=3, seed=1)
    audit = draw_audit(proba, 400, classes=list("abc"), random_state=0)
    named = np.array(list("abc"))[y]
    found = audit.estimate(named[audit.rows])
    for k, name in enumerate("abc"):
        truth = np.mean(proba[y == k].argmax(axis=1) == k)
        assert found.recall[name].low <= truth <= found.recall[name].high
    # A class that no audited row is of has no recall.
    assert audit.estimate(np.full(400, "a")).recall["b"] is None


def test_a_later_model_on_the_same_rows():
    proba, y = pool(800, seed=5)
    audit = draw_audit(proba, 60, random_state=0)
    better = np.where(np.arange(2) == y[:, None], 0.9, 0.1)
    assert audit.estimate(y[audit.rows]).accuracy.value < 1
    assert audit.estimate(y[audit.rows], better).accuracy.value == 1


def test_extended_round_by_round():
    held = []
    for seed in range(40):
        proba, y = pool(600, seed=seed)
        audit, taught = draw_audit(proba, 10, random_state=seed), []
        for step in range(3):
            left = np.setdiff1d(np.arange(600), [*audit.rows, *taught])
            taught += left[np.argsort(proba[left].max(axis=1))[:10]].tolist()
            audit = audit.extend(proba, 10, taught=taught, random_state=step)
        assert len(np.unique(audit.rows)) == 40
        assert not np.isin(audit.rows, taught).any()
        there = np.setdiff1d(np.arange(600), taught)
        truth = np.mean(proba[there].argmax(axis=1) == y[there])
        found = audit.estimate(y[audit.rows]).accuracy
        held.append(found.low <= truth <= found.high)
    assert np.mean(held) >= 0.85


def test_mean_of_another_metric():
    proba, y = pool(2000, seed=2)
    brier = ((proba - np.eye(2)[y]) ** 2).sum(axis=1)
    expected = (proba * (1 - proba)).sum(axis=1)
    audit = draw_audit(proba, 100, random_state=0)
    told = audit.mean(brier[audit.rows], expected, bounds=(0, 2))
    plain = audit.mean(brier[audit.rows], bounds=(0, 2))
    for found in (told, plain):
        assert found.low <= brier.mean() <= found.high < 1
        assert found.value == pytest.approx(brier.mean(), abs=0.1)
    assert told.high - told.low < plain.high - plain.low


def test_groups_by_name():
    proba, y = pool(400)
    audit = draw_audit(proba, 60, random_state=0)
    tags = [None if k % 3 == 0 else "ab"[k % 3 - 1] for k in range(60)]
    found = audit_groups(audit, y[audit.rows], tags)
    assert set(found) == {"a", "b"}
    assert [e.value for e in found.values()] == sorted(e.value for e in found.values())
    assert sum(e.n for e in found.values()) == 40
    with pytest.raises(
        ValueError, match="groups must hold one entry for each of the 6"
    ):
        audit_groups(audit, y[audit.rows], tags[1:])


def test_groups_of_any_kind():
    proba, y = pool(400)
    audit = draw_audit(proba, 12, random_state=0)
    truth, codes = y[audit.rows], np.arange(12) % 2
    found = audit_groups(audit, truth, codes.tolist())
    assert audit_groups(audit, truth, codes) == found
    assert audit_groups(audit, truth, torch.tensor(codes)) == found
    assert audit_groups(audit, truth, pd.Series(codes, index=audit.rows)) == found
    missing = pd.array([*codes[:-1], None], dtype="Int64")
    assert sum(e.n for e in audit_groups(audit, truth, missing).values()) == 11
    with pytest.raises(ValueError, match=r"audit\.rows in another order"):
        audit_groups(audit, truth, pd.Series(codes, index=audit.rows[::-1]))
    with pytest.raises(ValueError, match="groups must hold a name or a number"):
        audit_groups(audit, truth, codes[:, None])
    with pytest.raises(ValueError, match="of type dict"):
        audit_groups(audit, truth, dict.fromkeys(range(12)))


def test_a_table_of_groups_is_refused_with_the_way_to_give_it():
    proba, y = pool(400)
    audit = draw_audit(proba, 12, random_state=0)
    truth = y[audit.rows]
    groups = pd.DataFrame({"place": ["sea", "wood"] * 6, "camera": [1, 1, 2] * 4})
    advice = r"list\(map\(tuple, np\.asarray\(groups, object\)\)\)"
    with pytest.raises(ValueError, match=advice):
        audit_groups(audit, truth, groups)
    found = audit_groups(audit, truth, list(map(tuple, np.asarray(groups, object))))
    assert set(found) == {(a, b) for a in ("sea", "wood") for b in (1, 2)}


def learners():
    X = np.random.default_rng(0).normal(size=(60, 3))
    y = np.where(X[:, 0] > 0, "up", "down")
    yield ActiveLearner(GaussianNB(), X_training=X, y_training=y), X
    yield make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y), X
    members = [ActiveLearner(GaussianNB(), X_training=X, y_training=y)] * 2
    yield Committee(learner_list=members), X


@pytest.mark.parametrize("k", range(3))
def test_any_classifier(k):
    classifier, X = list(learners())[k]
    predictions = predict_pool(classifier, X)
    audit = draw_audit(predictions, 20, random_state=0)
    found = audit.estimate(np.where(X[audit.rows, 0] > 0, "up", "down"))
    assert found.accuracy.value > 0.7 and set(found.recall) == {"up", "down"}
    assert "by 20 audit labels" in str(found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"budget": 1001}, "budget=1001 is more than the 1000 rows"),
        ({"budget": 995, "taught": np.arange(10)}, "more than the 990 rows"),
        ({"budget": 0}, "budget must be a whole number of at least 1"),
        ({"design": "stratifed"}, "Did you mean 'stratified'"),
        ({"taught": [1, 1]}, "taught has a row twice"),
        ({"taught": [1000]}, "taught must be row numbers from 0 to 999"),
        ({"taught": [0.5]}, "taught must be row numbers or a mask"),
        ({"classes": ["a"]}, "one different label for each of the 2 columns"),
        ({"classes": ["a", "a"]}, "one different label for each of the 2 columns"),
        ({"proba": np.full((3, 2), 0.4)}, "row 0 sums to 0.8"),
        ({"proba": np.zeros((0, 2))}, "has no rows"),
        ({"proba": np.full((3, 2), np.nan)}, "not finite"),
        ({"proba": np.ma.array(np.full((3, 2), 0.5), mask=True)}, "is masked"),
    ],
)
def test_bad_draws(change, message):
    arguments = {"proba": pool()[0], "budget": 20, **change}
    with pytest.raises(ValueError, match=message):
        draw_audit(arguments.pop("proba"), **arguments)


def test_bad_labels():
    proba, y = pool()
    audit = draw_audit(proba, 20, random_state=0)
    with pytest.raises(ValueError, match="one label for each of the 20 rows"):
        audit.estimate(y[audit.rows][1:])
    strange = y[audit.rows].astype(object)
    strange[3] = 7
    with pytest.raises(ValueError, match="label 7, which the model does not know"):
        audit.estimate(strange)
    before = audit.estimate(y[audit.rows]).accuracy.value
    assert audit.estimate(strange, unknown="wrong").accuracy.value <= before
    with pytest.raises(ValueError, match="taught has 2 rows of the audit"):
        audit.estimate(y[audit.rows], taught=audit.rows[:2])
    with pytest.raises(ValueError, match="same 1000 rows"):
        audit.estimate(y[audit.rows], proba[:10])
    with pytest.raises(ValueError, match="within bounds"):
        audit.mean(np.full(20, 3.0))
    with pytest.raises(ValueError, match="bounds must be finite numbers"):
        audit.mean(np.zeros(20), bounds=(1, 0))


def test_designs_of_one_draw_cannot_be_extended():
    audit = draw_audit(pool()[0], 20, design="stratified", random_state=0)
    with pytest.raises(ValueError, match="cannot be extended"):
        audit.extend(pool()[0], 5)


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("budget", [1, 2, 3])
def test_fewer_labels_than_strata(design, budget):
    proba, y = pool(40)
    audit = draw_audit(proba, budget, design=design, random_state=0)
    found = audit.estimate(y[audit.rows]).accuracy
    assert 0 <= found.low <= found.high <= 1


@pytest.mark.parametrize("wrong", [0, 1])
@pytest.mark.parametrize("design", DESIGNS)
def test_labels_that_all_agree_are_no_certainty(design, wrong):
    # Of a pool like this, 40 labels hardly ever hold one of the errors there are.
    rare = np.random.default_rng(0).beta(0.3, 1500, 5000)
    proba = np.stack([1 - rare, rare], axis=1)
    audit = draw_audit(proba, 40, design=design, random_state=0)
    found = audit.estimate(np.full(40, wrong)).accuracy
    assert found.high - found.low > 0.03
    assert found.high == 1 if wrong == 0 else found.low == 0


def test_one_class_only():
    # Everything is the same class to the model: its accuracy is the class's share.
    audit = draw_audit(np.ones((100, 1)), 20, random_state=0)
    found = audit.estimate(np.zeros(20, int))
    assert found.accuracy.value == 1 and found.accuracy.low > 0.8


def test_classifier_without_probabilities():
    class Plain:
        def predict(self, X):
            return X

    with pytest.raises(TypeError, match="Plain has no predict_proba"):
        predict_pool(Plain(), np.zeros((2, 1)))


def test_memory_grows_with_the_pool_and_no_faster():
    def peak(n):
        proba = np.random.default_rng(0).dirichlet(np.full(5, 0.2), size=n)
        audit = draw_audit(proba, 100, random_state=0)
        labels = proba[audit.rows].argmax(axis=1)
        tracemalloc.start()
        draw_audit(proba, 100, random_state=0)
        audit.estimate(labels, proba)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    small, large = peak(20_000), peak(80_000)
    assert large < 4.5 * small and large < 40e6


def test_seconds_on_a_large_pool():
    proba = np.random.default_rng(0).dirichlet(np.full(5, 0.2), size=50_000)
    audit = draw_audit(proba, 100, random_state=0)
    labels = proba[audit.rows].argmax(axis=1)
    spent = []
    for _ in range(3):
        start = time.process_time()
        audit.estimate(labels, proba)
        spent.append(time.process_time() - start)
    assert min(spent) < 0.3  # 0.03 on a 2-core machine


def test_labels_of_a_frame_come_in_the_order_of_the_rows():
    proba = np.random.default_rng(0).dirichlet([1, 1], size=60)
    audit = draw_audit(proba, 12, random_state=0)
    y = pd.Series(np.random.default_rng(1).integers(0, 2, 60))
    right = audit.estimate(y.loc[audit.rows]).accuracy
    assert right == audit.estimate(y.to_numpy()[audit.rows]).accuracy
    reset = y.loc[audit.rows].reset_index(drop=True)
    assert right == audit.estimate(reset).accuracy
    with pytest.raises(ValueError, match=r"in another order. Pass y.loc\[audit.rows\]"):
        audit.estimate(y.loc[np.sort(audit.rows)])
    with pytest.raises(ValueError, match="values has, by its index"):
        audit.mean(y.loc[np.sort(audit.rows)])
    rest = draw_audit(proba, 50, taught=np.arange(10), random_state=0)  # all of it
    with pytest.raises(ValueError, match="in another order"):
        rest.estimate(y[10:])  # whose index is a range


@pytest.mark.parametrize("bounds", [(0, np.inf), (-np.inf, 1), ("a", "b"), (0, True)])
def test_bounds_are_finite_numbers(bounds):
    audit = draw_audit(np.full((20, 2), 0.5), 5, random_state=0)
    with pytest.raises(ValueError, match="bounds must be finite numbers"):
        audit.mean(np.zeros(5), bounds=bounds)


def test_tensors_that_need_a_gradient_are_read():
    proba, y = pool(200)
    wants = torch.tensor(proba, requires_grad=True)
    audit = draw_audit(wants, 20, random_state=0)
    np.testing.assert_array_equal(
        audit.rows, draw_audit(proba, 20, random_state=0).rows
    )
    labels = torch.tensor(y[audit.rows])
    assert audit.estimate(labels, wants) == audit.estimate(labels, proba)
    cost = torch.full((20,), 0.25, requires_grad=True)
    assert audit.mean(cost, wants[:, 0]) == audit.mean(np.full(20, 0.25), proba[:, 0])


def test_probabilities_in_bfloat16_are_a_distribution():
    rng = np.random.default_rng(0)
    logits = torch.tensor(rng.normal(size=(300, 10)) * 2, dtype=torch.bfloat16)
    proba = torch.softmax(logits, dim=1)  # sums up to 0.0026 from 1
    audit = draw_audit(proba, 20, random_state=0)
    assert audit.estimate(audit.predictions.column[audit.rows]).accuracy.value == 1
    labels = audit.predictions.column
    assert calibration_error(labels, proba.float(), range(10)) < 1


def test_rows_taught_may_be_flags_as_objects():
    proba = np.tile([0.8, 0.2], (50, 1))
    flags = np.arange(50) < 10
    found = draw_audit(proba, 10, taught=flags.astype(object), random_state=0)
    same = draw_audit(proba, 10, taught=flags, random_state=0)
    assert found.rows.tolist() == same.rows.tolist() and min(found.rows) >= 10
    with pytest.raises(ValueError, match="must be row numbers or a mask"):
        draw_audit(proba, 10, taught=[True, None] * 25)


@pytest.mark.parametrize("kind", [set, dict.fromkeys, iter])
def test_rows_taught_without_an_order_are_told_to_be_a_list(kind):
    proba = np.tile([0.8, 0.2], (50, 1))
    with pytest.raises(ValueError, match=r"taught must be .*Write list\(taught\)"):
        draw_audit(proba, 10, taught=kind([3, 4]))
