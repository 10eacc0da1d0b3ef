"""The worst part is found where confidence or embeddings betray it."""

import numpy as np
import pandas as pd
import pytest
import torch

from modal_pretrain.stopping import audit_groups, draw_audit, worst_part


@pytest.fixture
def blind_spot():
    """A tenth of the rows, apart in the embedding, is surely and always wrong."""
    rng = np.random.default_rng(0)
    bad = np.arange(1000) % 10 == 0
    E = rng.normal(size=(1000, 20)) * 0.3
    E[bad, 0] += 4
    sure = rng.uniform(0.9, 0.99, 1000)
    proba = np.column_stack([sure, 1 - sure])
    return proba, bad.astype(int), E, bad


def test_embeddings_find_what_confidence_does_not(blind_spot):
    proba, y, E, bad = blind_spot
    audit = draw_audit(proba, 100, random_state=0)
    labels = y[audit.rows]
    told = worst_part(audit, labels, E)
    blind = worst_part(audit, labels)
    assert np.mean(bad[told.rows]) > 0.9 > 0.3 > np.mean(bad[blind.rows])
    assert told.error.value > 0.6 and told.error.high == pytest.approx(1, abs=0.1)
    assert told.found_by == "confidence and embedding"
    assert len(told.rows) == 100 and "the worst 10 % of the pool" in str(told)


def test_embeddings_that_come_in_another_order_are_refused(blind_spot):
    proba, y, E, _ = blind_spot
    index = [f"id{i}" for i in range(len(E))]
    frames = {"proba": pd.DataFrame(proba, index), "E": pd.DataFrame(E, index)}
    audit = draw_audit(proba, 100, random_state=0)
    labels = y[audit.rows]
    late = frames["E"].iloc[::-1]
    with pytest.raises(ValueError, match=r"embeddings\.loc\[proba\.index\]"):
        worst_part(audit, labels, late, proba=frames["proba"])
    worst_part(audit, labels, frames["E"], proba=frames["proba"].to_numpy())


def test_cross_fitting_does_not_find_what_is_not_there(blind_spot):
    # Errors at random: no part is worse, and none may seem so.
    proba, _, E, _ = blind_spot
    found = []
    for seed in range(12):
        y = (np.random.default_rng(seed).random(1000) < 0.3).astype(int)
        audit = draw_audit(proba, 100, design="random", random_state=seed)
        error = worst_part(audit, y[audit.rows], E, random_state=seed).error
        if error is not None:
            found.append((error.value, error.n))
    values, n = np.array(found).T
    assert abs(np.average(values, weights=n) - 0.3) < 0.12


def test_few_errors_fall_back_to_confidence(blind_spot):
    proba, _, E, _ = blind_spot
    audit = draw_audit(proba, 30, random_state=0)
    found = worst_part(audit, np.zeros(30, int), E, share=0.2)
    assert found.found_by == "confidence" and len(found.rows) == 200
    assert proba[found.rows].max(axis=1).max() <= np.quantile(proba.max(axis=1), 0.21)
    assert found.error is None or found.error.value == 0


@pytest.mark.parametrize("right", [0, 1, 2])
def test_hardly_a_row_is_right(right):
    # As by a model of many classes that has been taught a few rows.
    proba = np.random.default_rng(0).dirichlet(np.ones(5), 60)
    audit = draw_audit(proba, 20, design="random", random_state=0)
    truth = (proba[audit.rows].argmax(axis=1) + 1) % 5
    truth[:right] = proba[audit.rows[:right]].argmax(axis=1)
    E = np.random.default_rng(1).standard_normal((60, 3))
    found = worst_part(audit, truth, E)
    assert len(found.rows) == 6
    assert found.found_by == "confidence" + " and embedding" * (right > 1)


def test_rows_taught_since_are_left_out(blind_spot):
    proba, y, E, bad = blind_spot
    audit = draw_audit(proba, 60, random_state=0)
    taught = np.setdiff1d(np.flatnonzero(bad)[:30], audit.rows)
    found = worst_part(audit, y[audit.rows], E, proba=proba, taught=taught)
    assert len(found.rows) == round(0.1 * (1000 - len(taught)))
    assert not np.isin(found.rows, taught).any()


def test_bad_input(blind_spot):
    proba, y, E, _ = blind_spot
    audit = draw_audit(proba, 100, random_state=0)
    with pytest.raises(ValueError, match="share must be"):
        worst_part(audit, y[audit.rows], share=1)
    with pytest.raises(ValueError, match=r"embeddings must be of shape \(1000, d\)"):
        worst_part(audit, y[audit.rows], E[:5])


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (lambda E: E[:5], r"embeddings must be of shape \(1000, d\)"),
        (lambda E: E[:, 0], r"embeddings must be of shape \(1000, d\)"),
        (lambda E: np.where(E[7, 3] == E, np.nan, E), "must be finite; row 7 is not"),
        (lambda E: E.astype(str), "embeddings must be numbers"),
        (lambda E: np.where(E[7, 3] == E, 1e16, E), "at most 1e[+]15.*; row 7 is not"),
    ],
)
def test_embeddings_are_checked_where_they_are_not_needed(blind_spot, odd, message):
    proba, _, E, _ = blind_spot
    audit = draw_audit(proba, 30, random_state=0)
    with pytest.raises(ValueError, match=message):
        worst_part(audit, np.zeros(30, int), odd(E))


def test_a_class_that_nobody_taught_may_count_as_wrong():
    proba = np.random.default_rng(0).dirichlet([1, 1], size=60)
    audit = draw_audit(proba, 20, classes=["a", "b"], random_state=0)
    y = np.array(["c", *["a"] * 19])
    groups = np.repeat(["left", "right"], 10)
    with pytest.raises(ValueError, match="pass unknown='wrong'"):
        audit_groups(audit, y, groups)
    found = audit_groups(audit, y, groups, unknown="wrong")
    assert found["left"].value < 1 and found["left"].n == 10
    assert worst_part(audit, y, unknown="wrong").found_by == "confidence"
    with pytest.raises(ValueError, match="y has None in row 0"):
        audit_groups(audit, [None, *["a"] * 19], groups, unknown="wrong")


def test_groups_that_are_masked_or_dates_without_one_are_unknown():
    audit = draw_audit(np.full((20, 2), 0.5), 4, random_state=0)
    y = np.zeros(4, int)
    masked = np.ma.array(["a", "b", "a", "b"], mask=[False, True, False, True])
    assert list(audit_groups(audit, y, masked)) == ["a"]
    days = pd.Series(pd.to_datetime(["2024-01-01", None, "2024-01-01", None]))
    for unit in ("ns", "s"):
        own = days.astype(f"datetime64[{unit}]")
        for groups in (own, own.to_numpy()):
            found = audit_groups(audit, y, groups)
            assert list(found) == [pd.Timestamp("2024-01-01")]


def test_groups_may_be_tensors_of_one_number(blind_spot):
    proba, y, *_ = blind_spot
    audit = draw_audit(proba, 60, random_state=0)
    groups = audit.rows % 2
    listed = [torch.tensor(group) for group in groups]  # as items of a data set
    found = audit_groups(audit, y[audit.rows], listed)
    assert found == audit_groups(audit, y[audit.rows], groups)


def test_embeddings_may_be_a_frame_of_nullable_numbers(blind_spot):
    proba, y, E, _ = blind_spot
    audit = draw_audit(proba, 100, random_state=0)
    frame = pd.DataFrame(E).astype("Float64")
    found = worst_part(audit, y[audit.rows], embeddings=frame)
    rows = worst_part(audit, y[audit.rows], embeddings=E).rows
    assert found.rows.tolist() == rows.tolist()


def test_groups_may_be_tuples_with_an_unknown_part():
    audit = draw_audit(np.full((20, 2), 0.5), 6, random_state=0)
    places = pd.DataFrame({"place": list("aabbab"), "hour": [1, None] * 3})
    # Each NaN of a column is an object of its own, which equals no other.
    groups = list(zip(places["place"], places["hour"], strict=True))
    found = audit_groups(audit, np.zeros(6, int), groups)
    numbers = {name: estimate.n for name, estimate in found.items()}
    assert numbers == {("a", 1): 2, ("a", None): 1, ("b", 1): 1, ("b", None): 2}
    nullable = places.convert_dtypes()
    groups = list(zip(nullable["place"], nullable["hour"], strict=True))
    assert audit_groups(audit, np.zeros(6, int), groups) == found


def test_groups_may_be_frozensets_with_an_unknown_part():
    audit = draw_audit(np.full((20, 2), 0.5), 6, random_state=0)
    groups = [frozenset({"a", float("nan")}) for _ in range(6)]
    found = audit_groups(audit, np.zeros(6, int), groups)
    assert [(name, e.n) for name, e in found.items()] == [(frozenset({"a", None}), 6)]


def test_predictions_in_the_place_of_embeddings(blind_spot):
    proba, y, _, _ = blind_spot
    audit = draw_audit(proba, 100, random_state=0)
    with pytest.raises(TypeError, match="as proba="):
        worst_part(audit, y[audit.rows], audit.predictions)


def test_probabilities_in_the_place_of_embeddings(blind_spot):
    proba, y, _, _ = blind_spot
    audit = draw_audit(proba, 40, random_state=0)
    labels = y[audit.rows]
    with pytest.warns(UserWarning, match="pass them as proba="):
        worst_part(audit, labels, proba)
    worst_part(audit, labels, proba, proba=proba)  # meant as it is written
    worst_part(audit, labels, np.column_stack([proba, proba]))


def test_an_audit_comes_first(blind_spot):
    proba, y, _, _ = blind_spot
    audit = draw_audit(proba, 40, random_state=0)
    labels = y[audit.rows]
    with pytest.raises(TypeError, match="audit must be what draw_audit"):
        worst_part(labels, audit)
    with pytest.raises(TypeError, match="audit must be what draw_audit"):
        audit_groups(labels, audit, labels)


def test_groups_of_the_whole_pool(blind_spot):
    proba, y, _, _ = blind_spot
    audit = draw_audit(proba, 40, random_state=0)
    with pytest.raises(ValueError, match=r"ndarray.*take groups\[audit\.rows\]"):
        audit_groups(audit, y[audit.rows], y)
    audit_groups(audit, y[audit.rows], y[audit.rows])


def test_a_pair_of_probabilities_and_classes(blind_spot):
    with pytest.raises(TypeError, match="the two as proba and classes="):
        draw_audit((blind_spot[0], np.array(["a", "b"])), 40)


def test_unknown_groups_that_numpy_made_text_of(blind_spot):
    proba, y, _, _ = blind_spot
    audit = draw_audit(proba, 40, random_state=0)
    groups = np.array(["land", np.nan] * 20)
    with pytest.warns(UserWarning, match="groups holds the text 'nan'"):
        audit_groups(audit, y[audit.rows], groups)
